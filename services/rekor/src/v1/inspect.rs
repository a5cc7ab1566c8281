//! Looking after a log that nothing serves at the moment.

use std::path::Path;
use std::sync::Arc;

use face::SharedDatabase;
use keys::{FileKey, Signer};
use tlog::{CheckReport, Depth, GivenUp, Store};

use super::Config;
use super::start::{identify, stored_tree};
use crate::host::host_of;
use crate::start::StartError;

/// Compares everything in the database of the tree with this number and key with its signed head, and the head with the record of what
/// was published.
///
/// # Errors
/// [`StartError`], naming the first thing that does not agree.
pub async fn check(
    config: &Config,
    (shard, key): (u32, &Path),
    depth: Depth,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<CheckReport, StartError> {
    let place = config.place(shard);
    let database = SharedDatabase::open(&place).await?;
    let (store, signer) = parts(config, (shard, key), &database).await?;
    let checked = face::check(&place, store, &signer, depth, progress).await;
    database.close().await;
    Ok(checked?)
}

/// Goes on with a database that is behind what was published, see [`accept_rollback`](tlog::accept_rollback).
///
/// # Errors
/// [`StartError`]; nothing was changed then.
pub async fn accept(config: &Config, (shard, key): (u32, &Path), published: u64) -> Result<GivenUp, StartError> {
    let place = config.place(shard);
    let database = SharedDatabase::open(&place).await?;
    let (store, signer) = parts(config, (shard, key), &database).await?;
    let accepted = face::accept(&place, store.as_ref(), &signer, published).await;
    drop(store);
    database.close().await;
    Ok(accepted?)
}

async fn parts(
    config: &Config,
    (shard, key): (u32, &Path),
    database: &SharedDatabase,
) -> Result<(Arc<dyn Store>, tlog::NoteSigner), StartError> {
    let host = host_of(&config.public_url)?;
    let key: Arc<dyn Signer> = Arc::new(FileKey::load(key)?);
    let store = database.look_at(&config.place(shard)).await?;
    let tree = stored_tree(store.as_ref(), &host).await?;
    let (_, signer) = identify(&host, tree, key)?;
    Ok((store, signer))
}
