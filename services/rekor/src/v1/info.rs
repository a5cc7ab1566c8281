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
use super::view::{Tree, View};
use super::{App, TreeId};

/// What the log says of itself, members in alphabetical order: of the tree that takes entries, and of those before it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LogInfo<'a> {
    /// Oldest first.
    inactive_shards: Vec<TreeInfo<'a>>,
    #[serde(flatten)]
    active: TreeInfo<'a>,
}

/// What it says of one tree.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TreeInfo<'a> {
    root_hash: String,
    signed_tree_head: &'a str,
    #[serde(rename = "treeID")]
    tree_id: String,
    tree_size: u64,
}

impl<'a> TreeInfo<'a> {
    fn of(tree: &'a Tree<'_>) -> Self {
        let head = &tree.head;
        Self {
            root_hash: head.root.to_string(),
            signed_tree_head: &head.note,
            tree_id: tree.shard.tree.to_string(),
            tree_size: head.size,
        }
    }
}

/// `GET /api/v1/log`. A head is signed once for each batch, and all of this is of one head of each tree.
pub(super) async fn log_info(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, ApiError> {
    takes(&headers, JSON)?;
    let view = app.view();
    let inactive_shards = view.inactive().iter().map(TreeInfo::of).collect();
    let info = LogInfo { inactive_shards, active: TreeInfo::of(view.active()) };
    Ok(json_answer(StatusCode::OK, to_json(&info)))
}

/// `GET /api/v1/log/publicKey?treeID=`
pub(super) async fn public_key(State(app): State<Arc<App>>, uri: Uri, headers: HeaderMap) -> Result<Response, ApiError> {
    const PEM: &str = "application/x-pem-file";
    takes(&headers, PEM)?;
    let view = app.view();
    let tree = view.asked(uri.query(), "Bad Request: ")?;
    let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static(PEM))];
    Ok((content_type, tree.shard.key.public_key().to_pem()).into_response())
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
    let view = app.view();
    let Tree { shard, head, .. } = view.asked(uri.query(), "")?;
    if first > last {
        return Err(ApiError::Sizes { first, last });
    }
    let head = if last > head.size { &shard.log.reach(last).await } else { head };
    if last > head.size {
        return Err(ApiError::Beyond { asked: last, published: head.size });
    }
    let hashes = shard.log.consistency_proof(first, last).await.map_err(|error| match error {
        ReadError::Store(error) => ApiError::Store(error),
        error @ (ReadError::OutOfRange(_) | ReadError::Beyond { .. }) => ApiError::Read(error),
    })?;
    let proof = ConsistencyProof { hashes: hashes.iter().map(Hash::to_string).collect(), root_hash: head.root.to_string() };
    Ok(json_answer(StatusCode::OK, to_json(&proof)))
}

impl<'a> View<'a> {
    /// The tree asked for; the one that takes entries when none is.
    fn asked(&self, query: Option<&str>, phrase: &'static str) -> Result<&Tree<'a>, ApiError> {
        let Some(text) = parameter(query, "treeID") else { return Ok(self.active()) };
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(SchemaError::pattern("treeID", "query", "^[0-9]+$").into());
        }
        // Leading zeros make no other number here.
        let digits = text.trim_start_matches('0');
        let found = digits.parse::<TreeId>().ok().and_then(|tree| self.tree(tree));
        let tree = || text.chars().take(20).collect();
        found.ok_or_else(|| ApiError::UnknownTree { phrase, tree: tree(), ours: self.active().shard.tree })
    }
}
