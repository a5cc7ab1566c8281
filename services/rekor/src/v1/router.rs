//! The routes.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn};
use axum::response::{Html, Response};
use axum::routing::{MethodRouter, get, post};
use chassis::layers::Stack;
use tower_http::cors::{Any, CorsLayer};

use super::error::{problem, refused};
use super::write::ENTRIES;
use super::{App, info, metric, read, retrieve, search, write};

/// The longest request body, 32 MiB: what upstream's own tests send, and more than any attestation should have.
pub const MAX_REQUEST: usize = 32 << 20;

/// Large bodies in memory together. What is made of one while it is verified is up to three times as much again.
const BODY_MEMORY: usize = 64 << 20;

/// How long a request may take, its body included.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// Everything the log answers.
pub(super) fn router(app: Arc<App>) -> Router {
    let routes: [(&str, MethodRouter<Arc<App>>); 7] = [
        ("/api/v1/log", get(info::log_info)),
        ("/api/v1/log/publicKey", get(info::public_key)),
        ("/api/v1/log/proof", get(info::proof)),
        (ENTRIES, get(read::by_index).post(write::create_entry)),
        ("/api/v1/log/entries/retrieve", post(retrieve::retrieve)),
        ("/api/v1/log/entries/{entryUUID}", get(read::by_uuid)),
        ("/api/v1/index/retrieve", post(search::search)),
    ];
    // With a slash at the end each is the same: sigstore-python sends one, and would turn a redirected POST into a GET without a body.
    let api = routes
        .into_iter()
        .fold(Router::new(), |router, (path, methods)| router.route(path, methods.clone()).route(&format!("{path}/"), methods));
    let routes = api
        .route_layer(from_fn(metric::by_api))
        .route("/ping", get(async || "."))
        .route("/", get(async || Html(HOME)))
        .method_not_allowed_fallback(wrong_method)
        .fallback(not_found)
        .with_state(app);
    let stack = Stack::new("rekor_v1").time_limit(TIME_LIMIT).body_limit(MAX_REQUEST).body_memory(BODY_MEMORY);
    stack.refuse_with(refused).apply(routes).layer(from_fn(uncached)).layer(cors())
}

const HOME: &str =
    "<!doctype html><title>Rekor</title><h1>Rekor</h1><p>A transparency log. Its API is below <code>/api/v1</code>.</p>\n";

/// Pages of other origins may read and write: the log's search page is one of them, and nothing here is anybody's secret.
fn cors() -> CorsLayer {
    let headers = [header::ACCEPT, header::CONTENT_TYPE, header::HeaderName::from_static("x-requested-with")];
    CorsLayer::new().allow_origin(Any).allow_methods([Method::GET, Method::POST, Method::HEAD]).allow_headers(headers)
}

/// Nothing here is to be kept or changed on its way. A proxy that compresses weakens the `ETag`, by which clients find their entry.
async fn uncached(request: Request, next: Next) -> Response {
    const NEVER: [(header::HeaderName, &str); 4] = [
        (header::CACHE_CONTROL, "no-cache, no-store, no-transform, must-revalidate, private, max-age=0"),
        (header::EXPIRES, "Thu, 01 Jan 1970 00:00:00 UTC"),
        (header::PRAGMA, "no-cache"),
        (header::HeaderName::from_static("x-accel-expires"), "0"),
    ];
    let mut response = next.run(request).await;
    for (name, value) in NEVER {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn wrong_method(method: Method, uri: Uri) -> Response {
    let reads = uri.path().trim_end_matches('/').ends_with("/retrieve");
    let allowed = match uri.path().trim_end_matches('/') {
        ENTRIES => "GET,POST",
        _ if reads => "POST",
        _ => "GET",
    };
    let text = format!("method {method} is not allowed, but [{allowed}] are");
    let status = StatusCode::METHOD_NOT_ALLOWED;
    problem(status, status.as_u16(), "method_not_allowed", &text)
}

async fn not_found(uri: Uri) -> Response {
    let text = format!("path {} was not found", uri.path());
    let status = StatusCode::NOT_FOUND;
    problem(status, status.as_u16(), "path_not_found", &text)
}
