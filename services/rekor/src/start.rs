//! Why a log cannot be made or opened, and what else its faces share of opening one.

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use chassis::config::{DatabasePlace, FilePath};
use chassis::reason::{causes, chain};
use chassis::{Explain, ReadyCheck};
use jiff::Timestamp;
use keys::KeyFileError;
use objects::{ObjectError, ObjectsConfig};
use tlog::{
    AppendError, Database, DatabaseAddress, DatabaseError, Form, Log, OpenError, RollbackError, Store, Tier, UnsuitableSigner,
    tiered,
};

use crate::host::OriginError;
use crate::v2::FolderError;
use crate::witness::WitnessesError;

/// The database of the faces, opened once in a process: a handle, cheap to clone.
///
/// A file is locked by who has it open, so two faces that keep their logs in one file must share one of these.
#[derive(Debug, Clone)]
pub struct SharedDatabase(Arc<Database>);

impl SharedDatabase {
    /// Opens it, and brings its schema up to date.
    ///
    /// # Errors
    /// A database that is missing, does not hold logs, has an unknown schema, cannot be relied on, or is a file in use.
    pub async fn open(place: &DatabasePlace, password_file: Option<&FilePath>) -> Result<Self, StartError> {
        Ok(Self(Arc::new(Database::open(&address(place, password_file)?).await?)))
    }

    pub(crate) fn log(&self, name: &str) -> Arc<dyn Store> {
        self.0.log(name)
    }

    /// Lets go of it; the last one to do so ends its connections.
    pub(crate) async fn close(self) {
        if let Some(database) = Arc::into_inner(self.0) {
            database.close().await;
        }
    }
}

/// Name of a shard of a log in its database; the first has none but the face's.
pub(crate) fn log_name(face: &str, shard: u32) -> String {
    if shard <= 1 { face.to_owned() } else { format!("{face}-{shard}") }
}

/// How many entries stay in the database, unless the configuration says otherwise.
pub(crate) fn default_keep_entries() -> u64 {
    65_536
}

/// What is moved from a log, and where to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moving<'a> {
    pub(crate) objects: Option<&'a ObjectsConfig>,
    pub(crate) form: Form,
    pub(crate) keep_entries: u64,
}

impl Moving<'_> {
    /// The store of a log together with what was moved from it, to go on with both.
    pub(crate) async fn with(self, store: Arc<dyn Store>, log: &str) -> Result<Arc<dyn Store>, StartError> {
        let tier = match self.objects {
            Some(place) => Some(Tier::open(place, log, self.form, self.keep_entries).await?),
            None => None,
        };
        Ok(tiered(store, tier))
    }

    /// The same, to be looked at.
    pub(crate) async fn beside(self, store: Arc<dyn Store>, log: &str) -> Result<Arc<dyn Store>, StartError> {
        let tier = match self.objects {
            Some(place) => Some(Tier::open_to_read(place, log, self.form).await?),
            None => None,
        };
        Ok(tiered(store, tier))
    }
}

/// A log that takes no more entries.
#[derive(Debug, Clone)]
pub struct Frozen {
    /// Whether that was done now; else it was so before.
    pub made: bool,
    /// Since when.
    pub since: Timestamp,
    /// The last signed checkpoint, over all its entries.
    pub checkpoint: String,
}

impl Frozen {
    /// Freezes `log`, and closes it.
    pub(crate) async fn now(log: Log) -> Result<Self, StartError> {
        let made = !log.checkpoint().last;
        let last = log.freeze().await.map_err(StartError::Freeze)?;
        log.close().await;
        Ok(Self { made, since: last.time, checkpoint: last.note.clone() })
    }
}

/// Where a shard's newest published head is kept: where the configuration says, else beside the database's file. Of a later shard it has
/// its number.
pub(crate) fn record_of(database: &DatabasePlace, configured: Option<&FilePath>, face: &str, shard: u32) -> Option<PathBuf> {
    let beside = match database {
        DatabasePlace::File(path) => Some(path.with_added_extension(format!("{}.head", log_name(face, shard)))),
        DatabasePlace::Postgres(_) => None,
    };
    let named = |path: &FilePath| match shard {
        0 | 1 => path.as_path().to_owned(),
        later => path.as_path().with_added_extension(later.to_string()),
    };
    configured.map(named).or(beside)
}

