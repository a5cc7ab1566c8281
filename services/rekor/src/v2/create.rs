//! Making a log, once.

use std::error::Error;
use std::sync::Arc;

use clock::Clock;
use entry::{HashedRekord, HashedRekordRequest, Verifier, default_key_details};
use face::{Frozen, SharedDatabase};
use jiff::Timestamp;
use keys::{FileKey, Signer as _};
use note::Checkpoint;
use pki::KeyKind;
use tlog::{Log, OpenError};

use super::Config;
use super::start::{Identity, identify};
use super::submission::HashedrekordSubmission;
use crate::start::StartError;

/// Entries that every log of ours begins with.
///
/// The first entry of a tree breaks clients: its index, and in a tree of one its proof, are defaults that protobuf JSON omits, and
/// sigstore-python cannot parse a bundle without them. So no client's entry is the first.
pub const SEEDS: u64 = 2;

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

/// Makes the log: database, signed empty tree, seeds. Never overwrites; the key must be there already.
///
/// 1. An empty database file, or tables in an empty Postgres database.
/// 2. The log's first signed head.
/// 3. The seeds, each durable before the next.
///
/// A crash in between leaves a file with fewer entries than the checkpoint that was never returned: whoever calls this works in a
/// folder that counts only when all of it is there, and starts over.
///
/// # Errors
/// [`StartError`]: a public URL or key that cannot be a log's, a database that is there already or cannot be written.
pub async fn create(config: &Config, clock: Arc<dyn Clock>) -> Result<Created, StartError> {
    let (identity, signer) = identify(config)?;
    let place = config.place(1);
    let database = SharedDatabase::create(&place).await?;
    let log = Log::create(database.log(&place).await?, signer, clock).await?;
    let created = seeded(log, identity, true).await;
    database.close().await;
    created
}

/// Makes the shard with this number beside other logs in a database that is there. One that is there already is kept, and gets the seeds
/// that it lacks: run again after a crash, it makes the rest.
///
/// # Errors
/// [`StartError`]: as [`create`], or the shard that is there has another name or key.
pub async fn complete_shard(config: &Config, shard: u32, clock: Arc<dyn Clock>) -> Result<Created, StartError> {
    let (identity, signer) = identify(config)?;
    let place = config.place(shard);
    let database = SharedDatabase::open(&place).await?;
    let store = database.log(&place).await?;
    let (log, made) = match Log::open(store.clone(), signer.clone(), clock.clone(), None).await {
        Ok(log) => (log, false),
        Err(OpenError::Missing { .. }) => (Log::create(store, signer, clock).await?, true),
        Err(error) => return Err(error.into()),
    };
    let created = seeded(log, identity, made).await;
    database.close().await;
    created
}

/// Freezes the shard with this number, which must be there and reach what was `published`: what is in it is read as before.
///
/// # Errors
/// [`StartError`]: as [`open`](super::open), or the last head cannot be signed or stored. Asking again is always safe.
pub async fn freeze(
    config: &Config,
    shard: u32,
    clock: Arc<dyn Clock>,
    published: Option<Checkpoint>,
) -> Result<Frozen, StartError> {
    let (_, signer) = identify(config)?;
    let place = config.place(shard);
    let database = SharedDatabase::open(&place).await?;
    let frozen = face::freeze(&place, database.log(&place).await?, signer, clock, published).await?;
    database.close().await;
    Ok(frozen)
}

/// Writes the seeds that are missing, and closes the log.
async fn seeded(log: Log, identity: Identity, made: bool) -> Result<Created, StartError> {
    let failed = |number, source| StartError::Seed { number, source };
    for number in log.checkpoint().size..SEEDS {
        let entry = seed(&identity.origin, number).await.map_err(|source| failed(number, source))?;
        let appended = log.append(Arc::new(HashedrekordSubmission(entry))).await;
        appended.map_err(|error| failed(number, error.into()))?;
    }
    let first = log.entries(0..1).await.map_err(|error| failed(0, error.into()))?;
    let since = first.first().ok_or_else(|| failed(0, "it is gone".into()))?.time;
    let since = Timestamp::from_second(since.as_second()).unwrap_or(since);
    let checkpoint = log.checkpoint().note.clone();
    log.close().await;
    Ok(Created { identity, made, since, checkpoint })
}

/// An entry over `chancery log ORIGIN seed NUMBER`, signed by a P-256 key that nobody keeps.
async fn seed(origin: &str, number: u64) -> Result<HashedRekord, Box<dyn Error + Send + Sync>> {
    let message = format!("chancery log {origin} seed {number}").into_bytes();
    let key = FileKey::generate(KeyKind::P256)?;
    let request = HashedRekordRequest {
        digest: KeyKind::P256.hash().digest(&message),
        signature: key.sign(&message).await?,
        verifier: Verifier::PublicKey(key.public_key().spki_der().to_vec()),
        key_details: default_key_details(KeyKind::P256).ok_or("P-256 has a name")?,
    };
    Ok(request.verify()?)
}
