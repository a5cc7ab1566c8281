//! The logs: ours on SQLite and on Postgres, beside upstream's, with the same load on the same disk in one run.

mod ours;
mod overload;
mod tiles;

use std::path::Path;
use std::time::Duration;

use integration::load::Requests;

use crate::process::{Usage, shown};
use crate::{PER_SECOND, entries_v1, entries_v2, sync_time};
use ours::Ours;
use tiles::Tiles;

/// Connections that send one entry after the other.
const CLIENTS: [usize; 5] = [1, 8, 64, 512, 2_048];

/// A disk that answers sooner does not write what it says: figures on it are marked.
const HONEST: Duration = Duration::from_micros(50);

/// What is measured, and for how long.
pub(crate) struct Plan<'a> {
    /// On the disk whose writes are measured.
    pub(crate) folder: &'a Path,
    /// How long each run may last, in seconds.
    pub(crate) seconds: u64,
    /// Entries that come between the first rows of a log and its second ones.
    pub(crate) later: u64,
    /// The program that appends them.
    pub(crate) loader: &'a Path,
    /// Whether upstream's log is measured too.
    pub(crate) upstream: bool,
}

impl Plan<'_> {
    /// Measures, and prints the tables.
    pub(crate) async fn run(&self) {
        println!(
            "| Rekor v2 entries | clients | per second | p50 | p99 | server CPU per entry | written per entry | `fdatasync` |"
        );
        println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
        let sqlite = self.ours("Chancery on SQLite", Ours::on_sqlite(&self.folder.join("sqlite")).await).await;
        drop(self.ours("Chancery on PostgreSQL", Ours::on_postgres(&self.folder.join("postgres")).await).await);
        if self.upstream {
            let upstream = Tiles::start(&self.folder.join("tiles")).await;
            for clients in CLIENTS {
                // It is far from what the generator can send.
                let count = self.seconds * if clients == 1 { 100 } else { PER_SECOND / 3 };
                let _ = self.row("rekor-tiles", clients, entries_v2(&upstream.url(), count), || upstream.usage()).await;
            }
        }
        println!();
        println!(
            "| Rekor v1 entries | clients | per second | p50 | p99 | server CPU per entry | written per entry | `fdatasync` |"
        );
        println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
        let requests = entries_v1(&sqlite.v1(), self.seconds * PER_SECOND);
        let _ = self.row("Chancery on SQLite", 64, requests, || sqlite.usage()).await;
        println!();
        overload::measure(self, &sqlite).await;
    }

    /// Every number of clients, and once more when the log has grown.
    async fn ours(&self, name: &str, mut ours: Ours) -> Ours {
        let mut before = Vec::new();
        for clients in CLIENTS {
            before.push(self.row(name, clients, self.entries(&ours, clients), || ours.usage()).await);
        }
        if self.later > 0 {
            eprintln!("appending {} entries", self.later);
            ours.load(self.loader, self.later).await;
            for (clients, before) in CLIENTS.into_iter().zip(before) {
                let name = format!("{name}, {} entries later", self.later);
                let rate = self.row(&name, clients, self.entries(&ours, clients), || ours.usage()).await;
                eprintln!("{clients} clients: {:.2} times as long as before", before / rate);
            }
        }
        ours
    }

    fn entries(&self, ours: &Ours, clients: usize) -> Requests {
        // One client waits for the disk each time: it needs fewer requests.
        let count = self.seconds * if clients == 1 { PER_SECOND / 6 } else { PER_SECOND };
        entries_v2(&ours.v2(), count)
    }

    /// One row; entries per second.
    async fn row(&self, name: &str, clients: usize, requests: Requests, usage: impl Fn() -> Usage) -> f64 {
        eprintln!("measuring {name} with {clients} clients");
        let sync = sync_time(self.folder);
        let before = usage();
        let measured = requests.patient().send(clients, Duration::from_secs(self.seconds)).await;
        let used = usage() - before;
        let entries = measured.answered as u32;
        let row = format!(
            "| {name} | {clients} | {:.0} | {} | {} | {:.3} ms | {:.1} KiB | {:.2} ms{} |",
            measured.rate(),
            shown(measured.percentile(50)),
            shown(measured.percentile(99)),
            (used.cpu / entries).as_secs_f64() * 1e3,
            used.written as f64 / f64::from(entries) / 1024.0,
            sync.as_secs_f64() * 1e3,
            if sync < HONEST { " (!)" } else { "" }
        );
        println!("{row}");
        // Whoever waits for the tables sees each row, also when a later one fails.
        eprintln!("{row}");
        measured.rate()
    }
}
