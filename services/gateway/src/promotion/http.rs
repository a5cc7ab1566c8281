//! `POST /api/v1/promotions`, and `GET /api/v1/promotions/{id}` for its record.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chassis::layers::{Failure, Refusal, Stack};
use chassis::reason::{chain, one_line};
use serde_json::json;

use super::error::{GatherError, RequestError};
use super::{Order, Promotion, PromotionError, PromotionState, TIME_LIMIT};
use crate::App;
use crate::api::{of_read, of_store};
use crate::store::PutError;

/// More than any honest request has.
const MAX_BODY: usize = 16 << 10;
/// For what comes after the promotion's own time limit: saying that it was reached.
const GRACE: Duration = Duration::from_secs(30);

/// Everything below `/api/v1/promotions`.
pub(crate) fn router(app: Arc<App>) -> Router {
    let routes =
        Router::new().route("/api/v1/promotions", post(promote)).route("/api/v1/promotions/{id}", get(record)).with_state(app);
    let stack = Stack::new("gateway").time_limit(TIME_LIMIT + GRACE).body_limit(MAX_BODY);
    stack.refuse_with(refused).apply(routes)
}

async fn promote(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Result<Response, PromotionError> {
    let actor = app.access.promoter(&headers)?;
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let hosts: Vec<&str> = std::iter::once(app.promoter.host()).chain(host).collect();
    let order = Order::parse(&body, &hosts)?;
    let promotion = app.promoter.run(order, actor).await?;
    Ok((status(&promotion), Json(promotion)).into_response())
}

async fn record(State(app): State<Arc<App>>, headers: HeaderMap, Path(id): Path<String>) -> Result<Response, PromotionError> {
    app.access.promoter(&headers)?;
    let report = app.promoter.record_of(&id).await?.ok_or(PromotionError::Unknown { id })?;
    Ok(([(header::CONTENT_TYPE, "application/json")], report).into_response())
}

/// A denial is an answer like any other, under the status that says so.
fn status(promotion: &Promotion) -> StatusCode {
    match promotion.state {
        PromotionState::Denied => StatusCode::FORBIDDEN,
        PromotionState::Planned | PromotionState::Copying | PromotionState::Done | PromotionState::Failed => StatusCode::OK,
    }
}

impl PromotionError {
    /// A stable name for programs, an anchor in `docs/errors.md`.
    #[cfg(test)]
    pub(super) fn code(&self) -> &'static str {
        self.verdict().1
    }

    /// The one table from failure to answer; each with its stable code.
    fn verdict(&self) -> (StatusCode, &'static str) {
        use StatusCode as S;
        match self {
            Self::Access(_) => (S::UNAUTHORIZED, "promoter_unauthorized"),
            Self::Request(error) => match error {
                RequestError::Malformed(_) | RequestError::PolicyNamed => (S::BAD_REQUEST, error.code()),
                RequestError::Reference { .. }
                | RequestError::OtherRegistry { .. }
                | RequestError::TargetDigest { .. }
                | RequestError::TargetTag { .. }
                | RequestError::TargetProxied { .. } => (S::UNPROCESSABLE_ENTITY, error.code()),
            },
            Self::Gather(error) => match error {
                GatherError::Unknown { .. } => (S::NOT_FOUND, "promotion_source_unknown"),
                GatherError::Missing { .. } | GatherError::Unreadable { .. } => (S::UNPROCESSABLE_ENTITY, "promotion_incomplete"),
                GatherError::TooLarge { .. } => (S::UNPROCESSABLE_ENTITY, "promotion_too_large"),
                GatherError::Read(error) => of_read(error),
                GatherError::Bytes { .. } => (S::SERVICE_UNAVAILABLE, "promotion_source_read"),
            },
            Self::TagMoved { .. } => (S::CONFLICT, "promotion_tag_moved"),
            Self::Overtaken => (S::CONFLICT, "promotion_overtaken"),
            Self::Busy { .. } => (S::SERVICE_UNAVAILABLE, "promotion_busy"),
            Self::Slow { .. } => (S::SERVICE_UNAVAILABLE, "promotion_slow"),
            Self::Unknown { .. } => (S::NOT_FOUND, "promotion_unknown"),
            Self::Put(error) => match error {
                PutError::Missing(_) => (S::UNPROCESSABLE_ENTITY, "promotion_incomplete"),
                PutError::TooManyReferrers { .. } => (S::UNPROCESSABLE_ENTITY, "promotion_too_large"),
                PutError::Moved(_) | PutError::Unmet(_) => (S::CONFLICT, "promotion_tag_moved"),
                PutError::Store(error) => of_store(error),
            },
            Self::Store(error) => of_store(error),
        }
    }
}

impl IntoResponse for PromotionError {
    fn into_response(self) -> Response {
        let (status, code) = self.verdict();
        // The causes of our own failures name files and databases: they go to the log, the caller gets the first layer.
        let told = if status == StatusCode::INTERNAL_SERVER_ERROR { self.to_string() } else { chain(&self) };
        let mut response = answer(status, code, &told);
        let headers = response.headers_mut();
        if matches!(self, Self::Access(_)) {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
        }
        Failure::new(code, &self).attach(response)
    }
}

/// What never reached a handler, or did not survive one.
fn refused(refusal: &Refusal) -> Response {
    answer(refusal.status(), refusal.code(), &refusal.reason())
}

fn answer(status: StatusCode, code: &'static str, told: &str) -> Response {
    (status, Json(json!({ "code": code, "message": one_line(told) }))).into_response()
}
