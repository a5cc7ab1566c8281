use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use axum::response::IntoResponse as _;
use chassis::ClientAddress;
use clock::Clock as _;
use jiff::SignedDuration;
use keys::SignError;
use serde_json::json;
use tlog::{Appended, HeadError, Leaf, Limits, SignedTreeHead, TreeHead, TreeHeadSigner};
use tokio::sync::Semaphore;

use super::*;

#[tokio::test]
async fn the_first_answer_of_a_log_prints_every_default() {
    let (fixture, rekor) = Fixture::empty().await;
    let request = fixture.request(0).await;
    let answer = submit(&rekor.router(), request.clone()).await;
    assert_eq!(
        (answer.status, answer.header("content-type"), answer.header("x-log-index")),
        (StatusCode::CREATED, Some("application/json"), None)
    );

    let body = HashedRekordRequest::from_json(&request).unwrap().verify().unwrap();
    let base64 = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
    let note = rekor.checkpoint();
    let expected = format!(
        r#"{{"logIndex":"0","logId":{{"keyId":"{}"}},"kindVersion":{{"kind":"hashedrekord","version":"0.0.2"}},"integratedTime":"0","inclusionPromise":null,"inclusionProof":{{"logIndex":"0","rootHash":"{}","treeSize":"1","hashes":[],"checkpoint":{{"envelope":{}}}}},"canonicalizedBody":"{}"}}"#,
        base64(digest(&SHA256, rekor.identity().public_key.spki_der()).as_ref()),
        base64(body.leaf_hash().as_ref()),
        serde_json::to_string(&note).unwrap(),
        base64(body.body()),
    );
    assert_eq!(answer.text(), expected);
    assert_eq!(verify(rekor.identity(), &answer.entry()), (0, 1));
}

