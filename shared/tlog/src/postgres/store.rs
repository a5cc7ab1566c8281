use std::ops::Range;

use async_trait::async_trait;
use merkle::{Hash, sha256};
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::query::Query;
use sqlx::{Connection as _, Postgres, Row as _};

use super::connection::{options, within};
use super::rows::{entry, indexed_hash, moved, state, tile};
use super::transaction::PostgresTransaction;
use super::{Address, Database};
use crate::sql::{failed, from_sql, to_sql};
use crate::{FullTile, Row, State, Store, StoreError, Transaction};

/// One log in a [`Database`].
#[derive(Debug, Clone)]
pub struct PostgresStore {
    database: Database,
    name: String,
}

impl PostgresStore {
    pub(super) fn new(database: Database, name: &str) -> Self {
        Self { database, name: name.to_owned() }
    }

    /// The database it is in.
    #[must_use]
    pub const fn database(&self) -> &Database {
        &self.database
    }

    /// Runs a query that reads. A connection that did not answer is not used again.
    async fn fetch(&self, doing: &'static str, query: Query<'_, Postgres, PgArguments>) -> Result<Vec<PgRow>, StoreError> {
        let mut connection = within(doing, self.database.readers().acquire()).await?;
        let rows = within(doing, query.fetch_all(&mut *connection)).await;
        if rows.is_err() {
            drop(connection.detach());
        }
        rows
    }

    async fn range(&self, doing: &'static str, select: &'static str, range: Range<u64>) -> Result<Vec<PgRow>, StoreError> {
        let query = sqlx::query(select).bind(&self.name).bind(to_sql(range.start)).bind(to_sql(range.end));
        self.fetch(doing, query).await
    }
}

/// How far the log of this name was moved; none when there is no such log.
pub(crate) async fn moved_of(address: &Address, name: &str) -> Result<Option<u64>, StoreError> {
    let doing = "reading how far entries were moved";
    let mut connection = within(doing, PgConnection::connect_with(&options(address))).await?;
    let query = sqlx::query("SELECT moved FROM log WHERE name = $1").bind(name);
    let row = within(doing, query.fetch_optional(&mut connection)).await?;
    // How it ends tells nothing more.
    let _ = within(doing, connection.close()).await;
    row.as_ref().map(moved).transpose()
}

/// What a word that entries are found by is kept as.
pub(super) fn search_key(word: &str) -> Hash {
    sha256(word.as_bytes())
}

#[async_trait]
impl Store for PostgresStore {
    fn location(&self) -> String {
        format!("{} ({})", self.database.address(), self.name)
    }

    fn shared(&self) -> bool {
        true
    }

