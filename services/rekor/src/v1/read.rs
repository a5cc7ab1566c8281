//! Entries by index and by id.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;
use tlog::{ReadError, SignedTreeHead, Stored};

use super::App;
use super::answer::{Answer, Proven, json_answer};
use super::entry_id::{Named, NoName, parse};
use super::error::ApiError;
use super::media::{JSON, takes};
use super::schema::{SchemaError, number};

/// `GET /api/v1/log/entries?logIndex=`
pub(super) async fn by_index(State(app): State<Arc<App>>, uri: Uri, headers: HeaderMap) -> Result<Response, ApiError> {
    takes(&headers, JSON)?;
    let index = number(uri.query(), "logIndex", 0)?.ok_or_else(|| SchemaError::required("logIndex", "query"))?;
    let found = app.at(index, app.log.checkpoint()).await?.ok_or(ApiError::NotFound)?;
    Ok(json_answer(StatusCode::OK, found.json))
}

/// `GET /api/v1/log/entries/{entryUUID}`
pub(super) async fn by_uuid(
    State(app): State<Arc<App>>,
    Path(uuid): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    takes(&headers, JSON)?;
    let named = parse(&uuid).map_err(|error| match error {
        NoName::Pattern => SchemaError::pattern("entryUUID", "path", PATTERN).into(),
        NoName::Tree(tree) => ApiError::NoTree { tree },
    })?;
    let found = app.named(named, app.log.checkpoint()).await?.ok_or(ApiError::NotFound)?;
    Ok(json_answer(StatusCode::OK, found.json))
}

/// The form of a name.
pub(super) const PATTERN: &str = "^([0-9a-fA-F]{64}|[0-9a-fA-F]{80})$";

impl App {
    /// The entry of this name in the tree of `head`; none when it has no such entry, or it is said to be in another tree.
    pub(super) async fn named(&self, named: Named, head: Arc<SignedTreeHead>) -> Result<Option<Answer>, ApiError> {
        let leaf = match named {
            Named::Leaf(leaf) => leaf,
            Named::Entry(id) if id.tree == self.tree => id.leaf,
            Named::Entry(_) => return Ok(None),
        };
        match self.log.index_of(&leaf).await? {
            // Logged after `head` was taken: the newest one covers it.
            Some(index) if index >= head.size => self.at(index, self.log.checkpoint()).await,
            Some(index) => self.at(index, head).await,
            None => Ok(None),
        }
    }

    /// The entry at this index, with its proof in the tree of `head`; none beyond that.
    pub(super) async fn at(&self, index: u64, head: Arc<SignedTreeHead>) -> Result<Option<Answer>, ApiError> {
        if index >= head.size {
            return Ok(None);
        }
        let Some(Stored { time, data, .. }) = self.log.entries(index..index + 1).await?.pop() else { return Ok(None) };
        let proof = self.log.inclusion_proof(index, head.size).await.map_err(|error| match error {
            ReadError::Store(error) => ApiError::Store(error),
            error @ (ReadError::OutOfRange(_) | ReadError::Beyond { .. }) => ApiError::Read(error),
        })?;
        self.answer(Proven { index, time, body: data, proof, head }).await.map(Some)
    }
}
