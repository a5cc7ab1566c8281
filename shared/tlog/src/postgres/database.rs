use std::sync::Arc;

use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, PgPool};

use super::connection::{options, pool, wrong_setting};
use super::schema::{claim, migrate, recognise};
use super::{Address, DatabaseError, PostgresStore};

/// A database that any number of processes write: a handle, cheap to clone.
#[derive(Debug, Clone)]
pub struct Database(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    address: Address,
    /// Apart from the readers, so that no crowd of them keeps a batch waiting.
    writers: PgPool,
    readers: PgPool,
}

/// Transactions that write at once: one for each log, and now and then one that finds out what became of another.
const WRITERS: u32 = 4;

/// Reads that run at once.
const READERS: u32 = 6;

impl Database {
    /// Makes an empty database one for logs, or opens one that is. The database itself is made by its administrator.
    ///
    /// # Errors
    /// As [`Database::open`], except that it may be empty.
    pub async fn prepare(address: Address) -> Result<Self, DatabaseError> {
        let database = address.to_string();
        let mut connection = probe(&address).await?;
        claim(&mut connection, &database).await?;
        connection.close().await.map_err(DatabaseError::failed(&database))?;
        Self::connect(address).await
    }

    /// Opens a database that was prepared, and brings its schema up to date.
    ///
    /// # Errors
    /// [`DatabaseError`]: a database that cannot be reached, does not keep what durability rests on, is a standby, was not prepared, holds
    /// something else, or has an unknown schema, is refused.
    pub async fn open(address: Address) -> Result<Self, DatabaseError> {
        let database = address.to_string();
        let mut connection = probe(&address).await?;
        recognise(&mut connection, &database).await?;
        connection.close().await.map_err(DatabaseError::failed(&database))?;
        Self::connect(address).await
    }

    /// The log of this name, whether it was created or not.
    #[must_use]
    pub fn log(&self, name: &str) -> PostgresStore {
        PostgresStore::new(self.clone(), name)
    }

    /// Ends all connections, once nothing uses them any more.
    pub async fn close(&self) {
        self.0.readers.close().await;
        self.0.writers.close().await;
    }

    pub(super) fn address(&self) -> &Address {
        &self.0.address
    }

    pub(super) fn writers(&self) -> &PgPool {
        &self.0.writers
    }

    pub(super) fn readers(&self) -> &PgPool {
        &self.0.readers
    }

    async fn connect(address: Address) -> Result<Self, DatabaseError> {
        migrate(&address).await?;
        let (writers, readers) = (pool(&address, WRITERS), pool(&address, READERS));
        Ok(Self(Arc::new(Inner { address, writers, readers })))
    }
}

/// One connection by hand first: what is wrong is said at once, where a pool would try again and again.
async fn probe(address: &Address) -> Result<PgConnection, DatabaseError> {
    // invalid_catalog_name: there is no database of this name.
    const NO_SUCH_DATABASE: &str = "3D000";
    let database = address.to_string();
    let failed = |source: sqlx::Error| match source.as_database_error().and_then(|error| error.code()) {
        Some(code) if code == NO_SUCH_DATABASE => DatabaseError::Missing { database: database.clone() },
        _ => DatabaseError::from_sqlx(&database, source),
    };
    address.check_files().map_err(|reason| DatabaseError::Tls { database: database.clone(), reason })?;
    let mut connection = PgConnection::connect_with(&options(address)).await.map_err(failed)?;
    match wrong_setting(&mut connection).await.map_err(failed)? {
        None => Ok(connection),
        Some(setting) => Err(DatabaseError::Setting { database, setting }),
    }
}
