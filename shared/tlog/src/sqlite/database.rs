use std::path::Path;

use ::sqlite::Schema;
use sqlx::SqlitePool;

use super::{DatabaseError, SqliteStore};

static SCHEMA: Schema = Schema {
    name: "Chancery log database",
    application_id: 0x4348_4e43, // "CHNC"
    migrations: sqlx::migrate!("migrations/sqlite"),
};

/// A database file that this process alone writes: a handle, cheap to clone.
#[derive(Debug, Clone)]
pub struct Database(::sqlite::Database);

impl Database {
    /// Makes the file. It is empty but for its schema.
    ///
    /// # Errors
    /// [`DatabaseError::Exists`] when there is a file already, whatever is in it.
    pub async fn create(path: impl AsRef<Path>) -> Result<Self, DatabaseError> {
        ::sqlite::Database::create(path, &SCHEMA).await.map(Self)
    }

    /// Opens a file that [`Database::create`] made, and brings its schema up to date.
    ///
    /// # Errors
    /// [`DatabaseError`]: a file that is missing, is no database of ours, has an unknown schema, or is in use, is refused.
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, DatabaseError> {
        ::sqlite::Database::open(path, &SCHEMA).await.map(Self)
    }

    /// The log of this name, whether it was created or not.
    #[must_use]
    pub fn log(&self, name: &str) -> SqliteStore {
        SqliteStore::new(self.clone(), name)
    }

    /// Ends all connections, once nothing uses them any more, and lets the next process in when the last handle is dropped.
    pub async fn close(&self) {
        self.0.close().await;
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn writer(&self) -> &SqlitePool {
        self.0.writer()
    }

    pub(super) fn readers(&self) -> &SqlitePool {
        self.0.readers()
    }
}
