//! The HTTP contract: statuses, bodies, headers.

use std::collections::HashSet;
use std::sync::Arc;

use crate::common::{Chain, authority, authority_at, post, query, send};
use ::http::{Method, Request, StatusCode, header};
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clock::{Clock as _, ManualClock};
use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use keys::{FileKey, SignError, Signer};
use serde_json::json;
use tsa::{CertificateChain, Rules, Tsa};
use tsp::{FailureInfo, HashAlgorithm, PolicyId};

fn request() -> tsp::Request {
    tsp::Request::new(HashAlgorithm::Sha256.digest(b"signature bytes"))
}

fn manual() -> Arc<ManualClock> {
    #[allow(clippy::disallowed_methods, reason = "certificates made now must be valid")]
    Arc::new(ManualClock::new(Timestamp::from_second(Timestamp::now().as_second()).unwrap()))
}

#[tokio::test]
async fn what_sigstore_go_sends() {
    let tsa = authority(&Chain::default().build()).await;
    let answer = query(&tsa, request().to_der()).await;
    let token = answer.token();
    token.check_answers(&request()).unwrap();
    assert!(token.nonce().is_none() && token.certificates().is_empty());
    assert_eq!(token.policy(), PolicyId::SIGSTORE);
    assert_eq!(token.serial().contents().len(), 20);
    assert_eq!(answer.header(header::CONTENT_TYPE), "application/timestamp-reply");
    assert!(answer.header(header::CACHE_CONTROL).contains("no-store"));
}

#[tokio::test]
async fn what_sigstore_js_sends() {
    let tsa = authority(&Chain::default().build()).await;
    for (name, algorithm) in
        [("sha256", HashAlgorithm::Sha256), ("SHA384", HashAlgorithm::Sha384), ("Sha512", HashAlgorithm::Sha512)]
    {
        let imprint = algorithm.digest(b"artifact");
        let body = json!({ "artifactHash": STANDARD.encode(imprint.digest()), "hashAlgorithm": name });
        for content_type in ["application/json", "Application/JSON; charset=utf-8"] {
            let answer = post(&tsa, content_type, body.to_string()).await;
            answer.token().check_answers(&tsp::Request::new(imprint.clone())).unwrap();
            assert_eq!(answer.header(header::CONTENT_TYPE), "application/timestamp-reply");
        }
    }
    let padded = format!("{:<1025}", json!({ "artifactHash": "", "hashAlgorithm": "sha256" }).to_string());
    let answer = post(&tsa, "application/json", padded).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert_eq!(answer.json()["code"], 400);
    assert!(answer.json()["message"].as_str().unwrap().starts_with("[timestamp_json_too_large] timestamp request is too large"));
}

#[tokio::test]
async fn json_callers_are_refused_in_json() {
    let tsa = authority(&Chain::default().build()).await;
    let sha1 = json!({ "artifactHash": "", "hashAlgorithm": "sha1" });
    let answer = post(&tsa, "application/json", sha1.to_string()).await;
    assert_eq!((answer.status, answer.header(header::CONTENT_TYPE)), (StatusCode::BAD_REQUEST, "application/json"));
    assert_eq!(
        answer.json(),
        json!({ "code": 400, "message": "[timestamp_weak_hash] Weak hash algorithm in timestamp request: SHA-1, expected SHA-256, SHA-384 or SHA-512" })
    );
    let hostile = json!({ "artifactHash": "", "hashAlgorithm": "md5\"\n\u{1b}[2J" });
    let message = post(&tsa, "application/json", hostile.to_string()).await.json()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("md52J") && !message.contains(['"', '\n', '\u{1b}']), "{message}");
}

