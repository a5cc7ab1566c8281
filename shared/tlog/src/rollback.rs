//! Going on with a database that went back in time: the operator's decision, never the log's.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::reader::Reader;
use crate::record::HeadRecord;
use crate::recover;
use crate::{Limits, OpenError, RecordError, Store, TreeHeadSigner};

/// A rollback that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenUp {
    /// How many entries the log had published.
    pub published: u64,
    /// How many the database has.
    pub stored: u64,
    /// Where the old record is kept now: the signed head in it is the evidence of what was published.
    pub kept: PathBuf,
}

/// A rollback was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum RollbackError {
    /// The log itself is not in order.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// The database has all that was published.
    #[error("the database is not behind the record of published heads: there is nothing to accept")]
    None,
    /// Another number of entries was published than the operator said.
    #[error("the log has published {published} entries, not {given}")]
    Size {
        /// In the record.
        published: u64,
        /// As the operator said.
        given: u64,
    },
}

impl RollbackError {
    /// The stable code, an anchor in the error reference.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Log(error) => error.code(),
            Self::None => "log_rollback_none",
            Self::Size { .. } => "log_rollback_size",
        }
    }

    /// What was found where, what was expected beside it.
    #[must_use]
    pub fn details(&self) -> Vec<String> {
        match self {
            Self::Log(error) => error.details(),
            Self::None | Self::Size { .. } => Vec::new(),
        }
    }

    /// What to do next.
    #[must_use]
    pub fn advice(&self) -> String {
        match self {
            Self::Log(error) => error.advice(),
            Self::None => "Start the log as usual.".to_owned(),
            Self::Size { published, .. } => {
                format!("To give up what the database lacks, say --published {published}; nothing was changed.")
            }
        }
    }
}

/// Checks that the log reaches the newest head in its record, if there is a record.
///
/// # Errors
/// As a start of the log with that record.
pub async fn check_record(store: Arc<dyn Store>, signer: &dyn TreeHeadSigner, record: &Path) -> Result<(), OpenError> {
    // One that is not there must not be made by looking.
    if !record.exists() {
        return Ok(());
    }
    let recover::Recovered { state, tree } = recover::open(store.as_ref(), signer).await?;
    let reader = Reader::new(Arc::clone(&store), tree, state.signed_head(), &Limits::default());
    recover::open_record(record, store.as_ref(), signer, &reader, &state).await.map(drop)
}

/// Puts the record of published heads aside, so that the log goes on from an older database.
///
/// What that costs: the entries that the database lacks are lost, clients that hold a proof of one of them hold a proof that no tree
/// of this log contains any more, and the log will sign other entries under their indexes. Whoever kept a newer head sees a fork, and
/// is right. `published` is the number of entries that are given up as published, so that nobody does this unread.
///
/// # Errors
/// [`RollbackError`]; nothing was changed then.
pub async fn accept_rollback(
    store: &dyn Store,
    signer: &dyn TreeHeadSigner,
    record: &Path,
    published: u64,
) -> Result<GivenUp, RollbackError> {
    let at = recover::At::new(store);
    // A record that is not there must not be made by looking.
    if !record.exists() {
        return Err(RollbackError::None);
    }
    let (held, notes) = HeadRecord::open(record).map_err(|error| at.record(record, error))?;
    let state = recover::open(store, signer).await?.state;
    let heads = notes.iter().map(|note| signer.verify(note)).collect::<Result<Vec<_>, _>>();
    let newest = heads.map_err(|error| at.record_foreign(record, error.to_string()))?.into_iter().max_by_key(|head| head.size);
    let Some(newest) = newest.filter(|head| head.size > state.size) else { return Err(RollbackError::None) };
    if newest.size != published {
        return Err(RollbackError::Size { published: newest.size, given: published });
    }
    let kept = record.with_added_extension(format!("given-up-{}", newest.size));
    std::fs::rename(record, &kept).map_err(|error| at.record(record, RecordError::File(error)))?;
    drop(held);
    Ok(GivenUp { published: newest.size, stored: state.size, kept })
}
