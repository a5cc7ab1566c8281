//! The OCI distribution specification 1.1, and what its clients expect besides.
//!
//! `path.rs` says what a request is about, `access` who may do it, a handler per resource calls [`Contents`](crate::contents) or
//! [`Writes`](crate::writes) and answers; what they refuse becomes an answer in `error.rs`.

mod base;
mod blobs;
mod body;
mod entity;
mod error;
pub mod fuzz;
mod manifests;
mod metric;
mod page;
mod path;
mod query;
mod range;
mod referrers;
mod tags;
mod token;
mod uploads;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use chassis::layers::{Grant, Refusal, Stack};
use oci::MAX_MANIFEST_BYTES;

use self::error::ApiError;
pub(crate) use self::error::{of_read, of_store};
use self::path::{PathError, Route};
use self::query::Query;
use crate::App;
use crate::access::Caller;

/// The longest path and query together, in bytes.
const MAX_TARGET: usize = 8 << 10;
/// How long a request may take that is no upload: as long as fetching from a registry behind this one may.
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// How long an upload may take whose bytes keep coming.
const UPLOAD_TIME_LIMIT: Duration = Duration::from_secs(24 * 60 * 60);

/// Everything below `/v2`, and `/token`.
pub(crate) fn router(app: Arc<App>) -> Router {
    let routes = Router::new().route("/token", get(token::get).post(token::post)).fallback(answer).with_state(app);
    let stack = Stack::new("gateway").time_limit(TIME_LIMIT).body_limit(MAX_MANIFEST_BYTES);
    stack.except(grant).refuse_with(refused).apply(routes)
}

/// What a handler is given: a request whose path was understood.
#[derive(Clone, Copy)]
struct Asked<'a> {
    app: &'a App,
    caller: Caller<'a>,
    method: &'a Method,
    headers: &'a HeaderMap,
    query: Query<'a>,
}

type Answer = Result<Response, ApiError>;

/// One request from head to answer.
async fn answer(State(app): State<Arc<App>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let route = route(&parts);
    let label = route.as_ref().map_or("unknown", Route::label);
    let answered = match route {
        Ok(route) if route.repository().is_some_and(|name| name.as_str().len() > app.longest_name) => {
            Err(ApiError::NameTooLong { limit: app.longest_name })
        }
        Ok(route) => dispatch(&app, &parts, route, body).await,
        Err(error) => Err(error),
    };
    let mut response = answered.unwrap_or_else(ApiError::into_response);
    say_version(&mut response);
    metric::answered(label, &parts.method, &response);
    response
}

fn route(parts: &Parts) -> Result<Route, ApiError> {
    let target = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
    if target > MAX_TARGET {
        return Err(ApiError::TargetTooLong { limit: MAX_TARGET });
    }
    Route::of(parts.uri.path()).map_err(|error| match error {
        // Reading what cannot be a tag's name is reading a tag that does not exist.
        PathError::Tag(error) if parts.method != Method::PUT => ApiError::TagUnknown(error),
        error => ApiError::Path(error),
    })
}

async fn dispatch(app: &App, parts: &Parts, route: Route, body: Body) -> Answer {
    let caller = app.access.caller(&parts.headers, app.clock.now())?;
    let asked = Asked { app, caller, method: &parts.method, headers: &parts.headers, query: Query::of(parts.uri.query()) };
    let reads = matches!(parts.method, Method::GET | Method::HEAD);
    let methods = route.methods();
    // What is rare is boxed: one request's memory is that of its largest handler, and it is moved about.
    match (&parts.method, route) {
        (_, Route::Base) if reads => base::enter(&asked),
        (_, Route::Extensions) if reads => base::extensions(&asked),
        (_, Route::Catalog) if reads => Box::pin(tags::catalog(&asked)).await,
        (_, Route::Tags { repository }) if reads => Box::pin(tags::list(&asked, &repository)).await,
        (_, Route::Referrers { repository, subject }) if reads => referrers::list(&asked, &repository, &subject).await,
        (_, Route::Manifest { repository, target }) if reads => manifests::read(&asked, &repository, &target).await,
        (&Method::PUT, Route::Manifest { repository, target }) => {
            Box::pin(manifests::put(&asked, repository, target, body)).await
        }
        (&Method::DELETE, Route::Manifest { repository, target }) => {
            Box::pin(manifests::delete(&asked, &repository, &target)).await
        }
        (_, Route::Blob { repository, digest }) if reads => blobs::read(&asked, &repository, &digest).await,
        (&Method::DELETE, Route::Blob { repository, digest }) => Box::pin(blobs::delete(&asked, &repository, &digest)).await,
        (&Method::POST, Route::Uploads { repository }) => Box::pin(uploads::begin(&asked, &repository, body)).await,
        (_, Route::Upload { repository, session }) if reads => uploads::status(&asked, &repository, &session).await,
        (&Method::PATCH, Route::Upload { repository, session }) => {
            Box::pin(uploads::append(&asked, &repository, &session, body)).await
        }
        (&Method::PUT, Route::Upload { repository, session }) => {
            Box::pin(uploads::finish(&asked, &repository, &session, body)).await
        }
        (&Method::DELETE, Route::Upload { repository, session }) => {
            Box::pin(uploads::cancel(&asked, &repository, &session)).await
        }
        _ => Err(ApiError::Method { method: parts.method.clone(), methods }),
    }
}

/// Uploads count for themselves and last as long as their bytes come.
fn grant(request: &Request) -> Option<Grant> {
    let upload = matches!(*request.method(), Method::POST | Method::PUT | Method::PATCH)
        && matches!(Route::of(request.uri().path()), Ok(Route::Uploads { .. } | Route::Upload { .. }));
    upload.then_some(Grant { time_limit: UPLOAD_TIME_LIMIT, body_limit: None })
}

/// What never reached a handler, or did not survive one.
fn refused(refusal: &Refusal) -> Response {
    let mut response = ApiError::Refused(*refusal).into_response();
    say_version(&mut response);
    response
}

/// Every answer says which API it is of, refusals too: clients take it for no registry otherwise.
fn say_version(response: &mut Response) {
    const VERSION: HeaderName = HeaderName::from_static("docker-distribution-api-version");
    response.headers_mut().insert(VERSION, HeaderValue::from_static("registry/2.0"));
}
