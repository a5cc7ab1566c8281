//! Looking after a shard that nothing serves at the moment.

use std::sync::Arc;

use clock::Clock;
use jiff::Timestamp;
use note::Checkpoint;
use tlog::{CheckReport, Depth, GivenUp, Log, RollbackError, Store, TreeHeadSigner, accept_rollback, check_log_to, check_record};

use crate::{LogError, Place};

/// A log that takes no more entries.
#[derive(Debug, Clone)]
pub struct Frozen {
    /// Whether that was done now; else it was so before.
    pub made: bool,
    /// Since when.
    pub since: Timestamp,
    /// The last signed checkpoint, over all its entries.
    pub checkpoint: String,
}

/// Compares everything in the store with its signed head, and the head with the record of what was published.
///
/// # Errors
/// [`LogError`], naming the first thing that does not agree.
pub async fn check(
    place: &Place<'_>,
    store: Arc<dyn Store>,
    signer: &dyn TreeHeadSigner,
    depth: Depth,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<CheckReport, LogError> {
    let report = check_log_to(store.as_ref(), signer, depth, progress).await?;
    if let Some(record) = place.record() {
        check_record(store, signer, &record).await?;
    }
    Ok(report)
}

/// Goes on with a database that is behind what was published, see [`accept_rollback`].
///
/// # Errors
/// [`LogError`]; nothing was changed then.
pub async fn accept(
    place: &Place<'_>,
    store: &dyn Store,
    signer: &dyn TreeHeadSigner,
    published: u64,
) -> Result<GivenUp, LogError> {
    let record = place.record().ok_or(RollbackError::None)?;
    Ok(accept_rollback(store, signer, &record, published).await?)
}

/// Freezes the log, which must be there and reach what was `published`: what is in it is read as before.
///
/// # Errors
/// [`LogError`]: it cannot be opened, or its last head cannot be signed or stored. Asking again is always safe.
pub async fn freeze(
    place: &Place<'_>,
    store: Arc<dyn Store>,
    signer: Arc<dyn TreeHeadSigner>,
    clock: Arc<dyn Clock>,
    published: Option<Checkpoint>,
) -> Result<Frozen, LogError> {
    let log = Log::open(store, signer, clock, place.published(published)).await?;
    let made = !log.checkpoint().last;
    let last = log.freeze().await.map_err(LogError::Freeze)?;
    log.close().await;
    Ok(Frozen { made, since: last.time, checkpoint: last.note.clone() })
}
