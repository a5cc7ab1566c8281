//! The whole face in process: real database, real signatures, requests straight into the router.

mod reads;
mod retrieving;
mod searching;
mod sharding;
mod starts;
mod writes;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, Method, Request, StatusCode};
use base64::prelude::{BASE64_STANDARD, Engine as _};
use chassis::config::ListenConfig;
use clock::ManualClock;
use futures_util::future::join_all;
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use keys::{FileKey, Signer as _};
use merkle::{Hash, leaf_hash, sha256, verify_inclusion};
use note::{Checkpoint, SignedNote};
use pki::KeyKind;
use serde_json::{Value, json};
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

const HOST: &str = "rekor.corp.example";

impl Fixture {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            public_url: format!("https://{HOST}"),
            http: ListenConfig::loopback(0),
            database: dir.path().join("rekor.db").into(),
            head_record: None,
            objects: None,
            keep_entries: 65_536,
            database_password_file: None,
            key: dir.path().join("rekor-v1.pem").into(),
        };
        FileKey::generate(KeyKind::P256).unwrap().create_file(&config.key).unwrap();
        let clock = Arc::new(ManualClock::new("2026-11-21T09:00:00.987Z".parse::<Timestamp>().unwrap()));
        Self { dir, config, clock, client: FileKey::generate(KeyKind::P256).unwrap() }
    }

    /// Makes the log without the seeds that every real one has.
    async fn create_empty(&self) {
        let key = Arc::new(FileKey::load(&self.config.key).unwrap());
        let (_, signer) = identify(HOST, TreeId::draw().unwrap(), key).unwrap();
        let database = Database::create(&self.database()).await.unwrap();
        let log = Log::create(database.log(LOG_NAME), Arc::new(signer), self.clock.clone()).await.unwrap();
        log.close().await;
        database.close().await;
    }

    fn database(&self) -> DatabaseAddress {
        self.config.place(1).address().unwrap()
    }

    async fn open(&self) -> RekorV1 {
        open(&self.config, self.clock.clone(), None).await.unwrap()
    }

    /// A log without entries, open.
    async fn empty() -> (Self, RekorV1) {
        let fixture = Self::new();
        fixture.create_empty().await;
        let rekor = fixture.open().await;
        (fixture, rekor)
    }

    /// A proposal of artifact `number`, signed anew each time it is made.
    async fn proposal(&self, number: u64) -> Value {
        let message = format!("artifact {number}").into_bytes();
        let signature = self.client.sign(&message).await.unwrap();
        hashedrekord(&message, &signature, &self.client.public_key().to_pem())
    }

    /// An envelope over `payload`, proposed as dsse.
    async fn dsse(&self, payload: &[u8]) -> Value {
        let envelope = self.envelope(payload).await.to_string();
        let verifiers = [b64(self.client.public_key().to_pem())];
        json!({"kind": "dsse", "apiVersion": "0.0.1", "spec": {"proposedContent": {"envelope": envelope, "verifiers": verifiers}}})
    }

    async fn envelope(&self, payload: &[u8]) -> Value {
        const TYPE: &str = "application/vnd.in-toto+json";
        let pae = [format!("DSSEv1 {} {TYPE} {} ", TYPE.len(), payload.len()).as_bytes(), payload].concat();
        let sig = b64(self.client.sign(&pae).await.unwrap());
        json!({"payload": b64(payload), "payloadType": TYPE, "signatures": [{"sig": sig}]})
    }

    /// Logs `count` entries, many at a time; returns what was proposed, in any order.
    async fn fill(&self, router: &Router, count: u64) -> Vec<Value> {
        let proposals = join_all((0..count).map(|number| self.proposal(number))).await;
        for answer in join_all(proposals.iter().map(|proposal| submit(router, proposal))).await {
            assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
        }
        proposals
    }
}