#[tokio::test]
async fn snake_case_numbers_and_url_safe_base64_log_the_same_entry() {
    let (fixture, rekor) = Fixture::empty().await;
    let router = rekor.router();
    let request = fixture.request(0).await;
    let first = submit(&router, request.clone()).await.entry();
    let text = String::from_utf8(request).unwrap();
    let variant = text
        .replace("hashedRekordRequestV002", "hashed_rekord_request_v002")
        .replace("publicKey", "public_key")
        .replace("rawBytes", "raw_bytes")
        .replace(r#""keyDetails":"PKIX_ECDSA_P256_SHA_256""#, r#""key_details":5"#)
        .replace('+', "-")
        .replace('/', "_")
        .replace('=', "");
    let second = submit(&router, variant).await;
    assert_eq!(second.header("x-log-index"), Some("0"));
    assert_eq!(second.entry().canonicalized_body, first.canonicalized_body);
}

#[tokio::test]
async fn a_log_with_an_ed25519_key_has_the_notes_key_id() {
    let fixture = Fixture::with_key(KeyKind::Ed25519);
    fixture.create_empty().await;
    let rekor = fixture.open().await;
    let key = rekor.identity().public_key.key_bytes().to_vec();
    let expected = digest(&SHA256, &[b"log1.rekor.example\n\x01", &key[..]].concat());
    assert_eq!(rekor.identity().log_id.as_ref(), expected.as_ref());
    let answer = submit(&rekor.router(), fixture.request(0).await).await;
    assert_eq!(verify(rekor.identity(), &answer.entry()), (0, 1));
}

#[tokio::test]
async fn an_equal_request_is_answered_with_the_first_entry_and_a_fresh_proof() {
    let (fixture, rekor) = Fixture::empty().await;
    let router = rekor.router();
    let requests = fixture.fill(&router, 3).await;
    let (index, _) = verify(rekor.identity(), &submit(&router, requests[0].clone()).await.entry());
    submit(&router, fixture.request(3).await).await.entry();

    let again = submit(&router, requests[0].clone()).await;
    assert_eq!(again.header("x-log-index"), Some(index.to_string().as_str()));
    assert_eq!(verify(rekor.identity(), &again.entry()), (index, 4));

    // The same artifact signed again is another entry.
    let other = submit(&router, fixture.request(0).await).await;
    assert_eq!((other.header("x-log-index"), verify(rekor.identity(), &other.entry())), (None, (4, 5)));
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_requests_at_once_are_one_entry() {
    let (fixture, rekor) = Fixture::empty().await;
    let router = rekor.router();
    let request = fixture.request(0).await;
    let answers = join_all((0..16).map(|_| {
        let (router, request) = (router.clone(), request.clone());
        async move { tokio::spawn(async move { submit(&router, request).await }).await.unwrap() }
    }))
    .await;
    assert_eq!(answers.iter().filter(|answer| answer.header("x-log-index").is_none()).count(), 1);
    for answer in &answers {
        assert_eq!(verify(rekor.identity(), &answer.entry()), (0, 1));
    }
}

#[tokio::test]
async fn an_equal_request_after_a_restart_is_still_known() {
    let (fixture, rekor) = Fixture::empty().await;
    let requests = fixture.fill(&rekor.router(), 5).await;
    let before = submit(&rekor.router(), requests[2].clone()).await.entry();
    rekor.close().await;

    let rekor = fixture.open().await;
    let answer = submit(&rekor.router(), requests[2].clone()).await;
    assert_eq!(answer.header("x-log-index"), Some(before.log_index.to_string().as_str()));
    assert_eq!(verify(rekor.identity(), &answer.entry()), (before.log_index, 5));
    assert_eq!(answer.entry().canonicalized_body, before.canonicalized_body);
}

#[tokio::test]
async fn whatever_is_wrong_with_an_entry_is_said_and_nothing_is_logged() {
    let (fixture, rekor) = Fixture::empty().await;
    let router = rekor.router();
    let valid: Value = serde_json::from_slice(&fixture.request(0).await).unwrap();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut request = valid.clone();
        change(&mut request["hashedRekordRequestV002"]);
        request.to_string()
    };
    let base64 = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
    let cases = [
        (String::new(), "entry_type", "must be hashedrekord"),
        ("{}".into(), "entry_type", "must be hashedrekord"),
        ("{\"hashedRekordRequestV002\":".into(), "entry_json", "EOF"),
        (with(&|entry| entry["more"] = 1.into()), "entry_json", "unknown field `more`"),
        (json!({"dsseRequestV002": {}}).to_string(), "entry_dsse", "cosign 3.1"),
        (
            with(&|entry| entry["signature"]["verifier"]["x509Certificate"] = json!({"rawBytes": ""})),
            "entry_oneof",
            "publicKey and x509Certificate",
        ),
        (with(&|entry| entry["digest"] = Value::Null), "entry_member_missing", "digest is missing"),
        (
            with(&|entry| entry["signature"]["verifier"]["publicKey"]["rawBytes"] = base64(b"no key").into()),
            "entry_public_key",
            "SubjectPublicKeyInfo",
        ),
        (
            with(&|entry| {
                entry["signature"]["verifier"] = json!({"x509Certificate": {"rawBytes": base64(b"no")}, "keyDetails": 5});
            }),
            "entry_certificate",
            "X.509",
        ),
        (
            with(&|entry| entry["signature"]["verifier"]["keyDetails"] = "PKIX_ECDSA_P384_SHA_384".into()),
            "entry_key_details",
            "keyDetails is PKIX_ECDSA_P384_SHA_384, expected PKIX_ECDSA_P256_SHA_256",
        ),
        (with(&|entry| entry["digest"] = base64(&[0; 48]).into()), "entry_digest_length", "48 bytes, expected 32 (SHA2_256)"),
        (with(&|entry| entry["digest"] = base64(&[0; 32]).into()), "entry_signature", "does not verify"),
    ];
    for (request, code, text) in cases {
        let message = submit(&router, request.clone()).await.refusal(400, 3);
        assert!(message.starts_with(&format!("invalid hashedrekord request: [{code}] ")), "{message}");
        assert!(message.contains(text), "{message}");
    }
    assert_eq!(read_checkpoint(rekor.identity(), &rekor.checkpoint()).size, 0);
}

#[tokio::test]
async fn bodies_are_taken_up_to_four_mebibytes() {
    let (fixture, rekor) = Fixture::empty().await;
    let router = rekor.router();
    let mut body = fixture.request(0).await;
    body.resize(4 << 20, b' ');
    assert_eq!(submit(&router, body.clone()).await.status, StatusCode::CREATED);
    body.push(b' ');
    assert!(submit(&router, body).await.refusal(400, 3).starts_with("[body_too_large] "));
}

#[tokio::test]
async fn a_frozen_log_says_so_in_plain_text_and_is_still_read() {
    let (fixture, rekor) = Fixture::empty().await;
    let router = rekor.router();
    fixture.fill(&router, 1).await;
    let last = rekor.freeze().await.unwrap();
    let answer = submit(&router, fixture.request(1).await).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (405, "This log has been frozen, please switch to the latest log.\n"));
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
    let checkpoint = get(&router, "/checkpoint").await;
    assert_eq!((checkpoint.status, checkpoint.text()), (StatusCode::OK, last.note.as_str()));
    assert!(checkpoint.text().contains("\nLog frozen \u{2014} Sat Nov 21 "), "{}", checkpoint.text());
}

