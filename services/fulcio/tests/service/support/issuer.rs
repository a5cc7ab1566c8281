//! An identity provider that can be told to misbehave.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;
use axum::{Json, Router};
use clock::{Clock as _, SystemClock};
use http::StatusCode;
use serde_json::{Value, json};
use testkit::TokenKey;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Discovery {
    Good,
    /// `issuer` with a final slash.
    OtherIssuer,
    RedirectNear,
    RedirectTo(String),
    Status(u16),
    Slow(Duration),
    Huge,
    Garbage,
    JwksAt(String),
}

#[derive(Debug)]
pub(crate) struct TestIssuer {
    /// What tokens have as `iss`.
    pub(crate) url: String,
    keys: Mutex<Vec<Value>>,
    discovery: Mutex<Discovery>,
    pub(crate) discovered: AtomicU32,
    pub(crate) fetched: AtomicU32,
}

impl TestIssuer {
    /// At a free port, below `path`.
    pub(crate) async fn start(path: &str, keys: &[&TokenKey]) -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = Arc::new(Self {
            url: format!("http://{}{path}", listener.local_addr().unwrap()),
            keys: Mutex::new(keys.iter().map(|key| key.jwk()).collect()),
            discovery: Mutex::new(Discovery::Good),
            discovered: AtomicU32::new(0),
            fetched: AtomicU32::new(0),
        });
        let routes = Router::new()
            .route(&format!("{path}/.well-known/openid-configuration"), get(discovery))
            .route(&format!("{path}/moved"), get(document))
            .route(&format!("{path}/keys"), get(keys_document))
            .with_state(Arc::clone(&issuer));
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        issuer
    }

    pub(crate) fn set(&self, discovery: Discovery) {
        *self.discovery.lock().unwrap() = discovery;
    }

    pub(crate) fn publish(&self, keys: &[&TokenKey]) {
        *self.keys.lock().unwrap() = keys.iter().map(|key| key.jwk()).collect();
    }

    /// Complete claims, `extra` laid over; `null` stays null.
    pub(crate) fn claims(&self, extra: Value) -> Value {
        let now = SystemClock.now().as_second();
        let mut claims = json!({ "iss": self.url, "aud": "sigstore", "iat": now, "nbf": now, "exp": now + 600, "sub": "me" });
        let Value::Object(extra) = extra else { panic!("an object") };
        claims.as_object_mut().unwrap().extend(extra);
        claims
    }
}

async fn discovery(State(issuer): State<Arc<TestIssuer>>) -> Response {
    issuer.discovered.fetch_add(1, Ordering::Relaxed);
    let mode = issuer.discovery.lock().unwrap().clone();
    match mode {
        Discovery::RedirectNear => Redirect::temporary(&format!("{}/moved", issuer.url)).into_response(),
        Discovery::RedirectTo(url) => Redirect::temporary(&url).into_response(),
        Discovery::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Discovery::Garbage => "{".into_response(),
        Discovery::Huge => format!("{{\"x\":\"{}\"}}", "x".repeat(1 << 20)).into_response(),
        Discovery::Slow(time) => {
            tokio::time::sleep(time).await;
            document(State(issuer)).await
        }
        Discovery::Good | Discovery::OtherIssuer | Discovery::JwksAt(_) => document(State(issuer)).await,
    }
}

/// As GitHub's and Kubernetes': without most of what the specification requires.
async fn document(State(issuer): State<Arc<TestIssuer>>) -> Response {
    let mode = issuer.discovery.lock().unwrap().clone();
    let slash = if mode == Discovery::OtherIssuer { "/" } else { "" };
    let jwks_uri = if let Discovery::JwksAt(url) = mode { url } else { format!("{}/keys", issuer.url) };
    Json(json!({
        "issuer": format!("{}{slash}", issuer.url),
        "jwks_uri": jwks_uri,
        "id_token_signing_alg_values_supported": ["RS256", "ES256", "HS256", "none"],
    }))
    .into_response()
}

async fn keys_document(State(issuer): State<Arc<TestIssuer>>) -> Json<Value> {
    issuer.fetched.fetch_add(1, Ordering::Relaxed);
    let keys = issuer.keys.lock().unwrap().clone();
    Json(json!({ "keys": keys }))
}
