//! A SQLite file that this process alone writes: made once, opened only when it is ours, synced at each commit.
//!
//! - [`Database`]: one writing connection and a few reading ones, every setting that durability rests on asserted, and a lock that
//!   keeps a second process out.
//! - [`Schema`]: whose file it is, and the migrations that bring it up to date.
//! - [`DatabaseError`]: why a file was not opened or made, with a stable code and what to do about it.

mod error;

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection as _, SqliteConnection, SqlitePool};

pub use error::DatabaseError;

/// What a file holds: the part of a [`Database`] that differs between its users.
#[derive(Debug)]
pub struct Schema {
    /// What the file is called where a stranger is refused: "the file is not a …".
    pub name: &'static str,
    /// `application_id` in the file's header: what tells our file from any other that SQLite would open.
    pub application_id: i32,
    /// Append-only: a migration that was released is never edited.
    pub migrations: Migrator,
}

/// How long a connection waits for another one's write before it fails.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Reads that run at once.
const READERS: u32 = 4;

/// A database file that this process alone writes: a handle, cheap to clone.
#[derive(Debug, Clone)]
pub struct Database(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    /// One connection: there is one writer in SQLite, and it had better not wait for itself.
    writer: SqlitePool,
    readers: SqlitePool,
    /// Held for as long as the database is open. A second process would be kept from a fork by the state row all the same; this lock
    /// turns two that fight for it into a message at start-up.
    lock: File,
}

impl Database {
    /// Makes the file. It is empty but for its schema.
    ///
    /// # Errors
    /// [`DatabaseError::Exists`] when there is a file already, whatever is in it.
    pub async fn create(path: impl AsRef<Path>, schema: &'static Schema) -> Result<Self, DatabaseError> {
        let path = path.as_ref();
        let lock = lock(path)?;
        create_file(path)?;
        let failed = |source| DatabaseError::Failed { path: path.to_owned(), source };
        let mut connection = SqliteConnection::connect_with(&options(path)).await.map_err(failed)?;
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!("PRAGMA application_id = {}", schema.application_id)))
            .execute(&mut connection)
            .await
            .map_err(failed)?;
        connection.close().await.map_err(failed)?;
        Self::connect(path, schema, lock).await
    }

    /// Opens a file that [`Database::create`] made, and brings its schema up to date.
    ///
    /// # Errors
    /// [`DatabaseError`]: a file that is missing, is no database of ours, has an unknown schema, or is in use, is refused.
    pub async fn open(path: impl AsRef<Path>, schema: &'static Schema) -> Result<Self, DatabaseError> {
        let path = path.as_ref();
        match path.try_exists() {
            Ok(true) => {}
            Ok(false) => return Err(DatabaseError::Missing { path: path.to_owned() }),
            Err(source) => return Err(DatabaseError::File { path: path.to_owned(), source }),
        }
        let lock = lock(path)?;
        Self::connect(path, schema, lock).await
    }

    /// Ends all connections, once nothing uses them any more, and lets the next process in, whatever handles are left.
    pub async fn close(&self) {
        self.0.readers.close().await;
        self.0.writer.close().await;
        // If it fails, the lock ends with the last handle.
        let _ = self.0.lock.unlock();
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }

    /// The one connection that writes. Begin with `BEGIN IMMEDIATE`: a transaction that begins by reading fails as soon as it writes
    /// after another.
    #[must_use]
    pub fn writer(&self) -> &SqlitePool {
        &self.0.writer
    }

    /// Connections that only read, and do so while another writes.
    #[must_use]
    pub fn readers(&self) -> &SqlitePool {
        &self.0.readers
    }

    async fn connect(path: &Path, schema: &'static Schema, lock: File) -> Result<Self, DatabaseError> {
        // One connection by hand first: what is wrong with the file is wrong at once, where a pool would try again and again.
        probe(path, schema).await?;
        let failed = |source| DatabaseError::Failed { path: path.to_owned(), source };
        let writer = pool(1).connect_with(options(path).pragma("cache_size", WRITER_CACHE)).await.map_err(failed)?;
        schema.migrations.run(&writer).await.map_err(|source| match source {
            MigrateError::Execute(source) => failed(source),
            source => DatabaseError::Schema { path: path.to_owned(), source },
        })?;
        let readers = pool(READERS).connect_with(options(path).read_only(true)).await.map_err(failed)?;
        Ok(Self(Arc::new(Inner { path: path.to_owned(), writer, readers, lock })))
    }
}

