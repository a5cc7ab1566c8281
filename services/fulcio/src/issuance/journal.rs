//! The record of what is about to be signed: one SQLite file, committed in natural batches.
//!
//! Whatever waited while the previous commit ran is the next batch; one commit is one fsync, and nobody is answered before it.
//! There is no batch age and no polling: a lone request is a batch of one.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::certificate::Draft;
use crate::metric;

static MIGRATIONS: Migrator = sqlx::migrate!("mig/sqlite");

/// The most records of one commit.
const MOST: usize = 256;
/// How many requests may wait for a place in a batch before the next one waits outside.
const WAITING: usize = 1024;
/// `application_id` of the file's header.
const APPLICATION_ID: i64 = 1_128_810_069;

/// The file, and the task that writes it.
#[derive(Debug)]
pub(crate) struct Journal {
    queue: mpsc::Sender<Waiting>,
    closing: CancellationToken,
    writer: TaskTracker,
    pool: SqlitePool,
}

/// Evidence that a draft is on disk. Only this can be signed.
#[derive(Debug)]
pub(crate) struct Recorded(Draft);

impl Recorded {
    pub(crate) fn into_draft(self) -> Draft {
        self.0
    }
}

/// The file cannot be created or opened: the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// There is something already.
    #[error("{} exists already; a record of certificates is never overwritten", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// There is nothing.
    #[error("the record of certificates {} does not exist; restore it, or create an installation with: chancery init", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The system refuses.
    #[error("the record of certificates {} cannot be opened", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Some other file.
    #[error("{} is not a record of certificates (application id {found}, expected {APPLICATION_ID})", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// Its `application_id`.
        found: i64,
    },
    /// The database refuses.
    #[error("the record of certificates {} cannot be used", path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: sqlx::Error,
    },
    /// Made by another version.
    #[error("the record of certificates {} has a schema that this version does not know", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// What differs.
        #[source]
        source: Box<MigrateError>,
    },
}

/// A record could not be written: our fault, and nothing was signed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RecordError {
    /// The transaction failed, or its outcome is unknown; either way nobody was told it succeeded.
    #[error("the record of certificates could not be written")]
    Commit(#[source] Arc<sqlx::Error>),
    /// The service is shutting down.
    #[error("the service is shutting down")]
    Closed,
}

struct Waiting {
    row: Row,
    done: oneshot::Sender<Result<(), RecordError>>,
}

struct Row {
    serial: [u8; 20],
    tbs: Vec<u8>,
    recorded: Timestamp,
}

impl Journal {
    /// Creates the file, empty.
    pub(crate) async fn create(path: &Path) -> Result<(), JournalError> {
        let mut file = std::fs::OpenOptions::new();
        file.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut file, 0o600);
        match file.open(path) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                return Err(JournalError::Exists { path: path.into() });
            }
            Err(source) => return Err(JournalError::Io { path: path.into(), source }),
        }
        let pool = connect(path).await?;
        migrate(&pool, path).await?;
        pool.close().await;
        Ok(())
    }

    /// Opens a file that [`Self::create`] made.
    pub(crate) async fn open(path: &Path) -> Result<Self, JournalError> {
        if let Err(error) = std::fs::metadata(path) {
            let missing = error.kind() == std::io::ErrorKind::NotFound;
            return Err(if missing {
                JournalError::Missing { path: path.into() }
            } else {
                JournalError::Io { path: path.into(), source: error }
            });
        }
        let pool = connect(path).await?;
        let database = |source| JournalError::Database { path: path.into(), source };
        // SQLite opens any file without complaint; the first read tells.
        let found: i64 = sqlx::query_scalar("PRAGMA application_id").fetch_one(&pool).await.map_err(database)?;
        if found != APPLICATION_ID {
            return Err(JournalError::Foreign { path: path.into(), found });
        }
        migrate(&pool, path).await?;
        let (queue, waiting) = mpsc::channel(WAITING);
        let (closing, writer) = (CancellationToken::new(), TaskTracker::new());
        writer.spawn(write(pool.clone(), waiting, closing.clone()));
        writer.close();
        Ok(Self { queue, closing, writer, pool })
    }

    /// Records `draft`; when this returns, it survives a power cut.
    pub(crate) async fn record(&self, draft: Draft, recorded: Timestamp) -> Result<Recorded, RecordError> {
        let (done, written) = oneshot::channel();
        let row = Row { serial: *draft.serial(), tbs: draft.tbs().to_vec(), recorded };
        self.queue.send(Waiting { row, done }).await.map_err(|_| RecordError::Closed)?;
        written.await.map_err(|_| RecordError::Closed)??;
        Ok(Recorded(draft))
    }

    /// Whether the file can be read.
    pub(crate) async fn check(&self) -> Result<(), sqlx::Error> {
        sqlx::query("SELECT 1 FROM issuance LIMIT 1").fetch_optional(&self.pool).await.map(drop)
    }

    /// Takes nothing more, writes what waits, then closes the file.
    pub(crate) async fn close(&self) {
        self.closing.cancel();
        self.writer.wait().await;
        self.pool.close().await;
    }
}

