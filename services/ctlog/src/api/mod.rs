//! RFC 6962 §4 over HTTP.

mod read;
mod write;

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use chassis::layers::{Refusal, Stack};
use chassis::reason::coded;

use crate::start::App;

/// The longest request body, 64 KiB: a chain of three certificates has about 3 KiB.
const MAX_REQUEST: usize = 64 << 10;

/// The routes of a log.
pub(crate) fn router(app: Arc<App>) -> Router {
    let routes = Router::new()
        .route("/ct/v1/add-chain", post(write::add_chain))
        .route("/ct/v1/add-pre-chain", post(write::add_pre_chain))
        .route("/ct/v1/get-roots", get(read::roots))
        .route("/ct/v1/get-sth", get(read::sth))
        .route("/ct/v1/get-sth-consistency", get(read::consistency))
        .route("/ct/v1/get-proof-by-hash", get(read::proof_by_hash))
        .route("/ct/v1/get-entries", get(read::entries))
        .route("/ct/v1/get-entry-and-proof", get(read::entry_and_proof))
        .route("/healthz", get(|| async { "ok" }))
        .method_not_allowed_fallback(wrong_method)
        .fallback(not_found)
        .with_state(app);
    Stack::new("ctlog").body_limit(MAX_REQUEST).refuse_with(Refusal::plain_text).apply(routes)
}

async fn wrong_method(method: Method, uri: Uri) -> Response {
    let expected = if uri.path().starts_with("/ct/v1/add-") { "POST" } else { "GET" };
    let text = coded("method_not_allowed", &format!("{method} is not a method of {}; expected {expected}", uri.path()));
    (StatusCode::METHOD_NOT_ALLOWED, text).into_response()
}

async fn not_found(uri: Uri) -> Response {
    let text = format!("{} is no path of a certificate transparency log; they begin with /ct/v1/", uri.path());
    (StatusCode::NOT_FOUND, coded("path_not_found", &text)).into_response()
}
