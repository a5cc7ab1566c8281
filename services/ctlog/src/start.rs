//! Making the log once, and opening it. Opening creates nothing: whatever is missing or does not fit is an error that says what to
//! do.

use std::sync::Arc;

use axum::Router;
use chassis::ReadyCheck;
use clock::Clock;
use face::{DatabaseAnswers, Frozen, SharedDatabase};
use jiff::Timestamp;
use keys::{FileKey, Signer};
use merkle::Hash;
use note::Checkpoint;
use pki::{KeyKind, PublicKey};
use tlog::{AppendError, Log, OpenError, SignedTreeHead, TreeHeadSigner as _};
use tokio_util::task::AbortOnDropHandle;

use crate::error::StartError;
use crate::head::CtHeadSigner;
use crate::origin::{origin_of, prefix_of};
use crate::roots::Roots;
use crate::{App, Config, router, upkeep};

/// Name of this log in its database.
pub(crate) const LOG_NAME: &str = "ctlog";

/// What makes the log this log. It goes into the trusted root and never changes.
#[derive(Debug, Clone)]
pub struct Identity {
    /// First line of every checkpoint: the public URL without its scheme.
    pub origin: String,
    /// `logId.keyId`: SHA-256 of the key's SubjectPublicKeyInfo.
    pub log_id: Hash,
    /// The log's key.
    pub public_key: PublicKey,
}

/// A log that was made, and closed again.
#[derive(Debug)]
pub struct Created {
    /// What goes into the trusted root.
    pub identity: Identity,
    /// The signed checkpoint that it has: over the empty tree, unless it was there before.
    pub checkpoint: String,
    /// The second of that checkpoint.
    pub since: Timestamp,
}

/// A running CT log.
#[derive(Debug)]
pub struct CtLog {
    app: Arc<App>,
    database: SharedDatabase,
    identity: Identity,
    prefix: Option<String>,
    upkeep: AbortOnDropHandle<()>,
}

/// Makes the log: an empty database, a signed empty tree. Never overwrites; the key must be there already, the roots need not be.
///
/// # Errors
/// [`StartError`]: a public URL or key that cannot be a log's, a database that is there already or cannot be written.
pub async fn create(config: &Config, clock: Arc<dyn Clock>) -> Result<Created, StartError> {
    let (identity, heads) = identify(config)?;
    let place = config.place(1);
    let database = SharedDatabase::create(&place).await?;
    let log = Log::create(database.log(&place).await?, heads, clock).await?;
    let created = Created::of(log, identity).await;
    database.close().await;
    Ok(created)
}

/// Makes the shard with this number beside other logs in a database that is there. One that is there already is kept.
///
/// # Errors
/// [`StartError`]: as [`create`], or the shard that is there has another name or key.
pub async fn complete_shard(config: &Config, shard: u32, clock: Arc<dyn Clock>) -> Result<Created, StartError> {
    let (identity, heads) = identify(config)?;
    let place = config.place(shard);
    let database = SharedDatabase::open(&place).await?;
    let store = database.log(&place).await?;
    let log = match Log::open(store.clone(), heads.clone(), clock.clone(), None).await {
        Err(OpenError::Missing { .. }) => Log::create(store, heads, clock).await?,
        opened => opened?,
    };
    let created = Created::of(log, identity).await;
    database.close().await;
    Ok(created)
}

/// Freezes the shard with this number, which must be there and reach what was `published`: what is in it is read as before.
///
/// # Errors
/// [`StartError`]: as [`open`], or the last head cannot be signed or stored. Asking again is always safe.
pub async fn freeze(
    config: &Config,
    shard: u32,
    clock: Arc<dyn Clock>,
    published: Option<Checkpoint>,
) -> Result<Frozen, StartError> {
    let (_, heads) = identify(config)?;
    let place = config.place(shard);
    let database = SharedDatabase::open(&place).await?;
    let frozen = face::freeze(&place, database.log(&place).await?, heads, clock, published).await?;
    database.close().await;
    Ok(frozen)
}

