//! Configuration of the witnesses of a log.

use chassis::config::{Duration, FilePath};
use serde::{Deserialize, Serialize};

/// Section `witnesses` of a log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessesConfig {
    /// Which witnesses there are, and which of them together are enough (C2SP `tlog-policy`); each with a URL.
    pub policy: FilePath,
    /// What happens to entries and checkpoints that the quorum has not cosigned.
    #[serde(default)]
    pub without_quorum: WithoutQuorum,
    /// How long witnesses have to answer; an entry waits at most twice as long for its cosigned checkpoint.
    #[serde(default = "default_timeout")]
    pub timeout: Duration,
    /// Certificate authorities of the witnesses, PEM, besides those of the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_cert: Option<FilePath>,
}

/// What happens to entries and checkpoints that the quorum has not cosigned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum WithoutQuorum {
    /// They are not shown: the entry is logged and its submitter told to ask again, the last cosigned checkpoint stays.
    #[default]
    Refuse,
    /// They are published with the cosignatures that there are, and a metric says so.
    Publish,
}

fn default_timeout() -> Duration {
    Duration::from_secs(2)
}
