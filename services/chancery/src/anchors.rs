//! `anchors.json`: what `init` created, with fingerprints. Start-up compares it with keys, names and databases, so that nothing is
//! ever replaced unnoticed.

use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::names::PublicUrls;

/// Everything that can never change without clients noticing. Digests are SHA-256 in lower-case hex; a key's is that of its
/// SubjectPublicKeyInfo, a certificate's that of its DER.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Anchors {
    /// Of this document.
    pub version: u32,
    /// When `init` ran.
    pub created: Timestamp,
    /// Baked into origins, the trusted root and signing configs.
    pub public_urls: PublicUrls,
    /// The certificate authority.
    pub fulcio: FulcioAnchors,
    /// The certificate transparency log.
    pub ctlog: LogAnchors,
    /// The Rekor v2 log.
    pub rekor_v2: LogAnchors,
    /// The Rekor v1 log; none in an installation that was made before there was one, and has not got it since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rekor_v1: Option<LogAnchors>,
    /// The later shards of the certificate log, the second first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ctlog_shards: Vec<LogAnchors>,
    /// The later shards of the Rekor v2 log, the second first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rekor_v2_shards: Vec<LogAnchors>,
    /// The later trees of the Rekor v1 log, the second first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rekor_v1_shards: Vec<LogAnchors>,
    /// The timestamp authority.
    pub tsa: TsaAnchors,
    /// The trust root.
    pub tuf: TufAnchors,
    /// Digest of `trust/trusted_root.json`.
    pub trusted_root: String,
    /// Digest of the one before it, while it is being replaced: until that is done, either may lie there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted_root_before: Option<String>,
    /// What replaces it, as `chancery log` calls it: run again, it makes the rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfinished: Option<String>,
}

/// See [`Anchors`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FulcioAnchors {
    /// The root certificate.
    pub root_certificate: String,
    /// The issuing certificate.
    pub intermediate_certificate: String,
    /// The issuing key.
    pub intermediate_key: String,
}

/// See [`Anchors`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LogAnchors {
    /// First line of every checkpoint.
    pub origin: String,
    /// The log's key; for an ECDSA key this is also its log id.
    pub key: String,
    /// The checkpoint over the entries that a Rekor log was created with: every later tree must contain that one, so a database with
    /// another beginning is noticed even under the same key. Of a frozen log, whichever it is, the last one. Empty of a certificate log
    /// that takes entries, since it begins with none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub checkpoint: String,
    /// Of a later shard at a URL of its own: where it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_url: Option<String>,
    /// Of a later shard of the certificate log: since when clients believe it, as the trusted root says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Of a later shard: when all clients know of it. From then on they are told to write to a Rekor v2 shard; a Rekor v1 tree takes
    /// entries, and the certificate authority submits to a certificate log, when the one before it is frozen, which is not to be earlier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Since when it takes no more entries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub frozen: Option<Timestamp>,
}

impl LogAnchors {
    /// A log that takes entries, the first of its kind.
    pub(crate) fn new(origin: String, key: String, checkpoint: String) -> Self {
        Self { origin, key, checkpoint, public_url: None, since: None, from: None, frozen: None }
    }
}

/// See [`Anchors`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TsaAnchors {
    /// The self-signed root.
    pub root_certificate: String,
    /// The leaf that signs tokens.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

/// See [`Anchors`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TufAnchors {
    /// Digest of `trust/root.json`, the one value to hand to clients.
    pub root_json: String,
    /// The online key of the snapshot role.
    pub snapshot_key: String,
    /// The online key of the timestamp role.
    pub timestamp_key: String,
}

/// The version of the document that this binary writes and reads.
pub(crate) const VERSION: u32 = 1;

/// `anchors.json` as it lies on disk: the anchors and a digest over them, so that damage is told apart from change.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    anchors: Anchors,
    /// SHA-256 over the compact JSON of `anchors`.
    sha256: String,
}

/// `anchors.json` cannot be relied on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnchorsError {
    /// It cannot be read.
    #[error("{} cannot be read", .0.display())]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// It is not the document `init` wrote.
    #[error("{} is damaged: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        reason: String,
    },
}

impl Anchors {
    /// The bytes of `anchors.json`.
    pub(crate) fn to_json(&self) -> String {
        let document = Document { anchors: self.clone(), sha256: self.digest() };
        let mut text = serde_json::to_string_pretty(&document).expect("plain data serialises");
        text.push('\n');
        text
    }

