//! The service as a whole, between a test issuer and a test log.

pub(crate) mod ca;
pub(crate) mod der;
pub(crate) mod issuer;
pub(crate) mod log;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use clock::{Clock as _, ManualClock, SystemClock};
use fulcio::{Config, Fulcio};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use keys::{FileKey, Signer as _};
use pki::{Certificate, KeyKind};
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::TokenKey;
use tower::ServiceExt as _;

use self::ca::{CaOptions, TestAuthority};
use self::issuer::TestIssuer;
use self::log::LogDouble;

/// Five issuers of one key, a log, and the service between them.
pub(crate) struct Fixture {
    _folder: TempDir,
    pub(crate) authority: TestAuthority,
    pub(crate) log: Arc<LogDouble>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) key: TokenKey,
    pub(crate) email: Arc<TestIssuer>,
    pub(crate) uri: Arc<TestIssuer>,
    pub(crate) kubernetes: Arc<TestIssuer>,
    pub(crate) github: Arc<TestIssuer>,
    pub(crate) ghes: Arc<TestIssuer>,
    pub(crate) config: Config,
    pub(crate) fulcio: Fulcio,
    router: Router,
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The message of a refusal, after checking everything around it.
    pub(crate) fn refusal(&self, status: u16, code: i32) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.headers["content-type"], "application/json");
        let body = self.json();
        let message = body["message"].as_str().unwrap().to_owned();
        assert_eq!(body, json!({ "code": code, "message": message, "details": [] }));
        assert!(!message.contains(['\n', '"']), "{message}");
        message
    }

    /// The chain of a v2 answer.
    pub(crate) fn chain(&self) -> Vec<Certificate> {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text());
        assert_eq!(self.headers["content-type"], "application/json");
        let pems = self.json()["signedCertificateEmbeddedSct"]["chain"]["certificates"].clone();
        let pems = pems.as_array().unwrap().iter().map(|pem| pem.as_str().unwrap().to_owned());
        pems.map(|pem| {
            assert!(!pem.ends_with('\n'));
            Certificate::from_pem(&pem).unwrap()
        })
        .collect()
    }

    pub(crate) fn leaf(&self) -> Certificate {
        self.chain().remove(0)
    }
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    /// With a configuration that `change` has changed.
    pub(crate) async fn with(change: impl FnOnce(&mut Value)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = TestAuthority::new(&CaOptions::default());
        let log = LogDouble::start(&authority.certificates).await;
        let key = TokenKey::es256("one");
        let email = TestIssuer::start("", &[&key]).await;
        let uri = TestIssuer::start("/claims", &[&key]).await;
        let kubernetes = TestIssuer::start("/cluster", &[&key]).await;
        let github = TestIssuer::start("/github", &[&key]).await;
        let ghes = TestIssuer::start("/ghe/_services/token", &[&key]).await;
        let chain = authority.write_chain(folder.path());
        let database = folder.path().join("fulcio.db");
        let log_key = folder.path().join("ctfe.pub");
        std::fs::write(&log_key, log.key.public_key().to_pem()).unwrap();
        fulcio::create(&database).await.unwrap();
        let mut config = json!({
            "public_url": "http://127.0.0.1:5555",
            "http": { "listen": ["127.0.0.1:0"] },
            "certificate_chain": chain,
            "key": "unused.pem",
            "database": database,
            "ct_log": { "url": log.url, "public_key": log_key },
            "issuers": [
                { "issuer_url": email.url, "type": "email" },
                { "issuer_url": uri.url, "type": "uri", "subject_domain": "http://127.0.0.1" },
                { "issuer_url": kubernetes.url, "type": "kubernetes" },
                { "issuer_url": github.url, "type": "ci-provider", "ci_provider": "github" },
                { "issuer_url": ghes.url, "type": "ci-provider", "ci_provider": { "template": "ghes", "url": "https://ghe.corp" } },
            ],
        });
        change(&mut config);
        let config: Config = serde_json::from_value(config).unwrap();
        let clock = Arc::new(ManualClock::new(SystemClock.now()));
        let signer = Arc::new(FileKey::from_pem(&authority.key).unwrap());
        let fulcio = fulcio::open(&config, signer, clock.clone()).await.unwrap();
        let router = fulcio.router();
        Self { _folder: folder, authority, log, clock, key, email, uri, kubernetes, github, ghes, config, fulcio, router }
    }

    pub(crate) fn router(&self) -> Router {
        self.router.clone()
    }

    /// One request, without a socket.
    pub(crate) async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], Body::empty()).await
    }

    /// `POST /api/v2/signingCert` as sigstore-go does it: the token in the header.
    pub(crate) async fn sign(&self, token: &str, body: &Value) -> Answer {
        let bearer = format!("Bearer {token}");
        let headers = [("content-type", "application/json"), ("authorization", bearer.as_str())];
        self.send(Method::POST, "/api/v2/signingCert", &headers, body.to_string()).await
    }

    /// A token of the e-mail issuer for `me@corp.example`.
    pub(crate) fn email_token(&self) -> String {
        self.key.mint(&self.email.claims(json!({ "email": EMAIL, "email_verified": true })))
    }

    /// Asks for a certificate with this token and a proof over `challenge`.
    pub(crate) async fn sign_as(&self, token: &str, challenge: &str) -> Answer {
        self.sign(token, &p256_request(challenge).await).await
    }

    /// How many certificates were recorded.
    pub(crate) async fn recorded(&self) -> usize {
        self.recorded_tbs().await.len()
    }

    /// What was recorded, oldest first.
    pub(crate) async fn recorded_tbs(&self) -> Vec<Vec<u8>> {
        sqlx::query_scalar("SELECT tbs FROM issuance ORDER BY id").fetch_all(&self.database().await).await.unwrap()
    }

    /// The record, from outside.
    pub(crate) async fn database(&self) -> sqlx::SqlitePool {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(self.config.database.as_path());
        sqlx::SqlitePool::connect_with(options).await.unwrap()
    }
}

pub(crate) const EMAIL: &str = "me@corp.example";

/// A request body for a new P-256 key.
pub(crate) async fn p256_request(challenge: &str) -> Value {
    let key = FileKey::generate(KeyKind::P256).unwrap();
    let proof = key.sign(challenge.as_bytes()).await.unwrap();
    key_request(&key.public_key().to_pem(), &proof)
}

/// A request body as sigstore-go writes it.
pub(crate) fn key_request(pem: &str, proof: &[u8]) -> Value {
    json!({ "publicKeyRequest": { "publicKey": { "algorithm": "ECDSA", "content": pem }, "proofOfPossession": base64(proof) } })
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// The claims of a workflow, as GitHub Enterprise Server has them.
pub(crate) fn workflow_claims() -> Value {
    json!({
        "sub": "repo:org/repo:ref:refs/heads/main",
        "repository": "org/repo", "repository_id": "12", "repository_owner": "org", "repository_owner_id": "34",
        "repository_visibility": "internal", "ref": "refs/heads/main", "sha": "c0ffee",
        "workflow": "build", "workflow_ref": "org/repo/.github/workflows/w.yml@refs/heads/main", "workflow_sha": "c0ffee",
        "job_workflow_ref": "org/repo/.github/workflows/w.yml@refs/heads/main", "job_workflow_sha": "c0ffee",
        "event_name": "push", "run_id": "56", "run_attempt": "1", "runner_environment": "self-hosted",
    })
}
