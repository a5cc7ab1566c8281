//! The `get-` endpoints (RFC 6962 §4.3 to §4.8). Nothing beyond the published tree head is ever served.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header;
use merkle::Hash;
use serde_json::{Value, json};

use crate::App;
use crate::entries;
use crate::error::QueryError;
use crate::parameters::Parameters;

/// `GET /ct/v1/get-roots`
pub(crate) async fn get_roots(State(app): State<Arc<App>>) -> Json<Value> {
    let roots = app.roots.current();
    Json(json!({ "certificates": roots.certificates().iter().map(|root| base64(root.der())).collect::<Vec<_>>() }))
}

/// `GET /ct/v1/get-sth`
pub(crate) async fn get_sth(State(app): State<Arc<App>>) -> Result<Response, QueryError> {
    let head = app.log.checkpoint();
    let signed = app.heads.signature_of(&head)?;
    let signature = signed.signature.to_bytes()?;
    let body = json!({
        "tree_size": head.size,
        "timestamp": signed.timestamp,
        "sha256_root_hash": base64(head.root.as_bytes()),
        "tree_head_signature": base64(&signature),
    });
    Ok(([(header::CACHE_CONTROL, "no-cache")], Json(body)).into_response())
}

/// `GET /ct/v1/get-sth-consistency?first=&second=`
pub(crate) async fn get_sth_consistency(State(app): State<Arc<App>>, query: Parameters) -> Result<Json<Value>, QueryError> {
    let (first, second) = (query.number("first")?, query.number("second")?);
    let published = app.log.reach(second).await.size;
    if first > second || second > published {
        return Err(QueryError::Sizes { first, second, published });
    }
    // Every tree extends the empty one; there is nothing to prove.
    let proof = if first == 0 { Vec::new() } else { app.log.consistency_proof(first, second).await? };
    Ok(Json(json!({ "consistency": hashes(&proof) })))
}

/// `GET /ct/v1/get-proof-by-hash?hash=&tree_size=`
pub(crate) async fn get_proof_by_hash(State(app): State<Arc<App>>, query: Parameters) -> Result<Json<Value>, QueryError> {
    let (hash, size) = (query.hash()?, query.number("tree_size")?);
    if size == 0 {
        return Err(QueryError::NoTree);
    }
    let published = app.log.reach(size).await.size;
    if size > published {
        return Err(QueryError::NotReached { asked: size, published });
    }
    let index = app.log.index_of(&hash).await?.filter(|index| *index < size).ok_or(QueryError::UnknownHash { size })?;
    let path = app.log.inclusion_proof(index, size).await?;
    Ok(Json(json!({ "leaf_index": index, "audit_path": hashes(&path) })))
}

/// `GET /ct/v1/get-entries?start=&end=`: both ends included, at most [`entries::MAX_ENTRIES`] of them.
pub(crate) async fn get_entries(State(app): State<Arc<App>>, query: Parameters) -> Result<Response, QueryError> {
    let (start, end) = (query.number("start")?, query.number("end")?);
    let published = app.log.reach(end.saturating_add(1)).await.size;
    if start > end || start >= published {
        return Err(QueryError::Range { start, end, published });
    }
    let end = end.saturating_add(1).min(published).min(start + entries::MAX_ENTRIES);
    Ok(entries::answer(app.log.clone(), start..end).await?)
}

/// `GET /ct/v1/get-entry-and-proof?leaf_index=&tree_size=`
pub(crate) async fn get_entry_and_proof(State(app): State<Arc<App>>, query: Parameters) -> Result<Json<Value>, QueryError> {
    let (index, size) = (query.number("leaf_index")?, query.number("tree_size")?);
    let published = app.log.reach(size).await.size;
    if index >= size || size > published {
        return Err(QueryError::NoEntry { index, size, published });
    }
    let path = app.log.inclusion_proof(index, size).await?;
    let entry = app.log.entries(index..index + 1).await?.pop().ok_or(QueryError::NoEntry { index, size, published })?;
    Ok(Json(json!({
        "leaf_input": base64(&entry.data),
        "extra_data": base64(&entry.extra),
        "audit_path": hashes(&path),
    })))
}

fn hashes(proof: &[Hash]) -> Vec<String> {
    proof.iter().map(|hash| base64(hash.as_bytes())).collect()
}

fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}