    /// Reads and checks `anchors.json`.
    ///
    /// # Errors
    /// Missing, unparsable, or not the bytes that were written.
    pub(crate) fn load(path: &Path) -> Result<Self, AnchorsError> {
        let damaged = |reason: String| AnchorsError::Damaged { path: path.to_owned(), reason };
        let bytes = std::fs::read(path).map_err(|error| AnchorsError::Unreadable(path.to_owned(), error))?;
        let document: Document = serde_json::from_slice(&bytes).map_err(|error| damaged(error.to_string()))?;
        let digest = document.anchors.digest();
        if document.sha256 != digest {
            return Err(damaged(format!("its content has the digest {digest}, it says {}", document.sha256)));
        }
        // Some flipped bits spell the same value otherwise, such as the T of a time: only the bytes that were written are taken.
        if document.anchors.to_json().as_bytes() != bytes {
            return Err(damaged("it is not written as it was".to_owned()));
        }
        if document.anchors.version != VERSION {
            return Err(damaged(format!("it is of version {}, expected {VERSION}", document.anchors.version)));
        }
        Ok(document.anchors)
    }

    fn digest(&self) -> String {
        sha256_hex(&serde_json::to_vec(self).expect("plain data serialises"))
    }
}

/// SHA-256 in lower-case hex.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anchors() -> Anchors {
        Anchors {
            version: VERSION,
            created: "2026-11-21T09:00:00Z".parse().unwrap(),
            public_urls: PublicUrls::new(Some("corp.example"), &[]).unwrap(),
            fulcio: FulcioAnchors {
                root_certificate: "aa".into(),
                intermediate_certificate: "bb".into(),
                intermediate_key: "cc".into(),
            },
            ctlog: LogAnchors::new("ctlog.corp.example".into(), "44".into(), String::new()),
            rekor_v2: LogAnchors {
                frozen: Some("2026-11-22T09:14:03.25Z".parse().unwrap()),
                ..rekor("log1.rekor.corp.example", "55")
            },
            rekor_v1: Some(rekor("rekor-v1.corp.example - 12", "66")),
            ctlog_shards: vec![LogAnchors {
                since: Some("2026-11-22T09:14:03Z".parse().unwrap()),
                ..LogAnchors::new("ctlog2.corp.example".into(), "99".into(), String::new())
            }],
            rekor_v2_shards: vec![LogAnchors {
                public_url: Some("https://log2.rekor.corp.example".into()),
                from: Some("2026-11-22T09:14:03Z".parse().unwrap()),
                ..rekor("log2.rekor.corp.example", "77")
            }],
            rekor_v1_shards: vec![rekor("rekor-v1.corp.example - 13", "88")],
            tsa: TsaAnchors { root_certificate: "dd".into(), certificate: "ee".into(), key: "ff".into() },
            tuf: TufAnchors { root_json: "00".into(), snapshot_key: "11".into(), timestamp_key: "22".into() },
            trusted_root: "33".into(),
            trusted_root_before: None,
            unfinished: None,
        }
    }

    fn rekor(origin: &str, key: &str) -> LogAnchors {
        LogAnchors::new(origin.into(), key.into(), format!("{origin}\n2\n"))
    }

    #[test]
    fn what_is_written_is_read() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), anchors().to_json()).unwrap();
        assert_eq!(Anchors::load(file.path()).unwrap(), anchors());
    }

    /// What installations wrote that were made before there was a Rekor v1 log.
    #[test]
    fn older_anchors_are_read() {
        let rekor_v2 = rekor("log1.rekor.corp.example", "55");
        let older = Anchors {
            rekor_v1: None,
            rekor_v2,
            rekor_v1_shards: vec![],
            rekor_v2_shards: vec![],
            ctlog_shards: vec![],
            ..anchors()
        };
        let text = older.to_json();
        assert!(text.contains("\"ctlog\": {\n      \"origin\": \"ctlog.corp.example\",\n      \"key\": \"44\"\n    }"), "{text}");
        for new in ["rekor_v1", "trusted_root_before", "unfinished", "shards", "frozen", "from", "since", "\"public_url\""] {
            assert!(!text.contains(new), "{text}");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        assert_eq!(Anchors::load(file.path()).unwrap(), older);
    }

    #[test]
    fn every_flipped_byte_is_noticed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let good = anchors().to_json().into_bytes();
        for position in 0..good.len() {
            for bit in [1, 2, 16, 32] {
                let mut bad = good.clone();
                bad[position] ^= bit;
                std::fs::write(file.path(), &bad).unwrap();
                assert!(Anchors::load(file.path()).is_err(), "byte {position} bit {bit} went unnoticed");
            }
        }
    }
}
