//! Looking after a log that nothing serves at the moment.

use face::SharedDatabase;
use tlog::{CheckReport, Depth, GivenUp};

use crate::Config;
use crate::error::StartError;
use crate::start::identify;

/// Compares everything in the database of the shard with this number with its signed head, and the head with the record of what was
/// published.
///
/// # Errors
/// [`StartError`], naming the first thing that does not agree.
pub async fn check(
    config: &Config,
    shard: u32,
    depth: Depth,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<CheckReport, StartError> {
    let (_, heads) = identify(config)?;
    let place = config.place(shard);
    let database = SharedDatabase::open(&place).await?;
    let checked = face::check(&place, database.look_at(&place).await?, heads.as_ref(), depth, progress).await;
    database.close().await;
    Ok(checked?)
}

/// Goes on with a database that is behind what was published, see [`accept_rollback`](tlog::accept_rollback).
///
/// # Errors
/// [`StartError`]; nothing was changed then.
pub async fn accept(config: &Config, shard: u32, published: u64) -> Result<GivenUp, StartError> {
    let (_, heads) = identify(config)?;
    let place = config.place(shard);
    let database = SharedDatabase::open(&place).await?;
    let accepted = face::accept(&place, database.look_at(&place).await?.as_ref(), heads.as_ref(), published).await;
    database.close().await;
    Ok(accepted?)
}
