//! Measures a lab over HTTP and prints a table; `cargo xtask bench` builds both optimised and adds the machine.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints its results")]

mod log;
mod process;
mod registry;
mod upstream;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::Parser;
use integration::ca;
use integration::load::{Measured, Requests};
use integration::people::EMAIL;
use integration::rekor::{Entry, new_key};
use integration::rekor_v1::EntryV1;
use process::{cpu_time, resident_mib, shown};
use testkit::{Chancery, Launch};
use upstream::Upstream;

/// Measures the binary beside this one.
#[derive(Debug, Parser)]
struct Options {
    /// Where the lab's data goes: a folder on the disk whose writes are to be measured
    #[arg(long)]
    dir: PathBuf,
    /// How long each run may last
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Manifests in the largest repository
    #[arg(long, default_value_t = 100_000)]
    manifests: usize,
    /// The registry alone
    #[arg(long)]
    registry: bool,
    /// The Rekor v1 log alone
    #[arg(long, conflicts_with = "registry")]
    rekor_v1: bool,
    /// The logs alone, beside rekor-tiles with `--upstream`
    #[arg(long, conflicts_with_all = ["registry", "rekor_v1"])]
    log: bool,
    /// Entries that a log gets before it is measured once more
    #[arg(long, default_value_t = 1_000_000, requires = "log")]
    later: u64,
    /// The program that appends them
    #[arg(long, requires = "log")]
    loader: Option<PathBuf>,
    /// Measure upstream Rekor too
    #[arg(long)]
    upstream: bool,
}

/// More than any machine answers in one run; making them is not measured.
const PER_SECOND: u64 = 12_000;

#[tokio::main]
async fn main() {
    let options = Options::parse();
    let folder = tempfile::tempdir_in(&options.dir).expect("the folder can be written");
    if let Options { log: true, seconds, later, upstream, .. } = options {
        let loader = options.loader.unwrap_or_else(|| beside("examples/load"));
        let folder = folder.path();
        return log::Plan { folder, seconds, later, loader: &loader, upstream }.run().await;
    }
    let sync = sync_time(folder.path());
    let launch = Launch::lab(&folder.path().join("lab"));
    let begun = Instant::now();
    let mut lab = launch.start_in(folder.path()).await.unwrap_or_else(|ended| panic!("{ended}"));
    let first_start = begun.elapsed();
    let ended = lab.stop();
    assert_eq!(ended.code, Some(0), "{ended}");
    let begun = Instant::now();
    lab.restart().await.unwrap_or_else(|ended| panic!("{ended}"));
    let second_start = begun.elapsed();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let idle = resident_mib(lab.pid());

    let limit = Duration::from_secs(options.seconds);
    if !options.registry {
        if !options.rekor_v1 {
            measure_sigstore(&lab, options.seconds, limit).await;
        }
        measure_rekor_v1(&lab, folder.path(), &options, limit).await;
    }
    if !options.rekor_v1 {
        registry::measure(&lab, folder.path(), limit / 3, options.manifests).await;
    }
    println!();
    println!("| what | |");
    println!("| --- | ---: |");
    println!("| first start, with keys and proof | {} |", shown(first_start));
    println!("| second start | {} |", shown(second_start));
    println!("| memory, idle | {idle:.1} MiB |");
    println!("| memory, after the runs above | {:.1} MiB |", resident_mib(lab.pid()));
    println!("| `fdatasync` of 4 KiB on this disk, p50 | {} |", shown(sync));
}

/// What was built with this program.
fn beside(name: &str) -> PathBuf {
    std::env::current_exe().expect("this program has a path").with_file_name(name)
}