/// The settings that durability and consistency rest on.
fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        // In WAL mode only FULL syncs the log at each commit. Anything less loses answered entries when power fails.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        // An insert of many rows first copies every page it changes, in case it fails in the middle; by default to a file.
        .pragma("temp_store", "MEMORY")
        .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
}

/// WAL pages after which they are copied into the file, 16 MiB: rarely enough that most commits sync once.
const CHECKPOINT_PAGES: &str = "4096";

/// The writer's page cache in KiB, negated as SQLite wants it. A full batch with its index pages fits: else pages are written to the
/// WAL in the middle of the transaction, and read and written again.
const WRITER_CACHE: &str = "-16384";

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .idle_timeout(None)
        .max_lifetime(None)
        // A handful of local connections need no ping before each use.
        .test_before_acquire(false)
        .after_connect(|connection, _| {
            Box::pin(async move {
                match wrong_setting(connection).await? {
                    None => Ok(()),
                    Some(setting) => Err(sqlx::Error::Configuration(setting.into())),
                }
            })
        })
        .after_release(|connection, _| Box::pin(has_no_transaction(connection)))
}

/// Whether a connection may be used again: for `after_release` of a pool that writes. [`Database`] asks it of its own.
///
/// When the disk is full SQLite rolls back by itself. The rollback that follows fails, the connection is taken to be in a transaction
/// for ever, and every later one on it is refused. Such a connection is opened anew.
///
/// # Errors
/// The connection does not answer.
pub async fn has_no_transaction(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    if connection.is_in_transaction() {
        // A rollback that was asked for is done before this is answered.
        connection.ping().await?;
    }
    Ok(!connection.is_in_transaction())
}

/// A setting that is not as it must be: every connection is asked, none is trusted to have listened.
async fn wrong_setting(connection: &mut SqliteConnection) -> Result<Option<String>, sqlx::Error> {
    let journal: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *connection).await?;
    if journal != "wal" {
        return Ok(Some(format!("journal_mode is {journal}, expected wal")));
    }
    let busy = BUSY_TIMEOUT.as_millis() as i64;
    for (pragma, name, expected) in [
        ("PRAGMA synchronous", "synchronous", 2),
        ("PRAGMA foreign_keys", "foreign_keys", 1),
        ("PRAGMA busy_timeout", "busy_timeout", busy),
    ] {
        let found: i64 = sqlx::query_scalar(pragma).fetch_one(&mut *connection).await?;
        if found != expected {
            return Ok(Some(format!("{name} is {found}, expected {expected}")));
        }
    }
    Ok(None)
}

async fn probe(path: &Path, schema: &Schema) -> Result<(), DatabaseError> {
    // SQLITE_NOTADB: SQLite opens any file, and says so only when it first reads it.
    const NOT_A_DATABASE: &str = "26";
    let path = || path.to_owned();
    let failed = |source: sqlx::Error| match source.as_database_error().and_then(|error| error.code()) {
        Some(code) if code == NOT_A_DATABASE => DatabaseError::Foreign { path: path(), expected: schema.name },
        _ => DatabaseError::Failed { path: path(), source },
    };
    // First without any setting: a foreign file must not be changed, and turning WAL on changes it.
    let plain = SqliteConnectOptions::new().filename(path()).create_if_missing(false).read_only(true);
    let mut connection = SqliteConnection::connect_with(&plain).await.map_err(failed)?;
    let id: i32 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&mut connection).await.map_err(failed)?;
    connection.close().await.map_err(failed)?;
    if id != schema.application_id {
        return Err(DatabaseError::Foreign { path: path(), expected: schema.name });
    }
    let mut connection = SqliteConnection::connect_with(&options(&path())).await.map_err(failed)?;
    let wrong = wrong_setting(&mut connection).await.map_err(failed)?;
    connection.close().await.map_err(failed)?;
    wrong.map_or(Ok(()), |setting| Err(DatabaseError::Setting { path: path(), setting }))
}

