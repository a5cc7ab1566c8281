//! The metric names of Sigstore's timestamp authority, with its labels, for dashboards that exist. Latencies are in seconds, as
//! everywhere here; upstream's are in nanoseconds.

use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;

use crate::authority::Authority;
use crate::http::{CERTCHAIN, PING, TIMESTAMP};

const REQUESTS: &str = "timestamp_authority_http_requests_total";
const LATENCY: &str = "timestamp_authority_api_latency";
const LATENCY_BY_API: &str = "timestamp_authority_latency_by_api";
const DAYS_REMAINING: &str = "timestamp_authority_certificate_valid_days_remaining";
const BUILD_INFO: &str = "timestamp_authority_build_info";

/// `router`, counted under upstream's names.
pub(crate) fn observe(router: Router) -> Router {
    router.layer(from_fn(async |request: Request, next: Next| -> Response {
        let (begun, path, method) = (Instant::now(), path(request.uri().path()), method(request.method().as_str()));
        let response = next.run(request).await;
        let code = response.status().as_u16().to_string();
        let seconds = begun.elapsed().as_secs_f64();
        ::metrics::histogram!(LATENCY_BY_API, "path" => path, "method" => method).record(seconds);
        ::metrics::histogram!(LATENCY, "path" => path, "code" => code.clone()).record(seconds);
        ::metrics::counter!(REQUESTS, "path" => path, "method" => method, "code" => code).increment(1);
        response
    }))
}

/// Sets the gauges now and once an hour until the authority is gone.
pub(crate) fn watch_chain(authority: &Arc<Authority>) {
    const HOUR: Duration = Duration::from_secs(3600);
    ::metrics::gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    let authority: Weak<Authority> = Arc::downgrade(authority);
    tokio::spawn(async move {
        while let Some(authority) = authority.upgrade() {
            let days = i32::try_from(authority.days_remaining()).unwrap_or(i32::MAX);
            ::metrics::gauge!(DAYS_REMAINING).set(days);
            drop(authority);
            tokio::time::sleep(HOUR).await;
        }
    });
}

/// Peers can invent paths without end, and each would be a time series.
fn path(path: &str) -> &'static str {
    [TIMESTAMP, CERTCHAIN, PING].into_iter().find(|known| *known == path).unwrap_or("unrecognized")
}

fn method(method: &str) -> &'static str {
    ["GET", "POST", "HEAD", "OPTIONS"].into_iter().find(|known| *known == method).unwrap_or("unrecognized")
}
