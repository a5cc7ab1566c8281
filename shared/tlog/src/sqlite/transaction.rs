use std::sync::LazyLock;

use async_trait::async_trait;
use merkle::Hash;
use sqlx::{Row as _, Sqlite};

use super::rows::entry;
use crate::sql::{check_dropped, digests, failed, hash, to_sql};
use crate::{FullTile, NewEntry, Row, State, StoreError, Transaction};

/// A batch in the one write transaction that SQLite has.
pub(super) struct SqliteTransaction {
    inner: sqlx::Transaction<'static, Sqlite>,
    log: i64,
    state: State,
    moved: u64,
}

impl SqliteTransaction {
    pub(super) fn new(inner: sqlx::Transaction<'static, Sqlite>, log: i64, state: State, moved: u64) -> Self {
        Self { inner, log, state, moved }
    }

    async fn insert_chunk(&mut self, entries: &[NewEntry], statement: &'static str) -> Result<(), sqlx::Error> {
        let mut query = sqlx::query(statement);
        for entry in entries {
            query = query
                .bind(self.log)
                .bind(to_sql(entry.index))
                .bind(entry.time.as_millisecond())
                .bind(entry.dedup_key.as_ref())
                .bind(entry.leaf_hash.as_ref())
                .bind(entry.leaf.data.as_slice())
                .bind(entry.leaf.extra.as_slice());
        }
        query.execute(&mut *self.inner).await.map(|_| ())
    }

    async fn insert_search_keys(&mut self, keys: &[(u64, &str)], statement: &'static str) -> Result<(), sqlx::Error> {
        let mut query = sqlx::query(statement);
        for (index, key) in keys {
            query = query.bind(self.log).bind(*key).bind(to_sql(*index));
        }
        query.execute(&mut *self.inner).await.map(|_| ())
    }
}

/// Rows in one statement: each length is a text of its own, prepared once, and any number of rows is a few of them. Few, because each
/// goes to the thread of the connection and back.
const LENGTHS: [usize; 9] = [256, 128, 64, 32, 16, 8, 4, 2, 1];

type Texts = LazyLock<[String; LENGTHS.len()]>;

static INSERTS: Texts = LazyLock::new(|| LENGTHS.map(insert_text));
static SEARCH_INSERTS: Texts = LazyLock::new(|| LENGTHS.map(search_insert_text));
static FINDS: Texts = LazyLock::new(|| LENGTHS.map(find_text));

#[async_trait]
impl Transaction for SqliteTransaction {
    fn state(&self) -> &State {
        &self.state
    }

    fn moved(&self) -> u64 {
        self.moved
    }

    async fn find(&mut self, dedup_keys: &[Hash]) -> Result<Vec<(Hash, Row)>, StoreError> {
        let failed = failed("looking for duplicates");
        let mut found = Vec::new();
        for keys in dedup_keys.chunks(LENGTHS[0]) {
            let (length, statement) = least_fitting(keys.len());
            let mut query = sqlx::query(statement).bind(self.log);
            // To look for the first key again costs less than another statement.
            for key in keys.iter().chain(std::iter::repeat(&keys[0])).take(length) {
                query = query.bind(key.as_ref());
            }
            for row in query.fetch_all(&mut *self.inner).await.map_err(&failed)? {
                found.push((hash(row.try_get("dedup_key").map_err(&failed)?)?, entry(&row, self.moved)?));
            }
        }
        Ok(found)
    }

    async fn insert_entries(&mut self, entries: &[NewEntry]) -> Result<(), StoreError> {
        let mut rest = entries;
        while !rest.is_empty() {
            let (length, statement) = first_fitting(rest.len(), &INSERTS);
            let (chunk, more) = rest.split_at(length);
            self.insert_chunk(chunk, statement).await.map_err(failed("inserting entries"))?;
            rest = more;
        }
        let mut keys = Vec::new();
        for entry in entries {
            keys.extend(entry.search_keys.iter().map(|key| (entry.index, key.as_str())));
        }
        let mut rest = &keys[..];
        while !rest.is_empty() {
            let (length, statement) = first_fitting(rest.len(), &SEARCH_INSERTS);
            let (chunk, more) = rest.split_at(length);
            self.insert_search_keys(chunk, statement).await.map_err(failed("inserting search keys"))?;
            rest = more;
        }
        Ok(())
    }

