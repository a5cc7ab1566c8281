//! `chancery.yaml`: one section per service. A section that is absent is a service that this process does not have.

use std::path::Path;

use chassis::config::{DatabasePlace, Duration, Environment, FilePath, ListenConfig};
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
            Ok(config) => return Ok(config.with_records(path)),
            Err(error) => Failure::explained(&error),
        };
        failure.set_exit(Exit::Usage);
        Err(failure)
    }

    /// With a place for the record of published heads of each log, in the folder of the file at `path`: beside a database's file there is
    /// one unasked, and Postgres has no place beside it.
    fn with_records(mut self, path: &Path) -> Self {
        // Where the file was read from, its folder can be named.
        let folder = std::path::absolute(path).ok().and_then(|path| path.parent().map(Path::to_owned)).unwrap_or_default();
        let place = |log: &str, database: &DatabasePlace, record: &mut Option<FilePath>| {
            if matches!(database, DatabasePlace::Postgres(_)) && record.is_none() {
                *record = Some(folder.join(format!("db/{log}.head")).into());
            }
        };
        if let Some(section) = &mut self.ctlog {
            place("ctlog", &section.database, &mut section.head_record);
        }
        if let Some(section) = &mut self.rekor_v2 {
            place("rekor-v2", &section.database, &mut section.head_record);
        }
        if let Some(section) = &mut self.rekor_v1 {
            place("rekor-v1", &section.database, &mut section.head_record);
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_in_postgres_has_a_record_in_the_folder_of_the_configuration() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chancery.yaml");
        let yaml = |database: &str| {
            format!(
                "admin: {{ http: {{ listen: [\"127.0.0.1:0\"] }} }}\nrekor_v2:\n  public_url: https://log1.rekor.corp.example\n  \
                 http: {{ listen: [\"127.0.0.1:0\"] }}\n  key: k\n  database: {database}\n"
            )
        };
        let record = |database: &str| {
            std::fs::write(&path, yaml(database)).unwrap();
            let config = Config::load(&path).unwrap().rekor_v2.unwrap();
            config.place(2).record()
        };
        assert_eq!(record("\"postgres://rekor@db/logs\""), Some(folder.path().join("db/rekor-v2.head.2")));
        assert_eq!(record("rekor.db"), Some(folder.path().join("rekor.db.rekor-v2-2.head")));
        assert_eq!(record("\"postgres://rekor@db/logs\"\n  head_record: r/head"), Some(folder.path().join("r/head.2")));
    }
}
