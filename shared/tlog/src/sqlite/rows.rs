//! Between rows and what they mean. A value that no row of ours can have is [`StoreError::Damaged`].

use jiff::Timestamp;
use merkle::Hash;
use sqlx::Row as _;
use sqlx::sqlite::SqliteRow;

use crate::{State, StoreError, Stored};

/// SQLite's integers are signed; no log grows to 2^63 entries.
pub(super) fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn from_sql(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| StoreError::damaged(format!("number {number} is negative")))
}

pub(super) fn hash(bytes: &[u8]) -> Result<Hash, StoreError> {
    Hash::try_from(bytes).map_err(|error| StoreError::damaged(error.to_string()))
}

pub(super) fn time(milliseconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(milliseconds).map_err(|_| StoreError::damaged(format!("time {milliseconds} is out of range")))
}

pub(super) fn failed(doing: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    move |source| StoreError::Failed { doing, source: Box::new(source) }
}

/// `idx, time, data, extra` of an entry.
pub(super) fn stored(row: &SqliteRow) -> Result<Stored, StoreError> {
    let failed = failed("reading an entry");
    Ok(Stored {
        index: from_sql(row.try_get("idx").map_err(&failed)?)?,
        time: time(row.try_get("time").map_err(&failed)?)?,
        data: row.try_get("data").map_err(&failed)?,
        extra: row.try_get("extra").map_err(&failed)?,
    })
}

/// The whole state row, compared with its digest.
pub(super) fn state(row: &SqliteRow) -> Result<State, StoreError> {
    let failed = |source| StoreError::damaged(format!("a column of the state is not of its type: {source}"));
    let frontier: &[u8] = row.try_get("frontier").map_err(failed)?;
    let state = State {
        origin: row.try_get("origin").map_err(failed)?,
        key_id: hash(row.try_get("key_id").map_err(failed)?)?,
        size: from_sql(row.try_get("size").map_err(failed)?)?,
        root: hash(row.try_get("root").map_err(failed)?)?,
        frontier: frontier.chunks(Hash::LEN).map(hash).collect::<Result<_, _>>()?,
        time: time(row.try_get("time").map_err(failed)?)?,
        checkpoint: row.try_get("checkpoint").map_err(failed)?,
        frozen: row.try_get("frozen").map_err(failed)?,
    };
    let digest = hash(row.try_get("digest").map_err(failed)?)?;
    if state.digest() == digest {
        Ok(state)
    } else {
        Err(StoreError::damaged(format!("the state has digest {}, stored with it is {}", state.digest().short(), digest.short())))
    }
}
