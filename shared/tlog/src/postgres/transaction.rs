use async_trait::async_trait;
use merkle::Hash;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::query::Query;
use sqlx::{Postgres, Row as _};
use tokio::runtime::Handle;

use super::connection::within;
use super::rows::{entry, moved, state};
use super::store::search_key;
use crate::sql::{check_dropped, digests, failed, hash, to_sql};
use crate::{FullTile, NewEntry, Row, State, StoreError, Transaction};

/// A batch in a transaction that holds the state row.
pub(super) struct PostgresTransaction {
    /// None once it was committed.
    connection: Option<PoolConnection<Postgres>>,
    /// Whether the connection waits for the next statement. It does not while one runs, nor after one that failed, was dropped or had no
    /// answer: what the server makes of such a transaction is not known, but it will not be committed.
    whole: bool,
    log: i64,
    state: State,
    moved: u64,
}

impl PostgresTransaction {
    /// Locks the row, which waits for whoever has it.
    pub(super) async fn begin(connection: PoolConnection<Postgres>, name: &str) -> Result<Self, StoreError> {
        let mut beginning = Beginning(Some(connection));
        let doing = "locking the state";
        // Read committed, whatever the database's default: after the wait the row is as the one who had it left it.
        let begin = sqlx::raw_sql("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE");
        within(doing, begin.execute(beginning.connection()?)).await?;
        let lock = "SELECT id, origin, key_id, size, root, frontier, time, checkpoint, frozen, digest, moved FROM log WHERE name = $1 FOR UPDATE";
        let row = within(doing, sqlx::query(lock).bind(name).fetch_optional(beginning.connection()?)).await?;
        let row = row.ok_or(StoreError::Missing)?;
        let log = row.try_get("id").map_err(failed(doing))?;
        let (state, moved) = (state(&row)?, moved(&row)?);
        Ok(Self { connection: beginning.0.take(), whole: true, log, state, moved })
    }

    async fn execute(&mut self, doing: &'static str, query: Query<'_, Postgres, PgArguments>) -> Result<u64, StoreError> {
        let done = within(doing, query.execute(self.enter(doing)?)).await?;
        self.whole = true;
        Ok(done.rows_affected())
    }

    async fn fetch(&mut self, doing: &'static str, query: Query<'_, Postgres, PgArguments>) -> Result<Vec<PgRow>, StoreError> {
        let rows = within(doing, query.fetch_all(self.enter(doing)?)).await?;
        self.whole = true;
        Ok(rows)
    }

    /// The connection for one statement, after which it is whole again if all went well.
    fn enter(&mut self, doing: &'static str) -> Result<&mut PgConnection, StoreError> {
        let whole = std::mem::replace(&mut self.whole, false);
        let connection = self.connection.as_mut().filter(|_| whole);
        connection.map(|connection| &mut **connection).ok_or_else(|| broken(doing))
    }
}

/// After a statement that failed Postgres answers COMMIT by rolling back, and calls that done.
fn broken(doing: &'static str) -> StoreError {
    StoreError::Failed { doing, source: "an earlier statement of the transaction failed".into() }
}

#[async_trait]
impl Transaction for PostgresTransaction {
    fn state(&self) -> &State {
        &self.state
    }

    fn moved(&self) -> u64 {
        self.moved
    }

    async fn find(&mut self, dedup_keys: &[Hash]) -> Result<Vec<(Hash, Row)>, StoreError> {
        let select = "SELECT dedup_key, idx, time, leaf_hash, data, extra FROM entry WHERE log = $1 AND dedup_key = ANY($2)";
        let keys: Vec<&[u8]> = dedup_keys.iter().map(AsRef::as_ref).collect();
        let doing = "looking for duplicates";
        let rows = self.fetch(doing, sqlx::query(select).bind(self.log).bind(keys)).await?;
        let key = |row: &PgRow| hash(row.try_get("dedup_key").map_err(failed(doing))?);
        rows.iter().map(|row| Ok((key(row)?, entry(row, self.moved)?))).collect()
    }

    async fn insert_entries(&mut self, entries: &[NewEntry]) -> Result<(), StoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        let insert = "INSERT INTO entry (log, idx, time, dedup_key, leaf_hash, data, extra) \
                      SELECT $1, * FROM UNNEST($2::bigint[], $3::bigint[], $4::bytea[], $5::bytea[], $6::bytea[], $7::bytea[])";
        let query = sqlx::query(insert)
            .bind(self.log)
            .bind(entries.iter().map(|entry| to_sql(entry.index)).collect::<Vec<_>>())
            .bind(entries.iter().map(|entry| entry.time.as_millisecond()).collect::<Vec<_>>())
            .bind(entries.iter().map(|entry| entry.dedup_key.as_ref()).collect::<Vec<&[u8]>>())
            .bind(entries.iter().map(|entry| entry.leaf_hash.as_ref()).collect::<Vec<&[u8]>>())
            .bind(entries.iter().map(|entry| entry.leaf.data.as_slice()).collect::<Vec<_>>())
            .bind(entries.iter().map(|entry| entry.leaf.extra.as_slice()).collect::<Vec<_>>());
        self.execute("inserting entries", query).await?;

