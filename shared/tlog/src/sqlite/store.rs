use std::ops::Range;
use std::path::Path;

use async_trait::async_trait;
use merkle::Hash;
use sqlx::Row as _;

use super::rows::{entry, moved, state};
use super::transaction::SqliteTransaction;
use super::{Database, DatabaseError};
use crate::sql::{failed, from_sql, hash, to_sql};
use crate::{FullTile, Row, State, Store, StoreError, Transaction};

/// One log in a [`Database`].
#[derive(Debug, Clone)]
pub struct SqliteStore {
    database: Database,
    name: String,
}

impl SqliteStore {
    pub(super) fn new(database: Database, name: &str) -> Self {
        Self { database, name: name.to_owned() }
    }

    /// Makes a database for a log of this name alone. The log itself is made by [`Log::create`](crate::Log::create).
    ///
    /// # Errors
    /// As [`Database::create`].
    pub async fn create(path: impl AsRef<Path>, name: &str) -> Result<Self, DatabaseError> {
        Ok(Database::create(path).await?.log(name))
    }

    /// Opens the database of a log.
    ///
    /// # Errors
    /// As [`Database::open`].
    pub async fn open(path: impl AsRef<Path>, name: &str) -> Result<Self, DatabaseError> {
        Ok(Database::open(path).await?.log(name))
    }

    /// The database it is in.
    #[must_use]
    pub const fn database(&self) -> &Database {
        &self.database
    }
}

/// The columns of a state row, for [`state`] and [`moved`].
const STATE: &str =
    "SELECT id, origin, key_id, size, root, frontier, time, checkpoint, frozen, digest, moved FROM log WHERE name = $1";

#[async_trait]
impl Store for SqliteStore {
    fn location(&self) -> String {
        format!("{} ({})", self.database.path().display(), self.name)
    }

    fn shared(&self) -> bool {
        false
    }

    async fn create(&self, state: &State) -> Result<(), StoreError> {
        let insert = "INSERT INTO log (name, origin, key_id, size, root, frontier, time, checkpoint, frozen, digest) \
                      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
        let inserted = sqlx::query(insert)
            .bind(&self.name)
            .bind(&state.origin)
            .bind(state.key_id.as_ref())
            .bind(to_sql(state.size))
            .bind(state.root.as_ref())
            .bind(state.frontier_bytes())
            .bind(state.time.as_millisecond())
            .bind(&state.checkpoint)
            .bind(state.frozen)
            .bind(state.digest().as_ref())
            .execute(self.database.writer())
            .await;
        match inserted {
            Ok(_) => Ok(()),
            Err(error) if error.as_database_error().is_some_and(|error| error.is_unique_violation()) => Err(StoreError::Exists),
            Err(error) => Err(failed("creating the log")(error)),
        }
    }