/// One connection, since there is one writer; it lives as long as the service does.
async fn connect(path: &Path) -> Result<SqlitePool, JournalError> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(std::time::Duration::from_secs(5));
    let pool = SqlitePoolOptions::new()
        .max_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .after_release(|connection, _| Box::pin(sqlite::has_no_transaction(connection)))
        .after_connect(|connection, _| {
            Box::pin(async move {
                // Less than FULL would lose records that were answered.
                let mode: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut *connection).await?;
                let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut *connection).await?;
                if mode == "wal" && synchronous == 2 {
                    return Ok(());
                }
                Err(sqlx::Error::Configuration(
                    format!("journal_mode is {mode}, synchronous {synchronous}; expected wal, 2").into(),
                ))
            })
        })
        .connect_with(options);
    pool.await.map_err(|source| JournalError::Database { path: path.into(), source })
}

async fn migrate(pool: &SqlitePool, path: &Path) -> Result<(), JournalError> {
    MIGRATIONS.run(pool).await.map_err(|source| JournalError::Schema { path: path.into(), source: Box::new(source) })
}

async fn write(pool: SqlitePool, mut waiting: mpsc::Receiver<Waiting>, closing: CancellationToken) {
    let mut batch = Vec::with_capacity(MOST);
    loop {
        tokio::select! {
            count = waiting.recv_many(&mut batch, MOST) => if count == 0 { return },
            // What is in the queue is still written; only then does it count as empty.
            () = closing.cancelled(), if !waiting.is_closed() => { waiting.close(); continue }
        }
        // 1. A crash before the commit leaves no row; nobody was answered and nothing was signed.
        // 2. A crash after it leaves rows whose certificates were never signed: serials that will not be seen again.
        // 3. An error from the commit leaves either; all who wait are told it failed, and sign nothing.
        let outcome = commit(&pool, &batch).await.map_err(Arc::new);
        if let Err(error) = &outcome {
            tracing::error!(reason = chassis::reason::chain(&**error), rows = batch.len(), "could not record certificates");
        }
        metric::committed(batch.len());
        for one in batch.drain(..) {
            // Who is gone has no use for the answer; the row stays, like that of a crash.
            let _ = one.done.send(outcome.clone().map_err(RecordError::Commit));
        }
    }
}

/// A serial that is there already fails the whole batch: 159 random bits do not repeat, so the random source is broken.
async fn commit(pool: &SqlitePool, batch: &[Waiting]) -> Result<(), sqlx::Error> {
    let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
    for Waiting { row, .. } in batch {
        sqlx::query("INSERT INTO issuance (serial, tbs, recorded_ms) VALUES ($1, $2, $3)")
            .bind(&row.serial[..])
            .bind(&row.tbs[..])
            .bind(row.recorded.as_millisecond())
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await
}
