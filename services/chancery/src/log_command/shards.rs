//! The shards of a log, as the anchors know them: the first one, and those that followed it.

use std::path::Path;

use chassis::config::DatabasePlace;
use jiff::Timestamp;
use pki::PublicKey;
use serde::Serialize;
use tuf::{Legacy, Target};

use crate::anchors::{Anchors, LogAnchors};
use crate::cli::ShardedLog;
use crate::config::Config;
use crate::failure::{Failure, Outcome};
use crate::layout::names;
use crate::names::ServiceName;

/// One of them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shard<'a> {
    /// Of which log.
    pub log: ShardedLog,
    /// From 1.
    pub number: u32,
    /// What it was created with.
    pub anchors: &'a LogAnchors,
    /// Where clients find it.
    pub public_url: &'a str,
}

/// What a shard does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub(crate) enum State {
    /// It takes entries.
    Open,
    /// It takes entries when those who sign know of it: from that time on (Rekor v2), or when the one before it is frozen (the others).
    Waiting {
        /// When they know.
        from: Option<Timestamp>,
    },
    /// It takes no more.
    Frozen {
        /// The time of its last head.
        since: Timestamp,
    },
}

impl Shard<'_> {
    /// What it does at `now`, `after` the shard before it.
    fn state(&self, before: Option<&LogAnchors>, now: Timestamp) -> State {
        let from = self.anchors.from;
        match (self.anchors.frozen, self.log) {
            (Some(since), _) => State::Frozen { since },
            (None, ShardedLog::RekorV1 | ShardedLog::Ctlog) if before.is_some_and(|before| before.frozen.is_none()) => {
                State::Waiting { from }
            }
            (None, ShardedLog::RekorV2) if from.is_some_and(|from| from > now) => State::Waiting { from },
            (None, _) => State::Open,
        }
    }
}

/// The shards of `log`, the oldest first; none when the installation has no such log.
pub(crate) fn of(anchors: &Anchors, log: ShardedLog) -> Vec<Shard<'_>> {
    let (first, later) = match log {
        ShardedLog::Ctlog => (Some(&anchors.ctlog), &anchors.ctlog_shards),
        ShardedLog::RekorV2 => (Some(&anchors.rekor_v2), &anchors.rekor_v2_shards),
        ShardedLog::RekorV1 => (anchors.rekor_v1.as_ref(), &anchors.rekor_v1_shards),
    };
    let url = anchors.public_urls.get(log.service()).unwrap_or_default();
    (1..)
        .zip(first.into_iter().chain(later))
        .map(|(number, anchors)| Shard { log, number, anchors, public_url: anchors.public_url.as_deref().unwrap_or(url) })
        .collect()
}

/// Each shard with what it does at `now`.
pub(crate) fn states<'a>(shards: &[Shard<'a>], now: Timestamp) -> Vec<(Shard<'a>, State)> {
    let before = std::iter::once(None).chain(shards.iter().map(|shard| Some(shard.anchors)));
    shards.iter().zip(before).map(|(shard, before)| (*shard, shard.state(before, now))).collect()
}

/// Where clients that sign write now, of the Rekor v2 log.
pub(crate) fn newest_v2(anchors: &Anchors, now: Timestamp) -> &str {
    let shards = states(&of(anchors, ShardedLog::RekorV2), now);
    let open = shards.iter().rev().find(|(_, state)| *state == State::Open);
    open.or(shards.first()).map_or("", |(shard, _)| shard.public_url)
}

/// The oldest shard that takes entries at `now`: the one that new ones are in, of a log whose shards wait for each other.
pub(crate) fn oldest_open(anchors: &Anchors, log: ShardedLog, now: Timestamp) -> Option<Shard<'_>> {
    let shards = states(&of(anchors, log), now);
    let open = shards.iter().find(|(_, state)| *state == State::Open).or(shards.last());
    open.map(|(shard, _)| *shard)
}

impl ShardedLog {
    /// The service that it is.
    pub(crate) const fn service(self) -> ServiceName {
        match self {
            Self::Ctlog => ServiceName::Ctlog,
            Self::RekorV2 => ServiceName::RekorV2,
            Self::RekorV1 => ServiceName::RekorV1,
        }
    }

    /// The list of its later shards in `chancery.yaml`.
    pub(crate) fn list(self) -> String {
        format!("{}_shards", self.service().as_str().replace('-', "_"))
    }

    /// The private key of a shard, below `D/`.
    pub(crate) fn key(self, number: u32) -> String {
        format!("keys/{}-{number}.pem", self.service())
    }

    /// The public key of a shard, below `D/`: of a later one after the name by which older clients know the first.
    pub(crate) fn public_key(self, number: u32) -> String {
        match self {
            Self::Ctlog if number <= 1 => names::CTLOG_PUB.to_owned(),
            Self::RekorV2 if number <= 1 => names::REKOR_V2_PUB.to_owned(),
            Self::RekorV1 if number <= 1 => names::REKOR_V1_PUB.to_owned(),
            Self::Ctlog => format!("trust/ctfe_{number}.pub"),
            Self::RekorV2 => format!("trust/rekor_v2_{number}.pub"),
            Self::RekorV1 => format!("trust/rekor_{number}.pub"),
        }
    }

