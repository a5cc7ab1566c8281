use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use merkle::Hash;
use objects::ObjectError;

use crate::{Leaf, State, Tier};

/// Where one log is kept.
///
/// # Contract
/// - **Durable**: when [`Transaction::commit`] or [`Store::create`] has returned `Ok`, what was written survives the loss of the process
///   and of power.
/// - **Atomic**: a transaction is there as a whole or not at all; one that was dropped has left nothing behind.
/// - **One writer**: between [`Store::begin`] and the end of the transaction no other transaction on this log, in whatever process, has
///   begun; `begin` waits for it, and for one whose outcome its writer never learned. (SQLite: `BEGIN IMMEDIATE`; Postgres:
///   `SELECT … FOR UPDATE` on the state row.) A writer that vanished without a word keeps others waiting for a bounded time.
/// - **Reads see what is committed**: whatever was committed before the call, nothing that is not, and the state row with everything below
///   it. They wait for no writer.
/// - **Bounded in time**: every call ends, with an error if need be, whatever became of the database.
/// - **No retry inside**: an error is returned as it is, and the caller decides. An error of `commit` says nothing about its outcome;
///   any other error of a transaction means that it will not take effect.
/// - All methods may be called concurrently.
#[async_trait]
pub trait Store: Send + Sync + Debug + 'static {
    /// Where that is, for messages: a path and a name, without secrets.
    fn location(&self) -> String;

    /// Whether other processes may append to the log while this one has it open. Where they may, a log follows their heads, and holds
    /// still what it checks at its start.
    fn shared(&self) -> bool;

    /// Stores the first state of a log that is not there yet.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the log is there: it is never overwritten.
    async fn create(&self, state: &State) -> Result<(), StoreError>;

    /// The state row; none when the log was never created.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the row does not agree with the digest that was stored with it.
    async fn state(&self) -> Result<Option<State>, StoreError>;

    /// Locks the state row and begins a batch.
    ///
    /// # Errors
    /// As [`Store::state`]; besides, [`StoreError::Missing`] when there is no such log.
    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError>;

    /// Where complete bundles of entries are moved to, if they are.
    fn tier(&self) -> Option<&Tier> {
        None
    }

    /// How far entries have been moved: what is below this index, a multiple of 256, has no content here any more, and no leaf tiles. It
    /// never goes down.
    async fn moved(&self) -> Result<u64, StoreError>;

    /// Those of the entries with these indexes that are there, in order, each with its content or without, as it lies in the database.
    async fn rows(&self, range: Range<u64>) -> Result<Vec<Row>, StoreError>;

    /// Those of the entries with these indexes that are there, in order, wherever their content is.
    ///
    /// # Errors
    /// [`StoreError::Moved`] when some were moved, and nobody said where to.
    async fn entries(&self, range: Range<u64>) -> Result<Vec<Stored>, StoreError> {
        self.rows(range).await?.into_iter().map(Row::into_stored).collect()
    }

    /// The leaf hashes of those of the entries with these indexes that are there, in order, each with its index.
    async fn leaf_hashes(&self, range: Range<u64>) -> Result<Vec<(u64, Hash)>, StoreError>;

    /// The index of the entry with this leaf hash, through an index of the database.
    async fn index_of(&self, leaf_hash: &Hash) -> Result<Option<u64>, StoreError>;

    /// The entries from index `from` on that were written with this search key, in order, at most `limit` of them: each its index and
    /// leaf hash. Through an index of the database.
    async fn search(&self, key: &str, from: u64, limit: u32) -> Result<Vec<(u64, Hash)>, StoreError>;

    /// Those of the full tiles of a tile level with these numbers that are there, in order. Leaf tiles go with the content of their
    /// entries.
    async fn tiles(&self, level: u8, range: Range<u64>) -> Result<Vec<FullTile>, StoreError>;

    /// The lowest and the highest index of an entry, found without reading them all; none without entries.
    async fn extent(&self) -> Result<Option<(u64, u64)>, StoreError>;

    /// How many entries there are, counted one by one.
    async fn count(&self) -> Result<u64, StoreError>;
}

/// A batch being written: the state row is locked until it is committed or dropped.
#[async_trait]
pub trait Transaction: Send {
    /// The state row, as it was when it was locked.
    fn state(&self) -> &State;

    /// How far entries have been moved, as it was when the state row was locked: see [`Store::moved`].
    fn moved(&self) -> u64;

    /// The entries that are in the log under one of these dedup keys, each with its key, in any order.
    async fn find(&mut self, dedup_keys: &[Hash]) -> Result<Vec<(Hash, Row)>, StoreError>;