#[tokio::test]
async fn queries_that_are_refused() {
    let tsa = authority(&Chain::default().build()).await;
    let good = request().to_der();
    let with = |at: usize, byte: u8| {
        let mut der = good.clone();
        der[at] = byte;
        der
    };
    let trailing = [&good[..], &[0]].concat();
    // 30 36 02 01 01 30 31 30 0d 06 09 …04 02 01 05 00 04 20 …: version at 4, last arc of SHA-256 at 19.
    let short = hex_digest_of_31_bytes();
    for (what, body, failure, code) in [
        ("trailing byte", trailing, FailureInfo::BadDataFormat, "timestamp_malformed"),
        ("truncated", good[..good.len() - 1].to_vec(), FailureInfo::BadDataFormat, "timestamp_malformed"),
        ("empty", vec![], FailureInfo::BadDataFormat, "timestamp_malformed"),
        ("version 2", with(4, 2), FailureInfo::BadRequest, "timestamp_version"),
        ("SHA-224", with(19, 4), FailureInfo::BadAlg, "timestamp_unknown_hash"),
        ("31 bytes", short, FailureInfo::BadRequest, "timestamp_digest_length"),
        ("policy", request().with_policy("1.2.3".parse().unwrap()).to_der(), FailureInfo::UnacceptedPolicy, "timestamp_policy"),
        ("extension", with_extension(&good), FailureInfo::UnacceptedExtension, "timestamp_extension"),
    ] {
        let answer = query(&tsa, body).await;
        let refused = answer.refused();
        assert_eq!((answer.status, refused.status, refused.failure), (StatusCode::BAD_REQUEST, 2, Some(failure)), "{what}");
        assert!(refused.reason.starts_with(&format!("[{code}] ")), "{what}: {}", refused.reason);
        assert!(!refused.reason.contains(['"', '\n']), "{}", refused.reason);
    }
    let answer = query(&tsa, vec![0x30; (1 << 20) + 1]).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.refused().reason.contains("1048576 bytes"));
}

fn hex_digest_of_31_bytes() -> Vec<u8> {
    let mut der = request().to_der();
    (der[1], der[6], der[23]) = (der[1] - 1, der[6] - 1, der[23] - 1);
    der.pop();
    der
}

fn with_extension(good: &[u8]) -> Vec<u8> {
    let extension = [0xa0, 11, 0x30, 9, 6, 2, 0x2a, 3, 4, 3, 4, 1, 0];
    let mut der = [good, &extension].concat();
    der[1] += u8::try_from(extension.len()).unwrap();
    der
}

