//! What is counted of the API, besides what the layers count of every service.

use axum::http::{Method, header};
use axum::response::Response;
use metrics::counter;

/// One answer.
pub(super) fn answered(route: &'static str, method: &Method, response: &Response) {
    let method = match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    };
    let status = response.status().as_u16().to_string();
    counter!("registry_requests_total", "route" => route, "method" => method, "status" => status).increment(1);
    if method == "GET" && response.status().is_success() {
        let length = response.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
        counter!("registry_sent_bytes_total", "route" => route).increment(length.unwrap_or(0));
    }
}

/// Bytes of blobs that arrived.
pub(super) fn received(bytes: u64) {
    counter!("registry_received_bytes_total").increment(bytes);
}