    /// Adds entries, each with its search keys. That index and dedup key are unique is for the database to enforce; a search key that
    /// an entry has twice is written once.
    async fn insert_entries(&mut self, entries: &[NewEntry]) -> Result<(), StoreError>;

    /// Adds tiles that are complete.
    async fn insert_tiles(&mut self, tiles: &[FullTile]) -> Result<(), StoreError>;

    /// Drops what was put elsewhere: the content of the entries from [`Transaction::moved`] up to `to`, a multiple of 256, and their leaf
    /// tiles. Of each entry's `extra` its digest stays, unless it was empty; `extras` has one for each, in order.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when some of it is not there.
    async fn drop_content(&mut self, to: u64, extras: &[Hash]) -> Result<(), StoreError>;

    /// Replaces the state row.
    async fn update(&mut self, state: &State) -> Result<(), StoreError>;

    /// Makes it durable, and lets go of the row. After an error nobody knows whether it took effect.
    async fn commit(self: Box<Self>) -> Result<(), StoreError>;
}

/// An entry as it lies in a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Where it is.
    pub index: u64,
    /// When it was logged, in whole milliseconds.
    pub time: Timestamp,
    /// SHA-256(0x00 ‖ data).
    pub leaf_hash: Hash,
    /// Its bytes, or what is left of them.
    pub content: Content,
}

/// What a database has of an entry's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// All of them.
    Here(Leaf),
    /// They are in an object store.
    Moved {
        /// SHA-256 of what is kept beside the leaf data; none when that is empty.
        extra: Option<Hash>,
    },
}

impl Row {
    /// The entry, when its content is here.
    pub(crate) fn into_stored(self) -> Result<Stored, StoreError> {
        let Self { index, time, content, .. } = self;
        match content {
            Content::Here(Leaf { data, extra }) => Ok(Stored { index, time, data, extra }),
            Content::Moved { .. } => Err(StoreError::Moved { index }),
        }
    }
}

/// An entry as it was logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Where it is.
    pub index: u64,
    /// When it was logged, in whole milliseconds.
    pub time: Timestamp,
    /// What was hashed.
    pub data: Vec<u8>,
    /// What is kept beside it.
    pub extra: Vec<u8>,
}

/// An entry to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// Where it will be.
    pub index: u64,
    /// When it is logged, in whole milliseconds.
    pub time: Timestamp,
    /// What makes a later submission the same entry.
    pub dedup_key: Hash,
    /// SHA-256(0x00 ‖ data).
    pub leaf_hash: Hash,
    /// Its bytes.
    pub leaf: Leaf,
    /// What it is found by.
    pub search_keys: Vec<String>,
}

/// A tile with all its 256 hashes: it never changes again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FullTile {
    /// Tile level.
    pub level: u8,
    /// Number of the tile in its level.
    pub index: u64,
    /// 256 hashes of 32 bytes each.
    pub hashes: Vec<u8>,
}

/// The store failed, or holds what it should not: the operator's concern, never the caller's.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database said no.
    #[error("{doing}: the database failed")]
    Failed {
        /// What was being done.
        doing: &'static str,
        /// What the driver said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The log is there already.
    #[error("the log is there already")]
    Exists,
    /// The log was never created.
    #[error("the log is not there")]
    Missing,
    /// The content of an entry was moved to an object store, and none is configured.
    #[error("entry {index} was moved to an object store, and none is configured")]
    Moved {
        /// Which entry.
        index: u64,
    },
    /// The object store said no, or nothing for too long.
    #[error("{doing}")]
    Objects {
        /// What was being done.
        doing: &'static str,
        /// What it said.
        #[source]
        source: Arc<ObjectError>,
    },
    /// An object that must be there is missing, or not what was put there.
    #[error("object {name} {what}")]
    Object {
        /// Which: where, and its name.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// What was read cannot have been written by the log.
    #[error("{what}")]
    Damaged {
        /// What does not fit, in one line.
        what: String,
    },
}

impl StoreError {
    /// The stable code, an anchor in the error reference.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Moved { .. } => "log_objects_unset",
            Self::Objects { .. } => "log_objects_failed",
            Self::Object { .. } => "log_object_damaged",
            Self::Failed { .. } | Self::Exists | Self::Missing | Self::Damaged { .. } => "log_store_failed",
        }
    }

    /// Whether only old entries cannot be read, for as long as a service does not answer: the same request may be answered later.
    #[must_use]
    pub const fn is_passing(&self) -> bool {
        matches!(self, Self::Objects { .. })
    }

    pub(crate) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into() }
    }
}
