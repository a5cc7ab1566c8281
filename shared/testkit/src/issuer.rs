//! An identity provider: discovery, keys, and tokens that it vouches for.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::routing::get;
use axum::serve::Listener;
use axum::{Json, Router};
use clock::Clock as _;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::{TestCa, TokenKey};

/// An issuer on loopback that serves until it is dropped.
#[derive(Debug)]
pub struct FakeIssuer {
    url: String,
    key: Arc<TokenKey>,
    serving: JoinHandle<()>,
}

impl FakeIssuer {
    /// At `http://127.0.0.1:PORT` followed by `path`, which is empty or begins with a slash.
    pub async fn http(path: &str, key: TokenKey) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let url = format!("http://127.0.0.1:{}{path}", port(&listener));
        Self::serve(url, path, key, listener)
    }

    /// At `https://localhost:PORT` followed by `path`, with a certificate by `ca`: a GitHub Enterprise Server's issuer is one
    /// behind a private authority at the path `/_services/token`.
    pub async fn https(ca: &TestCa, path: &str, key: TokenKey) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let url = format!("https://localhost:{}{path}", port(&listener));
        Self::serve(url, path, key, TlsListener { listener, acceptor: acceptor(ca) })
    }

    /// What tokens have as `iss`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The key it vouches for.
    #[must_use]
    pub fn key(&self) -> &TokenKey {
        &self.key
    }

    /// A token for `claims`; `iss`, `aud` (`sigstore`), `iat`, `nbf` and `exp` (ten minutes) are added where they are missing.
    #[must_use]
    pub fn mint(&self, claims: Value) -> String {
        self.key.mint(&self.claims(claims))
    }

    /// What [`Self::mint`] signs.
    #[must_use]
    pub fn claims(&self, claims: Value) -> Value {
        let now = clock::SystemClock.now().as_second();
        let mut all = json!({ "iss": self.url, "aud": "sigstore", "iat": now, "nbf": now, "exp": now + 600 });
        let (Value::Object(all_claims), Value::Object(claims)) = (&mut all, claims) else { panic!("claims are a JSON object") };
        all_claims.extend(claims);
        all
    }

    fn serve<L>(url: String, path: &str, key: TokenKey, listener: L) -> Self
    where
        L: Listener,
        L::Addr: std::fmt::Debug,
    {
        let key = Arc::new(key);
        let discovery = json!({
            "issuer": url,
            "jwks_uri": format!("{url}/.well-known/jwks"),
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [key.algorithm()],
        });
        let keys = json!({ "keys": [key.jwk()] });
        let answer = |document: Value| get(move || std::future::ready(Json(document.clone())));
        let router = Router::new()
            .route(&format!("{path}/.well-known/openid-configuration"), answer(discovery))
            .route(&format!("{path}/.well-known/jwks"), answer(keys));
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("serving ends with the test only");
        });
        Self { url, key, serving }
    }
}

impl Drop for FakeIssuer {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

fn port(listener: &TcpListener) -> u16 {
    listener.local_addr().expect("a bound socket has an address").port()
}

fn acceptor(ca: &TestCa) -> TlsAcceptor {
    let server = ca.server(&["localhost", "127.0.0.1"]);
    let key = PrivateKeyDer::from_pem_slice(server.key.as_bytes()).expect("rcgen writes PKCS#8");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has the default versions")
        .with_no_client_auth()
        .with_single_cert(vec![CertificateDer::from(server.der)], key)
        .expect("the key belongs to the certificate");
    TlsAcceptor::from(Arc::new(config))
}

struct TlsListener {
    listener: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let Ok((stream, address)) = self.listener.accept().await else { continue };
            // A client that does not trust the authority ends the handshake; the next one may.
            if let Ok(stream) = self.acceptor.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn discovery_leads_to_the_key_over_private_tls() {
        let ca = TestCa::new("issuer");
        let issuer = FakeIssuer::https(&ca, "/_services/token", TokenKey::es256("k")).await;
        let client = crate::http(&[&ca.pem()]);
        let json = |url: String| {
            let client = client.clone();
            async move { client.get(url).send().await.unwrap().json::<Value>().await.unwrap() }
        };
        let discovery = json(format!("{}/.well-known/openid-configuration", issuer.url())).await;
        assert_eq!(discovery["issuer"], issuer.url());
        let keys = json(discovery["jwks_uri"].as_str().unwrap().to_owned()).await;
        assert_eq!(keys["keys"][0], issuer.key().jwk());
        assert!(crate::http(&[]).get(discovery["jwks_uri"].as_str().unwrap()).send().await.is_err());
    }

    #[tokio::test]
    async fn claims_of_the_caller_win() {
        let issuer = FakeIssuer::http("", TokenKey::es256("k")).await;
        let claims = issuer.claims(json!({ "aud": "other", "sub": "x" }));
        assert_eq!((&claims["aud"], &claims["sub"], &claims["iss"]), (&json!("other"), &json!("x"), &json!(issuer.url())));
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 600);
    }
}
