//! Making the log once, and opening it. Opening creates nothing: whatever is missing or does not fit is an error that says what to
//! do.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use chassis::ReadyCheck;
use chassis::config::{DatabasePlace, FilePath};
use chassis::reason::chain;
use clock::Clock;
use keys::{FileKey, Signer};
use merkle::Hash;
use pki::{KeyKind, PublicKey};
use tlog::{
    AppendError, Database, DatabaseAddress, DatabaseError, Form, Log, Published, SignedTreeHead, Tier, TreeHeadSigner as _,
    tiered,
};
use tokio_util::task::AbortOnDropHandle;

use crate::error::StartError;
use crate::head::CtHeadSigner;
use crate::origin::{origin_of, prefix_of};
use crate::roots::Roots;
use crate::{App, Config, router, upkeep};

/// Name of this log in its database.
pub(crate) const LOG_NAME: &str = "ctlog";

/// What its bundles look like in an object store: chains are kept beside the leaves.
pub(crate) const FORM: Form = Form::Leaves;

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
    /// The signed checkpoint over the empty tree.
    pub checkpoint: String,
}

/// A running CT log.
#[derive(Debug)]
pub struct CtLog {
    app: Arc<App>,
    database: Database,
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
    let database = Database::create(&address(config)?).await?;
    let log = Log::create(database.log(LOG_NAME), heads, clock).await?;
    let checkpoint = log.checkpoint().note.clone();
    log.close().await;
    database.close().await;
    Ok(Created { identity, checkpoint })
}

/// Opens the log that [`create`] made, after checking that name, key, state, tiles and entries agree, and starts its upkeep.
///
/// # Errors
/// [`StartError`], naming what does not agree with what.
pub async fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<CtLog, StartError> {
    let (identity, heads) = identify(config)?;
    let roots = Roots::load(&config.roots).await?;
    let database = Database::open(&address(config)?).await?;
    let published = Published { anchor: None, record: record_of(config) };
    let tier = match &config.objects {
        Some(place) => Some(Tier::open(place, LOG_NAME, FORM, config.keep_entries).await?),
        None => None,
    };
    let log = Log::open(tiered(database.log(LOG_NAME), tier), heads.clone(), Arc::clone(&clock), published).await?;
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

/// Where the newest published head is kept: where the configuration says, else beside the database's file.
pub(crate) fn record_of(config: &Config) -> Option<PathBuf> {
    let beside = match &config.database {
        DatabasePlace::File(path) => Some(path.with_added_extension(format!("{LOG_NAME}.head"))),
        DatabasePlace::Postgres(_) => None,
    };
    config.head_record.as_ref().map(|path| path.as_path().to_owned()).or(beside)
}

/// Where the database is, with the password for it.
pub(crate) fn address(config: &Config) -> Result<DatabaseAddress, DatabaseError> {
    match &config.database {
        DatabasePlace::File(path) => Ok(DatabaseAddress::File(path.to_path_buf())),
        DatabasePlace::Postgres(url) => {
            DatabaseAddress::postgres(url, config.database_password_file.as_ref().map(FilePath::as_path))
        }
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

struct DatabaseAnswers(Log);

#[async_trait]
impl ReadyCheck for DatabaseAnswers {
    fn name(&self) -> &str {
        "database answers"
    }

    async fn check(&self) -> Result<(), String> {
        // Any hash will do: what counts is that the index can be read.
        self.0.index_of(&self.0.key_id()).await.map(drop).map_err(|error| chain(&error))
    }
}
