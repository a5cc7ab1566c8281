//! `GET` and `HEAD` of checkpoint, tiles and entry bundles: what monitors and tile clients read.
//!
//! Nothing beyond the log's own signed checkpoint is ever served, so what a reader gets can be verified against it, or against the next
//! one that witnesses have cosigned.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use chassis::layers::Failure;
use chassis::reason::coded;
use merkle::{Tile, TileKind, TilePath};
use note::KeyHint;

use super::App;
use super::gateway::{Code, problem};
use crate::witness::NotCosigned;

/// The newest published checkpoint.
pub(super) async fn checkpoint(State(app): State<Arc<App>>, request: HeaderMap) -> Result<Response, ReadError> {
    let head = app.checkpoint()?;
    let tag = format!("\"{}\"", hex::encode(&digest(&SHA256, head.note.as_bytes()).as_ref()[..16]));
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        (header::ETAG, tag.as_str()),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ];
    if names(&request, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, headers).into_response());
    }
    Ok((headers, head.note.clone()).into_response())
}

/// A hash tile or an entry bundle, full or partial.
pub(super) async fn tile(State(app): State<Arc<App>>, uri: Uri, request: HeaderMap) -> Result<Response, ReadError> {
    // Of the path as it was sent, without percent decoding: a tile has one name.
    let path: TilePath = uri.path().trim_start_matches('/').parse().map_err(|_| ReadError::NotThere)?;
    let TilePath { kind, index, width } = path;
    // What a path of this log has never changes: its name is its tag.
    let tag = format!("\"{}-{path}\"", KeyHint::of(&app.log_id));
    let level = match kind {
        TileKind::Hashes(level) => level,
        TileKind::Entries => 0,
        TileKind::Data => return Err(ReadError::NotThere),
    };
    let tile = Tile { level, index, width };
    if !tile.exists_in(app.log.reach(tile.least_size()).await.size) {
        return Err(ReadError::NotThere);
    }
    if names(&request, &tag) {
        return Ok((StatusCode::NOT_MODIFIED, forever(&tag)).into_response());
    }
    let content = match kind {
        TileKind::Entries => Some(app.bundles.read(&app.log, index, width).await?),
        TileKind::Hashes(_) | TileKind::Data => app.log.tile(level, index, width).await?,
    };
    content.map(|content| (forever(&tag), content).into_response()).ok_or(ReadError::NotThere)
}

/// The content of a path is fixed for ever: full or partial, it depends on leaves alone.
fn forever(tag: &str) -> [(HeaderName, &str); 4] {
    [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CACHE_CONTROL, "max-age=604800,immutable"),
        (header::ETAG, tag),
        (header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"),
    ]
}

/// Whether the request's `If-None-Match` names this tag.
fn names(request: &HeaderMap, tag: &str) -> bool {
    let values = request.get_all(header::IF_NONE_MATCH).into_iter().filter_map(|value| value.to_str().ok());
    let mut tags = values.flat_map(|value| value.split(',')).map(|one| one.trim().trim_start_matches("W/"));
    tags.any(|one| one == "*" || one == tag)
}

/// A tile or bundle was not served.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadError {
    /// The path names nothing, or nothing that the published checkpoint covers.
    #[error("no such tile; the checkpoint says how far the log reaches")]
    NotThere,
    /// There is no checkpoint that witnesses have cosigned.
    #[error(transparent)]
    NotCosigned(#[from] NotCosigned),
    /// It is there and could not be read.
    #[error("the tile could not be read")]
    Store(#[from] tlog::StoreError),
}

impl IntoResponse for ReadError {
    fn into_response(self) -> Response {
        let (status, code, reason) = match &self {
            Self::NotThere => (StatusCode::NOT_FOUND, Code::NotFound, "tile_not_found"),
            Self::NotCosigned(_) => (StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, "log_not_cosigned"),
            Self::Store(error) if error.is_passing() => (StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, error.code()),
            Self::Store(error) => (StatusCode::INTERNAL_SERVER_ERROR, Code::Unknown, error.code()),
        };
        let mut response = problem(status, code, &coded(reason, &self.to_string()));
        // What is missing now may be there in a second.
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Failure::new(reason, &self).attach(response)
    }
}
