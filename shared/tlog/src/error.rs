use std::sync::Arc;
use std::time::Duration;

use clock::ClockStepped;
use keys::SignError;
use merkle::OutOfRange;
use objects::ObjectError;

use crate::{HeadError, RecordError, StoreError};

/// An entry was not logged. Sending it again is always safe: if it was logged after all, the answer is the first one's.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// Too much is waiting already. Nothing was kept of this entry.
    #[error("the log has more entries waiting than it can take, try again in {} s", .retry_after.as_secs())]
    Overloaded {
        /// When to try again.
        retry_after: Duration,
    },
    /// The entry is larger than the log takes: the caller's doing.
    #[error("the entry has {length} bytes, the log takes at most {limit}")]
    TooLarge {
        /// Its length.
        length: usize,
        /// The most that is taken.
        limit: usize,
    },
    /// The log is closed for ever.
    #[error("the log is frozen and takes no more entries, use its successor")]
    Frozen,
    /// The process is shutting down.
    #[error("the log is closing, try again")]
    Closed,
    /// Logging now would make time go back.
    #[error("the log waits for its clock")]
    ClockStepped(#[source] ClockStepped),
    /// The head could not be signed, or the signature on it does not verify.
    #[error("the log could not sign its tree head")]
    Sign(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// The entry could not be recorded, or nobody can say yet whether it was.
    #[error("the log could not record the entry")]
    Store(#[source] Arc<StoreError>),
}

impl AppendError {
    /// The stable code, an anchor in the error reference.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Overloaded { .. } => "log_overloaded",
            Self::TooLarge { .. } => "log_entry_too_large",
            Self::Frozen => "log_frozen",
            Self::Closed => "shutting_down",
            Self::ClockStepped(_) => "clock_stepped",
            Self::Sign(_) => "log_sign_failed",
            Self::Store(error) => error.code(),
        }
    }
}

impl From<StoreError> for AppendError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl From<SignError> for AppendError {
    fn from(error: SignError) -> Self {
        Self::Sign(Arc::new(error))
    }
}

impl From<HeadError> for AppendError {
    fn from(error: HeadError) -> Self {
        Self::Sign(Arc::new(error))
    }
}

