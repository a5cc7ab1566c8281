//! What a handler refused or failed at, on its way to the log.

use axum::response::Response;
use http::StatusCode;

use crate::reason::chain;

/// Why a handler did not do what was asked, carried by its answer to the one place that logs and counts.
#[derive(Debug, Clone)]
pub struct Failure {
    code: &'static str,
    chain: String,
}

impl Failure {
    /// An error with its stable code; the chain of causes is kept for the log.
    #[must_use]
    pub fn new(code: &'static str, error: &dyn std::error::Error) -> Self {
        Self { code, chain: chain(error) }
    }

    /// Puts it into `response`, where the [`super::Stack`] finds it.
    #[must_use]
    pub fn attach(self, mut response: Response) -> Response {
        response.extensions_mut().insert(self);
        response
    }

    /// Logs our failures for the person on call; a caller's own mistakes only at debug, since they got the reason.
    pub(super) fn record(&self, service: &'static str, status: StatusCode, method: &'static str, path: &str, took_ms: f64) {
        let (code, reason) = (self.code, self.chain.as_str());
        metrics::counter!("refused_requests_total", "service" => service, "reason" => code).increment(1);
        if status.is_server_error() {
            tracing::warn!(code, reason, status = status.as_u16(), method, path, took_ms, "could not answer a request");
        } else {
            tracing::debug!(code, reason, status = status.as_u16(), method, path, took_ms, "refused a request");
        }
    }
}