    async fn insert_tiles(&mut self, tiles: &[FullTile]) -> Result<(), StoreError> {
        for tile in tiles {
            sqlx::query("INSERT INTO tile (log, level, idx, hashes) VALUES ($1, $2, $3, $4)")
                .bind(self.log)
                .bind(i64::from(tile.level))
                .bind(to_sql(tile.index))
                .bind(tile.hashes.as_slice())
                .execute(&mut *self.inner)
                .await
                .map_err(failed("inserting a tile"))?;
        }
        Ok(())
    }

    async fn drop_content(&mut self, to: u64, extras: &[Hash]) -> Result<(), StoreError> {
        let failed = failed("dropping what was moved");
        // A row that becomes shorter stays on its page, and the page in the file, half empty for ever. One that changes its id, even to
        // the same, is deleted and inserted again: that fills the pages that stay, and frees the others for new entries.
        let update = "UPDATE entry SET rowid = rowid, data = x'', \
                      extra = CASE length(extra) WHEN 0 THEN x'' ELSE substr($4, (idx - $2) * 32 + 1, 32) END \
                      WHERE log = $1 AND idx >= $2 AND idx < $3";
        let query = sqlx::query(update).bind(self.log).bind(to_sql(self.moved)).bind(to_sql(to)).bind(digests(extras));
        let entries = query.execute(&mut *self.inner).await.map_err(failed)?.rows_affected();
        let delete = "DELETE FROM tile WHERE log = $1 AND level = 0 AND idx >= $2 / 256 AND idx < $3 / 256";
        let query = sqlx::query(delete).bind(self.log).bind(to_sql(self.moved)).bind(to_sql(to));
        let tiles = query.execute(&mut *self.inner).await.map_err(failed)?.rows_affected();
        check_dropped(self.moved, to, entries, tiles)?;
        let update = "UPDATE log SET moved = $2 WHERE id = $1";
        sqlx::query(update).bind(self.log).bind(to_sql(to)).execute(&mut *self.inner).await.map_err(failed)?;
        self.moved = to;
        Ok(())
    }

    async fn update(&mut self, state: &State) -> Result<(), StoreError> {
        let update = "UPDATE log SET size = $2, root = $3, frontier = $4, time = $5, checkpoint = $6, frozen = $7, digest = $8 WHERE id = $1";
        let updated = sqlx::query(update)
            .bind(self.log)
            .bind(to_sql(state.size))
            .bind(state.root.as_ref())
            .bind(state.frontier_bytes())
            .bind(state.time.as_millisecond())
            .bind(&state.checkpoint)
            .bind(state.frozen)
            .bind(state.digest().as_ref())
            .execute(&mut *self.inner)
            .await
            .map_err(failed("updating the state"))?;
        if updated.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Missing) }
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        self.inner.commit().await.map_err(failed("committing a batch"))
    }
}

/// The shortest statement that looks for so many keys, at most [`LENGTHS`]`[0]`.
fn least_fitting(keys: usize) -> (usize, &'static str) {
    let fitting = LENGTHS.iter().zip(FINDS.iter()).rfind(|(length, _)| **length >= keys);
    let (length, statement) = fitting.expect("a chunk is no longer than the longest statement");
    (*length, statement)
}

/// The longest statement for no more rows than these.
fn first_fitting(rows: usize, statements: &'static Texts) -> (usize, &'static str) {
    let fitting = LENGTHS.iter().zip(statements.iter()).find(|(length, _)| **length <= rows);
    let (length, statement) = fitting.expect("one row always fits");
    (*length, statement)
}

// Parameters without numbers: SQLite looks a numbered one up in a list, and with a thousand of them that costs more than the rows.

fn insert_text(rows: usize) -> String {
    let rows = vec!["(?, ?, ?, ?, ?, ?, ?)"; rows].join(", ");
    format!("INSERT INTO entry (log, idx, time, dedup_key, leaf_hash, data, extra) VALUES {rows}")
}

fn search_insert_text(rows: usize) -> String {
    let rows = vec!["(?, ?, ?)"; rows].join(", ");
    format!("INSERT INTO search (log, key, idx) VALUES {rows} ON CONFLICT DO NOTHING")
}

fn find_text(keys: usize) -> String {
    let keys = vec!["?"; keys].join(", ");
    format!("SELECT dedup_key, idx, time, leaf_hash, data, extra FROM entry WHERE log = ? AND dedup_key IN ({keys})")
}