/// A proof was not made.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// No such leaf or tree: the caller's doing.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// The tree has not grown to this size yet, as far as the published head says.
    #[error("the log has {published} entries, there is no head for {asked} yet")]
    Beyond {
        /// Size asked for.
        asked: u64,
        /// Size of the published head.
        published: u64,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The log was not opened. Each variant is one thing that does not agree with another; none is ever repaired by guessing.
///
/// `Display` says what is wrong in one line, [`OpenError::details`] what was found where, [`OpenError::advice`] what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The log was never created there.
    #[error("there is no log in the database")]
    Missing {
        /// Which database.
        database: String,
    },
    /// A log is there already, and creation never overwrites.
    #[error("there is a log in the database already")]
    Exists {
        /// Which database.
        database: String,
    },
    /// Another key than the one the log was created with.
    #[error("the log's key does not belong to its database")]
    KeyMismatch {
        /// Which database.
        database: String,
        /// Name of the log.
        origin: String,
        /// Key id in the database, first 12 hex digits.
        stored: String,
        /// Id of the key given, first 12 hex digits.
        given: String,
    },
    /// Another name than the one the log was created with.
    #[error("the log's origin is not the one it was created with")]
    OriginMismatch {
        /// Which database.
        database: String,
        /// Origin in the database.
        stored: String,
        /// Origin given.
        given: String,
    },
    /// The state row contradicts itself, its signed head, or the entries.
    #[error("the log's state is damaged")]
    StateDamaged {
        /// Which database.
        database: String,
        /// What does not agree with what.
        what: String,
    },
    /// A stored tile is not what its hashes must be.
    #[error("a tile of the log is damaged")]
    TileDamaged {
        /// Which database.
        database: String,
        /// Tile level.
        level: u8,
        /// Number of the tile in its level, or of the first that it can be.
        index: u64,
        /// What does not agree with what.
        what: String,
    },
    /// A stored entry is not what its leaf hash says, or is missing.
    #[error("an entry of the log is damaged")]
    EntryDamaged {
        /// Which database.
        database: String,
        /// Which entry.
        index: u64,
        /// What does not agree with what.
        what: String,
    },
    /// The database is older than what the log has published.
    #[error("the log's database is older than its last published head")]
    RolledBack {
        /// Which database.
        database: String,
        /// Size in the database.
        stored: u64,
        /// Size that was published.
        published: u64,
        /// Where that is known from.
        known: String,
    },
    /// The database holds another tree than the one that was published.
    #[error("the log's database does not lead to its last published head")]
    Diverged {
        /// Which database.
        database: String,
        /// Size that was published.
        size: u64,
        /// Root in the database at that size.
        stored: String,
        /// Root that was published.
        published: String,
        /// Where that is known from.
        known: String,
    },
    /// The log was frozen, and its database says that it is not.
    #[error("the log's database is from before the log was frozen")]
    Thawed {
        /// Which database.
        database: String,
        /// Size of the last head.
        size: u64,
        /// Where that is known from.
        known: String,
    },
    /// The record of published heads cannot be used.
    #[error("the log's record of published heads cannot be used")]
    Record {
        /// Which database.
        database: String,
        /// Which file.
        record: String,
        /// Why.
        #[source]
        source: RecordError,
    },
    /// The record holds a head that this log did not sign.
    #[error("the log's record of published heads is not its own")]
    RecordForeign {
        /// Which database.
        database: String,
        /// Which file.
        record: String,
        /// What is wrong with the head.
        what: String,
    },
    /// Entries were moved to an object store, and nobody says where that is.
    #[error("entries of the log were moved to an object store, and none is configured")]
    ObjectsUnset {
        /// Which database.
        database: String,
        /// One of them.
        index: u64,
    },
    /// An object is missing, or not what was put there.
    #[error("an object of the log is damaged, or the object store is another one")]
    ObjectDamaged {
        /// Which database.
        database: String,
        /// Which object, and where.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// The object store failed.
    #[error("the log's object store could not be read")]
    Objects {
        /// Which database.
        database: String,
        /// Why.
        #[source]
        source: Arc<ObjectError>,
    },
    /// The first head could not be signed.
    #[error("the log's first head could not be signed")]
    Sign {
        /// Which database.
        database: String,
        /// Why.
        #[source]
        source: AppendError,
    },
    /// The database failed.
    #[error("the log's database could not be read")]
    Store {
        /// Which database.
        database: String,
        /// Why.
        #[source]
        source: StoreError,
    },
}

impl OpenError {
    /// The stable code, an anchor in the error reference.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "log_missing",
            Self::Exists { .. } => "log_exists",
            Self::KeyMismatch { .. } => "log_key_mismatch",
            Self::OriginMismatch { .. } => "log_origin_mismatch",
            Self::StateDamaged { .. } => "log_state_damaged",
            Self::TileDamaged { .. } => "log_tile_damaged",
            Self::EntryDamaged { .. } => "log_entry_damaged",
            Self::RolledBack { .. } => "log_rolled_back",
            Self::Diverged { .. } => "log_diverged",
            Self::Thawed { .. } => "log_thawed",
            Self::Record { .. } => "log_record",
            Self::RecordForeign { .. } => "log_record_foreign",
            Self::ObjectsUnset { .. } => "log_objects_unset",
            Self::ObjectDamaged { .. } => "log_object_damaged",
            Self::Objects { .. } => "log_objects_failed",
            Self::Sign { .. } => "log_sign_failed",
            Self::Store { .. } => "log_store_failed",
        }
    }

    /// What was found where, what was expected beside it: lines of two aligned columns.
    #[must_use]
    pub fn details(&self) -> Vec<String> {
        let mut details = vec![format!("database  {}", self.database())];
        match self {
            Self::Missing { .. } | Self::Exists { .. } | Self::Objects { .. } | Self::Sign { .. } | Self::Store { .. } => {}
            Self::KeyMismatch { origin, stored, given, .. } => {
                details[0].push_str(&format!("   origin {origin}   key {stored}"));
                details.push(format!("key given  {given}"));
            }
            Self::OriginMismatch { stored, given, .. } => {
                details.extend([format!("created as  {stored}"), format!("opened as   {given}")]);
            }
            Self::StateDamaged { what, .. } => details.push(format!("found     {what}")),
            Self::TileDamaged { level, index, what, .. } => {
                details.extend([format!("tile      level {level}, number {index}"), format!("found     {what}")]);
            }
            Self::EntryDamaged { index, what, .. } => details.extend([format!("entry     {index}"), format!("found     {what}")]),
            Self::Record { record, source, .. } => {
                details.extend([format!("record    {record}"), format!("found     {source}")]);
            }
            Self::RecordForeign { record, what, .. } => {
                details.extend([format!("record    {record}"), format!("found     {what}")]);
            }
            Self::ObjectsUnset { index, .. } => details.push(format!("moved     entry {index}")),
            Self::ObjectDamaged { name, what, .. } => details.extend([format!("object    {name}"), format!("found     {what}")]),
            Self::RolledBack { stored, published, known, .. } => {
                details.extend([
                    format!("has       {stored} entries"),
                    format!("published {published} entries"),
                    format!("known by  {known}"),
                ]);
            }
            Self::Thawed { size, known, .. } => {
                details.extend([format!("frozen    at size {size}"), format!("known by  {known}")]);
            }
            Self::Diverged { size, stored, published, known, .. } => {
                details.push(format!("known by  {known}"));
                details.extend([
                    format!("has       root {stored} at size {size}"),
                    format!("published root {published} at size {size}"),
                ]);
            }
        }
        details
    }

    /// What to do next.
    #[must_use]
    pub fn advice(&self) -> String {
        const RESTORE: &str = "Restore the newest backup of the database that holds every published entry, or start a new log. \
                               Do not go on with this one: it would contradict what clients have seen.";
        match self {
            Self::Missing { .. } => "Check the path; a log is made once, by init.".to_owned(),
            Self::Exists { .. } => "Open it instead, or choose another path: a log is never overwritten.".to_owned(),
            Self::KeyMismatch { stored, .. } => {
                format!("Restore the key whose id begins with {stored}, or start a new log for the new key.")
            }
            Self::OriginMismatch { stored, .. } => {
                format!("Set the log's public URL back to the one of {stored}, or start a new log under the new name.")
            }
            Self::StateDamaged { .. } | Self::TileDamaged { .. } | Self::EntryDamaged { .. } => RESTORE.to_owned(),
            Self::RolledBack { .. } | Self::Diverged { .. } => format!(
                "{RESTORE} When there is no such backup, `chancery log accept-rollback --help` says what going on with this one costs."
            ),
            Self::Thawed { .. } => {
                "Restore the newest backup of the database: what was frozen never takes entries again.".to_owned()
            }
            Self::Record { source: RecordError::InUse, .. } => "Give each process a record of its own.".to_owned(),
            Self::Record { source: RecordError::File(_), .. } => {
                "Check that the file and its folder can be read and written, and that the disk is not full.".to_owned()
            }
            Self::Record { source: RecordError::Damaged, .. } => {
                "Compare the log with a checkpoint that a client or a monitor has kept \
                 (`chancery log fsck`), then move the record away: the next start begins a new one."
                    .to_owned()
            }
            Self::RecordForeign { .. } => {
                "Give the log a record of its own; one of another log is never written over.".to_owned()
            }
            Self::ObjectsUnset { .. } => {
                "Say again, as `objects` in the log's section, where they were moved to; they are nowhere else.".to_owned()
            }
            Self::ObjectDamaged { .. } => {
                "Check that `objects` in the log's section is where its entries were moved to; if it is, restore the object from a copy \
                 of the folder or bucket."
                    .to_owned()
            }
            Self::Objects { .. } => "Check that the folder or bucket can be reached and read with what is configured.".to_owned(),
            Self::Sign { .. } => "Check that the key can be read and used.".to_owned(),
            Self::Store { .. } => {
                "Check that the database and its folder can be read and written, and that the disk is not full.".to_owned()
            }
        }
    }

    fn database(&self) -> &str {
        match self {
            Self::Missing { database }
            | Self::Exists { database }
            | Self::KeyMismatch { database, .. }
            | Self::OriginMismatch { database, .. }
            | Self::StateDamaged { database, .. }
            | Self::TileDamaged { database, .. }
            | Self::EntryDamaged { database, .. }
            | Self::RolledBack { database, .. }
            | Self::Diverged { database, .. }
            | Self::Thawed { database, .. }
            | Self::Record { database, .. }
            | Self::RecordForeign { database, .. }
            | Self::ObjectsUnset { database, .. }
            | Self::ObjectDamaged { database, .. }
            | Self::Objects { database, .. }
            | Self::Sign { database, .. }
            | Self::Store { database, .. } => database,
        }
    }
}
