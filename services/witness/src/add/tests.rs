//! The whole witness in process: real database, real signatures, requests straight into the router, and a store that fails.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use chassis::Explain as _;
use chassis::config::ListenConfig;
use clock::ManualClock;
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use keys::FileKey;
use merkle::{CompactRange, Hash, Node, ProofPlan, leaf_hash};
use note::{KeyHint, NoteKey, NoteSignature};
use pki::KeyKind;
use tempfile::TempDir;
use tower::ServiceExt as _;

use super::*;
use crate::records::RecordError;
use crate::{Config, LogConfig, Witness, create, http, open};

/// A log whose entries are numbers.
struct Log {
    origin: String,
    key: FileKey,
    vkey: VerifierKey,
    /// Added to each number: another history.
    salt: u64,
}

impl Log {
    fn new(origin: &str, kind: KeyKind) -> Self {
        let key = FileKey::generate(kind).unwrap();
        let public = key.public_key();
        let note_key = match kind {
            KeyKind::Ed25519 => NoteKey::Ed25519(public.key_bytes().try_into().unwrap()),
            _ => NoteKey::Ecdsa(public.spki_der().to_vec()),
        };
        let vkey = VerifierKey::new(origin, note_key).unwrap();
        Self { origin: origin.to_owned(), key, vkey, salt: 0 }
    }

    fn leaf(&self, number: u64) -> Hash {
        leaf_hash(&(number + self.salt).to_be_bytes())
    }

    fn subtree(&self, node: Node) -> Hash {
        let mut range = CompactRange::new();
        (node.index << node.level..(node.index + 1) << node.level).for_each(|number| range.append(self.leaf(number)));
        range.root()
    }

    fn root(&self, size: u64) -> Hash {
        let mut range = CompactRange::new();
        (0..size).for_each(|number| range.append(self.leaf(number)));
        range.root()
    }

    async fn note(&self, text: String) -> SignedNote {
        let signature = self.key.sign(text.as_bytes()).await.unwrap();
        let line = NoteSignature { name: self.origin.clone(), hint: self.vkey.hint(), signature };
        SignedNote::new(text, vec![line]).unwrap()
    }

    async fn request(&self, old: u64, size: u64) -> AddCheckpoint {
        let proof = match old {
            0 => Vec::new(),
            old if old >= size => Vec::new(),
            old => ProofPlan::consistency(old, size).unwrap().hashes(|node| Ok::<_, ()>(self.subtree(node))).unwrap(),
        };
        let note = self.note(Checkpoint::new(&self.origin, size, self.root(size)).text()).await;
        AddCheckpoint { old, proof, note }
    }
}

struct Fixture {
    dir: TempDir,
    config: Config,
    clock: Arc<ManualClock>,
}

impl Fixture {
    async fn new(logs: &[&Log]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = Config {
            public_url: "https://witness.example/w".into(),
            name: "witness.example".into(),
            http: ListenConfig::loopback(0),
            database: dir.path().join("witness.db").into(),
            key: dir.path().join("witness.pem").into(),
            logs: logs.iter().map(|log| LogConfig { vkey: log.vkey.to_string(), origin: None }).collect(),
        };
        FileKey::generate(KeyKind::Ed25519).unwrap().create_file(&config.key).unwrap();
        create(&config).await.unwrap();
        let clock = Arc::new(ManualClock::new("2026-11-21T09:00:00Z".parse::<Timestamp>().unwrap()));
        Self { dir, config, clock }
    }

    async fn open(&self) -> Witness {
        open(&self.config, self.clock.clone()).await.unwrap()
    }
}

async fn post(router: &Router, body: impl Into<Body>) -> (u16, String, String) {
    let request = Request::post("/w/add-checkpoint").body(body.into()).unwrap();
    let response = router.clone().oneshot(request).await.unwrap();
    let media_type = response.headers()["content-type"].to_str().unwrap().to_owned();
    let (status, body) = (response.status().as_u16(), response.into_body().collect().await.unwrap().to_bytes());
    (status, media_type, String::from_utf8(body.to_vec()).unwrap())
}

async fn add(router: &Router, request: &AddCheckpoint) -> (u16, String) {
    let (status, _, body) = post(router, request.to_string()).await;
    (status, body)
}

/// The time of a good cosignature over the request's checkpoint.
fn cosigned(vkey: &VerifierKey, request: &AddCheckpoint, answer: &(u16, String)) -> u64 {
    assert_eq!(answer.0, 200, "{}", answer.1);
    let line = NoteSignature::parse(answer.1.strip_suffix('\n').unwrap()).unwrap();
    assert_eq!((line.name.as_str(), line.hint), (vkey.name(), vkey.hint()));
    let Cosignature { time, signature } = Cosignature::from_bytes(&line.signature).unwrap();
    let key = PublicKey::from_spki_der(&vkey.spki_der()).unwrap();
    key.verify(Cosignature::message(time, request.note.text()).as_bytes(), &signature).unwrap();
    time
}