    async fn state(&self) -> Result<Option<State>, StoreError> {
        let row = sqlx::query(STATE).bind(&self.name).fetch_optional(self.database.readers()).await;
        row.map_err(failed("reading the state"))?.as_ref().map(state).transpose()
    }

    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        // IMMEDIATE takes the write lock at once: a transaction that begins by reading would fail as soon as it writes after another.
        let mut transaction = self.database.writer().begin_with("BEGIN IMMEDIATE").await.map_err(failed("locking the state"))?;
        let row = sqlx::query(STATE).bind(&self.name).fetch_optional(&mut *transaction).await;
        let row = row.map_err(failed("reading the state"))?.ok_or(StoreError::Missing)?;
        let log = row.try_get("id").map_err(failed("reading the state"))?;
        Ok(Box::new(SqliteTransaction::new(transaction, log, state(&row)?, moved(&row)?)))
    }

    async fn moved(&self) -> Result<u64, StoreError> {
        let row =
            sqlx::query("SELECT moved FROM log WHERE name = $1").bind(&self.name).fetch_optional(self.database.readers()).await;
        let row = row.map_err(failed("reading how far entries were moved"))?;
        moved(&row.ok_or(StoreError::Missing)?)
    }

    async fn rows(&self, range: Range<u64>) -> Result<Vec<Row>, StoreError> {
        // One statement, so that `moved` is that of the rows.
        let select = "SELECT e.idx, e.time, e.leaf_hash, e.data, e.extra, l.moved FROM entry e JOIN log l ON l.id = e.log \
                      WHERE l.name = $1 AND e.idx >= $2 AND e.idx < $3 ORDER BY e.idx";
        let rows = self.range(select, range).await.map_err(failed("reading entries"))?;
        rows.iter().map(|row| entry(row, moved(row)?)).collect()
    }

    async fn leaf_hashes(&self, range: Range<u64>) -> Result<Vec<(u64, Hash)>, StoreError> {
        let select = "SELECT e.idx, e.leaf_hash FROM entry e JOIN log l ON l.id = e.log \
                      WHERE l.name = $1 AND e.idx >= $2 AND e.idx < $3 ORDER BY e.idx";
        let failed = failed("reading leaf hashes");
        let rows = self.range(select, range).await.map_err(&failed)?;
        rows.iter().map(|row| indexed_hash(row, &failed)).collect()
    }

    async fn index_of(&self, leaf_hash: &Hash) -> Result<Option<u64>, StoreError> {
        // Two unions, two indexes: where leaf hash and dedup key are one, the index of the dedup key has it.
        let select = "SELECT e.idx FROM entry e JOIN log l ON l.id = e.log WHERE l.name = $1 AND e.dedup_key = $2 AND e.leaf_hash = $2 \
                      UNION ALL \
                      SELECT e.idx FROM entry e JOIN log l ON l.id = e.log WHERE l.name = $1 AND e.leaf_hash = $2 AND e.leaf_hash <> e.dedup_key \
                      ORDER BY 1 LIMIT 1";
        let index: Option<i64> = sqlx::query_scalar(select)
            .bind(&self.name)
            .bind(leaf_hash.as_ref())
            .fetch_optional(self.database.readers())
            .await
            .map_err(failed("finding a leaf hash"))?;
        index.map(from_sql).transpose()
    }

    async fn search(&self, key: &str, from: u64, limit: u32) -> Result<Vec<(u64, Hash)>, StoreError> {
        let select = "SELECT s.idx, e.leaf_hash FROM search s JOIN entry e ON e.log = s.log AND e.idx = s.idx \
                      WHERE s.log = (SELECT id FROM log WHERE name = $1) AND s.key = $2 AND s.idx >= $3 ORDER BY s.idx LIMIT $4";
        let failed = failed("searching entries");
        let rows = sqlx::query(select)
            .bind(&self.name)
            .bind(key)
            .bind(to_sql(from))
            .bind(i64::from(limit))
            .fetch_all(self.database.readers())
            .await
            .map_err(&failed)?;
        rows.iter().map(|row| indexed_hash(row, &failed)).collect()
    }

    async fn tiles(&self, level: u8, range: Range<u64>) -> Result<Vec<FullTile>, StoreError> {
        let select = "SELECT t.idx, t.hashes FROM tile t JOIN log l ON l.id = t.log \
                      WHERE l.name = $1 AND t.level = $4 AND t.idx >= $2 AND t.idx < $3 ORDER BY t.idx";
        let failed = failed("reading tiles");
        let rows = sqlx::query(select)
            .bind(&self.name)
            .bind(to_sql(range.start))
            .bind(to_sql(range.end))
            .bind(i64::from(level))
            .fetch_all(self.database.readers())
            .await
            .map_err(&failed)?;
        let tile = |row: &sqlx::sqlite::SqliteRow| {
            let index = from_sql(row.try_get(0).map_err(&failed)?)?;
            Ok(FullTile { level, index, hashes: row.try_get(1).map_err(&failed)? })
        };
        rows.iter().map(tile).collect()
    }

    async fn extent(&self) -> Result<Option<(u64, u64)>, StoreError> {
        let select = "SELECT min(idx), max(idx) FROM entry WHERE log = (SELECT id FROM log WHERE name = $1)";
        let bounds: (Option<i64>, Option<i64>) = sqlx::query_as(select)
            .bind(&self.name)
            .fetch_one(self.database.readers())
            .await
            .map_err(failed("reading the extent"))?;
        match bounds {
            (Some(first), Some(last)) => Ok(Some((from_sql(first)?, from_sql(last)?))),
            _ => Ok(None),
        }
    }

    async fn count(&self) -> Result<u64, StoreError> {
        let select = "SELECT count(*) FROM entry WHERE log = (SELECT id FROM log WHERE name = $1)";
        let count = sqlx::query_scalar(select).bind(&self.name).fetch_one(self.database.readers()).await;
        from_sql(count.map_err(failed("counting entries"))?)
    }
}

impl SqliteStore {
    async fn range(&self, select: &'static str, range: Range<u64>) -> Result<Vec<sqlx::sqlite::SqliteRow>, sqlx::Error> {
        sqlx::query(select)
            .bind(&self.name)
            .bind(to_sql(range.start))
            .bind(to_sql(range.end))
            .fetch_all(self.database.readers())
            .await
    }
}

/// `idx, leaf_hash` of an entry.
fn indexed_hash(row: &sqlx::sqlite::SqliteRow, failed: &impl Fn(sqlx::Error) -> StoreError) -> Result<(u64, Hash), StoreError> {
    Ok((from_sql(row.try_get(0).map_err(failed)?)?, hash(row.try_get(1).map_err(failed)?)?))
}
