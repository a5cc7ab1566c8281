//! Opening the log. Nothing is created here: whatever is missing or does not fit is an error that says what to do.

use std::sync::Arc;

use axum::Router;
use chassis::ReadyCheck;
use clock::Clock;
use entry::MAX_BODY;
use face::{DatabaseAnswers, SharedDatabase};
use keys::{FileKey, Signer as _};
use merkle::Hash;
use note::{Checkpoint, NoteKey, VerifierKey};
use pki::{KeyKind, PublicKey};
use tlog::{AppendError, Limits, Log, NoteSigner, SignedTreeHead, TreeHeadSigner, UnsuitableSigner};

use super::bundles::Bundles;
use super::export::{Export, Place};
use super::origin::origin_of;
use super::{App, Config, metric, router};
use crate::start::StartError;
use crate::witness::{Plan, Witnesses};

/// Name of this log in the database that it shares with the other faces.
pub(super) const LOG_NAME: &str = "rekor-v2";

/// A running Rekor v2 log.
#[derive(Debug)]
pub struct RekorV2 {
    app: Arc<App>,
    database: SharedDatabase,
    identity: Identity,
    /// Kept for as long as the log is open.
    export: Option<Export>,
}

/// What makes the log this log. It goes into the trusted root and never changes.
#[derive(Debug, Clone)]
pub struct Identity {
    /// First line of every checkpoint.
    pub origin: String,
    /// `logId.keyId`, 32 bytes: for an ECDSA key SHA-256 of its SubjectPublicKeyInfo, for Ed25519 a hash that covers the origin.
    pub log_id: Hash,
    /// The log's key.
    pub public_key: PublicKey,
}

impl Identity {
    /// The log's key as its readers and witnesses are told it (C2SP `signed-note`, verifier keys).
    ///
    /// # Errors
    /// [`UnsuitableSigner`] for a kind of key that no log has.
    pub fn vkey(&self) -> Result<VerifierKey, UnsuitableSigner> {
        let unsuitable = || UnsuitableSigner::Key { kind: self.public_key.kind() };
        let key = match self.public_key.kind() {
            KeyKind::P256 => NoteKey::Ecdsa(self.public_key.spki_der().to_vec()),
            KeyKind::Ed25519 => NoteKey::Ed25519(self.public_key.key_bytes().try_into().map_err(|_| unsuitable())?),
            _ => return Err(unsuitable()),
        };
        VerifierKey::new(&self.origin, key).map_err(|_| unsuitable())
    }
}

/// Reads what a start reads before it opens anything: name, key, witness policy and the authorities of witnesses.
///
/// # Errors
/// As [`open`].
pub async fn check_files(config: &Config) -> Result<(), StartError> {
    let (identity, _) = identify(config)?;
    if let Some(witnesses) = &config.witnesses {
        Plan::read(witnesses, &identity.vkey()?).await?;
    }
    config.place(1).address().map(drop).map_err(|error| StartError::Log(error.into()))
}

/// Opens the log that [`create`](super::create) made, after checking that name, key, state, tiles and entries agree.
///
/// `published` is a checkpoint that is known from elsewhere to have been published, if there is one: the log must reach it.
///
/// # Errors
/// [`StartError`], naming what does not agree with what.
pub async fn open(config: &Config, clock: Arc<dyn Clock>, published: Option<Checkpoint>) -> Result<RekorV2, StartError> {
    open_shard(config, 1, SharedDatabase::open(&config.place(1)).await?, clock, published).await
}

/// As [`open`], the shard with this number, in a database that other logs of this process may have open too.
///
/// # Errors
/// As [`open`].
pub async fn open_shard(
    config: &Config,
    shard: u32,
    database: SharedDatabase,
    clock: Arc<dyn Clock>,
    published: Option<Checkpoint>,
) -> Result<RekorV2, StartError> {
    let (identity, signer) = identify(config)?;
    let plan = match &config.witnesses {
        Some(witnesses) => Some(Plan::read(witnesses, &identity.vkey()?).await?),
        None => None,
    };
    let copy = match &config.export {
        Some(config) => Some(Place::open(config).await?),
        None => None,
    };
    let limits = Limits { entry_bytes: MAX_BODY, ..Limits::default() };
    let place = config.place(shard);
    let log = Log::open_with(database.log(&place).await?, Arc::clone(&signer), clock, place.published(published), limits).await?;
    metric::announce();
    let bundles = Bundles::new(u64::from(config.bundle_cache_mib) << 20);
    let witnesses = match plan {
        Some(plan) => Some(Witnesses::start(plan, log.clone(), signer.as_ref()).await),
        None => None,
    };
    let app = Arc::new(App { log_id: identity.log_id, log, witnesses, bundles });
    let export = copy.map(|place| Export::start(place, Arc::clone(&app), signer));
    Ok(RekorV2 { app, database, identity, export })
}

impl RekorV2 {
    /// Everything it answers, layers included.
    pub fn router(&self) -> Router {
        router::router(Arc::clone(&self.app))
    }

    /// What goes into the trusted root.
    #[must_use]
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The newest signed checkpoint, as it is served.
    #[must_use]
    pub fn checkpoint(&self) -> String {
        self.app.log.checkpoint().note.clone()
    }

    /// Takes no more entries for ever; reads go on. The answer is the last head, also when the log was frozen before.
    ///
    /// # Errors
    /// When the head cannot be signed or stored; asking again is always safe.
    pub async fn freeze(&self) -> Result<Arc<SignedTreeHead>, AppendError> {
        self.app.log.freeze().await
    }

    /// Whether it takes no more entries.
    #[must_use]
    pub fn is_frozen(&self) -> bool {
        self.app.log.checkpoint().last
    }

    /// Ready while the database answers.
    #[must_use]
    pub fn ready(&self) -> Arc<dyn ReadyCheck> {
        Arc::new(DatabaseAnswers(self.app.log.clone()))
    }

    /// Writes what waits, answers it, and lets go of the database.
    pub async fn close(self) {
        if let Some(export) = self.export {
            export.stop().await;
        }
        self.app.log.clone().close().await;
        self.database.close().await;
    }
}

#[cfg(test)]
impl RekorV2 {
    pub(super) fn app(&self) -> &App {
        &self.app
    }
}

/// Who the log is, and what signs for it.
pub(super) fn identify(config: &Config) -> Result<(Identity, Arc<dyn TreeHeadSigner>), StartError> {
    let origin = origin_of(&config.public_url)?;
    let key = FileKey::load(&config.key)?;
    let public_key = key.public_key().clone();
    let signer = NoteSigner::new(&origin, Arc::new(key))?;
    Ok((Identity { origin, log_id: signer.key_id(), public_key }, Arc::new(signer)))
}