#[tokio::test]
async fn a_growing_log_is_cosigned_whatever_its_key() {
    let (ed25519, ecdsa) = (Log::new("ed.example", KeyKind::Ed25519), Log::new("ec.example", KeyKind::P256));
    let fixture = Fixture::new(&[&ed25519, &ecdsa]).await;
    let witness = fixture.open().await;
    let (router, vkey) = (witness.router(), witness.identity().vkey);
    for log in [&ed25519, &ecdsa] {
        let mut old = 0;
        for size in [0, 1, 2, 7, 8, 8, 300, 1_000] {
            let request = log.request(old, size).await;
            let time = cosigned(&vkey, &request, &add(&router, &request).await);
            assert_eq!(time, u64::try_from(fixture.clock.now().as_second()).unwrap());
            old = size;
        }
    }
    witness.close().await;
    // It is remembered.
    let witness = fixture.open().await;
    let (status, media_type, body) = post(&witness.router(), ecdsa.request(8, 1_001).await.to_string()).await;
    assert_eq!((status, media_type.as_str(), body.as_str()), (409, "text/x.tlog.size", "1000\n"));
    let request = ecdsa.request(1_000, 1_001).await;
    cosigned(&vkey, &request, &add(&witness.router(), &request).await);
}

#[tokio::test]
async fn each_refusal_of_the_specification() {
    let log = Log::new("log.example", KeyKind::Ed25519);
    let fixture = Fixture::new(&[&log]).await;
    let witness = fixture.open().await;
    let (router, vkey) = (witness.router(), witness.identity().vkey);
    let refused = async |request: &AddCheckpoint| {
        let (status, body) = add(&router, request).await;
        (status, body.split(']').next().unwrap().trim_start_matches('[').trim_end().to_owned())
    };
    let is = |status: u16, code: &str| (status, code.to_owned());

    // Size 0 has one root; and from nothing there is nothing to prove.
    let text = Checkpoint::new("log.example", 0, leaf_hash(b"x")).text();
    let wrong = AddCheckpoint { old: 0, proof: vec![], note: log.note(text).await };
    assert_eq!(refused(&wrong).await, is(422, "witness_proof"));
    let mut request = log.request(0, 5).await;
    request.proof.push(leaf_hash(b"x"));
    assert_eq!(refused(&request).await, is(422, "witness_proof"));

    let first = log.request(0, 5).await;
    cosigned(&vkey, &first, &add(&router, &first).await);
    assert_eq!(refused(&log.request(0, 5).await).await, is(409, "5"));
    assert_eq!(refused(&log.request(4, 9).await).await, is(409, "5"));
    assert_eq!(refused(&log.request(6, 5).await).await, is(400, "witness_sizes"));
    let mut request = log.request(5, 9).await;
    request.proof.pop();
    assert_eq!(refused(&request).await, is(422, "witness_proof"));

    let stranger = Log::new("stranger.example", KeyKind::Ed25519);
    assert_eq!(refused(&stranger.request(0, 5).await).await, is(404, "witness_unknown_log"));
    let impostor = Log::new("log.example", KeyKind::Ed25519);
    assert_eq!(refused(&impostor.request(5, 9).await).await, is(403, "witness_not_signed"));
    let good = log.request(5, 9).await;
    let forged = NoteSignature { signature: vec![7; 64], ..good.note.signatures()[0].clone() };
    let both = SignedNote::new(good.note.text().to_owned(), vec![good.note.signatures()[0].clone(), forged.clone()]).unwrap();
    assert_eq!(refused(&AddCheckpoint { note: both, ..good.clone() }).await, is(403, "witness_not_signed"));

    let no_checkpoint = AddCheckpoint { old: 5, proof: vec![], note: log.note("log.example\nhello\n".into()).await };
    assert_eq!(refused(&no_checkpoint).await, is(400, "witness_checkpoint"));
    for body in [&b""[..], b"old x\n\nlog\n", &[0xff; 9]] {
        let (status, _, body) = post(&router, body.to_vec()).await;
        assert_eq!((status, body.starts_with("[witness_request]")), (400, true), "{body}");
    }
    let (status, ..) = post(&router, vec![b'a'; note::MAX_ADD_CHECKPOINT_BYTES + 1]).await;
    assert_eq!(status, 413);
    // Lines of other keys are ignored.
    let other = NoteSignature { name: "other.example".into(), hint: KeyHint([1; 4]), signature: vec![7; 64] };
    let note = SignedNote::new(good.note.text().to_owned(), vec![other, good.note.signatures()[0].clone()]).unwrap();
    let request = AddCheckpoint { note, ..good };
    cosigned(&vkey, &request, &add(&router, &request).await);
}

