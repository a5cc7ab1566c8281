//! What is signed, and the tree it is logged in.

use merkle::{Hash, leaf_hash, node_hash};
use serde_json::{Value, json};

use super::{Key, What, World, base64};

/// A signature and what it is over.
pub(super) struct Content {
    pub(super) member: &'static str,
    pub(super) json: Value,
    pub(super) signed: Vec<u8>,
    pub(super) payload: Vec<u8>,
    pub(super) signature: Vec<u8>,
}

impl Content {
    pub(super) fn sign(what: &What, key: &Key) -> Self {
        let hash = key.public.kind().hash();
        match what {
            What::Message(message) => {
                let signature = key.sign(message);
                let algorithm = format!("SHA2_{}", hash.len() * 8);
                let digest = json!({"algorithm": algorithm, "digest": base64(&hash.digest(message))});
                let json = json!({"messageDigest": digest, "signature": base64(&signature)});
                Self { member: "messageSignature", json, signed: message.clone(), payload: vec![], signature }
            }
            What::Envelope { payload_type, statement } => {
                let payload = statement.to_string().into_bytes();
                let mut signed = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
                signed.extend(&payload);
                let signature = key.sign(&signed);
                let json = json!({
                    "payload": base64(&payload),
                    "payloadType": payload_type,
                    "signatures": [{"sig": base64(&signature), "keyid": ""}],
                });
                Self { member: "dsseEnvelope", json, signed, payload, signature }
            }
        }
    }
}

impl Content {
    /// Kind, version and content of the entry that clients of Rekor v1 make of it by themselves.
    pub(super) fn entry_v1(&self, verifier: &str) -> (&'static str, &'static str, Value) {
        let (signature, verifier) = (base64(&self.signature), base64(verifier.as_bytes()));
        if self.member == "messageSignature" {
            let spec = json!({
                "data": {"hash": sha256(&self.signed)},
                "signature": {"content": signature, "publicKey": {"content": verifier}},
            });
            return ("hashedrekord", "0.0.1", spec);
        }
        let spec = json!({
            "envelopeHash": sha256(self.json.to_string().as_bytes()),
            "payloadHash": sha256(&self.payload),
            "signatures": [{"signature": signature, "verifier": verifier}],
        });
        ("dsse", "0.0.1", spec)
    }

    /// The other kind that there is for envelopes; its signature is in base64 twice.
    pub(super) fn entry_in_toto(&self, verifier: &str) -> (&'static str, &'static str, Value) {
        let signature = base64(base64(&self.signature).as_bytes());
        let spec = json!({"content": {
            "envelope": {
                "payloadType": self.json["payloadType"],
                "signatures": [{"publicKey": base64(verifier.as_bytes()), "sig": signature}],
            },
            "hash": sha256(self.json.to_string().as_bytes()),
            "payloadHash": sha256(&self.payload),
        }});
        ("intoto", "0.0.2", spec)
    }
}

fn sha256(bytes: &[u8]) -> Value {
    json!({"algorithm": "sha256", "value": hex::encode(pki::HashAlgorithm::Sha256.digest(bytes))})
}

/// A tree of four leaves, the third of which is ours.
pub(super) struct Tree([Hash; 4]);

impl Tree {
    pub(super) fn around(body: &[u8]) -> Self {
        Self([leaf_hash(b"seed 0"), leaf_hash(b"seed 1"), leaf_hash(body), leaf_hash(b"a later one")])
    }

    pub(super) fn prove(&self, origin: &str, name: &str, key: &Key, extensions: &[&str]) -> Value {
        let [a, b, c, d] = &self.0;
        let (left, right) = (node_hash(a, b), node_hash(c, d));
        let root = node_hash(&left, &right);
        let mut text = note::Checkpoint::new(origin, 4, root).text();
        extensions.iter().for_each(|line| text.extend([line, "\n"]));
        json!({
            "logIndex": "2",
            "treeSize": "4",
            "rootHash": base64(root.as_bytes()),
            "hashes": [base64(d.as_bytes()), base64(left.as_bytes())],
            "checkpoint": {"envelope": World::checkpoint(&text, name, key)},
        })
    }
}
