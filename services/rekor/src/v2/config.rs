//! Configuration of a Rekor v2 log.

use std::fmt::{self, Formatter};
use std::path::PathBuf;

use chassis::config::{DatabasePlace, FilePath, ListenConfig};
use face::{Place, default_keep_entries};
use objects::ObjectsConfig;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, IntoDeserializer as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use tlog::Form;

use super::start::LOG_NAME;
use crate::witness::WitnessesConfig;

/// Section `rekor_v2` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Base URL that clients use, without a trailing slash; its host is the log's origin, for ever.
    pub public_url: String,
    /// Where it listens.
    pub http: ListenConfig,
    /// The log's database, which may hold the Rekor v1 log too: a file, or a Postgres database that equal processes share. Created by
    /// `init`, never by serving.
    pub database: DatabasePlace,
    /// A file with the password for the database, where that is asked for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database_password_file: Option<FilePath>,
    /// Where the newest published tree head is kept outside the database, for this process alone; beside the database's file unless said
    /// otherwise, and nowhere for a Postgres database. On another disk it also finds out a rollback of the whole folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub head_record: Option<FilePath>,
    /// Where complete bundles of entries are moved to from the database, below `rekor-v2/`, or the like with its number for a later shard: a
    /// folder or a bucket. They stay in the database unless it is said; once some were moved, it must be said for ever.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<ObjectsConfig>,
    /// So many of the newest entries stay in the database all the same.
    #[serde(default = "default_keep_entries")]
    pub keep_entries: u64,
    /// The log's private key, PKCS#8 PEM.
    pub key: FilePath,
    /// Memory for full entry bundles, in MiB.
    #[serde(default = "default_bundle_cache_mib")]
    pub bundle_cache_mib: u32,
    /// Who cosigns its checkpoints; nobody unless it is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witnesses: Option<WitnessesConfig>,
    /// A folder or a bucket that is kept as a copy of the log, for a plain file server: checkpoint, tiles, entry bundles. None unless it is
    /// said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export: Option<ExportConfig>,
}

/// Where a log is exported to: a place for objects, or short the path of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct ExportConfig(pub ObjectsConfig);

impl From<PathBuf> for ExportConfig {
    fn from(folder: PathBuf) -> Self {
        Self(ObjectsConfig::Folder(folder.into()))
    }
}

impl<'de> Deserialize<'de> for ExportConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Written;

        impl<'de> Visitor<'de> for Written {
            type Value = ExportConfig;

            fn expecting(&self, f: &mut Formatter<'_>) -> fmt::Result {
                f.write_str("the path of a folder, {folder: PATH} or {s3: …}")
            }

            fn visit_str<E: Error>(self, path: &str) -> Result<ExportConfig, E> {
                FilePath::deserialize(path.into_deserializer()).map(|path| ExportConfig(ObjectsConfig::Folder(path)))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<ExportConfig, A::Error> {
                ObjectsConfig::deserialize(MapAccessDeserializer::new(map)).map(ExportConfig)
            }
        }

        deserializer.deserialize_any(Written)
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
            form: Form::TlogTiles,
            keep_entries: self.keep_entries,
        }
    }
}

/// A later shard: a log of its own in the same database, one of the list `rekor_v2_shards`, whose first item is the second shard.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ShardConfig {
    /// Base URL that clients use, on a host that no other log has: that is its origin, for ever.
    pub public_url: String,
    /// Where it listens.
    pub http: ListenConfig,
    /// Its private key, PKCS#8 PEM, unlike that of every other log.
    pub key: FilePath,
    /// Who cosigns its checkpoints; those of the first shard unless it is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub witnesses: Option<WitnessesConfig>,
    /// A folder or a bucket that is kept as a copy of it, unlike that of every other. None unless it is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub export: Option<ExportConfig>,
}

impl ShardConfig {
    /// Everything that a log is configured with: what is not its own is as the first shard has it.
    #[must_use]
    pub fn beside(&self, first: &Config) -> Config {
        let Self { public_url, http, key, witnesses, export } = self.clone();
        let witnesses = witnesses.or_else(|| first.witnesses.clone());
        // A folder holds one log, so that of the first is not another's too.
        Config { public_url, http, key, witnesses, export, ..first.clone() }
    }
}

fn default_bundle_cache_mib() -> u32 {
    16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_export_is_a_path_or_a_place() {
        let read = |text: &str| serde_json::from_str::<ExportConfig>(text);
        assert_eq!(read(r#""/srv/log""#).unwrap(), PathBuf::from("/srv/log").into());
        assert_eq!(read(r#"{"folder":"/srv/log"}"#).unwrap(), PathBuf::from("/srv/log").into());
        let bucket = r#"{"s3":{"endpoint":"https://s3.corp.example","region":"r","bucket":"logs"}}"#;
        assert_eq!(serde_json::to_string(&read(bucket).unwrap()).unwrap(), bucket);
        let wrong = read(&bucket.replace("region", "regoin")).unwrap_err().to_string();
        assert!(wrong.contains("unknown field `regoin`"), "{wrong}");
        assert!(read("7").unwrap_err().to_string().contains("the path of a folder"));
    }
}
