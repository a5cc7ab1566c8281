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

/// Checks that the log reaches the newest heads in its record, if there is a record, and in those of other processes on this machine.
///
/// # Errors
/// As a start of the log with that record.
pub async fn check_record(store: Arc<dyn Store>, signer: &dyn TreeHeadSigner, record: &Path) -> Result<(), OpenError> {
    let at = recover::At::new(store.as_ref());
    // Before the state, which may grow while this looks: what is in a record was committed before. Nothing is made by looking.
    let files = HeadRecord::files(record).filter(|path| path.exists());
    let read = |path: PathBuf| match HeadRecord::peek(&path) {
        Ok(kept) => Ok((path, kept)),
        Err(error) => Err(at.record(&path, error)),
    };
    let recorded = files.map(read).collect::<Result<Vec<_>, _>>()?;
    if recorded.is_empty() {
        return Ok(());
    }
    let recover::Recovered { state, tree } = recover::open(store.as_ref(), signer).await?;
    let reader = Reader::new(Arc::clone(&store), tree, state.signed_head(), &Limits::default());
    for (path, kept) in recorded {
        recover::check_recorded(&path, &kept, store.as_ref(), signer, &reader, &state).await?;
    }
    Ok(())
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
    let state = recover::open(store, signer).await?.state;
    // Of each process that kept one. A record that is not there must not be made by looking.
    let mut ahead = Vec::new();
    for path in HeadRecord::files(record).filter(|path| path.exists()) {
        let (held, kept) = HeadRecord::open(&path).map_err(|error| at.record(&path, error))?;
        let heads = recover::recorded_heads(&at, &path, signer, &kept)?;
        // What was frozen never takes entries again.
        if let Some((head, _)) = heads.iter().find(|(head, last)| *last && !(state.frozen && state.size == head.size)) {
            return Err(at.thawed(&path, head.size).into());
        }
        if let Some((newest, _)) = heads.into_iter().next().filter(|(head, _)| head.size > state.size) {
            ahead.push((newest, path, held));
        }
    }
    ahead.sort_by_key(|(head, ..)| std::cmp::Reverse(head.size));
    let Some((newest, ..)) = ahead.first() else { return Err(RollbackError::None) };
    let newest = newest.size;
    if newest != published {
        return Err(RollbackError::Size { published: newest, given: published });
    }
    let aside = |path: &Path| path.with_added_extension(format!("given-up-{newest}"));
    let kept = aside(&ahead[0].1);
    for (_, path, _held) in &ahead {
        std::fs::rename(path, aside(path)).map_err(|error| at.record(path, RecordError::File(error)))?;
    }
    Ok(GivenUp { published: newest, stored: state.size, kept })
}
