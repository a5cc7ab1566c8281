//! `/token`: a session for a password, as clients of registries ask for one (distribution, "Token Authentication").

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Uri, header};
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use serde_json::json;

use super::error::ApiError;
use super::query::Query;
use super::{Answer, base};
use crate::App;
use crate::access::{AccessError, Level, SESSION_SECONDS};

/// The most scopes in one request.
const MAX_SCOPES: usize = 32;

/// `GET`: credentials in the header, scopes in the query.
pub(super) async fn get(State(app): State<Arc<App>>, headers: HeaderMap, uri: Uri) -> Response {
    let query = Query::of(uri.query());
    answer(&app, query, |wanted, now| app.access.session(&headers, wanted, now))
}

/// `POST` (OAuth 2): both in a form. A refresh token is never given, so none is taken.
pub(super) async fn post(State(app): State<Arc<App>>, body: Bytes) -> Response {
    // In a form a plus sign is a space.
    let form = String::from_utf8_lossy(&body).replace('+', "%20");
    let form = Query::of(Some(&form));
    answer(&app, form, |wanted, now| {
        let password = form.first("password").unwrap_or_default();
        app.access.session_by_password(&password, wanted, now)
    })
}

fn answer(app: &App, query: Query<'_>, begin: impl FnOnce(Level, Timestamp) -> Result<String, AccessError>) -> Response {
    session(app, query, begin).unwrap_or_else(ApiError::into_response)
}

fn session(app: &App, query: Query<'_>, begin: impl FnOnce(Level, Timestamp) -> Result<String, AccessError>) -> Answer {
    if !app.access.has_sessions() {
        return Err(ApiError::NoSessions);
    }
    let scopes: Vec<String> = query.all("scope").flat_map(|value| words(&value)).collect();
    if scopes.len() > MAX_SCOPES {
        return Err(ApiError::TooManyScopes { limit: MAX_SCOPES });
    }
    let now = app.clock.now();
    let wanted = scopes.iter().map(|scope| level(scope)).max().unwrap_or(Level::Pull);
    let token = begin(wanted, now)?;
    let body = json!({
        // Some clients know the one name, some the other.
        "token": token, "access_token": token, "expires_in": SESSION_SECONDS, "issued_at": format!("{now:.0}"),
        "scope": scopes.join(" "),
    });
    let mut response = base::json(body.to_string());
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// One parameter may hold several scopes.
pub(super) fn words(value: &str) -> Vec<String> {
    value.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// What a scope `type:name:actions` asks for. The name may have colons itself.
pub(super) fn level(scope: &str) -> Level {
    let actions = scope.rsplit(':').next().unwrap_or_default();
    let writes = actions.split(',').any(|action| matches!(action, "push" | "delete" | "*"));
    if writes { Level::Push } else { Level::Pull }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_ask_for_reading_or_more() {
        for (scope, expected) in [
            ("repository:team/app:pull", Level::Pull),
            ("repository:host:5000/team/app:pull,push", Level::Push),
            ("repository:team/app:delete", Level::Push),
            ("registry:catalog:*", Level::Push),
            ("repository:push:pull", Level::Pull),
            ("", Level::Pull),
        ] {
            assert_eq!(level(scope), expected, "{scope}");
        }
        assert_eq!(words(" a:b:pull  c:d:push"), ["a:b:pull", "c:d:push"]);
    }
}
