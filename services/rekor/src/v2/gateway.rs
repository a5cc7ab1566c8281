//! Answers in the shape of grpc-gateway, which this contract inherited: `{"code":…,"message":"…","details":[]}`.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

/// Codes of gRPC that appear in bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    Unknown = 2,
    InvalidArgument = 3,
    NotFound = 5,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
}

/// An error body; `message` must already be one line.
pub(super) fn problem(status: StatusCode, code: Code, message: &str) -> Response {
    json_answer(status, json!({"code": code as u32, "message": message, "details": []}).to_string())
}

/// A JSON body.
pub(super) fn json_answer(status: StatusCode, body: impl Into<axum::body::Body>) -> Response {
    const JSON: HeaderValue = HeaderValue::from_static("application/json");
    (status, [(header::CONTENT_TYPE, JSON)], body.into()).into_response()
}
