//! A certificate authority, a log in a temporary folder, and requests to it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use axum::Router;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chassis::config::ListenConfig;
use clock::ManualClock;
use ct::{AddChainResponse, Sct};
use ctlog::{Config, CtLog};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use jiff::{SignedDuration, Timestamp};
use keys::{FileKey, Signer as _};
use pki::ca::{self, CaKey, Subject};
use pki::leaf::{Draft, FulcioExtensions, Issuer, Profile, Serial};
use pki::{Certificate, KeyKind, PublicKey, SubjectAltName};
use serde_json::{Value, json};
use tower::ServiceExt as _;

pub(crate) const NOW: &str = "2026-11-21T09:14:03.250Z";

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Fulcio's certificates and key.
pub(crate) struct Authority {
    pub(crate) root: Certificate,
    pub(crate) intermediate: Certificate,
    pub(crate) key: FileKey,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let root_key = FileKey::generate(KeyKind::P256).unwrap();
        let root_key = CaKey::from_pkcs8_pem(&root_key.to_pem()).unwrap();
        let key = FileKey::generate(KeyKind::P256).unwrap();
        let root = ca::root(&root_key, &subject("root")).unwrap();
        let intermediate = ca::intermediate(&root, &root_key, key.public_key(), &subject("intermediate")).unwrap();
        Self { root, intermediate, key }
    }

    pub(crate) fn profile(&self) -> Profile {
        Profile {
            serial: serial(),
            not_before: at(NOW),
            not_after: at(NOW) + SignedDuration::from_mins(10),
            public_key: client_key(),
            subject_alt_name: SubjectAltName::Email("dev@corp.example".into()),
            extensions: FulcioExtensions::new("https://issuer.corp.example", "dev").unwrap(),
        }
    }

    pub(crate) async fn precertificate(&self) -> Certificate {
        self.precertificate_of(&self.profile()).await
    }

    pub(crate) async fn precertificate_of(&self, profile: &Profile) -> Certificate {
        self.signed(&Draft::precertificate(&self.issuer(), profile).unwrap()).await
    }

    pub(crate) async fn certificate_of(&self, profile: &Profile, scts: &[Sct]) -> Certificate {
        let list = ct::sct_list(scts).unwrap();
        self.signed(&Draft::certificate(&self.issuer(), profile, &list).unwrap()).await
    }

    pub(crate) fn issuer(&self) -> Issuer {
        Issuer::new(&self.intermediate).unwrap()
    }

    pub(crate) async fn signed(&self, draft: &Draft) -> Certificate {
        draft.assemble(&self.key.sign(draft.tbs()).await.unwrap()).unwrap()
    }

    /// Fulcio's way: the certificate, the intermediate, the root.
    pub(crate) fn whole<'a>(&'a self, leaf: &'a Certificate) -> [&'a Certificate; 3] {
        [leaf, &self.intermediate, &self.root]
    }
}

pub(crate) fn subject(common_name: &str) -> Subject {
    Subject {
        organization: "corp.example".into(),
        common_name: common_name.into(),
        serial: serial(),
        not_before: at("2026-11-21T09:00:00Z"),
        not_after: at("2036-11-18T09:00:00Z"),
    }
}

/// One key for every leaf: what differs is the serial number.
fn client_key() -> PublicKey {
    static KEY: std::sync::OnceLock<PublicKey> = std::sync::OnceLock::new();
    KEY.get_or_init(|| FileKey::generate(KeyKind::P256).unwrap().public_key().clone()).clone()
}

fn serial() -> Serial {
    static NEXT: AtomicU8 = AtomicU8::new(0);
    let mut octets = [NEXT.fetch_add(1, Ordering::Relaxed); 20];
    aws_lc_rs::rand::fill(&mut octets[1..]).unwrap();
    Serial::from_random(octets)
}

/// A log, its authority, and the folder both live in.
pub(crate) struct Fixture {
    pub(crate) authority: Authority,
    pub(crate) config: Config,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) log: Option<CtLog>,
    folder: tempfile::TempDir,
}