impl Created {
    async fn of(log: Log, identity: Identity) -> Self {
        let head = log.checkpoint();
        log.close().await;
        let since = Timestamp::from_second(head.time.as_second()).unwrap_or(head.time);
        Self { identity, checkpoint: head.note.clone(), since }
    }
}

/// Reads what a start reads before it opens anything: name, key and accepted roots.
///
/// # Errors
/// As [`open`].
pub async fn check_files(config: &Config) -> Result<(), StartError> {
    identify(config)?;
    Roots::load(&config.roots).await?;
    config.place(1).address().map(drop).map_err(|error| StartError::Log(error.into()))
}

/// Opens the log that [`create`] made, after checking that name, key, state, tiles and entries agree, and starts its upkeep.
///
/// # Errors
/// [`StartError`], naming what does not agree with what.
pub async fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<CtLog, StartError> {
    open_shard(config, 1, SharedDatabase::open(&config.place(1)).await?, clock, None).await
}

/// As [`open`], the shard with this number, in a database that other shards of this process may have open too.
///
/// `published` is a checkpoint that is known from elsewhere to have been published, if there is one: the log must reach it.
///
/// # Errors
/// As [`open`].
pub async fn open_shard(
    config: &Config,
    shard: u32,
    database: SharedDatabase,
    clock: Arc<dyn Clock>,
    published: Option<Checkpoint>,
) -> Result<CtLog, StartError> {
    let (identity, heads) = identify(config)?;
    let roots = Roots::load(&config.roots).await?;
    let place = config.place(shard);
    let log = Log::open(database.log(&place).await?, heads.clone(), Arc::clone(&clock), place.published(published)).await?;
    let app = Arc::new(App { log, heads, roots, leaf_index: config.leaf_index });
    let upkeep = tokio::spawn(upkeep::run(Arc::clone(&app), clock, config.republish_every.as_std()));
    Ok(CtLog { app, database, identity, prefix: prefix_of(&config.public_url), upkeep: AbortOnDropHandle::new(upkeep) })
}

impl CtLog {
    /// Everything it answers, layers included.
    pub fn router(&self) -> Router {
        router::router(Arc::clone(&self.app), self.prefix.as_deref())
    }

    /// What goes into the trusted root.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The newest signed tree head, as a static-ct checkpoint.
    #[must_use]
    pub fn checkpoint(&self) -> String {
        self.app.log.checkpoint().note.clone()
    }

    /// Whether it takes no more entries.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.app.log.checkpoint().last
    }

    /// Takes no more entries for ever; reads go on. The answer is the last head, also when the log was frozen before.
    ///
    /// # Errors
    /// When the head cannot be signed or stored; asking again is always safe.
    pub async fn freeze(&self) -> Result<Arc<SignedTreeHead>, AppendError> {
        self.app.log.freeze().await
    }

    /// Ready while the database answers.
    #[must_use]
    pub fn ready_checks(&self) -> Vec<Arc<dyn ReadyCheck>> {
        vec![Arc::new(DatabaseAnswers(self.app.log.clone()))]
    }

    /// Writes what waits, answers it, and lets go of the database.
    pub async fn close(self) {
        drop(self.upkeep);
        self.app.log.clone().close().await;
        self.database.close().await;
    }
}

/// Who the log is, and what signs for it.
pub(crate) fn identify(config: &Config) -> Result<(Identity, Arc<CtHeadSigner>), StartError> {
    let origin = origin_of(&config.public_url)?;
    let signer: Arc<dyn Signer> = Arc::new(FileKey::load(&config.key)?);
    let public_key = signer.public_key().clone();
    // sigstore-go and sigstore-python refuse every other kind of key on a timestamp.
    if public_key.kind() != KeyKind::P256 {
        return Err(StartError::KeyKind { kind: public_key.kind() });
    }
    let heads = Arc::new(CtHeadSigner::new(origin.clone(), signer));
    Ok((Identity { origin, log_id: heads.key_id(), public_key }, heads))
}
