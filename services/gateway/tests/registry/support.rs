//! A registry in a temporary folder, and requests to it.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use clock::ManualClock;
use gateway::{Config, Gateway};
use http::{HeaderMap, Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use oci::{Algorithm, Digest, media_type};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

pub(crate) const NOW: &str = "2026-11-21T09:14:03Z";
pub(crate) const PUSH_SECRET: &str = "the secret for pushing";
pub(crate) const UNKNOWN: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

pub(crate) struct Registry {
    pub(crate) folder: TempDir,
    pub(crate) config: Config,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) gateway: Gateway,
    router: Router,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Registry {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Value)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("push"), PUSH_SECRET).unwrap();
        let config = config(folder.path(), change);
        gateway::create(&config).await.unwrap();
        let clock = Arc::new(ManualClock::new(NOW.parse::<Timestamp>().unwrap()));
        let gateway = gateway::open(&config, clock.clone()).await.unwrap();
        Self { router: gateway.router(), folder, config, clock, gateway }
    }

    /// One that wants a secret from who writes.
    pub(crate) async fn locked(anonymous_pull: bool) -> Self {
        Self::with(|config| {
            config["push_token_file"] = "push".into();
            config["anonymous_pull"] = anonymous_pull.into();
        })
        .await
    }

    /// As after the process was stopped and started.
    pub(crate) async fn restarted(self) -> Self {
        self.reconfigured(|_| {}).await
    }

    /// The same, with another configuration.
    pub(crate) async fn reconfigured(self, change: impl FnOnce(&mut Value)) -> Self {
        let Self { folder, config, clock, gateway, router } = self;
        drop(router);
        gateway.close().await;
        let mut config = serde_json::to_value(&config).unwrap();
        change(&mut config);
        let config = serde_json::from_value(config).unwrap();
        let gateway = gateway::open(&config, clock.clone()).await.unwrap();
        Self { router: gateway.router(), folder, config, clock, gateway }
    }

    /// An answer whose body is yet to be read.
    pub(crate) async fn begin(&self, request: Request<Body>) -> Response<Body> {
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.begin(request).await;
        let (parts, body) = response.into_parts();
        assert_eq!(parts.headers.get("content-encoding"), None, "nothing is ever encoded");
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) async fn ask(&self, method: Method, path: &str) -> Answer {
        self.send(request(method, path, &[], Body::empty())).await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path).await
    }

    pub(crate) async fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send(request(Method::GET, path, headers, Body::empty())).await
    }

    pub(crate) async fn put(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Answer {
        self.send(whole(Method::PUT, path, headers, body)).await
    }

    pub(crate) async fn blob(&self, repository: &str, content: &[u8]) -> Digest {
        let digest = Digest::of(content);
        self.blob_as(repository, &digest, content).await;
        digest
    }

    pub(crate) async fn blob_as(&self, repository: &str, digest: &Digest, content: &[u8]) {
        let path = format!("/v2/{repository}/blobs/uploads/?digest={digest}");
        let answer = self.send(whole(Method::POST, &path, &[], content.to_vec())).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    }

    /// Pushes what `document` says under `reference`.
    pub(crate) async fn manifest(&self, repository: &str, reference: &str, document: &Value) -> Answer {
        let kind = document["mediaType"].as_str().unwrap_or_default().to_owned();
        self.put(&format!("/v2/{repository}/manifests/{reference}"), &[("content-type", &kind)], document.to_string()).await
    }

    /// Pushes an image of its own with everything it needs, and says its digest.
    pub(crate) async fn image(&self, repository: &str, tag: &str, content: &str) -> Digest {
        let document = self.image_document(repository, content).await;
        let answer = self.manifest(repository, tag, &document).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        Digest::of(document.to_string().as_bytes())
    }

    /// The blobs of an image, and the manifest that is to be pushed.
    pub(crate) async fn image_document(&self, repository: &str, content: &str) -> Value {
        let config =
            self.blob(repository, format!(r#"{{"architecture":"amd64","os":"linux","x":"{content}"}}"#).as_bytes()).await;
        let layer = self.blob(repository, content.as_bytes()).await;
        json!({
            "schemaVersion": 2, "mediaType": media_type::IMAGE_MANIFEST,
            "config": descriptor(media_type::IMAGE_CONFIG, &config, 1),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer, content.len())],
        })
    }

    /// Attaches an artifact to `subject`.
    pub(crate) async fn artifact(&self, repository: &str, subject: &Digest, kind: &str, content: &str) -> Digest {
        let document = self.artifact_document(repository, subject, kind, content).await;
        let digest = Digest::of(document.to_string().as_bytes());
        let answer = self.manifest(repository, digest.as_str(), &document).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        assert_eq!(answer.header("oci-subject"), subject.as_str());
        digest
    }

    pub(crate) async fn artifact_document(&self, repository: &str, subject: &Digest, kind: &str, content: &str) -> Value {
        let empty = self.blob(repository, b"{}").await;
        let layer = self.blob(repository, content.as_bytes()).await;
        json!({
            "schemaVersion": 2, "mediaType": media_type::IMAGE_MANIFEST, "artifactType": kind,
            "config": descriptor(media_type::EMPTY, &empty, 2),
            "layers": [descriptor("application/octet-stream", &layer, content.len())],
            "subject": descriptor(media_type::IMAGE_MANIFEST, subject, 1),
            "annotations": {"content": content},
        })
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn text(&self) -> String {
        format!("{} {}", self.status, String::from_utf8_lossy(&self.body))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    /// The specification's word of every error.
    pub(crate) fn words(&self) -> Vec<String> {
        let errors = self.json()["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|error| error["code"].as_str().unwrap().to_owned()).collect()
    }

    /// A refusal: status, word and our code, in the form that every refusal has.
    #[track_caller]
    pub(crate) fn refuses(&self, status: u16, word: &str, code: &str) {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/json");
        assert_eq!(self.header("docker-distribution-api-version"), "registry/2.0");
        assert_eq!(self.words(), [word], "{}", self.text());
        let message = self.json()["errors"][0]["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with(&format!("[{code}] ")), "{message}");
        assert!(!message.contains(['\n', '"']), "{message}");
    }

    #[track_caller]
    pub(crate) fn is(&self, status: u16) -> &Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.header("docker-distribution-api-version"), "registry/2.0");
        self
    }
}

pub(crate) fn config(folder: &std::path::Path, change: impl FnOnce(&mut Value)) -> Config {
    let mut config = json!({
        "public_url": "http://localhost:5000", "http": {"listen": ["127.0.0.1:5000"]}, "database": folder.join("gateway.db"),
        "blobs": folder.join("blobs"),
    });
    change(&mut config);
    for path in ["push_token_file", "trusted_root"] {
        if let Some(name) = config.get(path).and_then(Value::as_str) {
            config[path] = folder.join(name).to_str().unwrap().into();
        }
    }
    serde_json::from_value(config).unwrap()
}

pub(crate) fn descriptor(media_type: &str, digest: &Digest, size: usize) -> Value {
    json!({"mediaType": media_type, "digest": digest, "size": size})
}

pub(crate) fn sha512(content: &[u8]) -> Digest {
    Digest::with(Algorithm::Sha512, content)
}

pub(crate) fn request(method: Method, path: &str, headers: &[(&str, &str)], body: Body) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(body).unwrap()
}

/// With its length, as clients send what they have whole.
pub(crate) fn whole(method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Request<Body> {
    let body: Bytes = body.into();
    let length = body.len();
    let mut request = request(method, path, headers, Body::from(body));
    request.headers_mut().insert(header::CONTENT_LENGTH, length.into());
    request
}

/// As it comes, in pieces and without a length.
pub(crate) fn streamed(method: Method, path: &str, headers: &[(&str, &str)], pieces: &[&'static str]) -> Request<Body> {
    let pieces: Vec<Result<&'static str, std::io::Error>> = pieces.iter().map(|piece| Ok(*piece)).collect();
    request(method, path, headers, Body::from_stream(futures_util::stream::iter(pieces)))
}
