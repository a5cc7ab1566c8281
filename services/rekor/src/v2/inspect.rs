//! Looking after a log that nothing serves at the moment.

use tlog::{CheckReport, Depth, GivenUp, accept_rollback, check_log_to};

use super::Config;
use super::start::{LOG_NAME, identify};
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
    let database = SharedDatabase::open(&config.database).await?;
    let store = database.log(&log_name(LOG_NAME, shard));
    let record = record_of(&config.database, config.head_record.as_ref(), LOG_NAME, shard);
    let checked = match check_log_to(&store, signer.as_ref(), depth, progress).await {
        Ok(report) => tlog::check_record(std::sync::Arc::new(store), signer.as_ref(), &record).await.map(|()| report),
        Err(error) => Err(error),
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
    let database = SharedDatabase::open(&config.database).await?;
    let record = record_of(&config.database, config.head_record.as_ref(), LOG_NAME, shard);
    let accepted = accept_rollback(&database.log(&log_name(LOG_NAME, shard)), signer.as_ref(), &record, published).await;
    database.close().await;
    Ok(accepted?)
}