#[tokio::test]
async fn a_second_history_is_never_cosigned() {
    let mut log = Log::new("log.example", KeyKind::Ed25519);
    let fixture = Fixture::new(&[&log]).await;
    let witness = fixture.open().await;
    let router = witness.router();
    assert_eq!(add(&router, &log.request(0, 100).await).await.0, 200);
    log.salt = 1_000_000;
    for size in [100, 101, 256] {
        let (status, body) = add(&router, &log.request(100, size).await).await;
        assert_eq!((status, body.starts_with("[witness_proof]")), (422, true), "{body}");
    }
    log.salt = 0;
    assert_eq!(add(&router, &log.request(100, 256).await).await.0, 200, "the first history goes on");
}

#[tokio::test]
async fn the_time_of_a_log_never_goes_back() {
    let log = Log::new("log.example", KeyKind::Ed25519);
    let fixture = Fixture::new(&[&log]).await;
    let witness = fixture.open().await;
    let (router, vkey) = (witness.router(), witness.identity().vkey);
    let at = |size| log.request(size, size);
    let first = log.request(0, 3).await;
    let time = cosigned(&vkey, &first, &add(&router, &first).await);
    fixture.clock.set(Timestamp::from_second(i64::try_from(time).unwrap()).unwrap() - Duration::from_millis(900));
    assert_eq!(cosigned(&vkey, &at(3).await, &add(&router, &at(3).await).await), time);
    fixture.clock.set(Timestamp::from_second(i64::try_from(time).unwrap()).unwrap() - Duration::from_secs(5));
    let (status, body) = add(&router, &at(3).await).await;
    assert_eq!((status, body.starts_with("[witness_clock]")), (503, true), "{body}");
    fixture.clock.set(Timestamp::from_second(i64::try_from(time).unwrap()).unwrap() + Duration::from_secs(7));
    assert_eq!(cosigned(&vkey, &at(3).await, &add(&router, &at(3).await).await), time + 7);
}

/// What a write does besides, or instead of, what it should.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    FailsBefore,
    FailsAfter,
    LosesTheRace,
}

/// A real store whose next writes go wrong.
#[derive(Debug)]
struct Faulty {
    inner: Arc<dyn Records>,
    next: Mutex<Vec<Fault>>,
    writes: AtomicUsize,
}

#[async_trait]
impl Records for Faulty {
    async fn seen(&self, origin: &str) -> Result<Option<Seen>, RecordError> {
        self.inner.seen(origin).await
    }

    async fn replace(&self, origin: &str, before: Option<&Seen>, after: &Seen) -> Result<bool, RecordError> {
        self.writes.fetch_add(1, Ordering::Relaxed);
        let failed = || RecordError::Damaged { origin: "on purpose".into() };
        let fault = self.next.lock().unwrap().pop();
        match fault {
            None => self.inner.replace(origin, before, after).await,
            Some(Fault::FailsBefore) => Err(failed()),
            Some(Fault::FailsAfter) => self.inner.replace(origin, before, after).await.and(Err(failed())),
            Some(Fault::LosesTheRace) => Ok(false),
        }
    }
}

#[tokio::test]
async fn no_cosignature_is_given_before_its_tree_is_remembered() {
    let log = Log::new("log.example", KeyKind::Ed25519);
    let fixture = Fixture::new(&[&log]).await;
    let witness = fixture.open().await;
    let vkey = witness.identity().vkey;
    let faulty = Arc::new(Faulty { inner: witness.records(), next: Mutex::default(), writes: AtomicUsize::new(0) });
    let router = http::router(Arc::new(witness.app_with(faulty.clone())), Some("/w"));
    let size_seen = async || witness.records().seen("log.example").await.unwrap().map(|seen| seen.size);

    faulty.next.lock().unwrap().push(Fault::FailsBefore);
    let request = log.request(0, 3).await;
    let (status, body) = add(&router, &request).await;
    assert_eq!((status, body.starts_with("[witness_record]"), body.contains("on purpose")), (500, true, false), "{body}");
    assert_eq!(size_seen().await, None, "nothing happened: the same request is good again");
    cosigned(&vkey, &request, &add(&router, &request).await);

    faulty.next.lock().unwrap().push(Fault::FailsAfter);
    let request = log.request(3, 7).await;
    assert_eq!(add(&router, &request).await.0, 500);
    assert_eq!(add(&router, &request).await, (409, "7\n".into()), "it is remembered");
    let request = log.request(7, 7).await;
    cosigned(&vkey, &request, &add(&router, &request).await);

    faulty.next.lock().unwrap().extend([Fault::LosesTheRace; 7]);
    let request = log.request(7, 9).await;
    cosigned(&vkey, &request, &add(&router, &request).await);
    faulty.next.lock().unwrap().extend([Fault::LosesTheRace; 8]);
    let (status, body) = add(&router, &log.request(9, 9).await).await;
    assert_eq!((status, body.starts_with("[witness_contended]")), (503, true), "{body}");
    assert_eq!(faulty.writes.load(Ordering::Relaxed), 1 + 1 + 1 + 1 + 8 + 8);
}

