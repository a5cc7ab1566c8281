//! `chancery.yaml`: one section per service. A section that is absent is a service that this process does not have.

use std::path::Path;

use chassis::config::{Duration, Environment, ListenConfig};
use serde::{Deserialize, Serialize};

use crate::failure::{Exit, Failure, Outcome};

/// The whole file.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The certificate authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fulcio: Option<fulcio::Config>,
    /// The certificate transparency log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ctlog: Option<ctlog::Config>,
    /// The Rekor v2 log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rekor_v2: Option<rekor::v2::Config>,
    /// The Rekor v1 log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rekor_v1: Option<rekor::v1::Config>,
    /// The later shards of the certificate log, the second first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ctlog_shards: Vec<ctlog::ShardConfig>,
    /// The later shards of the Rekor v2 log, the second first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rekor_v2_shards: Vec<rekor::v2::ShardConfig>,
    /// The later trees of the Rekor v1 log, the second first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rekor_v1_shards: Vec<rekor::v1::ShardConfig>,
    /// The timestamp authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tsa: Option<tsa::Config>,
    /// The trust root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tuf: Option<tuf::Config>,
    /// The registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<gateway::Config>,
    /// The witness of other people's logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witness: Option<witness::Config>,
    /// The lab's issuer; only `chancery lab` writes and serves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lab: Option<LabConfig>,
    /// Health, readiness, metrics and the log filter.
    pub admin: AdminConfig,
    /// How long requests in flight may take to finish when the process is asked to stop.
    #[serde(default = "default_grace")]
    pub grace: Duration,
}

/// See [`Config::lab`].
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LabConfig {
    /// The base URL of the four issuers.
    pub public_url: String,
    /// Where it listens: loopback only.
    pub http: ListenConfig,
}

/// See [`Config::admin`].
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdminConfig {
    /// Where it listens.
    pub http: ListenConfig,
}

/// Where `admin` listens unless told otherwise.
pub(crate) const ADMIN_PORT: u16 = 2112;

fn default_grace() -> Duration {
    Duration::from_secs(20)
}

impl Config {
    /// Reads the file and the environment over it.
    pub(crate) fn load(path: &Path) -> Outcome<Self> {
        let mut failure = match chassis::config::load::<Self>(path, &Environment::of_process()) {
            Ok(config) => return Ok(config),
            Err(error) => Failure::explained(&error),
        };
        failure.set_exit(Exit::Usage);
        Err(failure)
    }
}
