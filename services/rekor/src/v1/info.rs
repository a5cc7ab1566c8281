//! The tree itself: its head, its key, and that it only grew.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use merkle::Hash;
use serde::Serialize;
use tlog::ReadError;

use super::answer::{json_answer, to_json};
use super::error::ApiError;
use super::media::{JSON, takes};
use super::schema::{SchemaError, number, parameter};
use super::{App, TreeId};

/// What the log says of itself, members in alphabetical order.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogInfo<'a> {
    inactive_shards: [(); 0],
    root_hash: String,
    signed_tree_head: &'a str,
    #[serde(rename = "treeID")]
    tree_id: String,
    tree_size: u64,
}

/// `GET /api/v1/log`. The head is signed once for each batch, and all of this is of one head.
pub(super) async fn log_info(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, ApiError> {
    takes(&headers, JSON)?;
    let head = app.log.checkpoint();
    let info = LogInfo {
        inactive_shards: [],
        root_hash: head.root.to_string(),
        signed_tree_head: &head.note,
        tree_id: app.tree.to_string(),
        tree_size: head.size,
    };
    Ok(json_answer(StatusCode::OK, to_json(&info)))
}

/// `GET /api/v1/log/publicKey?treeID=`
pub(super) async fn public_key(State(app): State<Arc<App>>, uri: Uri, headers: HeaderMap) -> Result<Response, ApiError> {
    const PEM: &str = "application/x-pem-file";
    takes(&headers, PEM)?;
    app.check_tree(uri.query(), "Bad Request: ")?;
    let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static(PEM))];
    Ok((content_type, app.key.public_key().to_pem()).into_response())
}

/// The proof that one tree is the beginning of another, and the root of the tree as it is now.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConsistencyProof {
    hashes: Vec<String>,
    root_hash: String,
}

/// `GET /api/v1/log/proof?firstSize=&lastSize=&treeID=`
///
/// The root is not that of `lastSize`: that is how this contract has it, and nobody may take it for that.
pub(super) async fn proof(State(app): State<Arc<App>>, uri: Uri, headers: HeaderMap) -> Result<Response, ApiError> {
    takes(&headers, JSON)?;
    let first = number(uri.query(), "firstSize", 1)?.unwrap_or(1);
    let last = number(uri.query(), "lastSize", 1)?.ok_or_else(|| SchemaError::required("lastSize", "query"))?;
    // A number that cannot be a tree is refused by its form, before the sizes are looked at.
    app.check_tree(uri.query(), "")?;
    if first > last {
        return Err(ApiError::Sizes { first, last });
    }
    let head = app.log.checkpoint();
    if last > head.size {
        return Err(ApiError::Beyond { asked: last, published: head.size });
    }
    let hashes = app.log.consistency_proof(first, last).await.map_err(|error| match error {
        ReadError::Store(error) => ApiError::Store(error),
        error @ (ReadError::OutOfRange(_) | ReadError::Beyond { .. }) => ApiError::Read(error),
    })?;
    let proof = ConsistencyProof { hashes: hashes.iter().map(Hash::to_string).collect(), root_hash: head.root.to_string() };
    Ok(json_answer(StatusCode::OK, to_json(&proof)))
}

impl App {
    /// Checks that the tree asked for, if any, is this log's.
    fn check_tree(&self, query: Option<&str>, phrase: &'static str) -> Result<(), ApiError> {
        let Some(text) = parameter(query, "treeID") else { return Ok(()) };
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(SchemaError::pattern("treeID", "query", "^[0-9]+$").into());
        }
        // Leading zeros make no other number here.
        let digits = text.trim_start_matches('0');
        if digits.parse::<TreeId>().is_ok_and(|tree| tree == self.tree) {
            return Ok(());
        }
        let tree = text.chars().take(20).collect();
        Err(ApiError::UnknownTree { phrase, tree, ours: self.tree })
    }
}
