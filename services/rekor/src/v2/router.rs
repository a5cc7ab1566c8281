//! The routes of this face. One handler per resource serves both layouts that clients know.

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use chassis::layers::{MetricNames, Refusal, Stack};
use chassis::reason::coded;

use super::gateway::{Code, json_answer, problem};
use super::{App, read, write};

/// The longest request body, 4 MiB.
pub(super) const MAX_REQUEST: usize = 4 << 20;

/// Writes, reads at the root (tile clients, monitors) and below `/api/v2` (the published specification), health.
pub(super) fn router(app: Arc<App>) -> Router {
    let reads = Router::new().route("/checkpoint", get(read::checkpoint)).route("/tile/{*path}", get(read::tile));
    let routes = Router::new()
        .route("/api/v2/log/entries", post(write::create_entry))
        .route("/healthz", get(healthz))
        .nest("/api/v2", reads.clone())
        .merge(reads)
        .method_not_allowed_fallback(wrong_method)
        .fallback(not_found)
        .with_state(app);
    let names = MetricNames {
        requests: Some("rekor_v2_http_requests_total"),
        latency: Some("rekor_v2_http_api_latency"),
        request_size: Some("rekor_v2_http_api_request_size"),
    };
    Stack::new("rekor_v2").body_limit(MAX_REQUEST).refuse_with(refused).count_as(names).apply(routes)
}

async fn healthz() -> Response {
    json_answer(StatusCode::OK, r#"{"status":"SERVING"}"#)
}

async fn wrong_method(method: Method) -> Response {
    let text = format!("{method} is not a method of this path; entries are written with POST, all else is read with GET");
    problem(StatusCode::NOT_IMPLEMENTED, Code::Unimplemented, &coded("method_not_allowed", &text))
}

async fn not_found() -> Response {
    let text = "no such path; a Rekor v2 log has /api/v2/log/entries, /checkpoint, /tile/LEVEL/NUMBER and /tile/entries/NUMBER";
    problem(StatusCode::NOT_FOUND, Code::NotFound, &coded("path_not_found", text))
}

/// What never reached a handler, or did not survive one. This contract knows no 413 and no 504.
fn refused(refusal: &Refusal) -> Response {
    let (status, code) = match refusal {
        Refusal::Panicked => (StatusCode::INTERNAL_SERVER_ERROR, Code::Internal),
        Refusal::TimedOut { .. } => (StatusCode::INTERNAL_SERVER_ERROR, Code::Unknown),
        Refusal::TooLarge { .. } | Refusal::CutShort => (StatusCode::BAD_REQUEST, Code::InvalidArgument),
    };
    problem(status, code, &refusal.reason())
}
