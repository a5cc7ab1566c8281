//! What an append and a proof cost as the log grows: `growth FOLDER [LARGEST]`, from 10^4 leaves to LARGEST, 10^7 unless said otherwise.
//!
//! The leaves below the last few hundred are synthetic: only their tiles and the frontier are written, as appends would have left them.
//! FOLDER must not be in memory, or nothing is measured.
#![allow(clippy::print_stdout, reason = "this is a command")]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clock::SystemClock;
use jiff::Timestamp;
use keys::FileKey;
use merkle::{CompactRange, Hash, TILE_HEIGHT, TILE_WIDTH, leaf_hash, verify_consistency, verify_inclusion};
use pki::KeyKind;
use tlog::sqlite::SqliteStore;
use tlog::{FullTile, Leaf, Log, NewEntry, NoteSigner, State, Store, Submission, TreeHead, TreeHeadSigner};

/// Leaves in one transaction of the loader.
const CHUNK: u64 = 1 << 20;
/// Appends and proofs that are measured at each size.
const MEASURED: usize = 500;

struct Entry(Vec<u8>);

impl Submission for Entry {
    fn dedup_key(&self) -> Hash {
        leaf_hash(&self.0)
    }

    fn leaf(&self, _index: u64, _time: Timestamp) -> Leaf {
        Leaf { data: self.0.clone(), extra: Vec::new() }
    }
}

/// The data of a synthetic leaf.
fn synthetic(index: u64) -> Vec<u8> {
    format!("synthetic leaf {index}").into_bytes()
}

/// Writes tiles and frontier up to `size` leaves, and the entries that a start looks at: the first, and the last of two tiles.
async fn load(store: &SqliteStore, signer: &NoteSigner, size: u64) -> Result<(), Box<dyn Error>> {
    let mut range = CompactRange::new();
    let mut rows: Vec<Vec<u8>> = Vec::new();
    let mut state = store.state().await?.ok_or("there is no log")?;
    while range.size() < size {
        let mut tiles = Vec::new();
        for index in range.size()..size.min(range.size() + CHUNK) {
            range.append_with(leaf_hash(&synthetic(index)), |node, hash| {
                if node.level % TILE_HEIGHT == 0 {
                    let level = usize::from(node.level / TILE_HEIGHT);
                    rows.resize_with(rows.len().max(level + 1), Vec::new);
                    rows[level].extend_from_slice(hash.as_ref());
                    if (node.index + 1) % TILE_WIDTH == 0 {
                        let hashes = std::mem::take(&mut rows[level]);
                        tiles.push(FullTile { level: level as u8, index: node.index / TILE_WIDTH, hashes });
                    }
                }
            });
        }
        let last = range.size() == size;
        let indexes = if last { size.saturating_sub(2 * TILE_WIDTH).max(1)..size } else { 0..0 };
        let time = state.time;
        let entry = |index: u64| {
            let data = synthetic(index);
            let hash = leaf_hash(&data);
            let leaf = Leaf { data, extra: Vec::new() };
            NewEntry { index, time, dedup_key: hash, leaf_hash: hash, leaf, search_keys: Vec::new() }
        };
        let mut entries: Vec<_> = indexes.map(entry).collect();
        if last {
            entries.insert(0, entry(0));
        }
        let head = TreeHead { origin: state.origin.clone(), size: range.size(), root: range.root(), time };
        state = State {
            size: head.size,
            root: head.root,
            frontier: range.hashes().to_vec(),
            checkpoint: signer.sign(&head).await?,
            ..state
        };
        let mut transaction = store.begin().await?;
        transaction.insert_entries(&entries).await?;
        transaction.insert_tiles(&tiles).await?;
        transaction.update(&state).await?;
        transaction.commit().await?;
    }
    Ok(())
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64() * 1e3
}

async fn measure(folder: &Path, size: u64) -> Result<(), Box<dyn Error>> {
    let path = folder.join(format!("growth-{size}.db"));
    let store = SqliteStore::create(&path, "growth").await?;
    let signer = Arc::new(NoteSigner::new("growth.example", Arc::new(FileKey::generate(KeyKind::P256)?))?);
    let clock = Arc::new(SystemClock);
    Log::create(Arc::new(store.clone()), signer.clone(), clock.clone()).await?.close().await;
    let began = Instant::now();
    load(&store, &signer, size).await?;
    let loaded = began.elapsed();

    let began = Instant::now();
    let log = Log::open(Arc::new(store.clone()), signer, clock, None).await?;
    let opened = began.elapsed();
    let loaded_head = log.checkpoint();

    let mut appends = Vec::new();
    for number in 0..MEASURED {
        let began = Instant::now();
        log.append(Arc::new(Entry(format!("entry {number} {}", "x".repeat(1_000)).into_bytes()))).await?;
        appends.push(began.elapsed());
    }
    let (mut inclusions, mut consistencies) = (Vec::new(), Vec::new());
    let head = log.checkpoint();
    for number in 0..MEASURED as u64 {
        // Spread over the whole log: most of them need a tile that is not in memory.
        let index = number * (size / MEASURED as u64);
        let began = Instant::now();
        let proof = log.inclusion_proof(index, head.size).await?;
        inclusions.push(began.elapsed());
        verify_inclusion(&leaf_hash(&synthetic(index)), index, head.size, &proof, &head.root)?;
        let began = Instant::now();
        let proof = log.consistency_proof(index + 1, size).await?;
        consistencies.push(began.elapsed());
        if number == 0 {
            let old = leaf_hash(&synthetic(0));
            verify_consistency(1, size, &proof, &old, &loaded_head.root)?;
        }
    }
    println!(
        "| {size} | {:.2} s | {:.0} ms | {:.2} ms | {:.3} ms | {:.3} ms |",
        loaded.as_secs_f64(),
        opened.as_secs_f64() * 1e3,
        median(appends),
        median(inclusions),
        median(consistencies)
    );
    log.close().await;
    store.database().close().await;
    std::fs::remove_file(path)?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().ok_or("growth FOLDER [LARGEST]")?;
    let largest: u64 = arguments.next().map_or(Ok(10_000_000), |text| text.parse())?;
    println!("| leaves | loaded in | start | append p50 | inclusion proof p50 | consistency proof p50 |");
    println!("| ---: | ---: | ---: | ---: | ---: | ---: |");
    let mut size = 10_000;
    while size <= largest {
        measure(Path::new(&folder), size).await?;
        size *= 10;
    }
    Ok(())
}
