//! `dev.sigstore.rekor.v1.TransparencyLogEntry`: what a log answers and a bundle carries.

use serde::{Deserialize, Serialize};

use crate::wire::{Base64, int64, nullable};

/// One entry of a transparency log with the proof that it is there.
///
/// Written with every default printed: `"logIndex":"0"`, `"hashes":[]`, `"inclusionPromise":null`. A v2 entry is known by
/// `integrated_time` 0 and no promise. Omitted defaults at index 0 break sigstore-python, so nothing is ever omitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TransparencyLogEntry {
    /// Position in the log (shard), from 0.
    #[serde(with = "int64", default)]
    pub log_index: u64,
    /// Which log.
    pub log_id: LogId,
    /// What kind of entry `canonicalized_body` is.
    pub kind_version: KindVersion,
    /// Seconds since 1970 at which a v1 log took the entry in; 0 for v2.
    #[serde(with = "int64", default)]
    pub integrated_time: i64,
    /// The v1 log's signed entry timestamp; none for v2.
    #[serde(default)]
    pub inclusion_promise: Option<InclusionPromise>,
    /// Proof against a checkpoint; absent only in v0.1 bundles.
    #[serde(default)]
    pub inclusion_proof: Option<InclusionProof>,
    /// The leaf data, byte for byte as it was hashed.
    #[serde(default, deserialize_with = "nullable")]
    pub canonicalized_body: Base64,
}

impl TransparencyLogEntry {
    /// The JSON text, on one line.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        // Base64 makes four bytes of three; a proof of the longest tree and a checkpoint fit into the rest.
        let mut json = Vec::with_capacity(self.canonicalized_body.len() * 4 / 3 + 4096);
        serde_json::to_writer(&mut json, self).expect("strings, numbers and lists always have a JSON form");
        json
    }
}

/// `dev.sigstore.common.v1.LogId`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LogId {
    /// 32 bytes: SHA-256 of the SPKI (v1, CT, every ECDSA key), or the note key hash (Rekor v2 with Ed25519).
    pub key_id: Base64,
}

/// `dev.sigstore.rekor.v1.KindVersion`, such as `hashedrekord` `0.0.2`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KindVersion {
    /// `hashedrekord`, `dsse`, …
    pub kind: String,
    /// `0.0.1` or `0.0.2`.
    pub version: String,
}

/// `dev.sigstore.rekor.v1.InclusionPromise`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InclusionPromise {
    /// The log's signature over body, time, index and log id.
    pub signed_entry_timestamp: Base64,
}

/// `dev.sigstore.rekor.v1.InclusionProof`: index, size, root and checkpoint all belong to one tree head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InclusionProof {
    /// Position in the tree; in v1 it differs from the entry's index when the log has several shards.
    #[serde(with = "int64", default)]
    pub log_index: u64,
    /// The 32 raw bytes of the root hash.
    pub root_hash: Base64,
    /// Number of leaves of that tree.
    #[serde(with = "int64", default)]
    pub tree_size: u64,
    /// Sibling hashes from the leaf up; empty in a tree of one.
    #[serde(default, deserialize_with = "nullable")]
    pub hashes: Vec<Base64>,
    /// The signed head.
    pub checkpoint: Checkpoint,
}

/// `dev.sigstore.rekor.v1.Checkpoint`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The whole signed note, with its final newline.
    pub envelope: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn first_entry() -> TransparencyLogEntry {
        TransparencyLogEntry {
            log_index: 0,
            log_id: LogId { key_id: [7; 32].into() },
            kind_version: KindVersion { kind: "hashedrekord".into(), version: "0.0.2".into() },
            integrated_time: 0,
            inclusion_promise: None,
            inclusion_proof: Some(InclusionProof {
                log_index: 0,
                root_hash: [8; 32].into(),
                tree_size: 1,
                hashes: vec![],
                checkpoint: Checkpoint { envelope: "log\n1\nroot\n\n— log sig\n".into() },
            }),
            canonicalized_body: b"{}".as_slice().into(),
        }
    }

    #[test]
    fn the_first_entry_of_a_log_prints_every_default() {
        let key_id = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
        let root = "CAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAg=";
        let expected = format!(
            r#"{{"logIndex":"0","logId":{{"keyId":"{key_id}"}},"kindVersion":{{"kind":"hashedrekord","version":"0.0.2"}},"integratedTime":"0","inclusionPromise":null,"inclusionProof":{{"logIndex":"0","rootHash":"{root}","treeSize":"1","hashes":[],"checkpoint":{{"envelope":"log\n1\nroot\n\n— log sig\n"}}}},"canonicalizedBody":"e30="}}"#
        );
        assert_eq!(String::from_utf8(first_entry().to_json()).unwrap(), expected);
    }

    #[test]
    fn what_go_omits_or_writes_as_numbers_is_read() {
        let read: TransparencyLogEntry = serde_json::from_value(json!({
            "logId": {"keyId": Base64::from([7; 32])},
            "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
            "integratedTime": null,
            "inclusionProof": {"rootHash": Base64::from([8; 32]), "treeSize": 1, "hashes": null,
                               "checkpoint": {"envelope": "log\n1\nroot\n\n— log sig\n"}},
            "canonicalizedBody": "e30",
            "aMemberOfTomorrow": true,
        }))
        .unwrap();
        assert_eq!(read, first_entry());
    }

    #[test]
    fn integers_out_of_range_are_refused() {
        for index in [json!("-1"), json!(-1), json!("18446744073709551616"), json!(1.5), json!("1.0"), json!("")] {
            let mut value = serde_json::to_value(first_entry()).unwrap();
            value["logIndex"] = index.clone();
            assert!(serde_json::from_value::<TransparencyLogEntry>(value).is_err(), "{index}");
        }
    }

    proptest! {
        #[test]
        fn every_entry_comes_back(index: u64, size: u64, time: i64, body: Vec<u8>, hashes: Vec<Vec<u8>>, promise: Option<Vec<u8>>) {
            let mut entry = first_entry();
            entry.log_index = index;
            entry.integrated_time = time;
            entry.inclusion_promise = promise.map(|set| InclusionPromise { signed_entry_timestamp: set.into() });
            entry.canonicalized_body = body.into();
            let proof = entry.inclusion_proof.as_mut().unwrap();
            proof.log_index = index;
            proof.tree_size = size;
            proof.hashes = hashes.into_iter().map(Base64).collect();
            prop_assert_eq!(serde_json::from_slice::<TransparencyLogEntry>(&entry.to_json()).unwrap(), entry);
        }
    }
}
