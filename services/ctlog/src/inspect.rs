//! Looking after a log that nothing serves at the moment.

use std::sync::Arc;

use tlog::{CheckReport, Database, Depth, GivenUp, RollbackError, Store, Tier, accept_rollback, check_log_to, tiered};

use crate::Config;
use crate::error::StartError;
use crate::start::{FORM, LOG_NAME, address, identify, record_of};

/// Compares everything in the log's database with its signed head, and the head with the record of what was published.
///
/// # Errors
/// [`StartError`], naming the first thing that does not agree.
pub async fn check(config: &Config, depth: Depth, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<CheckReport, StartError> {
    let (_, heads) = identify(config)?;
    let database = Database::open(&address(config)?).await?;
    let store = store(config, &database).await?;
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
        Some(record) => accept_rollback(store(config, &database).await?.as_ref(), heads.as_ref(), &record, published).await,
        None => Err(RollbackError::None),
    };
    database.close().await;
    Ok(accepted?)
}

/// The log, and what was moved from it, to be looked at.
async fn store(config: &Config, database: &Database) -> Result<Arc<dyn Store>, StartError> {
    let tier = match &config.objects {
        Some(place) => Some(Tier::open_to_read(place, LOG_NAME, FORM).await?),
        None => None,
    };
    Ok(tiered(database.log(LOG_NAME), tier))
}