/// The certificate authority, the log and the timestamps.
async fn measure_sigstore(lab: &Chancery, seconds: u64, limit: Duration) {
    println!("| what | clients | per second | p50 | p99 | server CPU per request |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    let url = lab.env().url("CHANCERY_REKOR_URL", "/api/v2/log/entries");
    for clients in [1, 64, 512] {
        // One client waits for the disk each time: it needs fewer requests.
        let count = if clients == 1 { seconds * 1_000 } else { seconds * PER_SECOND };
        measure("Rekor v2 entries", entries_v2(&url, count), clients, limit, lab.pid()).await;
    }
    measure("certificates, logged in CT", certificates(lab, seconds * PER_SECOND / 3), 64, limit, lab.pid()).await;
    measure("timestamps", timestamps(lab, seconds * PER_SECOND), 64, limit, lab.pid()).await;
    println!();
}

/// The log of older clients, beside upstream's on the same disk.
async fn measure_rekor_v1(lab: &Chancery, folder: &Path, options: &Options, limit: Duration) {
    const PATH: &str = "/api/v1/log/entries";
    println!("| Rekor v1 entries | clients | per second | p50 | p99 | server CPU per request |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    for clients in [1, 64, 512] {
        let count = if clients == 1 { options.seconds * 1_000 } else { options.seconds * PER_SECOND };
        measure("Chancery", entries_v1(&lab.env().url("CHANCERY_REKOR_V1_URL", PATH), count), clients, limit, lab.pid()).await;
    }
    if options.upstream {
        let upstream = Upstream::start(&folder.join("upstream")).await;
        for clients in [1, 64, 512] {
            eprintln!("measuring upstream Rekor with {clients} clients");
            let (before, requests) = (upstream.cpu_time(), entries_v1(&upstream.url(PATH), options.seconds * 2_000));
            let measured = requests.send(clients, limit).await;
            row("rekor-server", clients, &measured, upstream.cpu_time() - before);
        }
    }
    println!();
}

async fn measure(what: &str, requests: Requests, clients: usize, limit: Duration, server: u32) {
    eprintln!("measuring {what} with {clients} clients");
    let before = cpu_time(server);
    let measured: Measured = requests.send(clients, limit).await;
    row(what, clients, &measured, cpu_time(server) - before);
}

fn row(what: &str, clients: usize, measured: &Measured, cpu: Duration) {
    let cpu = cpu / measured.answered as u32;
    let (p50, p99) = (shown(measured.percentile(50)), shown(measured.percentile(99)));
    println!("| {what} | {clients} | {:.0} | {p50} | {p99} | {} |", measured.rate(), shown(cpu));
}

fn entries_v2(url: &str, count: u64) -> Requests {
    let key = new_key();
    Requests::new(url, "application/json", 201, (0..count).map(|_| Entry::by(&key).request.to_string().into_bytes()))
}

fn entries_v1(url: &str, count: u64) -> Requests {
    let key = new_key();
    Requests::new(url, "application/json", 201, (0..count).map(|_| EntryV1::by(&key).request.into_bytes()))
}

fn certificates(lab: &Chancery, count: u64) -> Requests {
    let token = lab.token(&["--email", EMAIL]);
    let bodies = (0..count).map(|_| ca::request(&token, &new_key(), EMAIL.as_bytes()).to_string().into_bytes());
    Requests::new(&lab.env().url("CHANCERY_FULCIO_URL", "/api/v2/signingCert"), "application/json", 200, bodies)
}

fn timestamps(lab: &Chancery, count: u64) -> Requests {
    // SEQUENCE { 1, SEQUENCE { SEQUENCE { sha256 }, digest } }: what sigstore-go asks, 56 bytes.
    let head = hex::decode("3036020101303130").expect("hex digits");
    let algorithm = hex::decode("0d060960864801650304020105000420").expect("hex digits");
    let query = move |_| [head.as_slice(), &algorithm, &rand::random::<[u8; 32]>()].concat();
    Requests::new(
        &lab.env().url("CHANCERY_TSA_URL", "/api/v1/timestamp"),
        "application/timestamp-query",
        200,
        (0..count).map(query),
    )
}

/// What one durable write costs here at the least: every figure above rests on it.
fn sync_time(folder: &Path) -> Duration {
    use std::os::unix::fs::FileExt as _;
    let file = std::fs::File::create(folder.join("sync")).expect("the folder can be written");
    let mut times: Vec<Duration> = (0..200)
        .map(|round| {
            file.write_all_at(&[1; 4096], round * 4096).expect("the disk has room");
            let begun = Instant::now();
            file.sync_data().expect("the disk syncs");
            begun.elapsed()
        })
        .collect();
    times.sort_unstable();
    times[times.len() / 2]
}
