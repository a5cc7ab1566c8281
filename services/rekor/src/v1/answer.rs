//! A logged entry with its promise and its proof.

use std::sync::Arc;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use jiff::Timestamp;
use merkle::Hash;
use serde::Serialize;
use tlog::SignedTreeHead;

use super::entry_id::EntryId;
use super::error::ApiError;
use super::media::JSON;
use super::metric;
use super::view::Tree;

/// An entry as its tree has it, and its audit path in the tree of `head`.
#[derive(Debug)]
pub(super) struct Proven {
    /// In this tree.
    pub(super) index: u64,
    pub(super) time: Timestamp,
    pub(super) body: Vec<u8>,
    pub(super) proof: Vec<Hash>,
    pub(super) head: Arc<SignedTreeHead>,
}

/// An entry ready to be answered: its name, and `{"<name>":{…}}`.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) id: EntryId,
    pub(super) json: String,
}

impl Tree<'_> {
    /// Signs the promise over what was stored, and writes the entry.
    ///
    /// Signed again each time it is read, as in upstream's server: over the same bytes, and only ever over what is durable.
    ///
    /// # Errors
    /// [`ApiError::Proof`] when the proof does not lead from the leaf to the root of that checkpoint: an answer that no client could
    /// verify is not given. [`ApiError::Sign`] when the key cannot be used; sending or asking again is always safe.
    pub(super) async fn answer(&self, entry: Proven) -> Result<Answer, ApiError> {
        let Proven { index, time, body, proof, head } = entry;
        let leaf = merkle::leaf_hash(&body);
        if merkle::verify_inclusion(&leaf, index, head.size, &proof, &head.root).is_err() {
            metric::proof_failure();
            return Err(ApiError::Proof { index });
        }
        let body = BASE64_STANDARD.encode(body);
        let log_id = self.shard.log.key_id().to_string();
        // What is promised counts over all trees, what is proven is in this one.
        let promised = Promised { body: &body, integrated_time: seconds(time), log_id: &log_id, log_index: self.first + index };
        let promise = self.shard.key.sign(&promised.to_json()).await?;
        let value = Logged {
            promised,
            verification: Verification {
                inclusion_proof: InclusionProof {
                    checkpoint: &head.note,
                    hashes: proof.iter().map(Hash::to_string).collect(),
                    log_index: index,
                    root_hash: head.root.to_string(),
                    tree_size: head.size,
                },
                signed_entry_timestamp: BASE64_STANDARD.encode(promise),
            },
        };
        let id = EntryId { tree: self.shard.tree, leaf };
        Ok(Answer { id, json: format!("{{\"{id}\":{}}}", to_json(&value)) })
    }
}

/// What the log promises of an entry, in the order of RFC 8785: written without spaces, these are the signed bytes.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Promised<'a> {
    pub(super) body: &'a str,
    pub(super) integrated_time: i64,
    #[serde(rename = "logID")]
    pub(super) log_id: &'a str,
    pub(super) log_index: u64,
}

impl Promised<'_> {
    pub(super) fn to_json(&self) -> Vec<u8> {
        to_json(self).into_bytes()
    }
}

/// Members in alphabetical order, none but these: some clients cut the text at fixed places, others refuse what they do not know.
#[derive(Serialize)]
struct Logged<'a> {
    #[serde(flatten)]
    promised: Promised<'a>,
    verification: Verification<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Verification<'a> {
    inclusion_proof: InclusionProof<'a>,
    signed_entry_timestamp: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct InclusionProof<'a> {
    checkpoint: &'a str,
    hashes: Vec<String>,
    log_index: u64,
    root_hash: String,
    tree_size: u64,
}

/// Whole seconds, rounded down: a certificate that was valid from this second on was there before.
fn seconds(time: Timestamp) -> i64 {
    time.as_millisecond().div_euclid(1_000)
}

pub(super) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("strings, numbers and lists always have a JSON form")
}

/// A JSON body, with the newline at its end that one client counts on.
pub(super) fn json_answer(status: StatusCode, mut body: String) -> Response {
    body.push('\n');
    (status, [(header::CONTENT_TYPE, HeaderValue::from_static(JSON))], body).into_response()
}
