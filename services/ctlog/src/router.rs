//! The routes.

use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use axum::routing::{get, post};
use chassis::layers::Stack;
use http::{Method, StatusCode, Uri};

use crate::error::plain;
use crate::{App, read, write};

/// The longest request body. A chain of three P-384 certificates is about 3 KiB.
pub const MAX_REQUEST: usize = 64 << 10;

/// Everything the log answers, at the root and, when its public URL has a path, below that too: a proxy may or may not strip it.
pub(crate) fn router(app: Arc<App>, prefix: Option<&str>) -> Router {
    let routes = Router::new()
        .route("/ct/v1/add-chain", post(write::add_chain))
        .route("/ct/v1/add-pre-chain", post(write::add_pre_chain))
        .route("/ct/v1/get-roots", get(read::get_roots))
        .route("/ct/v1/get-sth", get(read::get_sth))
        .route("/ct/v1/get-sth-consistency", get(read::get_sth_consistency))
        .route("/ct/v1/get-proof-by-hash", get(read::get_proof_by_hash))
        .route("/ct/v1/get-entries", get(read::get_entries))
        .route("/ct/v1/get-entry-and-proof", get(read::get_entry_and_proof));
    let routes = match prefix {
        Some(prefix) => routes.clone().nest(prefix, routes),
        None => routes,
    };
    let routes = routes.fallback(not_found).method_not_allowed_fallback(wrong_method).with_state(app);
    Stack::new("ctlog").body_limit(MAX_REQUEST).apply(routes)
}

async fn not_found(uri: Uri) -> Response {
    let text = format!("there is no {}; a CT log answers below /ct/v1/", uri.path());
    plain(StatusCode::NOT_FOUND, "path_not_found", &text)
}

async fn wrong_method(method: Method) -> Response {
    let text = format!("{method} is not a method of this path; chains are added with POST, all else is read with GET");
    plain(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", &text)
}
