use chassis::config::{FilePath, ListenConfig};
use serde::{Deserialize, Serialize};

/// Section `witness` of the configuration.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The URL to which logs add `/add-checkpoint`, without a trailing slash.
    pub public_url: String,
    /// Name of the witness on its signature lines. Whoever trusts it trusts this name and the key, so it never changes.
    pub name: String,
    /// Where it listens.
    pub http: ListenConfig,
    /// The database file of what it has seen. Created by `chancery witness add`, never by serving.
    pub database: FilePath,
    /// Its private key, PKCS#8 PEM, Ed25519. No log has the same one.
    pub key: FilePath,
    /// The logs that it watches.
    #[serde(default)]
    pub logs: Vec<LogConfig>,
}

/// A log that a witness watches.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct LogConfig {
    /// The log's key (C2SP `signed-note`): `NAME+HINT+BASE64`, Ed25519 or ECDSA.
    pub vkey: String,
    /// First line of its checkpoints, where that is not the name in its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
}
