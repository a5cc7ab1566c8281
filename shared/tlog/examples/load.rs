//! Appends entries to a log that was made before and that nothing serves: `load DATABASE LOG ORIGIN KEY ENTRIES [BYTES]`.
//!
//! DATABASE is a SQLite file, or the URL of a Postgres database, whose password is in the file that `DATABASE_PASSWORD_FILE` names. LOG is
//! the log's name in it, KEY its private key. The entries have `BYTES` each, and are appended like any others: rows, indexes and tiles are
//! those of a log that has grown to this size.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clock::SystemClock;
use jiff::Timestamp;
use keys::FileKey;
use merkle::{Hash, leaf_hash};
use tlog::{Database, DatabaseAddress, Leaf, Log, NoteSigner, Submission};
use tokio::task::JoinSet;

/// Entries on their way at once: two full batches.
const TOGETHER: usize = 2_048;

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

fn address(text: &str) -> Result<DatabaseAddress, tlog::DatabaseError> {
    if text.starts_with("postgres://") {
        let file = std::env::var_os("DATABASE_PASSWORD_FILE").map(PathBuf::from);
        return DatabaseAddress::postgres(text, file.as_deref());
    }
    Ok(DatabaseAddress::File(text.into()))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [place, name, origin, key, entries, more @ ..] = &arguments[..] else {
        return Err("load DATABASE LOG ORIGIN KEY ENTRIES [BYTES]".into());
    };
    let (entries, bytes): (u64, usize) = (entries.parse()?, more.first().map_or(Ok(600), |bytes| bytes.parse())?);
    let database = Database::open(&address(place)?).await?;
    let signer = NoteSigner::new(origin, Arc::new(FileKey::load(Path::new(key))?))?;
    let log = Log::open(database.log(name), Arc::new(signer), Arc::new(SystemClock), None).await?;

    // Entries that an earlier run has appended would be found, not appended.
    let first = log.checkpoint().size;
    let next = Arc::new(AtomicU64::new(first));
    let mut tasks = JoinSet::new();
    for _ in 0..TOGETHER {
        let (log, next) = (log.clone(), Arc::clone(&next));
        tasks.spawn(async move {
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= first + entries {
                    return Ok(());
                }
                let mut data = format!("loaded entry {number} ").into_bytes();
                data.resize(bytes.max(data.len()), b'x');
                log.append(Arc::new(Entry(data))).await?;
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task?.map_err(|error: tlog::AppendError| error)?;
    }
    log.close().await;
    database.close().await;
    Ok(())
}