    /// A shard's key as a file of the trust root, where clients without a trusted root look for such keys.
    pub(super) fn target(self, number: u32, key: &PublicKey, public_url: &str) -> Option<Target> {
        let pem = key.to_pem();
        match (self, number) {
            (Self::RekorV2, _) => None,
            (Self::Ctlog, 0 | 1) => Some(Target::legacy(Legacy::Ctfe, pem, public_url)),
            (Self::Ctlog, number) => Some(Target::ctfe_shard(number, pem, public_url)),
            (Self::RekorV1, 0 | 1) => Some(Target::legacy(Legacy::Rekor, pem, public_url)),
            (Self::RekorV1, number) => Some(Target::rekor_shard(number, pem, public_url)),
        }
    }

    /// How many later shards the configuration has.
    pub(crate) fn configured(self, config: &Config) -> usize {
        match self {
            Self::Ctlog => config.ctlog_shards.len(),
            Self::RekorV2 => config.rekor_v2_shards.len(),
            Self::RekorV1 => config.rekor_v1_shards.len(),
        }
    }
}

/// The folder of the database, where files may have been made for the account that runs the log.
pub(super) fn database_folder(config: &Config, log: ShardedLog) -> Option<&Path> {
    let database = match log {
        ShardedLog::Ctlog => &config.ctlog.as_ref()?.database,
        ShardedLog::RekorV2 => &config.rekor_v2.as_ref()?.database,
        ShardedLog::RekorV1 => &config.rekor_v1.as_ref()?.database,
    };
    match database {
        DatabasePlace::File(file) => file.parent(),
        DatabasePlace::Postgres(_) => None,
    }
}

/// How many entries of a shard were moved from its database; none where none are to be.
pub(super) async fn moved(config: Option<&Config>, shard: &Shard<'_>) -> Option<u64> {
    let config = config?;
    match shard.log {
        ShardedLog::Ctlog => config.ctlog.as_ref()?.place(shard.number).moved().await,
        ShardedLog::RekorV2 => config.rekor_v2.as_ref()?.place(shard.number).moved().await,
        ShardedLog::RekorV1 => config.rekor_v1.as_ref()?.place(shard.number).moved().await,
    }
}

/// The numbers of the shards that the configuration has.
pub(crate) fn numbers(config: &Config, log: ShardedLog) -> std::ops::RangeInclusive<u32> {
    let first = match log {
        ShardedLog::Ctlog => config.ctlog.is_some(),
        ShardedLog::RekorV2 => config.rekor_v2.is_some(),
        ShardedLog::RekorV1 => config.rekor_v1.is_some(),
    };
    let later = u32::try_from(log.configured(config)).unwrap_or(u32::MAX);
    1..=if first { later.saturating_add(1) } else { 0 }
}

/// What a shard is called where sections are.
pub(super) fn section(log: ShardedLog, number: u32) -> String {
    let name = log.service().section();
    if number > 1 { format!("{name}, shard {number}") } else { name.to_owned() }
}

/// The section of the certificate log, for whatever is done to one of its shards.
pub(crate) fn ct(config: &Config, number: u32) -> Outcome<ctlog::Config> {
    let first = config.ctlog.as_ref().ok_or_else(|| no_section(ShardedLog::Ctlog))?;
    match number.checked_sub(2) {
        None => Ok(first.clone()),
        Some(later) => {
            let shard = config.ctlog_shards.get(later as usize).ok_or_else(|| no_shard(ShardedLog::Ctlog, number))?;
            Ok(shard.beside(first))
        }
    }
}

/// The section of the Rekor v2 log likewise.
pub(crate) fn v2(config: &Config, number: u32) -> Outcome<rekor::v2::Config> {
    let first = config.rekor_v2.as_ref().ok_or_else(|| no_section(ShardedLog::RekorV2))?;
    match number.checked_sub(2) {
        None => Ok(first.clone()),
        Some(later) => {
            let shard = config.rekor_v2_shards.get(later as usize).ok_or_else(|| no_shard(ShardedLog::RekorV2, number))?;
            Ok(shard.beside(first))
        }
    }
}

/// The section of the Rekor v1 log, and the key of one of its trees.
pub(super) fn v1(config: &Config, number: u32) -> Outcome<(&rekor::v1::Config, &Path)> {
    let first = config.rekor_v1.as_ref().ok_or_else(|| no_section(ShardedLog::RekorV1))?;
    match number.checked_sub(2) {
        None => Ok((first, &first.key)),
        Some(later) => {
            let shard = config.rekor_v1_shards.get(later as usize).ok_or_else(|| no_shard(ShardedLog::RekorV1, number))?;
            Ok((first, &shard.key))
        }
    }
}

pub(super) fn no_section(log: ShardedLog) -> Failure {
    let advice = match log {
        ShardedLog::Ctlog | ShardedLog::RekorV2 => format!("Run this where the {} is.", log.service().title()),
        ShardedLog::RekorV1 => {
            "Run this where the transparency log is; an installation without one gets it by `chancery log add rekor-v1`."
                .to_owned()
        }
    };
    Failure::usage("config_no_service", format!("the configuration has no section for {}", log.service())).advise(advice)
}

fn no_shard(log: ShardedLog, number: u32) -> Failure {
    Failure::usage("log_shard_unknown", format!("there is no shard {number} of {} in the configuration", log.service()))
        .advise("`chancery log list` shows those that there are.")
}
