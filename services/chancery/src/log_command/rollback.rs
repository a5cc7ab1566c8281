//! `chancery log accept-rollback`: going on with an older database, when there is no newer one.

use serde_json::json;
use tlog::GivenUp;

use super::shards;
use crate::cli::{AcceptRollbackArgs, Output, ShardedLog};
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::output;

/// `chancery log accept-rollback`
pub(crate) async fn run(args: &AcceptRollbackArgs, out: Output) -> Outcome {
    let config = Config::load(&args.config)?;
    let GivenUp { published, stored, kept } = match args.which {
        ShardedLog::Ctlog => {
            let section = shards::ct(&config, args.shard)?;
            ctlog::accept(&section, args.shard, args.published).await.map_err(|error| Failure::explained(&error))?
        }
        ShardedLog::RekorV2 => {
            let section = shards::v2(&config, args.shard)?;
            rekor::v2::accept(&section, args.shard, args.published).await.map_err(|error| Failure::explained(&error))?
        }
        ShardedLog::RekorV1 => {
            let (section, key) = shards::v1(&config, args.shard)?;
            rekor::v1::accept(section, (args.shard, key), args.published).await.map_err(|error| Failure::explained(&error))?
        }
    };
    match out {
        Output::Text => output::print(&format!(
            "gave up entries {stored} to {} as published; the log goes on from {stored}\n  \
             Bundles with those entries still verify for who has no newer checkpoint, and contradict the log for who has.\n  \
             The signed head that was published is kept in {}\n",
            published.saturating_sub(1),
            kept.display()
        )),
        Output::Json => {
            output::print_json(&json!({ "published": published, "stored": stored, "kept": kept.display().to_string() }));
        }
    }
    Ok(())
}
