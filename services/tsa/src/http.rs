//! The HTTP face: the paths, bodies and headers of Sigstore's timestamp authority, and a DER refusal where it has none.

use ::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chassis::layers::{Failure, Refusal, Stack};
use serde_json::json;

use crate::{Form, TimestampError, Tsa, metrics};

pub(crate) const TIMESTAMP: &str = "/api/v1/timestamp";
pub(crate) const CERTCHAIN: &str = "/api/v1/timestamp/certchain";
pub(crate) const PING: &str = "/ping";

impl Tsa {
    /// Everything this service answers, with its layers.
    pub fn router(&self) -> Router {
        let router = Router::new()
            .route(TIMESTAMP, post(timestamp))
            .route(CERTCHAIN, get(certchain))
            .route(PING, get(ping))
            .fallback(unknown_path)
            .method_not_allowed_fallback(wrong_method)
            .with_state(self.clone());
        // Bodies are bounded in the handler, which knows in which form to refuse one that is too large.
        let stack = Stack::new("tsa").streaming().refuse_with(stack_refusal);
        metrics::observe(stack.apply(router))
    }
}

async fn timestamp(State(tsa): State<Tsa>, headers: HeaderMap, body: Body) -> Response {
    let Some(form) = form(&headers) else {
        return refused(None, &TimestampError::ContentType);
    };
    let limit = tsa.authority().max_request_body_size;
    let outcome = match axum::body::to_bytes(body, limit).await {
        Ok(body) => tsa.timestamp(form, &body).await,
        Err(_) => Err(TimestampError::Body { limit }),
    };
    match outcome {
        Ok(reply) => (StatusCode::OK, reply_headers(), reply).into_response(),
        Err(error) => refused(Some(form), &error),
    }
}

/// The chain for people and scripts; clients take it from the trust root. Cached for minutes, not a day as upstream does,
/// so that it does not outlive a rotation.
async fn certchain(State(tsa): State<Tsa>) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/pem-certificate-chain"), (header::CACHE_CONTROL, "public, max-age=300")];
    (headers, tsa.chain().pem().to_owned()).into_response()
}

/// Liveness only; readiness is on the admin listener.
async fn ping() -> &'static str {
    "."
}

async fn unknown_path(uri: Uri) -> Response {
    let reason = chassis::reason::coded("path_not_found", &format!("path {} was not found", uri.path()));
    json_error(StatusCode::NOT_FOUND, &reason)
}

async fn wrong_method(method: Method, uri: Uri) -> Response {
    let allowed = if uri.path() == TIMESTAMP { "POST" } else { "GET" };
    let text = format!("method {method} is not allowed, but [{allowed}] are");
    json_error(StatusCode::METHOD_NOT_ALLOWED, &chassis::reason::coded("method_not_allowed", &text))
}

/// The form the caller announced. Parameters such as `charset` are allowed.
fn form(headers: &HeaderMap) -> Option<Form> {
    let value = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let media_type = value.split_once(';').map_or(value, |(media_type, _)| media_type).trim();
    [("application/timestamp-query", Form::Query), ("application/json", Form::Json)]
        .into_iter()
        .find_map(|(name, form)| media_type.eq_ignore_ascii_case(name).then_some(form))
}

/// A timestamp-query caller gets a DER refusal, everybody else JSON; the status says it to clients that look at nothing else.
fn refused(form: Option<Form>, error: &TimestampError) -> Response {
    let (answer, reason) = (error.answer(), error.reason());
    let response = match form {
        Some(Form::Query) => (answer.status, reply_headers(), tsp::refusal(answer.failure, &reason)).into_response(),
        Some(Form::Json) | None => json_error(answer.status, &reason),
    };
    Failure::new(answer.code, error).attach(response)
}

/// What the layers answer themselves. Bodies too large do not come here.
fn stack_refusal(refusal: &Refusal) -> Response {
    json_error(refusal.status(), &refusal.reason())
}

fn json_error(status: StatusCode, message: &str) -> Response {
    (status, Json(json!({ "code": status.as_u16(), "message": message }))).into_response()
}

fn reply_headers() -> [(header::HeaderName, HeaderValue); 3] {
    [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/timestamp-reply")),
        (
            header::CACHE_CONTROL,
            HeaderValue::from_static("no-cache, no-store, no-transform, must-revalidate, private, max-age=0"),
        ),
        (header::PRAGMA, HeaderValue::from_static("no-cache")),
    ]
}
