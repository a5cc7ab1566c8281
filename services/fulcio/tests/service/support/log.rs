//! A certificate log that looks closely, and misbehaves on request.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use clock::{Clock as _, SystemClock};
use ct::{AddChainRequest, AddChainResponse, DigitallySigned, LogId, Sct, SignedEntry, TimestampedEntry, leaf_index_extension};
use http::{HeaderMap, StatusCode};
use keys::{FileKey, Signer as _};
use pki::{Certificate, KeyKind, oid};

use super::der;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    Good,
    /// An SCT by a key that nobody configured, under the id of the right one.
    OtherKey,
    /// An SCT under another log's id.
    OtherLog,
    /// One byte after the signature.
    Trailing,
    Garbage,
    Huge,
    Status(u16),
    /// 503 so many times, then good.
    Busy(u32),
    Hang,
}

#[derive(Debug)]
pub(crate) struct LogDouble {
    pub(crate) url: String,
    pub(crate) key: FileKey,
    other: FileKey,
    roots: Vec<Certificate>,
    mood: Mutex<Mood>,
    submissions: Mutex<Vec<Vec<u8>>>,
}

impl LogDouble {
    /// Serves below a path prefix, as logs do.
    pub(crate) async fn start(chain: &[String]) -> Arc<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let log = Arc::new(Self {
            url: format!("http://{}/2026", listener.local_addr().unwrap()),
            key: FileKey::generate(KeyKind::P256).unwrap(),
            other: FileKey::generate(KeyKind::P256).unwrap(),
            roots: vec![Certificate::from_pem(chain.last().unwrap()).unwrap()],
            mood: Mutex::new(Mood::Good),
            submissions: Mutex::default(),
        });
        let routes = Router::new().route("/2026/ct/v1/add-pre-chain", post(answer)).with_state(Arc::clone(&log));
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        log
    }

    pub(crate) fn set(&self, mood: Mood) {
        *self.mood.lock().unwrap() = mood;
    }

    /// The precertificates that were accepted, DER.
    pub(crate) fn submissions(&self) -> Vec<Vec<u8>> {
        self.submissions.lock().unwrap().clone()
    }

    fn mood(&self) -> Mood {
        let mut mood = self.mood.lock().unwrap();
        let now = *mood;
        if let Mood::Busy(times) = now {
            *mood = if times > 1 { Mood::Busy(times - 1) } else { Mood::Good };
        }
        now
    }

    /// The entry of a precertificate whose whole chain was checked.
    fn entry(&self, body: &[u8]) -> SignedEntry {
        let chain = AddChainRequest::from_json(body).unwrap().chain;
        let certificates: Vec<_> = chain.iter().map(|der| Certificate::from_der(der).unwrap()).collect();
        for pair in certificates.windows(2) {
            assert_eq!(pair[0].issuer_der(), pair[1].subject_der());
            pair[0].verify_signature(pair[1].public_key()).unwrap();
        }
        assert!(self.roots.contains(certificates.last().unwrap()), "an accepted root, included");
        let poison = certificates[0].extensions().get(oid::CT_POISON).expect("a precertificate");
        assert!(poison.critical && poison.value == [5, 0]);
        assert_eq!(certificates[0].extensions().all().last(), Some(poison), "poison comes last");
        let tbs = der::without_extension(&der::tbs(&chain[0]), der::POISON);
        SignedEntry::Precert { issuer_key_hash: certificates[1].public_key().fingerprint(), tbs }
    }
}

async fn answer(State(log): State<Arc<LogDouble>>, headers: HeaderMap, body: Bytes) -> Response {
    assert_eq!(headers["content-type"], "application/json");
    let mood = log.mood();
    let entry = log.entry(&body);
    match mood {
        Mood::Status(status) => return (StatusCode::from_u16(status).unwrap(), "the log says no\n").into_response(),
        Mood::Busy(_) => return (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "0")]).into_response(),
        Mood::Garbage => return "{\"sct_version\":0}".into_response(),
        Mood::Huge => return "x".repeat(1 << 20).into_response(),
        Mood::Hang => tokio::time::sleep(Duration::from_secs(3600)).await,
        Mood::Good | Mood::OtherKey | Mood::OtherLog | Mood::Trailing => {}
    }
    let timestamp = u64::try_from(SystemClock.now().as_millisecond()).unwrap();
    // Logs of the static kind put the index here; it must survive unchanged.
    let extensions = leaf_index_extension(7).unwrap().to_vec();
    let leaf = TimestampedEntry { timestamp, entry, extensions: extensions.clone() }.to_leaf().unwrap();
    let key = if mood == Mood::OtherKey { &log.other } else { &log.key };
    let signature = DigitallySigned(key.sign(&leaf).await.unwrap());
    let owner = if mood == Mood::OtherLog { &log.other } else { &log.key };
    let sct = Sct { log_id: LogId::of(owner.public_key()), timestamp, extensions, signature };
    let mut answer = serde_json::to_value(AddChainResponse::new(&sct).unwrap()).unwrap();
    if mood == Mood::Trailing {
        use base64::Engine as _;
        use base64::engine::general_purpose::STANDARD;
        let mut signature = sct.signature.to_bytes().unwrap();
        signature.push(0);
        answer["signature"] = STANDARD.encode(signature).into();
    }
    log.submissions.lock().unwrap().push(AddChainRequest::from_json(&body).unwrap().chain.remove(0));
    axum::Json(answer).into_response()
}
