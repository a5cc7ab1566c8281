//! Creating the log, once, and opening it.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use chassis::{Explain, ReadyCheck};
use clock::Clock;
use keys::{FileKey, Signer};
use pki::KeyKind;
use tlog::sqlite::{DatabaseError, SqliteStore};
use tlog::{Log, OpenError};

use crate::chain::{Roots, RootsError};
use crate::head::CtHeadSigner;
use crate::{Config, api};

/// The name of the log in its database.
const LOG: &str = "ct";

/// A running certificate transparency log: a handle, cheap to clone.
#[derive(Clone)]
pub struct CtLog(pub(crate) Arc<App>);

/// What the handlers share.
pub(crate) struct App {
    pub(crate) log: Log,
    pub(crate) key: Arc<dyn Signer>,
    pub(crate) heads: Arc<CtHeadSigner>,
    pub(crate) roots: Roots,
    pub(crate) leaf_index: bool,
}

/// Makes the empty log. `init` calls it; nothing else does.
///
/// # Errors
/// There is one already, or key or database cannot be used.
pub async fn create(config: &Config, clock: Arc<dyn Clock>) -> Result<(), StartError> {
    let key = load_key(config)?;
    let heads = Arc::new(CtHeadSigner::new(origin_of(&config.public_url), key));
    let store = SqliteStore::create(&config.database, LOG).await?;
    Log::create(Arc::new(store.clone()), heads, clock).await?.close().await;
    store.database().close().await;
    Ok(())
}

/// Opens the log that `init` created. Nothing is created here; whatever is missing or does not fit is an error.
///
/// # Errors
/// [`StartError`].
pub async fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<CtLog, StartError> {
    let key = load_key(config)?;
    let roots = Roots::load(&config.roots)?;
    let heads = Arc::new(CtHeadSigner::new(origin_of(&config.public_url), key.clone()));
    let store = SqliteStore::open(&config.database, LOG).await?;
    let log = Log::open(Arc::new(store), heads.clone(), clock, None).await?;
    Ok(CtLog(Arc::new(App { log, key, heads, roots, leaf_index: config.leaf_index })))
}

/// The origin of the log at this URL: the URL without its scheme. The port stays, so that the origin differs from that of a Rekor v2 log
/// on the same host.
#[must_use]
pub fn origin_of(public_url: &str) -> String {
    public_url.split_once("://").map_or(public_url, |(_, rest)| rest).trim_end_matches('/').to_owned()
}

fn load_key(config: &Config) -> Result<Arc<dyn Signer>, StartError> {
    let key = FileKey::load(&config.key).map_err(StartError::Key)?;
    match key.public_key().kind() {
        KeyKind::P256 => Ok(Arc::new(key)),
        kind => Err(StartError::KeyKind(kind)),
    }
}

impl CtLog {
    /// Everything this service answers, with its layers.
    #[must_use]
    pub fn router(&self) -> axum::Router {
        api::router(self.0.clone())
    }

    /// What must hold before the process is ready: the log can be read.
    #[must_use]
    pub fn ready_checks(&self) -> Vec<Arc<dyn ReadyCheck>> {
        vec![Arc::new(self.clone())]
    }

    /// Finishes the last batch.
    pub async fn close(self) {
        self.0.log.clone().close().await;
    }
}

#[async_trait]
impl ReadyCheck for CtLog {
    fn name(&self) -> &str {
        "log readable"
    }

    async fn check(&self) -> Result<(), String> {
        let size = self.0.log.checkpoint().size;
        let read = self.0.log.entries(size.saturating_sub(1)..size).await;
        read.map(drop).map_err(|error| chassis::reason::chain(&error))
    }
}

impl fmt::Debug for CtLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CtLog").field("origin", &self.0.log.origin()).finish_non_exhaustive()
    }
}

/// Why the log did not start. Always the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The key's file.
    #[error("the certificate log's key cannot be used")]
    Key(#[source] keys::KeyFileError),
    /// Another kind of key.
    #[error("the certificate log's key is {0}; expected ECDSA P-256, the only kind whose SCTs every client accepts")]
    KeyKind(KeyKind),
    /// The accepted roots.
    #[error(transparent)]
    Roots(#[from] RootsError),
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The log in it.
    #[error(transparent)]
    Log(#[from] OpenError),
}

impl Explain for StartError {
    fn code(&self) -> &'static str {
        match self {
            Self::Key(_) => "ctlog_key",
            Self::KeyKind(_) => "ctlog_key_kind",
            Self::Roots(_) => "ctlog_roots",
            Self::Database(error) => error.code(),
            Self::Log(error) => error.code(),
        }
    }

    fn details(&self) -> Vec<String> {
        match self {
            Self::Key(_) | Self::KeyKind(_) | Self::Roots(_) => {
                std::iter::successors(std::error::Error::source(self), |cause| (*cause).source()).map(ToString::to_string).collect()
            }
            Self::Database(error) => error.details(),
            Self::Log(error) => error.details(),
        }
    }

    fn advice(&self) -> Option<String> {
        match self {
            Self::Key(_) | Self::KeyKind(_) => Some("Restore the key that `chancery init` made from the backup.".into()),
            Self::Roots(_) => Some("Set ctlog.roots to a PEM file with the root of every authority that submits here.".into()),
            Self::Database(error) => Some(error.advice().into()),
            Self::Log(error) => Some(error.advice()),
        }
    }
}
