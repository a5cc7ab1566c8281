//! `chancery log …`

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use super::DirArgs;
use crate::names::PublicUrl;

/// `chancery log …`
#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Show the logs and their shards
    List(DirArgs),
    /// Give a transparency log to an installation that was made without it
    Add(LogAddArgs),
    /// Check everything that a log has against what it signed
    Fsck(LogFsckArgs),
    /// Go on with an older database than was published, knowing what that costs
    AcceptRollback(AcceptRollbackArgs),
    /// Make the log that is to follow another, with a key of its own
    NewShard(NewShardArgs),
    /// Let a log take no more entries; it is read and believed as before
    Freeze(LogFreezeArgs),
}

/// `chancery log fsck`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  chancery log fsck https://log1.rekor.corp.example --trusted-root trusted_root.json\n  \
    chancery log fsck --deep /srv/chancery/chancery.yaml\n\n\
    Every entry is hashed again, every tile compared with what those hashes make of it, and the root with the signed checkpoint.\n\
    A URL may be any log that is published as tiles (C2SP tlog-tiles), running or not ours. The databases of a configuration are\n\
    checked while nothing serves them.\n\n\
    Exit codes: 0 in order, 1 could not be checked, 2 usage, 3 something does not agree; the screen says what.")]
pub(crate) struct LogFsckArgs {
    /// A log's URL, a folder with its tiles, or a chancery.yaml, all of whose logs are checked
    #[arg(value_name = "URL|FOLDER|CONFIG")]
    pub target: String,
    /// Also compute each tile by a second implementation, and look up each entry by what it is found by
    #[arg(long)]
    pub deep: bool,
    /// Whose keys are believed; $CHANCERY_TRUSTED_ROOT or the lab's unless told otherwise
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    pub trusted_root: Option<PathBuf>,
    /// The log's public key, PEM
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// The first line of its checkpoints; the host of the URL unless told otherwise
    #[arg(long, value_name = "NAME")]
    pub origin: Option<String>,
    /// A certificate authority to trust for TLS besides the machine's, PEM
    #[arg(long, value_name = "FILE")]
    pub ca_cert: Option<PathBuf>,
}

/// `chancery log accept-rollback`
#[derive(Debug, Args)]
#[command(
    after_help = "Example:  chancery log accept-rollback rekor-v2 --config /srv/chancery/chancery.yaml --published 48120\n\n\
    A log refuses to start from a database that is older than its newest published checkpoint, because going on costs trust:\n\
    the entries that the database lacks are lost; clients hold proofs of them that no tree of this log contains any more; and the log\n\
    will sign other entries under the same indexes, so whoever kept a newer checkpoint, a monitor or a witness, sees a fork and is right.\n\
    Look for a newer backup first. A new log, with a new key, costs less than a fork where anybody watches.\n\n\
    The signed checkpoint that is given up is kept beside the new record, as evidence."
)]
pub(crate) struct AcceptRollbackArgs {
    /// Which log
    #[arg(value_enum, value_name = "LOG")]
    pub which: ShardedLog,
    /// Which shard of it
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub shard: u32,
    /// The file that `chancery init` wrote
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// How many entries the log had published, as the refused start said: all beyond the database's are given up
    #[arg(long, value_name = "ENTRIES")]
    pub published: u64,
}

/// `chancery log new-shard`
#[derive(Debug, Args)]
#[command(
    after_help = "Example:  chancery log new-shard rekor-v2 --dir /srv/chancery --public-url rekor-v2=https://log2.rekor.corp.example\n\n\
    Stop the log first. Makes key and log, signs the trust root anew with the log in it, and appends one item to a list in\n\
    chancery.yaml. It may be run again."
)]
pub(crate) struct NewShardArgs {
    /// Which log
    #[arg(value_enum, value_name = "LOG")]
    pub which: ShardedLog,
    /// The installation's folder
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// What clients call a shard of rekor-v2, on a host without a log, or of ctlog, at a URL without one; logN.rekor.DOMAIN or
    /// ctlogN.DOMAIN where the services are below one domain
    #[arg(long, value_name = "LOG=URL")]
    pub public_url: Option<PublicUrl>,
    /// How long clients get to learn of it; as long as they may keep an old trust root, seven days, unless told otherwise
    #[arg(long, value_name = "DURATION")]
    pub starts_in: Option<chassis::config::Duration>,
    /// Where tuf-targets.pem is, the key that was taken offline; keys/offline in the installation's folder unless told otherwise
    #[arg(long, value_name = "DIR")]
    pub offline_keys: Option<PathBuf>,
}

/// `chancery log freeze`
#[derive(Debug, Args)]
#[command(after_help = "Example:  chancery log freeze rekor-v1 --dir /srv/chancery\n\n\
    Stop the log first, and before ctlog the certificate authority too, which then submits to the next one. This cannot be undone.\n\
    It may be run again.")]
pub(crate) struct LogFreezeArgs {
    /// Which log
    #[arg(value_enum, value_name = "LOG")]
    pub which: ShardedLog,
    /// The installation's folder
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// Which shard of it; the oldest that takes entries unless told otherwise
    #[arg(long, value_name = "NUMBER")]
    pub shard: Option<u32>,
    /// Also before all clients know of the next one
    #[arg(long)]
    pub now: bool,
    /// Where tuf-targets.pem is, the key that was taken offline; keys/offline in the installation's folder unless told otherwise
    #[arg(long, value_name = "DIR")]
    pub offline_keys: Option<PathBuf>,
}

/// Logs that can have several shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ShardedLog {
    /// Each shard at a URL of its own; the certificate authority submits to one of them.
    #[value(name = "ctlog")]
    Ctlog,
    /// Each shard at a host of its own.
    #[value(name = "rekor-v2")]
    RekorV2,
    /// All trees at one URL.
    #[value(name = "rekor-v1")]
    RekorV1,
}

/// `chancery log add`
#[derive(Debug, Args)]
#[command(after_help = "Example:  chancery log add rekor-v1 --dir /srv/chancery --offline-keys /media/offline\n\n\
    Stop the transparency log first. Makes key and log, signs the trust root anew with the log in it, and appends one section to\n\
    chancery.yaml; who trusts this installation trusts it as before, and it may be run again.")]
pub(crate) struct LogAddArgs {
    /// Which log
    #[arg(value_enum, value_name = "LOG")]
    pub which: AddedLog,
    /// The installation's folder
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// What clients call it, as rekor-v1=URL; the host rekor-v1.DOMAIN where the services are below one domain
    #[arg(long, value_name = "rekor-v1=URL")]
    pub public_url: Option<PublicUrl>,
    /// Where tuf-targets.pem is, the key that was taken offline; keys/offline in the installation's folder unless told otherwise
    #[arg(long, value_name = "DIR")]
    pub offline_keys: Option<PathBuf>,
}

/// Logs that an installation may have been made without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AddedLog {
    /// The log that older clients speak.
    #[value(name = "rekor-v1")]
    RekorV1,
}
