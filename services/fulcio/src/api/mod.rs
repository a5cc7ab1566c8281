//! The two faces: HTTP with JSON ([`http`]), and gRPC ([`grpc`]), on one port and on one set of steps ([`crate::issuance`]).

mod cors;
mod deadline;
mod errors;
pub mod fuzz;
mod grpc;
mod http;
mod json;
mod path;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::response::Response;
use chassis::layers::{MetricNames, Stack};
use tonic::Code;

use crate::App;

/// The largest body: 4 MiB, as gRPC's.
const MAX_BODY: usize = 4 << 20;
/// The largest gRPC body: one message of that size and its five bytes of frame.
const MAX_GRPC_BODY: usize = MAX_BODY + 5;
/// Above all bounds within: five seconds for an issuer, ten for the CT log.
const TIME_LIMIT: Duration = Duration::from_secs(20);

const METRICS: MetricNames = MetricNames { requests: None, latency: Some("fulcio_api_latency"), request_size: None };

/// Both faces, with their layers.
pub(crate) fn router(app: &Arc<App>) -> Router {
    let stack = Stack::new("fulcio").time_limit(TIME_LIMIT).count_as(METRICS).refuse_with(errors::refused);
    let routes = http::routes(Arc::clone(app)).fallback(unknown_path);
    let routes = path::collapsing_slashes(routes).layer(axum::middleware::from_fn(cors::layer));
    let routes = stack.clone().body_limit(MAX_BODY).apply(routes);
    // gRPC has answers of its own shape. No method streams, so its bodies are read whole too, and share the places for large ones.
    let grpc = grpc::routes(Arc::clone(app));
    routes.merge(stack.body_limit(MAX_GRPC_BODY).refuse_with(grpc::refused).apply(grpc))
}

async fn unknown_path(request: Request) -> Response {
    if grpc::is_grpc(request.headers()) {
        return grpc::unknown_method();
    }
    errors::gateway(Code::NotFound, "Not Found")
}
