//! Between columns and what they mean, for every driver. A value that no row of ours can have is [`StoreError::Damaged`].

use jiff::Timestamp;
use merkle::{Hash, TILE_WIDTH};

use crate::{Content, Leaf, Row, State, StoreError};

/// The integers of SQL are signed; no log grows to 2^63 entries.
pub(crate) fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(crate) fn from_sql(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| StoreError::damaged(format!("number {number} is negative")))
}

pub(crate) fn hash(bytes: &[u8]) -> Result<Hash, StoreError> {
    Hash::try_from(bytes).map_err(|error| StoreError::damaged(error.to_string()))
}

pub(crate) fn time(milliseconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(milliseconds).map_err(|_| StoreError::damaged(format!("time {milliseconds} is out of range")))
}

pub(crate) fn failed(doing: &'static str) -> impl Fn(sqlx::Error) -> StoreError + Copy {
    move |source| StoreError::Failed { doing, source: Box::new(source) }
}

/// An entry as it lies in a database that has moved what is below `moved`.
pub(crate) fn entry_row(
    moved: u64,
    (index, milliseconds): (i64, i64),
    leaf_hash: &[u8],
    (data, extra): (Vec<u8>, Vec<u8>),
) -> Result<Row, StoreError> {
    let index = from_sql(index)?;
    let content = if index < moved {
        let extra = if extra.is_empty() { None } else { Some(hash(&extra)?) };
        Content::Moved { extra }
    } else {
        Content::Here(Leaf { data, extra })
    };
    Ok(Row { index, time: time(milliseconds)?, leaf_hash: hash(leaf_hash)?, content })
}

/// The digests of a range of entries one behind the other, as the statement that drops their content takes them.
pub(crate) fn digests(extras: &[Hash]) -> Vec<u8> {
    extras.iter().flat_map(|digest| *digest.as_bytes()).collect()
}

/// Whether dropping content has changed as many rows as there must be: for each entry one, for 256 of them a tile.
pub(crate) fn check_dropped(from: u64, to: u64, entries: u64, tiles: u64) -> Result<(), StoreError> {
    let expected = to.saturating_sub(from);
    if (entries, tiles) == (expected, expected / TILE_WIDTH) {
        Ok(())
    } else {
        Err(StoreError::damaged(format!(
            "between {from} and {to} there are {entries} entries and {tiles} leaf tiles to be dropped"
        )))
    }
}

/// The state row as it lies in a database.
pub(crate) struct StateColumns<'r> {
    pub(crate) origin: String,
    pub(crate) key_id: &'r [u8],
    pub(crate) size: i64,
    pub(crate) root: &'r [u8],
    pub(crate) frontier: &'r [u8],
    pub(crate) time: i64,
    pub(crate) checkpoint: String,
    pub(crate) frozen: bool,
    pub(crate) digest: &'r [u8],
}

impl StateColumns<'_> {
    /// The whole row, compared with its digest.
    pub(crate) fn state(self) -> Result<State, StoreError> {
        let state = State {
            origin: self.origin,
            key_id: hash(self.key_id)?,
            size: from_sql(self.size)?,
            root: hash(self.root)?,
            frontier: self.frontier.chunks(Hash::LEN).map(hash).collect::<Result<_, _>>()?,
            time: time(self.time)?,
            checkpoint: self.checkpoint,
            frozen: self.frozen,
        };
        let (found, stored) = (state.digest(), hash(self.digest)?);
        if found == stored {
            Ok(state)
        } else {
            Err(StoreError::damaged(format!("the state has digest {}, stored with it is {}", found.short(), stored.short())))
        }
    }
}