impl Fixture {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Value)) -> Self {
        let mut fixture = Self::files(change);
        ctlog::create(&fixture.config, fixture.clock.clone()).await.unwrap();
        fixture.reopen().await;
        fixture
    }

    /// Everything but the log.
    pub(crate) fn files(change: impl FnOnce(&mut Value)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (authority, path) = (Authority::new(), |name: &str| folder.path().join(name).to_str().unwrap().to_owned());
        FileKey::generate(KeyKind::P256).unwrap().create_file(path("key.pem").as_ref()).unwrap();
        std::fs::write(path("roots.pem"), authority.root.to_pem()).unwrap();
        let mut config = json!({
            "public_url": "https://ctlog.corp.example",
            "http": ListenConfig::loopback(0),
            "database": path("ctlog.db"),
            "key": path("key.pem"),
            "roots": path("roots.pem"),
        });
        change(&mut config);
        let config = serde_json::from_value(config).unwrap();
        Self { authority, config, clock: Arc::new(ManualClock::new(at(NOW))), log: None, folder }
    }

    /// Opens the log, once more if it is open: without closing it, as after a crash.
    pub(crate) async fn reopen(&mut self) {
        if let Some(log) = self.log.take() {
            log.close().await;
        }
        self.log = Some(ctlog::open(&self.config, self.clock.clone()).await.unwrap());
    }

    pub(crate) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn log(&self) -> &CtLog {
        self.log.as_ref().unwrap()
    }

    pub(crate) fn key(&self) -> &PublicKey {
        &self.log().identity().public_key
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        send(self.log().router(), Method::GET, path, Body::empty()).await
    }

    pub(crate) async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        send(self.log().router(), Method::POST, path, body.into()).await
    }

    pub(crate) async fn add_chain(&self, chain: &[&Certificate]) -> Answer {
        self.post("/ct/v1/add-chain", body(chain)).await
    }

    pub(crate) async fn add_pre_chain(&self, chain: &[&Certificate]) -> Answer {
        self.post("/ct/v1/add-pre-chain", body(chain)).await
    }

    /// Logs a new precertificate the way Fulcio does.
    pub(crate) async fn logged(&self) -> (Certificate, Sct) {
        let leaf = self.authority.precertificate().await;
        let sct = self.add_pre_chain(&self.authority.whole(&leaf)).await.sct();
        (leaf, sct)
    }

    /// Size and root of the published tree, its signature verified.
    pub(crate) async fn head(&self) -> ct::TreeHead {
        let sth = self.get("/ct/v1/get-sth").await.json();
        let signature = ct::DigitallySigned::parse(&bytes(&sth["tree_head_signature"])).unwrap();
        let timestamp = sth["timestamp"].as_u64().unwrap();
        let root = hash(&sth["sha256_root_hash"]);
        ct::TreeHeadSignature { timestamp, signature }.verify(self.key(), sth["tree_size"].as_u64().unwrap(), root).unwrap()
    }
}

pub(crate) fn body(chain: &[&Certificate]) -> String {
    json!({ "chain": chain.iter().map(|certificate| STANDARD.encode(certificate.der())).collect::<Vec<_>>() }).to_string()
}

pub(crate) fn bytes(text: &Value) -> Vec<u8> {
    STANDARD.decode(text.as_str().unwrap()).unwrap()
}

pub(crate) fn hash(text: &Value) -> merkle::Hash {
    merkle::Hash::new(bytes(text).try_into().unwrap())
}

pub(crate) fn hashes(list: &Value) -> Vec<merkle::Hash> {
    list.as_array().unwrap().iter().map(hash).collect()
}

pub(crate) async fn send(router: Router, method: Method, path: &str, body: Body) -> Answer {
    let request = Request::builder().method(method).uri(path).body(body).unwrap();
    let response = router.oneshot(request).await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let body = response.into_body().collect().await.unwrap().to_bytes();
    Answer { status, headers, body: String::from_utf8(body.to_vec()).unwrap() }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        assert_eq!(self.headers["content-type"], "application/json");
        serde_json::from_str(&self.body).unwrap()
    }

    pub(crate) fn sct(&self) -> Sct {
        serde_json::from_value::<AddChainResponse>(self.json()).unwrap().sct().unwrap()
    }

    /// An error: its status, and its one line with the code in front.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, code: &str, text: &str) {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(self.headers["content-type"], "text/plain; charset=utf-8");
        assert!(self.body.starts_with(&format!("[{code}] ")), "{self:?}");
        assert!(self.body.contains(text), "{self:?} does not say: {text}");
        assert_eq!(self.body.matches('\n').count(), 1, "one line: {self:?}");
        assert!(!self.body.contains('"'), "{self:?}");
    }
}
