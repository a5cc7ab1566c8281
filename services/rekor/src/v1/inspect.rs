//! Looking after a log that nothing serves at the moment.

use std::path::Path;
use std::sync::Arc;

use keys::{FileKey, Signer};
use tlog::{CheckReport, Depth, GivenUp, RollbackError, Store, accept_rollback, check_log_to};

use super::Config;
use super::start::{LOG_NAME, identify, moving, stored_tree};
use crate::host::host_of;
use crate::start::{SharedDatabase, StartError, log_name, record_of};

/// Compares everything in the database of the tree with this number and key with its signed head, and the head with the record of what was published.
///
/// # Errors
/// [`StartError`], naming the first thing that does not agree.
pub async fn check(
    config: &Config,
    (shard, key): (u32, &Path),
    depth: Depth,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<CheckReport, StartError> {
    let database = SharedDatabase::open(&config.database, config.database_password_file.as_ref()).await?;
    let checked = check_in(config, (shard, key), &database, depth, progress).await;
    database.close().await;
    checked
}

/// Goes on with a database that is behind what was published, see [`accept_rollback`].
///
/// # Errors
/// [`StartError`]; nothing was changed then.
pub async fn accept(config: &Config, (shard, key): (u32, &Path), published: u64) -> Result<GivenUp, StartError> {
    let database = SharedDatabase::open(&config.database, config.database_password_file.as_ref()).await?;
    let accepted = accept_in(config, (shard, key), &database, published).await;
    database.close().await;
    accepted
}

async fn check_in(
    config: &Config,
    (shard, key): (u32, &Path),
    database: &SharedDatabase,
    depth: Depth,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<CheckReport, StartError> {
    let (store, signer) = parts(config, (shard, key), database).await?;
    let report = check_log_to(store.as_ref(), &signer, depth, progress).await?;
    if let Some(record) = record_of(&config.database, config.head_record.as_ref(), LOG_NAME, shard) {
        tlog::check_record(store, &signer, &record).await?;
    }
    Ok(report)
}

async fn accept_in(
    config: &Config,
    (shard, key): (u32, &Path),
    database: &SharedDatabase,
    published: u64,
) -> Result<GivenUp, StartError> {
    let (store, signer) = parts(config, (shard, key), database).await?;
    let record = record_of(&config.database, config.head_record.as_ref(), LOG_NAME, shard).ok_or(RollbackError::None)?;
    Ok(accept_rollback(store.as_ref(), &signer, &record, published).await?)
}

async fn parts(
    config: &Config,
    (shard, key): (u32, &Path),
    database: &SharedDatabase,
) -> Result<(Arc<dyn Store>, tlog::NoteSigner), StartError> {
    let host = host_of(&config.public_url)?;
    let key: Arc<dyn Signer> = Arc::new(FileKey::load(key)?);
    let name = log_name(LOG_NAME, shard);
    let store = moving(config).beside(database.log(&name), &name).await?;
    let tree = stored_tree(store.as_ref(), &host).await?;
    let (_, signer) = identify(&host, tree, key)?;
    Ok((store, signer))
}
