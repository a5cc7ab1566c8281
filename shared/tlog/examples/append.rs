//! How many entries a second the engine takes, durably: `append FOLDER CLIENTS SECONDS BYTES [EARLIER]`.
//!
//! Each client appends an entry of BYTES, waits for its proof in a signed tree head, and appends the next. EARLIER entries are in the log
//! before anything is measured. FOLDER must not be in memory, or nothing is measured. The answer is a row of a table, the same as that of
//! `integration/peers/tessera`.
#![allow(clippy::print_stdout, reason = "this is a command")]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clock::SystemClock;
use jiff::Timestamp;
use keys::FileKey;
use merkle::{Hash, leaf_hash};
use pki::KeyKind;
use tlog::sqlite::SqliteStore;
use tlog::{Leaf, Log, NoteSigner, Submission};
use tokio::task::JoinSet;

/// Clients that append the earlier entries: two full batches.
const LOADING: usize = 2_048;

struct Entry(Vec<u8>);

impl Submission for Entry {
    fn dedup_key(&self) -> Hash {
        leaf_hash(&self.0)
    }

    fn leaf(&self, _index: u64, _time: Timestamp) -> Leaf {
        Leaf { data: self.0.clone(), extra: Vec::new() }
    }

    fn leaf_length(&self) -> usize {
        self.0.len()
    }
}

/// Entries that are all different.
struct Entries {
    bytes: usize,
    next: AtomicU64,
}

impl Entries {
    /// Has so many clients append until `enough` says so of the number of an entry; how long each entry took, in order of time taken.
    async fn append(
        self: &Arc<Self>,
        log: &Log,
        clients: usize,
        enough: impl Fn(u64) -> bool + Clone + Send + 'static,
    ) -> Result<Vec<Duration>, Box<dyn Error>> {
        let mut tasks = JoinSet::new();
        for _ in 0..clients {
            let (log, entries, enough) = (log.clone(), Arc::clone(self), enough.clone());
            tasks.spawn(async move {
                let mut waits = Vec::new();
                loop {
                    let number = entries.next.fetch_add(1, Ordering::Relaxed);
                    if enough(number) {
                        return Ok(waits);
                    }
                    let mut data = number.to_be_bytes().to_vec();
                    data.resize(entries.bytes.max(data.len()), b'x');
                    let sent = Instant::now();
                    log.append(Arc::new(Entry(data))).await?;
                    waits.push(sent.elapsed());
                }
            });
        }
        let mut waits = Vec::new();
        while let Some(task) = tasks.join_next().await {
            waits.extend(task?.map_err(|error: tlog::AppendError| error)?);
        }
        waits.sort_unstable();
        Ok(waits)
    }
}

/// Processor time of this process, and the bytes it has written to disk as the kernel counts them.
fn used() -> Result<(Duration, u64), Box<dyn Error>> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let times = stat.rsplit(") ").next().unwrap_or_default().split(' ').skip(11).take(2);
    let ticks = times.map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    let io = std::fs::read_to_string("/proc/self/io")?;
    let written = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).ok_or("the kernel counts bytes written")?;
    Ok((Duration::from_millis(ticks * 10), written.parse()?))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, clients, seconds, bytes, more @ ..] = &arguments[..] else {
        return Err("append FOLDER CLIENTS SECONDS BYTES [EARLIER]".into());
    };
    let (clients, limit) = (clients.parse()?, Duration::from_secs(seconds.parse()?));
    let earlier: u64 = more.first().map_or(Ok(0), |earlier| earlier.parse())?;

    let store = SqliteStore::create(Path::new(folder).join("bench.db"), "bench").await?;
    let signer = NoteSigner::new("bench.example", Arc::new(FileKey::generate(KeyKind::P256)?))?;
    let log = Log::create(Arc::new(store), Arc::new(signer), Arc::new(SystemClock)).await?;
    let entries = Arc::new(Entries { bytes: bytes.parse()?, next: AtomicU64::new(0) });
    if earlier > 0 {
        entries.append(&log, LOADING, move |number| number >= earlier).await?;
    }

    let (before, began) = (used()?, Instant::now());
    let waits = entries.append(&log, clients, move |_| began.elapsed() >= limit).await?;
    let (took, after) = (began.elapsed(), used()?);
    log.close().await;
    let count = waits.len() as f64;
    let percentile = |p: usize| waits[(waits.len() - 1) * p / 100].as_secs_f64() * 1e3;
    let later = if earlier > 0 { format!(", {earlier} entries later") } else { String::new() };
    println!(
        "| Chancery{later} | {clients} | {:.0} | {:.2} ms | {:.2} ms | {:.3} ms | {:.1} KiB |",
        count / took.as_secs_f64(),
        percentile(50),
        percentile(99),
        (after.0 - before.0).as_secs_f64() * 1e3 / count,
        (after.1 - before.1) as f64 / 1024.0 / count
    );
    Ok(())
}