/// Where a database is, with the password for it.
pub(crate) fn address(place: &DatabasePlace, password_file: Option<&FilePath>) -> Result<DatabaseAddress, DatabaseError> {
    match place {
        DatabasePlace::File(path) => Ok(DatabaseAddress::File(path.to_path_buf())),
        DatabasePlace::Postgres(url) => DatabaseAddress::postgres(url, password_file.map(FilePath::as_path)),
    }
}

/// Ready while the database answers.
pub(crate) struct DatabaseAnswers(pub(crate) Log);

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

/// The log cannot be made or opened: the operator's concern.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The public URL cannot name a log.
    #[error("the transparency log cannot have this public URL")]
    PublicUrl(#[from] OriginError),
    /// The key cannot be read.
    #[error("the transparency log has no key")]
    KeyFile(#[from] KeyFileError),
    /// The key cannot sign for a log.
    #[error("the transparency log cannot be signed with this key")]
    Signer(#[from] UnsuitableSigner),
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The object store cannot be used.
    #[error("the transparency log cannot have this object store")]
    Objects(#[from] ObjectError),
    /// What is in the database does not fit the rest, or itself.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// A rollback was not accepted.
    #[error(transparent)]
    Rollback(#[from] RollbackError),
    /// The last head could not be written.
    #[error("the transparency log could not be frozen")]
    Freeze(#[source] AppendError),
    /// Its witnesses cannot be asked.
    #[error("the transparency log cannot have these witnesses")]
    Witnesses(#[from] WitnessesError),
    /// The folder it is exported to cannot be used.
    #[error(transparent)]
    Export(#[from] FolderError),
    /// The first entries could not be written.
    #[error("the transparency log was made, and its entry {number} could not be written")]
    Seed {
        /// Which of them.
        number: u64,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl Explain for StartError {
    fn code(&self) -> &'static str {
        match self {
            Self::PublicUrl(_) => "log_public_url",
            Self::KeyFile(_) => "log_key_file",
            Self::Signer(_) => "log_key_unsuitable",
            Self::Database(error) => error.code(),
            Self::Objects(error) => error.code(),
            Self::Log(error) => error.code(),
            Self::Rollback(error) => error.code(),
            Self::Freeze(error) => error.code(),
            Self::Witnesses(error) => error.code(),
            Self::Export(error) => error.code(),
            Self::Seed { .. } => "log_seed",
        }
    }

    fn details(&self) -> Vec<String> {
        match self {
            Self::Database(error) => error.details(),
            Self::Log(error) => error.details().into_iter().chain(causes(error.source())).collect(),
            Self::Rollback(error) => error.details(),
            Self::PublicUrl(_)
            | Self::KeyFile(_)
            | Self::Signer(_)
            | Self::Objects(_)
            | Self::Freeze(_)
            | Self::Witnesses(_)
            | Self::Export(_)
            | Self::Seed { .. } => causes(self.source()),
        }
    }

    fn advice(&self) -> Option<String> {
        let advice = match self {
            Self::Database(error) => error.advice(),
            Self::Objects(error) => return error.advice(),
            Self::Log(error) => return Some(error.advice()),
            Self::Rollback(error) => return Some(error.advice()),
            Self::Witnesses(error) => return error.advice(),
            Self::Export(error) => return error.advice(),
            Self::PublicUrl(_) => "Set the public_url of the log to the one it was created with.",
            Self::KeyFile(_) => "Restore the key file from a backup; the key of a log is never made anew.",
            Self::Signer(_) => "Use the key that the log was created with.",
            Self::Freeze(_) => "Mend the cause and run the command again: what was frozen stays so.",
            Self::Seed { .. } => "Mend the cause and run the command again; `chancery init` starts over by itself.",
        };
        Some(advice.to_owned())
    }
}
