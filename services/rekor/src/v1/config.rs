//! Configuration of a Rekor v1 log.

use chassis::config::{DatabasePlace, FilePath, ListenConfig};
use face::{Place, default_keep_entries};
use objects::ObjectsConfig;
use serde::{Deserialize, Serialize};
use tlog::Form;

use super::start::LOG_NAME;

/// Section `rekor_v1` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Base URL that clients use, without a trailing slash; its host is in the log's origin, for ever.
    pub public_url: String,
    /// Where it listens.
    pub http: ListenConfig,
    /// The log's database, which may hold the Rekor v2 log too: a file, or a Postgres database that equal processes share. Created by
    /// `init`, never by serving.
    pub database: DatabasePlace,
    /// A file with the password for the database, where that is asked for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database_password_file: Option<FilePath>,
    /// Where the newest published tree head is kept outside the database, for this process alone; beside the database's file unless said
    /// otherwise, and nowhere for a Postgres database. On another disk it also finds out a rollback of the whole folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_record: Option<FilePath>,
    /// Where complete bundles of entries are moved to from the database, below `rekor-v1/`, or the like with its number for a later shard: a
    /// folder or a bucket. They stay in the database unless it is said; once some were moved, it must be said for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<ObjectsConfig>,
    /// So many of the newest entries stay in the database all the same.
    #[serde(default = "default_keep_entries")]
    pub keep_entries: u64,
    /// The log's private key, PKCS#8 PEM, ECDSA P-256.
    pub key: FilePath,
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

/// A later tree of the log, under the same URL and in the same database: one of the list `rekor_v1_shards`, whose first item is the
/// second tree.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ShardConfig {
    /// The tree's private key, PKCS#8 PEM, ECDSA P-256, unlike that of every other.
    pub key: FilePath,
}
