//! What this face counts, under the names that dashboards for Rekor know. The tree is counted by the engine.

use std::time::Instant;

use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use metrics::{counter, gauge, histogram};

const NEW_ENTRIES: &str = "rekor_new_entries";
const PROOF_FAILURES: &str = "rekor_inclusion_proof_failure_total";
const BUILD_INFO: &str = "rekor_build_info";

/// Makes every series visible from the start: an alarm on the first failure needs the zero before it.
pub(super) fn announce() {
    counter!(NEW_ENTRIES).increment(0);
    counter!(PROOF_FAILURES).increment(0);
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

/// An entry that was not there before.
pub(super) fn new_entry() {
    counter!(NEW_ENTRIES).increment(1);
}

/// A proof that did not lead to the root it was made for; must stay 0.
pub(super) fn proof_failure() {
    counter!(PROOF_FAILURES).increment(1);
}

/// Counts a request of the API by its route. The time is in nanoseconds, as those dashboards expect.
pub(super) async fn by_api(route: MatchedPath, request: Request, next: Next) -> Response {
    let method = if request.method() == "POST" { "POST" } else { "GET" };
    // A trailing slash makes no other route.
    let path = route.as_str().trim_end_matches('/').to_owned();
    let begun = Instant::now();
    let response = next.run(request).await;
    let code = response.status().as_u16().to_string();
    counter!("rekor_qps_by_api", "method" => method, "path" => path.clone(), "code" => code).increment(1);
    histogram!("rekor_latency_by_api", "method" => method, "path" => path).record(begun.elapsed().as_nanos() as f64);
    response
}
