//! What is counted, under the names that dashboards for Fulcio know. Requests and their latency are counted by the layers.

use metrics::{counter, gauge, histogram};

const NEW_CERTIFICATES: &str = "fulcio_new_certs";
const BUILD_INFO: &str = "fulcio_build_info";
const REFUSED: &str = "refused_requests_total";
const BATCH: &str = "chancery_fulcio_record_batch_rows";
const ISSUER_FAILURES: &str = "chancery_issuer_fetch_failures_total";
const EXPIRY: &str = "chancery_seconds_to_expiry";

/// Makes series visible from the start: an alarm on the first one needs the zero before it.
pub(crate) fn announce() {
    counter!(NEW_CERTIFICATES).increment(0);
    gauge!(BUILD_INFO, "version" => env!("CARGO_PKG_VERSION")).set(1.0);
}

/// A certificate was issued.
pub(crate) fn new_certificate() {
    counter!(NEW_CERTIFICATES).increment(1);
}

/// A gRPC call was refused; those over HTTP are counted by the layers, under the same name.
pub(crate) fn refused(code: &'static str) {
    counter!(REFUSED, "service" => "fulcio", "reason" => code).increment(1);
}

/// One commit of the record.
pub(crate) fn committed(rows: usize) {
    histogram!(BATCH).record(u32::try_from(rows).unwrap_or(u32::MAX));
}

/// The keys of an issuer could not be fetched.
pub(crate) fn issuer_failed(issuer: String) {
    counter!(ISSUER_FAILURES, "issuer" => issuer).increment(1);
}

/// How long the issuing certificate and the root are still valid.
pub(crate) fn expiry(intermediate: f64, root: f64) {
    gauge!(EXPIRY, "object" => "intermediate").set(intermediate);
    gauge!(EXPIRY, "object" => "root").set(root);
}
