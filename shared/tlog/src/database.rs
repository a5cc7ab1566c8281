use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{Store, postgres, sqlite};

/// Where logs are kept.
#[derive(Debug, Clone)]
pub enum DatabaseAddress {
    /// A SQLite file, which one process at a time has open.
    File(PathBuf),
    /// A Postgres database, for any number of equal processes.
    Postgres(postgres::Address),
}

impl DatabaseAddress {
    /// The address with this URL, and the password of its user from a file, if it needs one.
    ///
    /// # Errors
    /// The URL is not taken, or there is no password in the file.
    pub fn postgres(url: &str, password_file: Option<&Path>) -> Result<Self, DatabaseError> {
        let address = postgres::Address::parse(url)?;
        let Some(path) = password_file else { return Ok(Self::Postgres(address)) };
        let unusable = |source| DatabaseError::Password { path: path.to_owned(), source };
        let text = fs::read_to_string(path).map_err(unusable)?;
        // An editor's line break is no part of it.
        match text.trim_end_matches(['\n', '\r']) {
            "" => Err(unusable(io::Error::new(io::ErrorKind::InvalidData, "the file is empty"))),
            password => Ok(Self::Postgres(address.with_password(password))),
        }
    }
}

/// As it may be shown: without secrets.
impl fmt::Display for DatabaseAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Postgres(address) => address.fmt(f),
        }
    }
}

/// A database of logs, whichever it is: a handle, cheap to clone.
#[derive(Debug, Clone)]
pub enum Database {
    /// A file that this process alone writes.
    Sqlite(sqlite::Database),
    /// A database that others may write at the same time.
    Postgres(postgres::Database),
}

impl Database {
    /// Makes it: the file, or in a Postgres database, which must be there, the tables. No log is in it yet, unless a Postgres database
    /// was prepared before.
    ///
    /// # Errors
    /// [`DatabaseError`]: there is a file already; the Postgres database cannot be used, or holds something else.
    pub async fn create(address: &DatabaseAddress) -> Result<Self, DatabaseError> {
        match address {
            DatabaseAddress::File(path) => Ok(Self::Sqlite(sqlite::Database::create(path).await?)),
            DatabaseAddress::Postgres(address) => Ok(Self::Postgres(postgres::Database::prepare(address.clone()).await?)),
        }
    }

    /// Opens what [`Database::create`] made, and brings its schema up to date.
    ///
    /// # Errors
    /// [`DatabaseError`]: whatever is missing, is not ours, has an unknown schema, or cannot be relied on, is refused.
    pub async fn open(address: &DatabaseAddress) -> Result<Self, DatabaseError> {
        match address {
            DatabaseAddress::File(path) => Ok(Self::Sqlite(sqlite::Database::open(path).await?)),
            DatabaseAddress::Postgres(address) => Ok(Self::Postgres(postgres::Database::open(address.clone()).await?)),
        }
    }

    /// Opens it when it is there, and else makes it: for a log that may share a database with others.
    ///
    /// # Errors
    /// As [`Database::open`] and [`Database::create`].
    pub async fn open_or_create(address: &DatabaseAddress) -> Result<Self, DatabaseError> {
        match address {
            DatabaseAddress::File(path) if path.try_exists().unwrap_or(false) => Self::open(address).await,
            // What is wrong with the folder is said by whoever makes the file.
            DatabaseAddress::File(_) | DatabaseAddress::Postgres(_) => Self::create(address).await,
        }
    }

    /// The log of this name, whether it was created or not.
    #[must_use]
    pub fn log(&self, name: &str) -> Arc<dyn Store> {
        match self {
            Self::Sqlite(database) => Arc::new(database.log(name)),
            Self::Postgres(database) => Arc::new(database.log(name)),
        }
    }

    /// Ends all connections, once nothing uses them any more.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(database) => database.close().await,
            Self::Postgres(database) => database.close().await,
        }
    }
}

/// The database was not opened or made.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The file.
    #[error(transparent)]
    Sqlite(#[from] sqlite::DatabaseError),
    /// The server's.
    #[error(transparent)]
    Postgres(#[from] postgres::DatabaseError),
    /// The URL is not taken.
    #[error("the database's URL cannot be used")]
    Address(#[from] postgres::AddressError),
    /// There is no password in the file that was named.
    #[error("the database's password cannot be read")]
    Password {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl DatabaseError {
    /// The stable code, an anchor in the error reference.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Sqlite(error) => error.code(),
            Self::Postgres(error) => error.code(),
            Self::Address(_) => "database_address",
            Self::Password { .. } => "database_password",
        }
    }

    /// Which database, and what of it.
    #[must_use]
    pub fn details(&self) -> Vec<String> {
        match self {
            Self::Sqlite(error) => error.details(),
            Self::Postgres(error) => error.details(),
            Self::Address(error) => vec![format!("URL       {error}")],
            Self::Password { path, source } => vec![format!("file      {}", path.display()), format!("system    {source}")],
        }
    }

    /// What to do next.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Sqlite(error) => error.advice(),
            Self::Postgres(error) => error.advice(),
            Self::Address(_) => "Name it as postgres://USER@HOST:PORT/NAME; docs/configuration.md says what may follow.",
            Self::Password { .. } => "Put the password, and nothing else, into the file, and let this user read it.",
        }
    }
}
