//! The `ctlog` section of the configuration.

use chassis::config::{FilePath, ListenConfig};
use serde::{Deserialize, Serialize};

/// What a certificate transparency log is configured with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The URL that submitters and monitors use, without a trailing slash. Without its scheme it is the log's origin, for ever.
    pub public_url: String,
    /// Where it listens.
    pub http: ListenConfig,
    /// The log's private key, PKCS#8 PEM: ECDSA P-256, the only kind that every client accepts.
    pub key: FilePath,
    /// The log's database file. Created by `init`, never by serving.
    pub database: FilePath,
    /// PEM: the roots that a submission must chain to. When an authority is rotated, its new root is added here first.
    pub roots: FilePath,
    /// Whether SCTs carry the index of their entry. Only sigstore-python before 4.2 needs it off.
    #[serde(default = "default_leaf_index")]
    pub leaf_index: bool,
}

fn default_leaf_index() -> bool {
    true
}
