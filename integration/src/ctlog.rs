//! The certificate log as its monitors see it (RFC 6962 §4).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use merkle::{CompactRange, Hash, leaf_hash, verify_consistency};
use serde_json::Value;
use testkit::Environment;

/// A certificate log at its submission prefix.
#[derive(Debug, Clone)]
pub struct CtLog {
    url: String,
    http: reqwest::Client,
}

/// A tree head; its signature is the business of those who trust it, its root is ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeHead {
    /// Leaves in the tree.
    pub size: u64,
    /// Milliseconds since the epoch.
    pub timestamp: u64,
    /// Root of the tree.
    pub root: Hash,
}

impl CtLog {
    /// The log of an environment.
    #[must_use]
    pub fn of(environment: &Environment) -> Self {
        Self { url: environment.get("CHANCERY_CTLOG_URL").to_owned(), http: testkit::http(&[]) }
    }

    /// The current tree head.
    ///
    /// # Panics
    /// It cannot be had.
    pub async fn head(&self) -> TreeHead {
        let sth = self.get("get-sth").await;
        let number = |name: &str| sth[name].as_u64().unwrap_or_else(|| panic!("{name} in {sth}"));
        TreeHead { size: number("tree_size"), timestamp: number("timestamp"), root: hash(&sth["sha256_root_hash"]) }
    }

    /// Every leaf below `size`, as hashed.
    ///
    /// # Panics
    /// An entry is missing.
    pub async fn leaves(&self, size: u64) -> Vec<Vec<u8>> {
        self.leaves_from(0, size).await
    }

    /// As [`Self::leaves`], without those before `first`.
    ///
    /// # Panics
    /// As there.
    pub async fn leaves_from(&self, first: u64, size: u64) -> Vec<Vec<u8>> {
        let mut leaves = Vec::new();
        while first + (leaves.len() as u64) < size {
            let start = first + leaves.len() as u64;
            let page = self.get(&format!("get-entries?start={start}&end={}", size - 1)).await;
            let entries = page["entries"].as_array().unwrap_or_else(|| panic!("entries in {page}"));
            assert!(!entries.is_empty(), "no entries from {start} on");
            leaves.extend(
                entries.iter().map(|entry| STANDARD.decode(entry["leaf_input"].as_str().expect("base64")).expect("base64")),
            );
        }
        leaves
    }

    /// Checks that the log proves `new` to contain `old`, and that its entries have the root of `new`.
    ///
    /// # Panics
    /// It does not.
    pub async fn assert_grown(&self, old: &TreeHead, new: &TreeHead) {
        self.assert_extends(old, new).await;
        let mut range = CompactRange::new();
        self.leaves(new.size).await.iter().for_each(|leaf| range.append(leaf_hash(leaf)));
        assert_eq!(range.root(), new.root);
    }

    /// Checks that the log proves `new` to contain `old`.
    ///
    /// # Panics
    /// It does not.
    pub async fn assert_extends(&self, old: &TreeHead, new: &TreeHead) {
        assert!(old.timestamp <= new.timestamp, "time went back from {} to {}", old.timestamp, new.timestamp);
        let proof = self.get(&format!("get-sth-consistency?first={}&second={}", old.size, new.size)).await;
        let proof: Vec<Hash> = proof["consistency"].as_array().expect("a list").iter().map(hash).collect();
        verify_consistency(old.size, new.size, &proof, &old.root, &new.root).expect("the log has only grown");
    }

    async fn get(&self, call: &str) -> Value {
        let answer =
            self.http.get(format!("{}/ct/v1/{call}", self.url)).send().await.unwrap_or_else(|error| panic!("{call}: {error}"));
        assert_eq!(answer.status(), 200, "{call}");
        answer.json().await.expect("JSON")
    }
}

fn hash(value: &Value) -> Hash {
    let bytes = STANDARD.decode(value.as_str().expect("base64")).expect("base64");
    Hash::try_from(bytes.as_slice()).expect("a hash has 32 bytes")
}
