//! Why a log cannot be opened, made, checked or frozen, apart from what only its face knows.

use std::error::Error as _;

use chassis::Explain;
use chassis::reason::causes;
use objects::ObjectError;
use tlog::{AppendError, DatabaseError, OpenError, RollbackError};

/// The operator's concern.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The object store cannot be used.
    #[error("the log cannot have this object store")]
    Objects(#[from] ObjectError),
    /// What is in the database does not fit the rest, or itself.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A rollback was not accepted.
    #[error(transparent)]
    Rollback(#[from] RollbackError),
    /// The last head could not be written.
    #[error("the log could not be frozen")]
    Freeze(#[source] AppendError),
}

impl Explain for LogError {
    fn code(&self) -> &'static str {
        match self {
            Self::Database(error) => error.code(),
            Self::Objects(error) => error.code(),
            Self::Open(error) => error.code(),
            Self::Rollback(error) => error.code(),
            Self::Freeze(error) => error.code(),
        }
    }

    fn details(&self) -> Vec<String> {
        match self {
            Self::Database(error) => error.details(),
            Self::Open(error) => error.details().into_iter().chain(causes(error.source())).collect(),
            Self::Rollback(error) => error.details(),
            Self::Objects(_) | Self::Freeze(_) => causes(self.source()),
        }
    }

    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::Database(error) => error.advice().to_owned(),
            Self::Objects(error) => return error.advice(),
            Self::Open(error) => error.advice(),
            Self::Rollback(error) => error.advice(),
            Self::Freeze(_) => "Mend the cause and run the command again: what was frozen stays so.".to_owned(),
        })
    }
}
