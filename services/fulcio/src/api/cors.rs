//! Cross-origin requests, as upstream's defaults: any origin, GET, POST and HEAD, no credentials, and of headers only three. A
//! browser may send a token in the body, not in `Authorization`.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

const METHODS: [&str; 3] = ["GET", "POST", "HEAD"];
const HEADERS: [&str; 3] = ["accept", "content-type", "x-requested-with"];
const ANY: HeaderValue = HeaderValue::from_static("*");

/// Answers preflights, and marks answers to other cross-origin requests.
pub(crate) async fn layer(request: Request, next: Next) -> Response {
    let headers = request.headers();
    if request.method() == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD) {
        return (StatusCode::NO_CONTENT, preflight(headers)).into_response();
    }
    let cross_origin = headers.contains_key(header::ORIGIN);
    let mut response = next.run(request).await;
    response.headers_mut().append(header::VARY, HeaderValue::from_static("Origin"));
    if cross_origin {
        response.headers_mut().insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
    }
    response
}

/// What is not allowed gets an answer without permissions, which a browser takes for a no.
fn preflight(asked: &HeaderMap) -> HeaderMap {
    let mut answer = HeaderMap::new();
    answer
        .insert(header::VARY, HeaderValue::from_static("Origin, Access-Control-Request-Method, Access-Control-Request-Headers"));
    let text = |name: HeaderName| asked.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let method = text(header::ACCESS_CONTROL_REQUEST_METHOD);
    let names = text(header::ACCESS_CONTROL_REQUEST_HEADERS);
    let allowed = |name: &str| HEADERS.iter().any(|known| known.eq_ignore_ascii_case(name));
    let all_allowed = names.split(',').map(str::trim).filter(|name| !name.is_empty()).all(allowed);
    if !asked.contains_key(header::ORIGIN) || !METHODS.contains(&method) || !all_allowed {
        return answer;
    }
    answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, ANY);
    for (name, value) in [(header::ACCESS_CONTROL_ALLOW_METHODS, method), (header::ACCESS_CONTROL_ALLOW_HEADERS, names)] {
        if let Ok(value) = HeaderValue::from_str(value)
            && !value.is_empty()
        {
            answer.insert(name, value);
        }
    }
    answer
}
