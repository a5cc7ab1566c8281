//! Ten times the clients: what the log holds then, and in what memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::Plan;
use super::ours::Ours;
use crate::process::{resident_mib, shown};
use crate::{PER_SECOND, entries_v2};

/// As many as it takes to keep the log busy without pause; ten times as many is about what a listener takes.
const HELD: usize = 800;

/// Prints a table. All clients come from one address, which may have half of the places; each one that is refused waits for as long as it is
/// told, which the generator checks, and comes again.
pub(super) async fn measure(plan: &Plan<'_>, ours: &Ours) {
    println!("| overload | clients | logged per second | refused per second | p50 | p99 | memory before | at most | 5 s after |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |");
    for clients in [HELD, 10 * HELD, 10 * HELD, HELD] {
        eprintln!("measuring overload with {clients} clients");
        let requests = entries_v2(&ours.v2(), plan.seconds * PER_SECOND + clients as u64).patient();
        let before = ours.resident();
        let watch = Watch::begin(ours.pid());
        let measured = requests.send(clients, Duration::from_secs(plan.seconds)).await;
        let most = watch.end().await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        println!(
            "| | {clients} | {:.0} | {:.0} | {} | {} | {before:.0} MiB | {most:.0} MiB | {:.0} MiB |",
            measured.rate(),
            measured.refused as f64 / measured.took.as_secs_f64(),
            shown(measured.percentile(50)),
            shown(measured.percentile(99)),
            ours.resident()
        );
    }
}

/// Looks again and again at the memory of a process.
struct Watch {
    over: Arc<AtomicBool>,
    most: tokio::task::JoinHandle<f64>,
}

impl Watch {
    fn begin(process: u32) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let watched = Arc::clone(&over);
        let most = tokio::spawn(async move {
            let mut most: f64 = 0.0;
            while !watched.load(Ordering::Relaxed) {
                most = most.max(resident_mib(process));
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            most
        });
        Self { over, most }
    }

    /// The most that was seen, in MiB.
    async fn end(self) -> f64 {
        self.over.store(true, Ordering::Relaxed);
        self.most.await.expect("looking does not panic")
    }
}
