//! `add-chain` and `add-pre-chain`.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use ct::{AddChainRequest, AddChainResponse};

use crate::chain::{Kind, Refusal, accept};
use crate::error::RequestError;
use crate::sct::{self, CtSubmission, SctFailed};
use crate::start::App;

pub(super) async fn add_chain(State(app): State<Arc<App>>, body: Bytes) -> Result<Json<AddChainResponse>, RequestError> {
    add(&app, Kind::Certificate, &body).await
}

pub(super) async fn add_pre_chain(State(app): State<Arc<App>>, body: Bytes) -> Result<Json<AddChainResponse>, RequestError> {
    add(&app, Kind::Precertificate, &body).await
}

/// 1. read and check, 2. log, 3. sign. A crash before the commit in 2 leaves nothing; after it, an entry whose SCT nobody got, and which
///    a retry finds again as a duplicate.
async fn add(app: &App, kind: Kind, body: &[u8]) -> Result<Json<AddChainResponse>, RequestError> {
    let request = AddChainRequest::from_json(body).map_err(Refusal::from)?;
    let accepted = accept(kind, &request, &app.roots)?;
    let appended = app.log.append(CtSubmission::new(accepted, app.leaf_index)).await?;
    let sct = sct::sign(app.key.as_ref(), &appended).await?;
    Ok(Json(AddChainResponse::new(&sct).map_err(SctFailed::from)?))
}
