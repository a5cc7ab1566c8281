//! The `ctlog` section of the configuration.

use chassis::config::{DatabasePlace, Duration, FilePath, ListenConfig};
use face::{Place, default_keep_entries};
use objects::ObjectsConfig;
use serde::{Deserialize, Serialize};
use tlog::Form;

use crate::start::LOG_NAME;

/// What a certificate transparency log is configured with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The URL clients use, without a trailing slash; a path is allowed. Without its scheme it is the log's origin, for ever.
    pub public_url: String,
    /// Where it listens.
    pub http: ListenConfig,
    /// The log's database: a file, or a Postgres database that equal processes share. Created by `init`, never by serving.
    pub database: DatabasePlace,
    /// A file with the password for the database, where that is asked for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database_password_file: Option<FilePath>,
    /// Where the newest published tree head is kept outside the database, for this process alone; beside the database's file unless said
    /// otherwise, and nowhere for a Postgres database. On another disk it also finds out a rollback of the whole folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_record: Option<FilePath>,
    /// Where complete bundles of entries are moved to from the database, below `ctlog/`: a folder or a bucket. They stay in the database
    /// unless it is said; once some were moved, it must be said for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<ObjectsConfig>,
    /// So many of the newest entries stay in the database all the same.
    #[serde(default = "default_keep_entries")]
    pub keep_entries: u64,
    /// The log's private key, PKCS#8 PEM: ECDSA P-256, the only kind that every client accepts.
    pub key: FilePath,
    /// The certificates that accepted chains end in, PEM: the root of every authority that ever submitted. Read again when it changes;
    /// add a new root here before its authority issues.
    pub roots: FilePath,
    /// Whether timestamps carry the entry's index. Off for clients before sigstore-python 4.2.
    #[serde(default = "default_leaf_index")]
    pub leaf_index: bool,
    /// How old the signed tree head may become while nothing is logged.
    #[serde(default = "default_republish_every")]
    pub republish_every: Duration,
}

/// A later shard: a log of its own in the same database, one of the list `ctlog_shards`, whose first item is the second shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShardConfig {
    /// The URL clients use, unlike that of every other log: without its scheme it is the log's origin, for ever.
    pub public_url: String,
    /// Where it listens.
    pub http: ListenConfig,
    /// Its private key, PKCS#8 PEM, ECDSA P-256, unlike that of every other log.
    pub key: FilePath,
}

impl ShardConfig {
    /// Everything that a log is configured with: what is not its own is as the first shard has it.
    #[must_use]
    pub fn beside(&self, first: &Config) -> Config {
        let Self { public_url, http, key } = self.clone();
        Config { public_url, http, key, ..first.clone() }
    }
}

impl Config {
    /// Where the shard with this number is kept.
    #[must_use]
    pub fn place(&self, shard: u32) -> Place<'_> {
        Place {
            face: LOG_NAME,
            shard,
            database: &self.database,
            password_file: self.database_password_file.as_ref(),
            head_record: self.head_record.as_ref(),
            objects: self.objects.as_ref(),
            form: Form::Leaves,
            keep_entries: self.keep_entries,
        }
    }
}

fn default_leaf_index() -> bool {
    true
}

fn default_republish_every() -> Duration {
    Duration::from_secs(3_600)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_that_must_be_said() {
        let json =
            r#"{"public_url":"https://ctlog.example","http":{"listen":["127.0.0.1:6962"]},"database":"d","key":"k","roots":"r"}"#;
        let config: Config = serde_json::from_str(json).unwrap();
        assert!(config.leaf_index && config.objects.is_none());
        assert_eq!(config.keep_entries, 65_536);
        assert_eq!(config.republish_every.to_string(), "1h");
        let unknown = json.replace("\"roots\"", "\"root\"");
        assert!(serde_json::from_str::<Config>(&unknown).unwrap_err().to_string().contains("unknown field `root`"));
    }
}
