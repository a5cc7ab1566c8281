//! Making the witness's database, once, and opening the witness. Opening makes nothing.

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use chassis::reason::{causes, chain};
use chassis::{Explain, ReadyCheck};
use clock::Clock;
use keys::{FileKey, KeyFileError, Signer as _};
use note::{NoteKey, VerifierKey, VerifierKeyError};
use pki::{KeyKind, PublicKey};
use sqlite::{Database, DatabaseError};
use url::Url;

use crate::add::{App, KnownLog};
use crate::records::SCHEMA;
use crate::{Config, LogConfig, http, metric};

/// A running witness.
#[derive(Debug)]
pub struct Witness {
    app: Arc<App>,
    database: Database,
    prefix: Option<String>,
}

/// What others trust a witness by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Name and key, for the policies of the logs that it watches.
    pub vkey: VerifierKey,
}

/// Makes the database, which has seen nothing. Never overwrites; the key must be there already.
///
/// # Errors
/// [`StartError`]: a key or name that no witness can have, a database that is there already or cannot be written.
pub async fn create(config: &Config) -> Result<Identity, StartError> {
    let identity = identify(config)?;
    let database = Database::create(&config.database, &SCHEMA).await?;
    database.close().await;
    Ok(identity)
}

/// Who the witness is, by its key and name alone.
///
/// # Errors
/// [`StartError`]: a key or name that no witness can have.
pub fn identify(config: &Config) -> Result<Identity, StartError> {
    let (_, vkey) = read_key(config)?;
    Ok(Identity { vkey })
}

/// Checks what [`open`] reads before the database: key, name, URL and logs.
///
/// # Errors
/// [`StartError`], naming what does not fit.
pub fn check(config: &Config) -> Result<(), StartError> {
    let (_, vkey) = read_key(config)?;
    prefix_of(&config.public_url)?;
    known_logs(&config.logs, &vkey).map(drop)
}

/// Opens the witness whose database [`create`] made.
///
/// # Errors
/// [`StartError`], naming what does not fit.
pub async fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<Witness, StartError> {
    let (key, vkey) = read_key(config)?;
    let prefix = prefix_of(&config.public_url)?;
    let logs = known_logs(&config.logs, &vkey)?;
    let database = Database::open(&config.database, &SCHEMA).await?;
    logs.keys().for_each(|origin| metric::announce(origin));
    let app = App { records: Arc::new(database.clone()), key: Arc::new(key), vkey, logs, clock };
    Ok(Witness { app: Arc::new(app), database, prefix })
}

impl Witness {
    /// Everything it answers, layers included.
    pub fn router(&self) -> Router {
        http::router(Arc::clone(&self.app), self.prefix.as_deref())
    }

    /// What others trust it by.
    #[must_use]
    pub fn identity(&self) -> Identity {
        Identity { vkey: self.app.vkey.clone() }
    }

    /// Ready while the database answers.
    #[must_use]
    pub fn ready(&self) -> Arc<dyn ReadyCheck> {
        Arc::new(RecordsAnswer(Arc::clone(&self.app)))
    }

    /// Lets go of the database.
    pub async fn close(self) {
        self.database.close().await;
    }
}

#[cfg(test)]
impl Witness {
    pub(crate) fn records(&self) -> Arc<dyn crate::records::Records> {
        Arc::clone(&self.app.records)
    }

    /// The same witness over another store.
    pub(crate) fn app_with(&self, records: Arc<dyn crate::records::Records>) -> App {
        let App { key, vkey, clock, .. } = &*self.app;
        let known =
            |(origin, log): (&String, &KnownLog)| (origin.clone(), KnownLog { vkey: log.vkey.clone(), key: log.key.clone() });
        let logs = self.app.logs.iter().map(known).collect();
        App { records, key: Arc::clone(key), vkey: vkey.clone(), logs, clock: Arc::clone(clock) }
    }
}

struct RecordsAnswer(Arc<App>);

#[async_trait]
impl ReadyCheck for RecordsAnswer {
    fn name(&self) -> &str {
        "database answers"
    }

    async fn check(&self) -> Result<(), String> {
        // Any name will do: what counts is that the table can be read.
        self.0.records.seen(self.0.vkey.name()).await.map(drop).map_err(|error| chain(&error))
    }
}

