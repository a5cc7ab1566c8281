//! The routes.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use chassis::layers::Stack;
use chassis::reason::coded;
use note::MAX_ADD_CHECKPOINT_BYTES;

use crate::add::App;
use crate::error::AddError;

/// Everything the witness answers, at the root and, when its public URL has a path, below that too: a proxy may or may not strip it.
pub(crate) fn router(app: Arc<App>, prefix: Option<&str>) -> Router {
    let routes = Router::new().route("/add-checkpoint", post(add_checkpoint)).route("/vkey", get(vkey));
    let routes = match prefix {
        Some(prefix) => routes.clone().nest(prefix, routes),
        None => routes,
    };
    let routes = routes.fallback(not_found).method_not_allowed_fallback(wrong_method).with_state(app);
    Stack::new("witness").body_limit(MAX_ADD_CHECKPOINT_BYTES).apply(routes)
}

async fn add_checkpoint(State(app): State<Arc<App>>, body: Bytes) -> Result<Response, AddError> {
    let line = app.add_checkpoint(&body).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], line).into_response())
}

/// The key, for people: whoever trusts the witness compares it with what its operator says.
async fn vkey(State(app): State<Arc<App>>) -> String {
    format!("{}\n", app.vkey)
}

async fn not_found(uri: Uri) -> Response {
    let text = format!("there is no {}; a witness has /add-checkpoint and /vkey", uri.path());
    (StatusCode::NOT_FOUND, coded("path_not_found", &text) + "\n").into_response()
}

async fn wrong_method(method: Method) -> Response {
    let text = format!("{method} is not a method of this path; checkpoints are added with POST");
    (StatusCode::METHOD_NOT_ALLOWED, coded("method_not_allowed", &text) + "\n").into_response()
}
