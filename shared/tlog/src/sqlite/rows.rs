//! Rows of SQLite.

use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::sql::{StateColumns, failed, from_sql, time};
use crate::{State, StoreError, Stored};

/// `idx, time, data, extra` of an entry.
pub(super) fn stored(row: &SqliteRow) -> Result<Stored, StoreError> {
    let failed = failed("reading an entry");
    Ok(Stored {
        index: from_sql(row.try_get("idx").map_err(failed)?)?,
        time: time(row.try_get("time").map_err(failed)?)?,
        data: row.try_get("data").map_err(failed)?,
        extra: row.try_get("extra").map_err(failed)?,
    })
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