fn read_key(config: &Config) -> Result<(FileKey, VerifierKey), StartError> {
    let key = FileKey::load(&config.key)?;
    let public = key.public_key();
    let kind = public.kind();
    let cosigner = match kind {
        KeyKind::Ed25519 => public.key_bytes().try_into().ok(),
        _ => None,
    };
    let cosigner = cosigner.ok_or(StartError::KeyKind { kind })?;
    let vkey = VerifierKey::new(&config.name, NoteKey::Cosigner(cosigner))
        .map_err(|source| StartError::Name { name: config.name.clone(), source })?;
    Ok((key, vkey))
}

fn prefix_of(public_url: &str) -> Result<Option<String>, StartError> {
    let refused = || StartError::PublicUrl { public_url: public_url.to_owned() };
    let url = Url::parse(public_url).map_err(|_| refused())?;
    let plain = matches!(url.scheme(), "https" | "http")
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && !public_url.ends_with('/')
        && !url.path().contains(['{', '}', '%']);
    if !plain {
        return Err(refused());
    }
    Ok(Some(url.path().to_owned()).filter(|path| path != "/"))
}

fn known_logs(logs: &[LogConfig], witness: &VerifierKey) -> Result<HashMap<String, KnownLog>, StartError> {
    let mut known = HashMap::new();
    for log in logs {
        let refused = |reason: String| StartError::Log { log: log.vkey.clone(), reason };
        let vkey: VerifierKey = log.vkey.parse().map_err(|error: VerifierKeyError| refused(error.to_string()))?;
        if matches!(vkey.key(), NoteKey::Cosigner(_)) {
            return Err(refused("it is the key of a witness".into()));
        }
        let key = PublicKey::from_spki_der(&vkey.spki_der()).map_err(|error| refused(error.to_string()))?;
        if vkey.spki_der() == witness.spki_der() {
            return Err(refused("it is this witness's own key".into()));
        }
        let origin = log.origin.clone().unwrap_or_else(|| vkey.name().to_owned());
        if known.insert(origin.clone(), KnownLog { vkey, key }).is_some() {
            return Err(refused(format!("the origin {origin} is there twice")));
        }
    }
    Ok(known)
}

/// The witness cannot be made or opened: the operator's concern.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The key cannot be read.
    #[error("the witness has no key")]
    KeyFile(#[from] KeyFileError),
    /// The key cannot cosign.
    #[error("a witness cannot have a key of kind {kind}, expected Ed25519")]
    KeyKind {
        /// Kind of the key.
        kind: KeyKind,
    },
    /// The name cannot stand on a signature line.
    #[error("the witness cannot have the name `{name}`")]
    Name {
        /// As configured.
        name: String,
        /// Why.
        #[source]
        source: VerifierKeyError,
    },
    /// No log could reach it.
    #[error("{public_url} cannot be the public URL of a witness, expected something like https://witness.corp.example")]
    PublicUrl {
        /// As configured.
        public_url: String,
    },
    /// A log that cannot be watched.
    #[error("the log {log} cannot be watched: {reason}")]
    Log {
        /// Its key, as configured.
        log: String,
        /// What is wrong.
        reason: String,
    },
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
}

impl Explain for StartError {
    fn code(&self) -> &'static str {
        match self {
            Self::KeyFile(_) => "witness_key_file",
            Self::KeyKind { .. } => "witness_key_unsuitable",
            Self::Name { .. } => "witness_name",
            Self::PublicUrl { .. } => "witness_public_url",
            Self::Log { .. } => "witness_log",
            Self::Database(error) => error.code(),
        }
    }

    fn details(&self) -> Vec<String> {
        match self {
            Self::Database(error) => error.details(),
            _ => causes(self.source()),
        }
    }

    fn advice(&self) -> Option<String> {
        let advice = match self {
            Self::KeyFile(_) => "Restore the key file from a backup; a new key is a new witness, which nobody trusts yet.",
            Self::KeyKind { .. } => "Use the key that `chancery witness add` made.",
            Self::Name { .. } => "A name looks like witness.corp.example; it is the one that the policies of logs have.",
            Self::PublicUrl { .. } => "Absolute, without a slash at its end, without account and query.",
            Self::Log { .. } => "Each log is its verifier key, NAME+HINT+BASE64, as its operator publishes it; once each.",
            Self::Database(error) => error.advice(),
        };
        Some(advice.to_owned())
    }
}
