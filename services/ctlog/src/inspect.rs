//! Looking after a log that nothing serves at the moment.

use std::sync::Arc;

use tlog::sqlite::Database;
use tlog::{CheckReport, Depth, GivenUp, accept_rollback, check_log_to};

use crate::Config;
use crate::error::StartError;
use crate::start::{LOG_NAME, identify, record_of};

/// Compares everything in the log's database with its signed head, and the head with the record of what was published.
///
/// # Errors
/// [`StartError`], naming the first thing that does not agree.
pub async fn check(config: &Config, depth: Depth, progress: &(dyn Fn(u64, u64) + Sync)) -> Result<CheckReport, StartError> {
    let (_, heads) = identify(config)?;
    let database = Database::open(&config.database).await?;
    let store = database.log(LOG_NAME);
    let checked = match check_log_to(&store, heads.as_ref(), depth, progress).await {
        Ok(report) => tlog::check_record(Arc::new(store), heads.as_ref(), &record_of(config)).await.map(|()| report),
        Err(error) => Err(error),
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
    let database = Database::open(&config.database).await?;
    let accepted = accept_rollback(&database.log(LOG_NAME), heads.as_ref(), &record_of(config), published).await;
    database.close().await;
    Ok(accepted?)
}
