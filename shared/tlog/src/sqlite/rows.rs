//! Rows of SQLite.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::sql::{StateColumns, entry_row, failed, from_sql};
use crate::{Row, State, StoreError};

/// `idx, time, leaf_hash, data, extra` of an entry, in a log that has moved what is below `moved`.
pub(super) fn entry(row: &SqliteRow, moved: u64) -> Result<Row, StoreError> {
    let failed = failed("reading an entry");
    let place = (row.try_get("idx").map_err(failed)?, row.try_get("time").map_err(failed)?);
    let content = (row.try_get("data").map_err(failed)?, row.try_get("extra").map_err(failed)?);
    entry_row(moved, place, row.try_get("leaf_hash").map_err(failed)?, content)
}

/// `moved` of a log.
pub(super) fn moved(row: &SqliteRow) -> Result<u64, StoreError> {
    from_sql(row.try_get("moved").map_err(failed("reading how far entries were moved"))?)
}

/// The whole state row, compared with its digest.
pub(super) fn state(row: &SqliteRow) -> Result<State, StoreError> {
    let columns = || {
        Ok(StateColumns {
            origin: row.try_get("origin")?,
            key_id: row.try_get("key_id")?,
            size: row.try_get("size")?,
            root: row.try_get("root")?,
            frontier: row.try_get("frontier")?,
            time: row.try_get("time")?,
            checkpoint: row.try_get("checkpoint")?,
            frozen: row.try_get("frozen")?,
            digest: row.try_get("digest")?,
        })
    };
    let wrong = |error: sqlx::Error| StoreError::damaged(format!("a column of the state is not of its type: {error}"));
    columns().map_err(wrong)?.state()
}
