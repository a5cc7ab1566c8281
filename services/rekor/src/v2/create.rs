//! Making a log, once.

use std::error::Error;
use std::sync::Arc;

use clock::Clock;
use entry::{HashedRekord, HashedRekordRequest, Verifier, default_key_details};
use keys::{FileKey, Signer as _};
use pki::KeyKind;
use tlog::Log;
use tlog::sqlite::Database;

use super::Config;
use super::start::{Identity, LOG_NAME, identify};
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
    /// The signed checkpoint over the seeds, which every later start must lead back to.
    pub checkpoint: String,
}

/// Makes the log: database, signed empty tree, seeds. Never overwrites; the key must be there already.
///
/// 1. An empty database file.
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
    let database = Database::create(&config.database).await?;
    let log = Log::create(Arc::new(database.log(LOG_NAME)), signer, clock).await?;
    for number in 0..SEEDS {
        let entry = seed(&identity.origin, number).await.map_err(|source| StartError::Seed { number, source })?;
        let appended = log.append(Arc::new(HashedrekordSubmission(entry))).await;
        appended.map_err(|error| StartError::Seed { number, source: error.into() })?;
    }
    let checkpoint = log.checkpoint().note.clone();
    log.close().await;
    database.close().await;
    Ok(Created { identity, checkpoint })
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
