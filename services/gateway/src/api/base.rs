//! `GET /v2/` and what says what this registry can do.

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::Response;

use super::{Answer, Asked};

/// Whether this is a registry, and lets the caller in.
pub(super) fn enter(asked: &Asked<'_>) -> Answer {
    asked.caller.may_enter()?;
    Ok(json("{}"))
}

/// Extensions of the specification: none.
pub(super) fn extensions(asked: &Asked<'_>) -> Answer {
    asked.caller.may_enter()?;
    Ok(json(r#"{"extensions":[]}"#))
}

/// A JSON body.
pub(super) fn json(body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
