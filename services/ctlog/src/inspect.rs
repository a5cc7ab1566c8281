//! Looking after a log that nothing serves at the moment.

use tlog::{CheckReport, Database, Depth, GivenUp, RollbackError, accept_rollback, check_log_to};

use crate::Config;
use crate::error::StartError;
use crate::start::{LOG_NAME, address, identify, record_of};

/// Compares everything in the log's database with its signed head, and the head with the record of what was published.
///
/// # Errors
/// [`StartError`], naming the first thing that does not agree.
pub async fn check(config: &Config, depth: Depth, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<CheckReport, StartError> {
    let (_, heads) = identify(config)?;
    let database = Database::open(&address(config)?).await?;
    let store = database.log(LOG_NAME);
    let checked = match (check_log_to(store.as_ref(), heads.as_ref(), depth, progress).await, record_of(config)) {
        (Ok(report), Some(record)) => tlog::check_record(store, heads.as_ref(), &record).await.map(|()| report),
        (checked, _) => checked,
    };
    database.close().await;
    Ok(checked?)
}

/// Goes on with a database that is behind what was published, see [`accept_rollback`].
///
/// # Errors
/// [`StartError`]; nothing was changed then.
pub async fn accept(config: &Config, published: u64) -> Result<GivenUp, StartError> {
    let (_, heads) = identify(config)?;
    let database = Database::open(&address(config)?).await?;
    let accepted = match record_of(config) {
        Some(record) => accept_rollback(database.log(LOG_NAME).as_ref(), heads.as_ref(), &record, published).await,
        None => Err(RollbackError::None),
    };
    database.close().await;
    Ok(accepted?)
}