#[tokio::test]
async fn a_clock_that_stepped_back_holds_entries_up() {
    let (fixture, rekor) = Fixture::empty().await;
    let router = rekor.router();
    fixture.fill(&router, 1).await;
    fixture.clock.set(fixture.clock.now() - SignedDuration::from_secs(60));
    let answer = submit(&router, fixture.request(1).await).await;
    assert!(answer.refusal(503, 14).starts_with("reached max pushback; retry: [clock_stepped] "));
    assert_eq!(answer.header("retry-after"), Some("1"));
    fixture.clock.advance(SignedDuration::from_secs(61));
    assert_eq!(verify(rekor.identity(), &submit(&router, fixture.request(1).await).await.entry()), (1, 2));
}

#[tokio::test]
async fn a_log_that_closes_sends_callers_away_for_a_moment() {
    let (fixture, rekor) = Fixture::empty().await;
    let router = rekor.router();
    rekor.app().log.clone().close().await;
    let answer = submit(&router, fixture.request(0).await).await;
    assert!(answer.refusal(503, 14).starts_with("reached max pushback; retry: [shutting_down] "));
    assert_eq!(answer.header("retry-after"), Some("1"));
}

/// Signs once it is let, and only while it works.
struct Moody {
    signer: Arc<dyn TreeHeadSigner>,
    turns: Semaphore,
    broken: AtomicBool,
}

#[async_trait]
impl TreeHeadSigner for Moody {
    fn origin(&self) -> &str {
        self.signer.origin()
    }

    fn key_id(&self) -> Hash {
        self.signer.key_id()
    }

    async fn sign(&self, head: &TreeHead) -> Result<String, SignError> {
        self.turns.acquire().await.unwrap().forget();
        if self.broken.load(Ordering::Relaxed) {
            return Err(SignError { fingerprint: "0123456789ab".into(), source: "/dev/hsm0 is gone".into() });
        }
        self.signer.sign(head).await
    }

    fn verify(&self, signed: &str) -> Result<Checkpoint, HeadError> {
        self.signer.verify(signed)
    }
}

async fn moody(fixture: &Fixture) -> (Arc<Moody>, Router) {
    fixture.create_empty().await;
    let (identity, signer) = identify(&fixture.config).unwrap();
    let moody = Arc::new(Moody { signer, turns: Semaphore::new(0), broken: AtomicBool::new(false) });
    let store = Database::open(&fixture.database()).await.unwrap().log(LOG_NAME);
    let limits = Limits { queue_entries: 2, ..Limits::default() };
    let log = Log::open_with(store, moody.clone(), fixture.clock.clone(), None, limits).await.unwrap();
    let app = App { log, log_id: identity.log_id, witnesses: None, bundles: bundles::Bundles::new(1 << 20) };
    (moody, router::router(Arc::new(app)))
}

