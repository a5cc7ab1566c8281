//! The HTTP face: plain files. 404 says that there is none, which clients rely on when they look for the next root, and
//! nothing else ever says it.

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use chassis::layers::{Failure, Stack};
use http::{HeaderValue, StatusCode, Uri, header};

use crate::names::FileName;
use crate::store::{Directory, Files as _};

/// Serves the repository in `directory`: GET and HEAD of the names of the layout, and of no others.
pub(crate) fn router(directory: Directory) -> Router {
    let files = Router::new().route("/{*path}", get(file)).fallback(|| async { StatusCode::NOT_FOUND }).with_state(directory);
    Stack::new("tuf").body_limit(1024).apply(files)
}

async fn file(State(directory): State<Directory>, uri: Uri) -> Response {
    // The path as it was sent: an escaped spelling of a name is another name, and names nothing.
    let Some(name) = uri.path().strip_prefix('/').and_then(FileName::parse) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let asked = name.clone();
    match tokio::task::spawn_blocking(move || directory.read(&asked)).await {
        Ok(Ok(Some(bytes))) => found(&name, bytes),
        Ok(Ok(None)) => StatusCode::NOT_FOUND.into_response(),
        // Not 404: a client must not take a failing disk for the absence of a newer root.
        Ok(Err(error)) => Failure::new("tuf_storage", &error).attach(StatusCode::SERVICE_UNAVAILABLE.into_response()),
        Err(error) => Failure::new("tuf_storage", &error).attach(StatusCode::SERVICE_UNAVAILABLE.into_response()),
    }
}

fn found(name: &FileName, bytes: Vec<u8>) -> Response {
    const JSON: HeaderValue = HeaderValue::from_static("application/json");
    const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");
    const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
    const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");

    let mut response = Response::new(Body::from(bytes));
    let content = if matches!(name, FileName::Target(..)) { BYTES } else { JSON };
    let cache = if name.is_immutable() { FOR_EVER } else { ASK_AGAIN };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, content);
    headers.insert(header::CACHE_CONTROL, cache);
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