/// An empty file for SQLite to fill: only this function makes one.
fn create_file(path: &Path) -> Result<(), DatabaseError> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file_error = |source: std::io::Error| match source.kind() {
        std::io::ErrorKind::AlreadyExists => DatabaseError::Exists { path: path.to_owned() },
        _ => DatabaseError::File { path: path.to_owned(), source },
    };
    options.open(path).and_then(|file| file.sync_all()).map_err(file_error)?;
    // The file's name is durable with its folder.
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(file_error)
}

/// An advisory lock on a file beside the database; SQLite's own locks are on the database itself.
fn lock(path: &Path) -> Result<File, DatabaseError> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let file_error = |source| DatabaseError::File { path: path.to_owned(), source };
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&beside).map_err(file_error)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(DatabaseError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(file_error(source)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static SCHEMA: Schema = Schema { name: "Chancery test database", application_id: 7, migrations: Migrator::DEFAULT };
    static OTHER: Schema = Schema { name: "Chancery log database", application_id: 8, migrations: Migrator::DEFAULT };

    #[tokio::test]
    async fn every_connection_keeps_what_durability_rests_on() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::create(folder.path().join("a.db"), &SCHEMA).await.unwrap();
        for pool in [database.writer(), database.readers()] {
            let mut held = Vec::new();
            for _ in 0..pool.options().get_max_connections() {
                let mut connection = pool.acquire().await.unwrap();
                assert_eq!(wrong_setting(&mut connection).await.unwrap(), None);
                held.push(connection);
            }
        }
    }

    #[tokio::test]
    async fn a_connection_that_does_not_is_found_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        Database::create(&path, &SCHEMA).await.unwrap().close().await;
        for (options, setting) in [
            (options(&path).synchronous(SqliteSynchronous::Normal), "synchronous is 1, expected 2"),
            (options(&path).foreign_keys(false), "foreign_keys is 0, expected 1"),
            (options(&path).busy_timeout(Duration::ZERO), "busy_timeout is 0, expected 5000"),
            (options(&path).journal_mode(SqliteJournalMode::Delete), "journal_mode is delete, expected wal"),
        ] {
            let mut connection = SqliteConnection::connect_with(&options).await.unwrap();
            assert_eq!(wrong_setting(&mut connection).await.unwrap().as_deref(), Some(setting));
            connection.close().await.unwrap();
        }
    }

    #[tokio::test]
    async fn readers_cannot_write() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::create(folder.path().join("a.db"), &SCHEMA).await.unwrap();
        assert!(sqlx::query("DELETE FROM _sqlx_migrations").execute(database.readers()).await.is_err());
        assert!(sqlx::query("DELETE FROM _sqlx_migrations").execute(database.writer()).await.is_ok());
    }

    #[tokio::test]
    async fn a_rollback_by_sqlite_itself_does_not_end_all_writing() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::create(folder.path().join("a.db"), &SCHEMA).await.unwrap();
        let writer = database.writer();
        sqlx::query("CREATE TABLE t (a UNIQUE)").execute(writer).await.unwrap();
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await.unwrap();
        // As a full disk does, only that this can be had at will.
        let rolls_back = "INSERT OR ROLLBACK INTO t VALUES (1), (1)";
        assert!(sqlx::query(rolls_back).execute(&mut *transaction).await.is_err());
        drop(transaction);
        let mut transaction = writer.begin_with("BEGIN IMMEDIATE").await.unwrap();
        sqlx::query("INSERT INTO t VALUES (1)").execute(&mut *transaction).await.unwrap();
        transaction.commit().await.unwrap();
    }

    #[tokio::test]
    async fn a_transaction_that_is_dropped_keeps_its_connection() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::create(folder.path().join("a.db"), &SCHEMA).await.unwrap();
        let writer = database.writer();
        sqlx::query("CREATE TEMP TABLE of_this_connection (a)").execute(writer).await.unwrap();
        drop(writer.begin_with("BEGIN IMMEDIATE").await.unwrap());
        sqlx::query("INSERT INTO of_this_connection VALUES (1)").execute(writer).await.unwrap();
    }

    #[tokio::test]
    async fn the_file_of_another_user_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        Database::create(&path, &SCHEMA).await.unwrap().close().await;
        let error = Database::open(&path, &OTHER).await.unwrap_err();
        assert_eq!(error.to_string(), "the file is not a Chancery log database");
        assert!(Database::open(&path, &SCHEMA).await.is_ok());
    }
}