#[tokio::test]
async fn what_finds_no_place_to_wait_is_told_when_to_come_again() {
    let fixture = Fixture::new();
    let (signer, router) = moody(&fixture).await;
    let waiting = join_all((0..16).map(|number| fixture.request(number))).await.into_iter().map(|request| {
        let router = router.clone();
        tokio::spawn(async move { submit(&router, request).await })
    });
    let waiting: Vec<_> = waiting.collect();
    while waiting.iter().filter(|task| task.is_finished()).count() < 10 {
        tokio::task::yield_now().await;
    }
    signer.turns.add_permits(100);
    let answers: Vec<Answer> = join_all(waiting).await.into_iter().map(Result::unwrap).collect();
    let (taken, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == StatusCode::CREATED);
    assert!(!taken.is_empty() && refused.len() >= 10);
    for answer in refused {
        assert!(answer.refusal(503, 14).starts_with("reached max pushback; retry: [log_overloaded] "));
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
}

/// Ten times the places there are, from one client: another one still finds a place, and nothing of what is refused is looked at.
#[tokio::test]
async fn one_client_cannot_keep_others_out() {
    let fixture = Fixture::new();
    let (signer, router) = moody(&fixture).await;
    let from = |address: &str, body: Vec<u8>| {
        let mut request =
            Request::post("/api/v2/log/entries").header("content-type", "application/json").body(Body::from(body)).unwrap();
        request.extensions_mut().insert(ClientAddress(Some(address.parse().unwrap())));
        let router = router.clone();
        tokio::spawn(async move { send(&router, request).await })
    };
    let flood: Vec<_> =
        join_all((0..20).map(|number| fixture.request(number))).await.into_iter().map(|body| from("192.0.2.1", body)).collect();
    while flood.iter().filter(|task| task.is_finished()).count() < 19 {
        tokio::task::yield_now().await;
    }
    // Garbage is refused for want of a place, not for what it is.
    let garbage = from("192.0.2.1", b"garbage".to_vec()).await.unwrap();
    assert!(garbage.refusal(503, 14).contains("[log_overloaded]"));
    let other = from("192.0.2.2", fixture.request(100).await);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    signer.turns.add_permits(100);
    assert_eq!(other.await.unwrap().status, StatusCode::CREATED);
    let taken = join_all(flood).await.into_iter().filter(|answer| answer.as_ref().unwrap().status == StatusCode::CREATED).count();
    assert_eq!(taken, 1);
}

#[tokio::test]
async fn our_own_failures_keep_their_causes_to_themselves() {
    let fixture = Fixture::new();
    let (signer, router) = moody(&fixture).await;
    signer.turns.add_permits(100);
    signer.broken.store(true, Ordering::Relaxed);
    let request = fixture.request(0).await;
    let message = submit(&router, request.clone()).await.refusal(500, 2);
    assert!(message.starts_with("failed to integrate entry: [log_sign_failed] ") && !message.contains("hsm0"), "{message}");
    signer.broken.store(false, Ordering::Relaxed);
    assert_eq!(submit(&router, request).await.entry().log_index, 0);
}

#[tokio::test]
async fn a_proof_that_does_not_hold_is_never_given_out() {
    let head =
        SignedTreeHead { size: 2, root: leaf_hash(b"other"), time: Timestamp::UNIX_EPOCH, note: String::new(), last: false };
    let leaf = Leaf { data: b"body".to_vec(), extra: vec![] };
    let proof = vec![leaf_hash(b"sibling")];
    let appended = Appended { index: 1, time: Timestamp::UNIX_EPOCH, duplicate: false, leaf, proof, head: Arc::new(head) };
    let error = answer::logged_entry(leaf_hash(b"id"), appended).unwrap_err();
    assert_eq!(error.into_response().status(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn other_methods_and_paths_are_answered_as_the_gateway_does() {
    let (_fixture, rekor) = Fixture::empty().await;
    let router = rekor.router();
    let health = get(&router, "/healthz").await;
    assert_eq!((health.status, health.text()), (StatusCode::OK, r#"{"status":"SERVING"}"#));
    for (method, path) in [
        (Method::GET, "/api/v2/log/entries"),
        (Method::PUT, "/api/v2/log/entries"),
        (Method::POST, "/checkpoint"),
        (Method::POST, "/api/v2/checkpoint"),
        (Method::DELETE, "/tile/0/000"),
        (Method::OPTIONS, "/api/v2/tile/0/000"),
    ] {
        assert!(
            ask(&router, method.clone(), path).await.refusal(501, 12).starts_with("[method_not_allowed] "),
            "{method} {path}"
        );
    }
    for path in ["/", "/api/v1/log", "/api/v2", "/api/v2/log/entries/0", "/tile", "/tile/", "/checkpoint/", "/api/v2/healthz"] {
        assert!(get(&router, path).await.refusal(404, 5).starts_with("[path_not_found] "), "{path}");
    }
}
