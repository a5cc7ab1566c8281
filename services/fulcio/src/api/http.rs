//! HTTP: `/api/v2`, `/api/v1`, `/healthz`. Neither `Content-Type` nor `Accept` of a request is looked at: clients ask v2 for PEM and
//! then read JSON.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, MethodRouter, on};
use axum::{Json, Router};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};
use tonic::Code;

use super::deadline;
use super::errors::{Answer, gateway};
use super::json::{Base64, LegacySigningRequest, Object, RequestedKey as JsonKey, SigningRequest};
use crate::App;
use crate::identity::IssuerSummary;
use crate::issuance::{IssueError, KeyRefusal, Request, RequestedKey};

const PEM_CHAIN: (header::HeaderName, &str) = (header::CONTENT_TYPE, "application/pem-certificate-chain");

/// The routes, each with exactly one method; any other method of a known path is 501, as grpc-gateway has it.
pub(crate) fn routes(app: Arc<App>) -> Router {
    Router::new()
        .route("/api/v2/signingCert", only().post(signing_cert))
        .route("/api/v2/trustBundle", only().get(trust_bundle))
        .route("/api/v2/configuration", only().get(configuration))
        .route("/api/v1/signingCert", only().post(legacy_signing_cert))
        .route("/api/v1/rootCert", only().get(root_cert))
        .route("/healthz", only().get(healthz))
        .with_state(app)
}

/// axum lets GET answer HEAD unless HEAD has a handler of its own.
fn only() -> MethodRouter<Arc<App>> {
    on(MethodFilter::HEAD, wrong_method).fallback(wrong_method)
}

async fn wrong_method() -> Response {
    gateway(Code::Unimplemented, "Method Not Allowed")
}

async fn signing_cert(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    let request = match SigningRequest::parse(&body) {
        Ok(request) => request,
        Err(error) => return Answer::to_json(&error).into_response(),
    };
    let token = if request.token.is_empty() { bearer(&headers) } else { request.token };
    let key = match request.key {
        Some(JsonKey::Csr(csr)) if !csr.is_empty() => RequestedKey::Csr(csr),
        Some(JsonKey::PublicKey(key)) => {
            let content = key.public_key.and_then(|Object(key)| key.content).unwrap_or_default();
            RequestedKey::PublicKey { key: content.into_bytes(), proof: key.proof_of_possession.unwrap_or_default().0 }
        }
        Some(JsonKey::Csr(_)) | None => RequestedKey::PublicKey { key: Vec::new(), proof: Vec::new() },
    };
    match deadline::within(&headers, app.issue(Request { token, key })).await {
        Ok(issued) => {
            Json(json!({ "signedCertificateEmbeddedSct": { "chain": { "certificates": issued.pems() } } })).into_response()
        }
        Err(answer) => answer.into_response(),
    }
}

/// 201, and all of it PEM: what cosign 2 and gitsign read.
async fn legacy_signing_cert(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    let request = match LegacySigningRequest::parse(&body) {
        Ok(request) => request,
        Err(error) => return Answer::to_json(&error).into_response(),
    };
    let bytes = |field: Option<Base64>| field.unwrap_or_default().0;
    let key = match (bytes(request.certificate_signing_request), request.public_key) {
        (csr, _) if !csr.is_empty() => RequestedKey::Csr(csr),
        (_, Some(Object(key))) => RequestedKey::PublicKey { key: bytes(key.content), proof: bytes(request.signed_email_address) },
        // Said before the token is looked at, as upstream does.
        (_, None) => return Answer::to_issue(&IssueError::Key(KeyRefusal::Missing)).into_response(),
    };
    match deadline::within(&headers, app.issue(Request { token: bearer(&headers), key })).await {
        Ok(issued) => (StatusCode::CREATED, [PEM_CHAIN], issued.pems().join("\n")).into_response(),
        Err(answer) => answer.into_response(),
    }
}

async fn trust_bundle(State(app): State<Arc<App>>) -> Json<Value> {
    Json(json!({ "chains": [{ "certificates": app.trust_bundle() }] }))
}

async fn configuration(State(app): State<Arc<App>>) -> Json<Value> {
    Json(json!({ "issuers": app.issuers().iter().map(issuer).collect::<Vec<_>>() }))
}

fn issuer(summary: &IssuerSummary) -> Value {
    let url = if summary.wildcard { "wildcardIssuerUrl" } else { "issuerUrl" };
    json!({
        (url): summary.url,
        "audience": summary.audience,
        "challengeClaim": summary.challenge_claim,
        "spiffeTrustDomain": "",
        "issuerType": summary.issuer_type,
        "subjectDomain": summary.subject_domain,
        "skipEmailVerification": summary.skip_email_verification,
    })
}

/// A blank line between certificates, no final newline.
async fn root_cert(State(app): State<Arc<App>>) -> Response {
    ([PEM_CHAIN], app.chain_pems().join("\n\n")).into_response()
}

async fn healthz() -> Json<Value> {
    Json(json!({ "status": "SERVING" }))
}

/// The header with the first `Bearer ` removed, wherever it is: a bare token passes too.
fn bearer(headers: &HeaderMap) -> String {
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.replacen("Bearer ", "", 1)
}
