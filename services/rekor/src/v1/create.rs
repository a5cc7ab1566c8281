//! Making a log, once.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use clock::Clock;
use entry::v1::{ProposedEntry, VerifiedEntry};
use face::{Frozen, LogError, SharedDatabase};
use jiff::Timestamp;
use keys::{FileKey, Signer};
use merkle::sha256;
use note::Checkpoint;
use pki::KeyKind;
use serde_json::json;
use tlog::{Log, OpenError};

use super::start::{Identity, identify, stored_tree};
use super::submission::EntrySubmission;
use super::{Config, StartError, TreeId};
use crate::host::host_of;
use crate::v2::SEEDS;

/// A log that was made, and closed again.
#[derive(Debug)]
pub struct Created {
    /// What goes into the trusted root.
    pub identity: Identity,
    /// Whether it was made now; else it was there, whole or in part.
    pub made: bool,
    /// When it began: the second in which its first entry was logged.
    pub since: Timestamp,
    /// The signed checkpoint over the seeds, which every later start must lead back to.
    pub checkpoint: String,
}

/// Makes the log: tree id, signed empty tree, seeds. Never overwrites a log; the key must be there already, and the database may be, when
/// the other face keeps its log there.
///
/// 1. The database file, unless there is one.
/// 2. The log's first signed head, with a tree id that is drawn now and kept for ever.
/// 3. The seeds, each durable before the next.
///
/// A crash in between leaves a log with fewer entries than the checkpoint that was never returned: [`complete`] makes the rest, or whoever
/// calls this works in a folder that counts only when all of it is there, and starts over.
///
/// # Errors
/// [`StartError`]: a public URL or key that cannot be a log's, a log that is there already, a database that cannot be written.
pub async fn create(config: &Config, clock: Arc<dyn Clock>) -> Result<Created, StartError> {
    make(config, 1, &config.key, clock, Existing::Refused).await
}

/// As [`create`], except that a log which is there already is kept, and gets the seeds that it lacks.
///
/// # Errors
/// [`StartError`]: as [`create`], or the log that is there has another name or key.
pub async fn complete(config: &Config, clock: Arc<dyn Clock>) -> Result<Created, StartError> {
    complete_shard(config, 1, &config.key, clock).await
}

/// As [`complete`], for the tree with this number and key that is to follow others of the log. Nobody sees it before they are frozen.
///
/// # Errors
/// As [`complete`].
pub async fn complete_shard(config: &Config, shard: u32, key: &Path, clock: Arc<dyn Clock>) -> Result<Created, StartError> {
    make(config, shard, key, clock, Existing::Kept).await
}

/// Freezes the tree with this number and key, which must be there and reach what was `published`: its entries are read as before, and the
/// next tree takes new ones.
///
/// # Errors
/// [`StartError`]: as [`open`](super::open), or the last head cannot be signed or stored. Asking again is always safe.
pub async fn freeze(
    config: &Config,
    shard: u32,
    key: &Path,
    clock: Arc<dyn Clock>,
    published: Option<Checkpoint>,
) -> Result<Frozen, StartError> {
    let host = host_of(&config.public_url)?;
    let place = config.place(shard);
    let database = SharedDatabase::open(&place).await?;
    let store = database.log(&place).await?;
    let (_, signer) = identify(&host, stored_tree(store.as_ref(), &host).await?, Arc::new(FileKey::load(key)?))?;
    let frozen = face::freeze(&place, store, Arc::new(signer), clock, published).await?;
    database.close().await;
    Ok(frozen)
}

/// What becomes of a log that is there.
#[derive(Clone, Copy)]
enum Existing {
    Kept,
    Refused,
}

async fn make(config: &Config, shard: u32, key: &Path, clock: Arc<dyn Clock>, existing: Existing) -> Result<Created, StartError> {
    let host = host_of(&config.public_url)?;
    let key: Arc<dyn Signer> = Arc::new(FileKey::load(key)?);
    let place = config.place(shard);
    let database = SharedDatabase::open_or_create(&place).await?;
    let store = database.log(&place).await?;
    let kept = match existing {
        // That there is one is said by the engine.
        Existing::Refused => None,
        Existing::Kept => match stored_tree(store.as_ref(), &host).await {
            Ok(tree) => Some(tree),
            Err(StartError::Log(LogError::Open(OpenError::Missing { .. }))) => None,
            Err(error) => return Err(error),
        },
    };
    let tree = match kept {
        Some(tree) => tree,
        None => TreeId::draw().map_err(|error| seed_failed(0, error))?,
    };
    let (identity, signer) = identify(&host, tree, key)?;
    let signer = Arc::new(signer);
    let log = match kept {
        Some(_) => Log::open(store, signer, clock, None).await?,
        None => Log::create(store, signer, clock).await?,
    };
    for number in log.checkpoint().size..SEEDS {
        let entry = seed(&identity.origin, number).await.map_err(|source| StartError::Seed { number, source })?;
        log.append(Arc::new(EntrySubmission(entry))).await.map_err(|error| seed_failed(number, error))?;
    }
    let first = log.entries(0..1).await.map_err(|error| seed_failed(0, error))?;
    let since = first.first().ok_or("it is gone").map_err(|error| seed_failed(0, error))?.time;
    let checkpoint = log.checkpoint().note.clone();
    log.close().await;
    database.close().await;
    let since = Timestamp::from_second(since.as_second()).unwrap_or(since);
    Ok(Created { identity, made: kept.is_none(), since, checkpoint })
}

fn seed_failed(number: u64, error: impl Into<Box<dyn Error + Send + Sync>>) -> StartError {
    StartError::Seed { number, source: error.into() }
}

/// An entry over `chancery log ORIGIN seed NUMBER`, signed by a P-256 key that nobody keeps.
async fn seed(origin: &str, number: u64) -> Result<VerifiedEntry, Box<dyn Error + Send + Sync>> {
    let message = format!("chancery log {origin} seed {number}").into_bytes();
    let key = FileKey::generate(KeyKind::P256)?;
    let signature = key.sign(&message).await?;
    let proposal = json!({"kind": "hashedrekord", "apiVersion": "0.0.1", "spec": {
        "data": {"hash": {"algorithm": "sha256", "value": sha256(&message).to_string()}},
        "signature": {
            "content": BASE64_STANDARD.encode(signature),
            "publicKey": {"content": BASE64_STANDARD.encode(key.public_key().to_pem())},
        },
    }});
    Ok(ProposedEntry::from_json(proposal.to_string().as_bytes())?.verify()?)
}
