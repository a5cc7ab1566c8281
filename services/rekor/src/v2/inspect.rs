//! Looking after a log that nothing serves at the moment.

use tlog::{CheckReport, Depth, GivenUp, RollbackError, accept_rollback, check_log_to};

use super::Config;
use super::start::{LOG_NAME, identify, moving};
use crate::start::{SharedDatabase, StartError, log_name, record_of};

/// Compares everything in the database of the shard with this number with its signed head, and the head with the record of what was published.
///
/// # Errors
/// [`StartError`], naming the first thing that does not agree.
pub async fn check(
    config: &Config,
    shard: u32,
    depth: Depth,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<CheckReport, StartError> {
    let (_, signer) = identify(config)?;
    let database = SharedDatabase::open(&config.database, config.database_password_file.as_ref()).await?;
    let name = log_name(LOG_NAME, shard);
    let store = moving(config).beside(database.log(&name), &name).await?;
    let record = record_of(&config.database, config.head_record.as_ref(), LOG_NAME, shard);
    let checked = match (check_log_to(store.as_ref(), signer.as_ref(), depth, progress).await, record) {
        (Ok(report), Some(record)) => tlog::check_record(store, signer.as_ref(), &record).await.map(|()| report),
        (checked, _) => checked,
    };
    database.close().await;
    Ok(checked?)
}

/// Goes on with a database that is behind what was published, see [`accept_rollback`].
///
/// # Errors
/// [`StartError`]; nothing was changed then.
pub async fn accept(config: &Config, shard: u32, published: u64) -> Result<GivenUp, StartError> {
    let (_, signer) = identify(config)?;
    let database = SharedDatabase::open(&config.database, config.database_password_file.as_ref()).await?;
    let record = record_of(&config.database, config.head_record.as_ref(), LOG_NAME, shard);
    let name = log_name(LOG_NAME, shard);
    let store = moving(config).beside(database.log(&name), &name).await?;
    let accepted = match record {
        Some(record) => accept_rollback(store.as_ref(), signer.as_ref(), &record, published).await,
        None => Err(RollbackError::None),
    };
    database.close().await;
    Ok(accepted?)
}