    async fn create(&self, state: &State) -> Result<(), StoreError> {
        let insert = "INSERT INTO log (name, origin, key_id, size, root, frontier, time, checkpoint, frozen, digest) \
                      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (name) DO NOTHING";
        let query = sqlx::query(insert)
            .bind(&self.name)
            .bind(&state.origin)
            .bind(state.key_id.as_ref())
            .bind(to_sql(state.size))
            .bind(state.root.as_ref())
            .bind(state.frontier_bytes())
            .bind(state.time.as_millisecond())
            .bind(&state.checkpoint)
            .bind(state.frozen)
            .bind(state.digest().as_ref());
        let inserted = within("creating the log", query.execute(self.database.writers())).await?;
        if inserted.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Exists) }
    }

    async fn state(&self) -> Result<Option<State>, StoreError> {
        let select = "SELECT origin, key_id, size, root, frontier, time, checkpoint, frozen, digest FROM log WHERE name = $1";
        let rows = self.fetch("reading the state", sqlx::query(select).bind(&self.name)).await?;
        rows.first().map(state).transpose()
    }

    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        let connection = within("locking the state", self.database.writers().acquire()).await?;
        Ok(Box::new(PostgresTransaction::begin(connection, &self.name).await?))
    }

    async fn moved(&self) -> Result<u64, StoreError> {
        let select = "SELECT moved FROM log WHERE name = $1";
        let rows = self.fetch("reading how far entries were moved", sqlx::query(select).bind(&self.name)).await?;
        moved(rows.first().ok_or(StoreError::Missing)?)
    }

    async fn rows(&self, range: Range<u64>) -> Result<Vec<Row>, StoreError> {
        // One statement, so that `moved` is that of the rows.
        let select = "SELECT e.idx, e.time, e.leaf_hash, e.data, e.extra, l.moved FROM entry e JOIN log l ON l.id = e.log \
                      WHERE l.name = $1 AND e.idx >= $2 AND e.idx < $3 ORDER BY e.idx";
        self.range("reading entries", select, range).await?.iter().map(|row| entry(row, moved(row)?)).collect()
    }

    async fn leaf_hashes(&self, range: Range<u64>) -> Result<Vec<(u64, Hash)>, StoreError> {
        let select = "SELECT e.idx, e.leaf_hash FROM entry e \
                      WHERE e.log = (SELECT id FROM log WHERE name = $1) AND e.idx >= $2 AND e.idx < $3 ORDER BY e.idx";
        self.range("reading leaf hashes", select, range).await?.iter().map(indexed_hash).collect()
    }

    async fn index_of(&self, leaf_hash: &Hash) -> Result<Option<u64>, StoreError> {
        // Two unions, two indexes: where leaf hash and dedup key are one, the index of the dedup key has it.
        let select = "WITH l AS (SELECT id FROM log WHERE name = $1) \
                      SELECT e.idx FROM entry e WHERE e.log = (SELECT id FROM l) AND e.dedup_key = $2 AND e.leaf_hash = $2 \
                      UNION ALL \
                      SELECT e.idx FROM entry e WHERE e.log = (SELECT id FROM l) AND e.leaf_hash = $2 AND e.leaf_hash <> e.dedup_key \
                      ORDER BY 1 LIMIT 1";
        let doing = "finding a leaf hash";
        let rows = self.fetch(doing, sqlx::query(select).bind(&self.name).bind(leaf_hash.as_ref())).await?;
        rows.first().map(|row| from_sql(row.try_get(0).map_err(failed(doing))?)).transpose()
    }

    async fn search(&self, key: &str, from: u64, limit: u32) -> Result<Vec<(u64, Hash)>, StoreError> {
        let select = "SELECT s.idx, e.leaf_hash FROM search s JOIN entry e ON e.log = s.log AND e.idx = s.idx \
                      WHERE s.log = (SELECT id FROM log WHERE name = $1) AND s.key = $2 AND s.idx >= $3 ORDER BY s.idx LIMIT $4";
        let word = search_key(key);
        let query = sqlx::query(select).bind(&self.name).bind(word.as_ref()).bind(to_sql(from)).bind(i64::from(limit));
        self.fetch("searching entries", query).await?.iter().map(indexed_hash).collect()
    }

    async fn tiles(&self, level: u8, range: Range<u64>) -> Result<Vec<FullTile>, StoreError> {
        let select = "SELECT t.idx, t.hashes FROM tile t \
                      WHERE t.log = (SELECT id FROM log WHERE name = $1) AND t.level = $2 AND t.idx >= $3 AND t.idx < $4 ORDER BY t.idx";
        let query = sqlx::query(select).bind(&self.name).bind(i16::from(level)).bind(to_sql(range.start)).bind(to_sql(range.end));
        self.fetch("reading tiles", query).await?.iter().map(|row| tile(level, row)).collect()
    }

    async fn extent(&self) -> Result<Option<(u64, u64)>, StoreError> {
        let select = "SELECT min(idx), max(idx) FROM entry WHERE log = (SELECT id FROM log WHERE name = $1)";
        let doing = "reading the extent";
        let rows = self.fetch(doing, sqlx::query(select).bind(&self.name)).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let bound = |column: usize| row.try_get::<Option<i64>, _>(column).map_err(failed(doing));
        match (bound(0)?, bound(1)?) {
            (Some(first), Some(last)) => Ok(Some((from_sql(first)?, from_sql(last)?))),
            _ => Ok(None),
        }
    }

    /// Takes as long as it takes: whoever counts wants all of them counted.
    async fn count(&self) -> Result<u64, StoreError> {
        let failed = failed("counting entries");
        let mut connection = self.database.readers().acquire().await.map_err(failed)?.detach();
        sqlx::raw_sql("SET statement_timeout = 0").execute(&mut connection).await.map_err(failed)?;
        let select = "SELECT count(*) FROM entry WHERE log = (SELECT id FROM log WHERE name = $1)";
        let count = sqlx::query_scalar(select).bind(&self.name).fetch_one(&mut connection).await;
        from_sql(count.map_err(failed)?)
    }
}