        let words =
            |entry: &NewEntry| entry.search_keys.iter().map(|word| (search_key(word), to_sql(entry.index))).collect::<Vec<_>>();
        let (keys, indexes): (Vec<_>, Vec<_>) = entries.iter().flat_map(words).unzip();
        if keys.is_empty() {
            return Ok(());
        }
        let insert =
            "INSERT INTO search (log, key, idx) SELECT $1, * FROM UNNEST($2::bytea[], $3::bigint[]) ON CONFLICT DO NOTHING";
        let keys: Vec<&[u8]> = keys.iter().map(AsRef::as_ref).collect();
        self.execute("inserting search keys", sqlx::query(insert).bind(self.log).bind(keys).bind(indexes)).await?;
        Ok(())
    }

    async fn insert_tiles(&mut self, tiles: &[FullTile]) -> Result<(), StoreError> {
        if tiles.is_empty() {
            return Ok(());
        }
        let insert = "INSERT INTO tile (log, level, idx, hashes) \
                      SELECT $1, * FROM UNNEST($2::smallint[], $3::bigint[], $4::bytea[])";
        let query = sqlx::query(insert)
            .bind(self.log)
            .bind(tiles.iter().map(|tile| i16::from(tile.level)).collect::<Vec<_>>())
            .bind(tiles.iter().map(|tile| to_sql(tile.index)).collect::<Vec<_>>())
            .bind(tiles.iter().map(|tile| tile.hashes.as_slice()).collect::<Vec<_>>());
        self.execute("inserting tiles", query).await?;
        Ok(())
    }

    async fn drop_content(&mut self, to: u64, extras: &[Hash]) -> Result<(), StoreError> {
        let (doing, from) = ("dropping what was moved", self.moved);
        // The old versions of the rows are swept by the server's autovacuum, which makes room for new entries.
        let update = "UPDATE entry SET data = '', \
                      extra = CASE octet_length(extra) WHEN 0 THEN '' ELSE substr($4, (idx - $2)::integer * 32 + 1, 32) END \
                      WHERE log = $1 AND idx >= $2 AND idx < $3";
        let query = sqlx::query(update).bind(self.log).bind(to_sql(from)).bind(to_sql(to)).bind(digests(extras));
        let entries = self.execute(doing, query).await?;
        let delete = "DELETE FROM tile WHERE log = $1 AND level = 0 AND idx >= $2 / 256 AND idx < $3 / 256";
        let tiles = self.execute(doing, sqlx::query(delete).bind(self.log).bind(to_sql(from)).bind(to_sql(to))).await?;
        check_dropped(from, to, entries, tiles)?;
        let update = "UPDATE log SET moved = $2 WHERE id = $1";
        self.execute(doing, sqlx::query(update).bind(self.log).bind(to_sql(to))).await?;
        self.moved = to;
        Ok(())
    }

    async fn update(&mut self, state: &State) -> Result<(), StoreError> {
        let update = "UPDATE log SET size = $2, root = $3, frontier = $4, time = $5, checkpoint = $6, frozen = $7, digest = $8 WHERE id = $1";
        let query = sqlx::query(update)
            .bind(self.log)
            .bind(to_sql(state.size))
            .bind(state.root.as_ref())
            .bind(state.frontier_bytes())
            .bind(state.time.as_millisecond())
            .bind(&state.checkpoint)
            .bind(state.frozen)
            .bind(state.digest().as_ref());
        let updated = self.execute("updating the state", query).await?;
        if updated == 1 { Ok(()) } else { Err(StoreError::Missing) }
    }

    async fn commit(mut self: Box<Self>) -> Result<(), StoreError> {
        let doing = "committing a batch";
        within(doing, sqlx::raw_sql("COMMIT").execute(self.enter(doing)?)).await?;
        // Back to the pool, to be used again.
        self.connection = None;
        Ok(())
    }
}

impl Drop for PostgresTransaction {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            let_go(connection, self.whole);
        }
    }
}

/// A connection on which a transaction may or may not have begun.
struct Beginning(Option<PoolConnection<Postgres>>);

impl Beginning {
    fn connection(&mut self) -> Result<&mut PgConnection, StoreError> {
        self.0.as_deref_mut().ok_or_else(|| broken("locking the state"))
    }
}

impl Drop for Beginning {
    fn drop(&mut self) {
        if let Some(connection) = self.0.take() {
            let_go(connection, false);
        }
    }
}

/// Ends a transaction that was not committed, so that the row is free soon: by rolling back, or, where that cannot be, by ending the
/// connection, which the server takes for the same.
fn let_go(mut connection: PoolConnection<Postgres>, whole: bool) {
    match Handle::try_current() {
        Ok(runtime) if whole => {
            runtime.spawn(async move {
                if within("rolling back", sqlx::raw_sql("ROLLBACK").execute(&mut *connection)).await.is_err() {
                    drop(connection.detach());
                }
            });
        }
        _ => drop(connection.detach()),
    }
}
