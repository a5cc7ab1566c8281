//! The whole face in process: real database, real signatures, requests straight into the router.

mod exported;
mod reads;
mod starts;
mod witnessed;
mod writes;

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use bundle::TransparencyLogEntry;
use chassis::config::ListenConfig;
use clock::ManualClock;
use entry::{HashedRekordRequest, Verifier, default_key_details};
use futures_util::future::join_all;
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use keys::{FileKey, Signer as _};
use merkle::{Hash, leaf_hash, verify_inclusion};
use note::{Checkpoint, SignedNote};
use pki::KeyKind;
use serde_json::Value;
use tempfile::TempDir;
use tlog::{Database, DatabaseAddress, Log};
use tower::ServiceExt as _;

use super::start::{LOG_NAME, identify};
use super::*;

/// An installation of one log in a folder that goes away.
struct Fixture {
    dir: TempDir,
    config: Config,
    clock: Arc<ManualClock>,
    /// Signs entries.
    client: FileKey,
}

impl Fixture {
    fn new() -> Self {
        Self::with_key(KeyKind::P256)
    }

    fn with_key(kind: KeyKind) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            public_url: "https://log1.rekor.example".into(),
            http: ListenConfig::loopback(0),
            database: dir.path().join("rekor.db").into(),
            head_record: None,
            objects: None,
            keep_entries: 65_536,
            database_password_file: None,
            key: dir.path().join("rekor.pem").into(),
            bundle_cache_mib: 16,
            witnesses: None,
            export: None,
        };
        FileKey::generate(kind).unwrap().create_file(&config.key).unwrap();
        let clock = Arc::new(ManualClock::new("2026-11-21T09:00:00Z".parse::<Timestamp>().unwrap()));
        Self { dir, config, clock, client: FileKey::generate(KeyKind::P256).unwrap() }
    }

    /// Makes the log without the seeds that every real one has.
    async fn create_empty(&self) {
        let (_, signer) = identify(&self.config).unwrap();
        let database = Database::create(&self.database()).await.unwrap();
        let log = Log::create(database.log(LOG_NAME), signer, self.clock.clone()).await.unwrap();
        log.close().await;
        database.close().await;
    }

    fn database(&self) -> DatabaseAddress {
        self.config.place(1).address().unwrap()
    }

    async fn open(&self) -> RekorV2 {
        open(&self.config, self.clock.clone(), None).await.unwrap()
    }

    /// A log without entries, open.
    async fn empty() -> (Self, RekorV2) {
        let fixture = Self::new();
        fixture.create_empty().await;
        let rekor = fixture.open().await;
        (fixture, rekor)
    }

    /// The request that logs artifact `number`; the same bytes each time it is sent, other ones each time it is made.
    async fn request(&self, number: u64) -> Vec<u8> {
        let message = format!("artifact {number}").into_bytes();
        let request = HashedRekordRequest {
            digest: digest(&SHA256, &message).as_ref().to_vec(),
            signature: self.client.sign(&message).await.unwrap(),
            verifier: Verifier::PublicKey(self.client.public_key().spki_der().to_vec()),
            key_details: default_key_details(KeyKind::P256).unwrap(),
        };
        request.to_json()
    }

    /// Logs `count` entries, many at a time; returns the requests, in any order.
    async fn fill(&self, router: &Router, count: u64) -> Vec<Vec<u8>> {
        self.fill_from(router, 0, count).await
    }

    /// As [`Self::fill`], of artifacts from `first` on.
    async fn fill_from(&self, router: &Router, first: u64, count: u64) -> Vec<Vec<u8>> {
        let requests = join_all((first..first + count).map(|number| self.request(number))).await;
        for answer in join_all(requests.iter().map(|request| submit(router, request.clone()))).await {
            assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        }
        requests
    }
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}", self.text()))
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    fn entry(&self) -> TransparencyLogEntry {
        assert_eq!(self.status, StatusCode::CREATED, "{}", self.text());
        serde_json::from_slice(&self.body).unwrap()
    }

    /// Asserts the shape of an error of this contract and returns its message.
    fn refusal(&self, status: u16, code: u64) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/json"));
        let body = self.json();
        let message = body["message"].as_str().unwrap().to_owned();
        assert_eq!(body, serde_json::json!({"code": code, "message": message, "details": []}));
        assert!(!message.contains(['\n', '"']), "{message}");
        message
    }
}

async fn send(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    Answer { status: parts.status, headers: parts.headers, body: body.collect().await.unwrap().to_bytes() }
}

async fn ask(router: &Router, method: Method, path: &str) -> Answer {
    send(router, Request::builder().method(method).uri(path).body(Body::empty()).unwrap()).await
}

async fn get(router: &Router, path: &str) -> Answer {
    ask(router, Method::GET, path).await
}

async fn submit(router: &Router, body: impl Into<Body>) -> Answer {
    let request = Request::post("/api/v2/log/entries").header("content-type", "application/json");
    send(router, request.body(body.into()).unwrap()).await
}

/// The checkpoint in a signed note, its signature verified as any client does.
fn read_checkpoint(identity: &Identity, envelope: &str) -> Checkpoint {
    let note: SignedNote = envelope.parse().unwrap();
    let [line] = note.signatures() else { panic!("one signature line, found {}", note.signatures().len()) };
    assert_eq!((line.name.as_str(), &line.hint.0[..]), (identity.origin.as_str(), &identity.log_id.as_bytes()[..4]));
    identity.public_key.verify(note.text().as_bytes(), &line.signature).unwrap();
    let checkpoint: Checkpoint = note.text().parse().unwrap();
    assert_eq!((&checkpoint.origin, checkpoint.extensions.len()), (&identity.origin, 0));
    checkpoint
}

/// Verifies an answer as an offline client does and returns the index and size that it proves.
fn verify(identity: &Identity, entry: &TransparencyLogEntry) -> (u64, u64) {
    assert_eq!(*entry.log_id.key_id, *identity.log_id.as_bytes());
    assert_eq!((entry.integrated_time, &entry.inclusion_promise), (0, &None));
    let proof = entry.inclusion_proof.as_ref().unwrap();
    let checkpoint = read_checkpoint(identity, &proof.checkpoint.envelope);
    assert_eq!(
        (proof.log_index, proof.tree_size, &*proof.root_hash),
        (entry.log_index, checkpoint.size, &checkpoint.root.as_bytes()[..])
    );
    let hashes: Vec<Hash> = proof.hashes.iter().map(|hash| Hash::try_from(&**hash).unwrap()).collect();
    let leaf = leaf_hash(&entry.canonicalized_body);
    verify_inclusion(&leaf, entry.log_index, checkpoint.size, &hashes, &checkpoint.root).unwrap();
    (entry.log_index, checkpoint.size)
}
