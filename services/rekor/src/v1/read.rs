//! Entries by index and by id.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::Response;

use super::App;
use super::answer::json_answer;
use super::entry_id::{NoName, parse};
use super::error::ApiError;
use super::media::{JSON, takes};
use super::schema::{SchemaError, number};

/// `GET /api/v1/log/entries?logIndex=`
pub(super) async fn by_index(State(app): State<Arc<App>>, uri: Uri, headers: HeaderMap) -> Result<Response, ApiError> {
    takes(&headers, JSON)?;
    let index = number(uri.query(), "logIndex", 0)?.ok_or_else(|| SchemaError::required("logIndex", "query"))?;
    let found = app.view_reaching(index.saturating_add(1)).await.at(index).await?.ok_or(ApiError::NotFound)?;
    Ok(json_answer(StatusCode::OK, found.json))
}

/// `GET /api/v1/log/entries/{entryUUID}`
pub(super) async fn by_uuid(
    State(app): State<Arc<App>>,
    Path(uuid): Path<String>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    takes(&headers, JSON)?;
    let named = parse(&uuid).map_err(|error| match error {
        NoName::Pattern => SchemaError::pattern("entryUUID", "path", PATTERN).into(),
        NoName::Tree(tree) => ApiError::NoTree { tree },
    })?;
    let found = app.view().named(named).await?.ok_or(ApiError::NotFound)?;
    Ok(json_answer(StatusCode::OK, found.json))
}

/// The form of a name.
pub(super) const PATTERN: &str = "^([0-9a-fA-F]{64}|[0-9a-fA-F]{80})$";