#[tokio::test]
async fn media_types_methods_and_paths() {
    let tsa = authority(&Chain::default().build()).await;
    for content_type in ["text/plain", "application/xml", "multipart/form-data; boundary=application/json", ""] {
        let answer = post(&tsa, content_type, request().to_der()).await;
        assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{content_type}");
        assert_eq!(answer.json()["code"], 415);
    }
    let answer = send(&tsa, Request::post("/api/v1/timestamp").body(Body::from(request().to_der())).unwrap()).await;
    assert_eq!(answer.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    for (method, path, status) in [
        (Method::GET, "/api/v1/timestamp", StatusCode::METHOD_NOT_ALLOWED),
        (Method::POST, "/api/v1/timestamp/certchain", StatusCode::METHOD_NOT_ALLOWED),
        (Method::GET, "/api/v1/elsewhere", StatusCode::NOT_FOUND),
    ] {
        let answer = send(&tsa, Request::builder().method(method).uri(path).body(Body::empty()).unwrap()).await;
        assert_eq!((answer.status, &answer.json()["code"]), (status, &json!(status.as_u16())), "{path}");
    }
}

#[tokio::test]
async fn chain_and_ping() {
    let pems = Chain { intermediates: 1, ..Chain::default() }.build();
    let tsa = authority(&pems).await;
    let get = |path: &str| Request::get(path).body(Body::empty()).unwrap();
    let answer = send(&tsa, get("/api/v1/timestamp/certchain")).await;
    assert_eq!((answer.status, answer.header(header::CONTENT_TYPE)), (StatusCode::OK, "application/pem-certificate-chain"));
    assert_eq!(answer.header(header::CACHE_CONTROL), "public, max-age=300");
    assert_eq!(String::from_utf8(answer.body).unwrap().replace('\r', ""), pems.chain().replace('\r', ""));
    assert_eq!(send(&tsa, get("/ping")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn policies_that_are_accepted() {
    let other: PolicyId = "1.2.3.4".parse().unwrap();
    let tsa = authority_at(&Chain::default().build(), manual(), |config| config.accepted_policy_oids = vec![other]).await;
    for policy in [other, PolicyId::SIGSTORE] {
        assert_eq!(query(&tsa, request().with_policy(policy).to_der()).await.token().policy(), policy);
    }
}

/// 10,000 requests while the clock runs over a second boundary and jitters: times never go back, serials never repeat.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn time_never_goes_back_under_load() {
    let clock = manual();
    let start = clock.now();
    let tsa = authority_at(&Chain::default().build(), clock.clone(), |_| {}).await;
    let body = request().to_der();
    let mut serials = HashSet::new();
    let mut last = start;
    for step in 0..100 {
        // Forward by 40 ms on average, back by up to 900 ms now and then: less than the second that is tolerated.
        clock.set(start + SignedDuration::from_millis(40 * step - if step % 10 == 9 { 900.min(40 * step) } else { 0 }));
        let tokens = join_all((0..100).map(|_| {
            let (tsa, body) = (tsa.clone(), body.clone());
            tokio::spawn(async move { query(&tsa, body).await.token() })
        }));
        for token in tokens.await {
            let token = token.unwrap();
            assert!(token.time() >= last && token.time().subsec_nanosecond() == 0, "{} before {last}", token.time());
            last = token.time();
            assert!(token.serial().contents().len() == 20 && token.serial().contents()[0] < 0x80);
            assert!(serials.insert(token.serial().contents().to_vec()));
        }
    }
    assert!(last > start + SignedDuration::from_secs(2));
}

#[tokio::test]
async fn a_clock_that_stepped_back() {
    let clock = manual();
    let tsa = authority_at(&Chain::default().build(), clock.clone(), |_| {}).await;
    let ready = tsa.ready_checks();
    query(&tsa, request().to_der()).await.token();
    clock.advance(SignedDuration::from_secs(-1));
    let answer = query(&tsa, request().to_der()).await;
    assert_eq!((answer.status, answer.refused().failure), (StatusCode::SERVICE_UNAVAILABLE, Some(FailureInfo::TimeNotAvailable)));
    assert!(answer.refused().reason.starts_with("[clock_stepped] "), "{}", answer.refused().reason);
    assert!(ready[0].check().await.unwrap_err().contains("signing resumes"));
    clock.advance(SignedDuration::from_secs(1));
    query(&tsa, request().to_der()).await.token();
    ready[0].check().await.unwrap();
}

#[tokio::test]
async fn a_chain_that_expires_while_running() {
    let clock = manual();
    let tsa = authority_at(&Chain { leaf_days: (-1, 1), ..Chain::default() }.build(), clock.clone(), |_| {}).await;
    query(&tsa, request().to_der()).await.token();
    clock.advance(SignedDuration::from_hours(25));
    let answer = query(&tsa, request().to_der()).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.refused().reason.starts_with("[tsa_chain_not_valid_now] "), "{}", answer.refused().reason);
    assert!(tsa.ready_checks()[0].check().await.is_err());
}

#[derive(Debug)]
struct Broken(FileKey);

#[async_trait::async_trait]
impl Signer for Broken {
    fn public_key(&self) -> &pki::PublicKey {
        self.0.public_key()
    }

    async fn sign(&self, _: &[u8]) -> Result<Vec<u8>, SignError> {
        Err(SignError { fingerprint: self.0.public_key().short(), source: "the token at slot 7 was pulled out".into() })
    }
}

#[tokio::test]
async fn a_key_that_fails() {
    let pems = Chain::default().build();
    let folder = tempfile::tempdir().unwrap();
    let config = crate::common::configure(folder.path(), &pems);
    let key = Broken(FileKey::from_pem(&pems.key).unwrap());
    let clock = manual();
    let rules = Rules { now: clock.now(), enforce_intermediate_eku: true };
    let chain = CertificateChain::check(&pems.chain(), key.public_key(), &rules).unwrap();
    let answer = query(&Tsa::new(&config, chain, Arc::new(key), clock), request().to_der()).await;
    assert_eq!((answer.status, answer.refused().failure), (StatusCode::INTERNAL_SERVER_ERROR, Some(FailureInfo::SystemFailure)));
    assert!(!answer.refused().reason.contains("slot"), "{}", answer.refused().reason);
}