#[tokio::test]
async fn of_two_at_once_one_grows_the_log() {
    let log = Log::new("log.example", KeyKind::Ed25519);
    let fixture = Fixture::new(&[&log]).await;
    let witness = fixture.open().await;
    let router = witness.router();
    assert_eq!(add(&router, &log.request(0, 5).await).await.0, 200);
    let tasks: Vec<_> = (6..26)
        .map(|size| {
            let router = router.clone();
            let log = Log {
                key: FileKey::from_pem(&log.key.to_pem()).unwrap(),
                origin: log.origin.clone(),
                vkey: log.vkey.clone(),
                salt: 0,
            };
            tokio::spawn(async move { (size, add(&router, &log.request(5, size).await).await) })
        })
        .collect();
    let mut grown = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            (size, (200, _)) => grown.push(size),
            (_, (status, body)) => assert!(status == 409, "{status} {body}"),
        }
    }
    assert_eq!(grown.len(), 1);
    assert_eq!(witness.records().seen("log.example").await.unwrap().unwrap().size, grown[0]);
}

#[tokio::test]
async fn a_witness_opens_only_as_it_was_made() {
    let log = Log::new("log.example", KeyKind::Ed25519);
    let fixture = Fixture::new(&[&log]).await;
    let nowhere = chassis::config::FilePath::from(fixture.dir.path().join("nowhere"));
    let code = async |change: &dyn Fn(&mut Config)| {
        let mut config = fixture.config.clone();
        change(&mut config);
        match open(&config, fixture.clock.clone()).await {
            Ok(witness) => {
                witness.close().await;
                "open"
            }
            Err(error) => {
                assert!(error.advice().is_some());
                error.code()
            }
        }
    };
    assert_eq!(code(&|_| {}).await, "open");
    assert_eq!(code(&|config| config.name = "a b".into()).await, "witness_name");
    for url in ["witness.example", "https://w.example/", "https://w.example/?a", "ftp://w.example", "https://me@w.example"] {
        assert_eq!(code(&|config| config.public_url = url.into()).await, "witness_public_url", "{url}");
    }
    assert_eq!(code(&|config| config.public_url = "https://w.example".into()).await, "open");
    assert_eq!(code(&|config| config.logs.push(config.logs[0].clone())).await, "witness_log");
    assert_eq!(code(&|config| config.logs[0].vkey = "x".into()).await, "witness_log");
    let broken = VerifierKey::new("x", NoteKey::Ecdsa(vec![1])).unwrap().to_string();
    assert_eq!(code(&|config| config.logs[0].vkey = broken.clone()).await, "witness_log");
    assert_eq!(code(&|config| config.logs[0].origin = Some("log.example - 12".into())).await, "open");
    let ours = fixture.open().await.identity().vkey;
    let NoteKey::Cosigner(key) = *ours.key() else { panic!("a cosigner") };
    let own = VerifierKey::new("x", NoteKey::Ed25519(key)).unwrap().to_string();
    for vkey in [ours.to_string(), own] {
        assert_eq!(code(&|config| config.logs[0].vkey = vkey.clone()).await, "witness_log", "{vkey}");
    }
    assert_eq!(code(&|config| config.database = nowhere.clone()).await, "database_missing");
    assert_eq!(code(&|config| config.key = nowhere.clone()).await, "witness_key_file");
    FileKey::generate(KeyKind::P256).unwrap().create_file(&fixture.dir.path().join("p256.pem")).unwrap();
    let p256 = fixture.dir.path().join("p256.pem");
    assert_eq!(code(&|config| config.key = p256.clone().into()).await, "witness_key_unsuitable");
    assert_eq!(create(&fixture.config).await.unwrap_err().code(), "database_exists");
}

#[tokio::test]
async fn the_key_is_told_and_other_paths_are_refused() {
    let fixture = Fixture::new(&[]).await;
    let witness = fixture.open().await;
    let get = async |path: &str| {
        let response = witness.router().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        (response.status(), response.into_body().collect().await.unwrap().to_bytes())
    };
    for path in ["/vkey", "/w/vkey"] {
        assert_eq!(get(path).await, (StatusCode::OK, format!("{}\n", witness.identity().vkey).into()));
    }
    assert_eq!(get("/nothing").await.0, StatusCode::NOT_FOUND);
    assert_eq!(get("/add-checkpoint").await.0, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(witness.ready().check().await, Ok(()));
}