fn hashedrekord(message: &[u8], signature: &[u8], pem: &str) -> Value {
    json!({"kind": "hashedrekord", "apiVersion": "0.0.1", "spec": {
        "data": {"hash": {"algorithm": "sha256", "value": sha256(message).to_string()}},
        "signature": {"content": b64(signature), "publicKey": {"content": b64(pem)}},
    }})
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_STANDARD.encode(bytes)
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

    /// Asserts the shape of an error of this contract and returns its message.
    #[track_caller]
    fn refusal(&self, status: u16, code: u64) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.header("content-type"), Some("application/json"));
        let body = self.json();
        let message = body["message"].as_str().unwrap().to_owned();
        assert_eq!(body, json!({"code": code, "message": message}));
        assert!(!message.contains('\n') && self.text().ends_with("}\n"), "{message}");
        message
    }

    /// As [`Answer::refusal`]; the message has this text and ends in this code.
    #[track_caller]
    fn refused(&self, status: u16, number: u64, text: &str, code: &str) {
        let message = self.refusal(status, number);
        assert!(message.contains(text) && message.ends_with(&format!(" [{code}]")), "{message}");
    }

    /// Asserts that it is 404 without a word.
    #[track_caller]
    fn nothing(&self) {
        assert_eq!((self.status.as_u16(), self.body.len(), self.header("content-type")), (404, 0, None), "{}", self.text());
    }

    /// The one entry of a map, by name.
    #[track_caller]
    fn entry(&self) -> (String, Value) {
        assert!(self.status.is_success(), "{}", self.text());
        one(&self.json())
    }
}

fn one(map: &Value) -> (String, Value) {
    let map = map.as_object().unwrap();
    assert_eq!(map.len(), 1);
    map.iter().next().map(|(id, entry)| (id.clone(), entry.clone())).unwrap()
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

async fn post(router: &Router, path: &str, body: impl Into<Body>) -> Answer {
    send(router, Request::post(path).header("content-type", "application/json").body(body.into()).unwrap()).await
}

async fn submit(router: &Router, proposal: &Value) -> Answer {
    post(router, "/api/v1/log/entries", proposal.to_string()).await
}

async fn retrieve(router: &Router, query: &Value) -> Answer {
    post(router, "/api/v1/log/entries/retrieve", query.to_string()).await
}

async fn search(router: &Router, query: &Value) -> Answer {
    post(router, "/api/v1/index/retrieve", query.to_string()).await
}

/// The checkpoint in a signed note, verified as rekor-cli does: every line by the log's key.
#[track_caller]
fn read_checkpoint(identity: &Identity, envelope: &str) -> Checkpoint {
    let note: SignedNote = envelope.parse().unwrap();
    let [line] = note.signatures() else { panic!("one signature line, found {}", note.signatures().len()) };
    assert_eq!((line.name.as_str(), &line.hint.0[..]), (HOST, &identity.log_id.as_bytes()[..4]));
    identity.public_key.verify(note.text().as_bytes(), &line.signature).unwrap();
    let checkpoint: Checkpoint = note.text().parse().unwrap();
    assert_eq!((&checkpoint.origin, checkpoint.extensions.len()), (&identity.origin, 0));
    assert_eq!(identity.origin, format!("{HOST} - {}", identity.tree));
    checkpoint
}

/// Verifies an entry as rekor-cli does (inclusion, checkpoint, promise); returns the index and the size that it proves.
#[track_caller]
fn verify(identity: &Identity, (id, entry): &(String, Value)) -> (u64, u64) {
    let body = BASE64_STANDARD.decode(entry["body"].as_str().unwrap()).unwrap();
    let leaf = leaf_hash(&body);
    assert_eq!(*id, format!("{:016x}{leaf}", identity.tree.get()));
    assert_eq!(entry["logID"], identity.log_id.to_string());
    let members: Vec<_> = entry.as_object().unwrap().keys().collect();
    assert_eq!(members, ["body", "integratedTime", "logID", "logIndex", "verification"]);

    let proof = &entry["verification"]["inclusionProof"];
    let checkpoint = read_checkpoint(identity, proof["checkpoint"].as_str().unwrap());
    assert_eq!((&proof["treeSize"], &proof["rootHash"]), (&json!(checkpoint.size), &json!(checkpoint.root.to_string())));
    assert_eq!(proof["logIndex"], entry["logIndex"]);
    let index = entry["logIndex"].as_u64().unwrap();
    verify_inclusion(&leaf, index, checkpoint.size, &hashes(&proof["hashes"]), &checkpoint.root).unwrap();

    let promised =
        json!({"body": entry["body"], "integratedTime": entry["integratedTime"], "logID": entry["logID"], "logIndex": index});
    let promise = BASE64_STANDARD.decode(entry["verification"]["signedEntryTimestamp"].as_str().unwrap()).unwrap();
    identity.public_key.verify(promised.to_string().as_bytes(), &promise).unwrap();
    (index, checkpoint.size)
}

fn hashes(list: &Value) -> Vec<Hash> {
    let hash = |text: &Value| Hash::try_from(&hex::decode(text.as_str().unwrap()).unwrap()[..]).unwrap();
    list.as_array().unwrap().iter().map(hash).collect()
}
