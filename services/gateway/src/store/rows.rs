//! Columns to values: what this program did not write is refused, never guessed at.

use std::collections::BTreeSet;

use jiff::Timestamp;
use oci::{Digest, RepositoryName, Tag};

use super::StoreError;

pub(super) fn digest(text: &str) -> Result<Digest, StoreError> {
    text.parse().map_err(|_| corrupt("a digest", text))
}

pub(super) fn optional_digest(text: Option<&str>) -> Result<Option<Digest>, StoreError> {
    text.map(digest).transpose()
}

pub(super) fn tag(text: &str) -> Result<Tag, StoreError> {
    text.parse().map_err(|_| corrupt("a tag", text))
}

pub(super) fn repository(text: &str) -> Result<RepositoryName, StoreError> {
    text.parse().map_err(|_| corrupt("a repository", text))
}

pub(super) fn time(milliseconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(milliseconds).map_err(|_| corrupt("a time", &milliseconds.to_string()))
}

pub(super) fn size(number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| corrupt("a size", &number.to_string()))
}

/// A size as a column holds it. What a file can hold fits.
pub(super) fn to_sql(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}

/// A list that SQLite takes as one value: however many digests, one statement.
pub(super) fn json(digests: &BTreeSet<Digest>) -> String {
    serde_json::to_string(digests).expect("a list of texts always serialises")
}

pub(super) fn corrupt(what: &'static str, found: &str) -> StoreError {
    StoreError::Corrupt { what, found: found.chars().take(128).flat_map(char::escape_debug).collect() }
}
