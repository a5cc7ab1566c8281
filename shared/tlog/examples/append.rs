//! How many entries a second the engine takes, durably: `append FOLDER [CLIENTS] [ENTRIES] [BYTES]`.
//!
//! Each client sends an entry, waits for its proof, and sends the next. FOLDER must not be in memory, or nothing is measured.
#![allow(clippy::print_stdout, reason = "this is a command")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clock::SystemClock;
use jiff::Timestamp;
use keys::FileKey;
use merkle::{Hash, leaf_hash};
use pki::KeyKind;
use tlog::sqlite::SqliteStore;
use tlog::{Leaf, Log, NoteSigner, Submission};

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

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("append FOLDER [CLIENTS] [ENTRIES] [BYTES]")?;
    let mut number = |default: usize| arguments.next().map_or(Ok(default), |text| text.parse());
    let (clients, entries, bytes) = (number(1_024)?, number(100_000)? as u64, number(1_200)?);

    let store = SqliteStore::create(std::path::Path::new(&folder).join("bench.db"), "bench").await?;
    let signer = NoteSigner::new("bench.example", Arc::new(FileKey::generate(KeyKind::P256)?))?;
    let log = Log::create(Arc::new(store), Arc::new(signer), Arc::new(SystemClock)).await?;

    let (next, began) = (Arc::new(AtomicU64::new(0)), Instant::now());
    let mut tasks = Vec::new();
    for _ in 0..clients {
        let (log, next) = (log.clone(), Arc::clone(&next));
        tasks.push(tokio::spawn(async move {
            let mut waits = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= entries {
                    return waits;
                }
                let mut data = number.to_be_bytes().to_vec();
                data.resize(bytes, b'x');
                let sent = Instant::now();
                log.append(Arc::new(Entry(data))).await.expect("the log takes it");
                waits.push(sent.elapsed());
            }
        }));
    }
    let mut waits = Vec::new();
    for task in tasks {
        waits.extend(task.await?);
    }
    let took = began.elapsed();
    waits.sort_unstable();
    let percentile = |p: usize| waits[(waits.len() - 1) * p / 100].as_secs_f64() * 1e3;
    let rate = entries as f64 / took.as_secs_f64();
    println!(
        "{entries} entries of {bytes} bytes from {clients} clients: {rate:.0}/s, p50 {:.1} ms, p99 {:.1} ms",
        percentile(50),
        percentile(99)
    );

    let (size, began) = (log.checkpoint().size, Instant::now());
    for index in (0..size).step_by((size / 10_000).max(1) as usize) {
        log.inclusion_proof(index, size).await?;
    }
    println!("inclusion proofs: {:.0}/s", size.min(10_000) as f64 / began.elapsed().as_secs_f64());
    log.close().await;
    Ok(())
}
