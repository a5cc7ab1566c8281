use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use axum::response::IntoResponse as _;
use clock::Clock as _;
use jiff::SignedDuration;
use keys::SignError;
use pki::PublicKey;
use tlog::{Limits, SignedTreeHead};

use super::*;

#[tokio::test]
async fn an_entry_is_answered_with_its_promise_and_proof() {
    let (fixture, rekor) = Fixture::empty().await;
    let proposal = fixture.proposal(0).await;
    let answer = submit(&rekor.router(), &proposal).await;
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::CREATED, Some("application/json")));
    let (id, entry) = answer.entry();
    assert_eq!(answer.header("etag"), Some(id.as_str()), "raw, and the key of the map");
    assert_eq!(answer.header("location"), Some(format!("/api/v1/log/entries/{id}").as_str()));
    assert_eq!(verify(rekor.identity(), &(id.clone(), entry.clone())), (0, 1));
    assert_eq!(entry["integratedTime"], 1_795_251_600, "whole seconds, rounded down");

    // Compact, members in order, one newline: some client counts on each.
    let proof = &entry["verification"]["inclusionProof"];
    let expected = format!(
        "{{\"{id}\":{{\"body\":{},\"integratedTime\":1795251600,\"logID\":{},\"logIndex\":0,\"verification\":{{\"inclusionProof\":\
         {{\"checkpoint\":{},\"hashes\":[],\"logIndex\":0,\"rootHash\":{},\"treeSize\":1}},\"signedEntryTimestamp\":{}}}}}}}\n",
        entry["body"], entry["logID"], proof["checkpoint"], proof["rootHash"], entry["verification"]["signedEntryTimestamp"]
    );
    assert_eq!(answer.text(), expected);
    assert!(answer.header("cache-control").unwrap().contains("no-transform"));
}

#[test]
fn a_promise_is_over_the_bytes_that_the_public_log_signed() {
    // Entries of the public log, whose signed bytes these are.
    for (text, digest) in [
        (
            include_str!("../../../../../shared/entry/testdata/public-hashedrekord-0.0.1.json"),
            "27efbfabc1e0adf55195b8ea71281af661f782d8982d3cbeacc94cf7a6ade23d",
        ),
        (
            include_str!("../../../../../shared/entry/testdata/public-dsse-0.0.1.json"),
            "8dd8455ca636b676808bfc1bd29f77dab7bc80c7cb196eebb4ec2133829204c5",
        ),
        (
            include_str!("../../../../../shared/entry/testdata/public-intoto-0.0.2.json"),
            "58e01e23da07520a449d5b614d729a1cd6c0bb2dd701e9528593a910a6e13f68",
        ),
    ] {
        let entry: Value = serde_json::from_str(text).unwrap();
        let promised = answer::Promised {
            body: entry["body"].as_str().unwrap(),
            integrated_time: entry["integratedTime"].as_i64().unwrap(),
            log_id: entry["logID"].as_str().unwrap(),
            log_index: entry["logIndex"].as_u64().unwrap(),
        };
        assert_eq!(sha256(&promised.to_json()).to_string(), digest);
    }
}

#[tokio::test]
async fn a_twin_is_a_conflict_whose_place_is_read_at_once() {
    let (fixture, rekor) = Fixture::empty().await;
    let router = rekor.router();
    let proposal = fixture.proposal(0).await;
    let (id, first) = submit(&router, &proposal).await.entry();
    fixture.clock.advance(SignedDuration::from_secs(60));
    submit(&router, &fixture.proposal(1).await).await.entry();

    let mut crlf = proposal.clone();
    crlf["spec"]["signature"]["publicKey"]["content"] = b64(fixture.client.public_key().to_pem().replace('\n', "\r\n")).into();
    let mut more = proposal.clone();
    more["spec"]["data"]["url"] = "http://127.0.0.1/".into();
    let reordered = format!("{{\"spec\":{},\"kind\":\"hashedrekord\",\"apiVersion\":\"0.0.1\"}}", proposal["spec"]);
    for twin in [proposal.to_string(), crlf.to_string(), more.to_string(), reordered] {
        let answer = post(&router, "/api/v1/log/entries", twin).await;
        let message = answer.refusal(409, 409);
        assert_eq!(message, format!("an equivalent entry already exists in the transparency log with UUID {id}"));
        assert_eq!(answer.header("etag"), None);
        let location = answer.header("location").unwrap();
        assert_eq!(location, format!("/api/v1/log/entries/{id}"));
        let found = get(&router, location).await.entry();
        assert_eq!(verify(rekor.identity(), &found), (0, 2));
        for member in ["body", "integratedTime", "logID", "logIndex"] {
            assert_eq!(found.1[member], first[member]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_equal_requests_at_once_one_is_logged_and_all_find_it() {
    let (fixture, rekor) = Fixture::empty().await;
    let router = rekor.router();
    let proposal = fixture.proposal(0).await;
    let answers = join_all((0..16).map(|_| {
        let (router, proposal) = (router.clone(), proposal.clone());
        async move {
            tokio::spawn(async move {
                let answer = submit(&router, &proposal).await;
                let found = get(&router, answer.header("location").unwrap()).await;
                (answer, found)
            })
            .await
            .unwrap()
        }
    }))
    .await;
    assert_eq!(answers.iter().filter(|(answer, _)| answer.status == StatusCode::CREATED).count(), 1);
    for (answer, found) in &answers {
        assert!(matches!(answer.status, StatusCode::CREATED | StatusCode::CONFLICT));
        assert_eq!(verify(rekor.identity(), &found.entry()), (0, 1));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_proof_and_checkpoint_are_of_one_tree() {
    let (fixture, rekor) = Fixture::empty().await;
    let identity = rekor.identity().clone();
    let proposals = join_all((0..50).map(|number| fixture.proposal(number))).await;
    let tasks = proposals.into_iter().map(|proposal| {
        let (router, identity) = (rekor.router(), identity.clone());
        tokio::spawn(async move {
            let answer = submit(&router, &proposal).await;
            verify(&identity, &answer.entry());
            let found = get(&router, answer.header("location").unwrap()).await;
            verify(&identity, &found.entry());
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        task.await.unwrap();
    }
    assert_eq!(get(&rekor.router(), "/api/v1/log").await.json()["treeSize"], 50);
}

#[tokio::test]
async fn every_kind_is_logged() {
    let (fixture, rekor) = Fixture::empty().await;
    let router = rekor.router();
    let envelope = fixture.envelope(b"{\"a\":1}").await;
    let pem = b64(fixture.client.public_key().to_pem());
    let first = json!({"kind": "intoto", "apiVersion": "0.0.1", "spec": {"content": {"envelope": envelope.to_string()}, "publicKey": pem}});
    let second = json!({"kind": "intoto", "apiVersion": "0.0.2", "spec": {"content": {
        "envelope": {
            "payload": b64(envelope["payload"].as_str().unwrap()),
            "payloadType": envelope["payloadType"],
            "signatures": [{"publicKey": pem, "sig": b64(envelope["signatures"][0]["sig"].as_str().unwrap())}],
        },
        "hash": {"algorithm": "sha256", "value": sha256(b"").to_string()},
    }}});
    for (index, proposal) in [fixture.dsse(b"{\"a\":1}").await, first, second].iter().enumerate() {
        let entry = submit(&router, proposal).await.entry();
        assert_eq!(verify(rekor.identity(), &entry), (index as u64, index as u64 + 1));
        let body: Value = serde_json::from_slice(&BASE64_STANDARD.decode(entry.1["body"].as_str().unwrap()).unwrap()).unwrap();
        assert_eq!((&body["kind"], &body["apiVersion"]), (&proposal["kind"], &proposal["apiVersion"]));
        assert!(entry.1.get("attestation").is_none());
    }
}

#[tokio::test]
async fn whatever_is_wrong_with_an_entry_is_said_and_nothing_is_logged() {
    let (fixture, rekor) = Fixture::empty().await;
    let router = rekor.router();
    let valid = fixture.proposal(0).await;
    let with = |change: &dyn Fn(&mut Value)| {
        let mut proposal = valid.clone();
        change(&mut proposal);
        proposal.to_string()
    };
    const PREFIX: &str = "error processing entry: ";
    let processing = |text: &str| format!("{PREFIX}{text}");
    let flipped = |text: &Value| {
        let mut bytes = BASE64_STANDARD.decode(text.as_str().unwrap()).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        Value::from(b64(bytes))
    };
    let cases = [
        (String::new(), 422, 602, "proposedEntry in body is required".to_owned(), "request_schema"),
        ("{".into(), 400, 400, "parsing proposedEntry body from \"\" failed, because EOF".into(), "entry_json"),
        ("{}".into(), 422, 602, "kind in body is required".into(), "entry_type"),
        (with(&|p| p["kind"] = "nope".into()), 422, 422, "invalid kind value: \"nope\"".into(), "entry_type"),
        (with(&|p| p["apiVersion"] = Value::Null), 422, 602, "apiVersion in body is required".into(), "entry_type"),
        (with(&|p| p["apiVersion"] = "x".into()), 422, 605, "apiVersion in body should match".into(), "entry_version"),
        (with(&|p| p["spec"] = Value::Null), 422, 602, "spec in body is required".into(), "entry_type"),
        (
            with(&|p| p["apiVersion"] = "9.9.9".into()),
            400,
            400,
            processing("unable to locate entry for version 9.9.9"),
            "entry_version",
        ),
        (
            with(&|p| p["kind"] = "rekord".into()),
            400,
            400,
            processing("entry kind 'rekord' is not enabled for submission on this server"),
            "entry_kind_disabled",
        ),
        (with(&|p| p["spec"]["data"] = json!({})), 400, 400, processing("data.hash in body is required"), "entry_member_missing"),
        (
            with(&|p| p["spec"]["data"]["hash"]["value"] = "12".into()),
            400,
            400,
            processing("invalid value for hash"),
            "entry_hash",
        ),
        (
            with(&|p| p["spec"]["data"]["hash"] = json!({"algorithm": "sha512", "value": "00".repeat(64)})),
            400,
            400,
            processing("entry algorithms are not allowed"),
            "entry_algorithm",
        ),
        (
            with(&|p| p["spec"]["signature"]["content"] = flipped(&p["spec"]["signature"]["content"])),
            400,
            400,
            processing("verifying signature: "),
            "entry_signature",
        ),
        (
            with(&|p| p["spec"]["signature"]["publicKey"]["content"] = b64("no key").into()),
            400,
            400,
            processing("invalid public key: failure decoding PEM"),
            "entry_public_key",
        ),
        (
            json!({"kind": "dsse", "apiVersion": "0.0.1", "spec": {}}).to_string(),
            400,
            400,
            processing("either proposedContent or"),
            "entry_oneof",
        ),
    ];
    for (body, status, number, text, code) in cases {
        let answer = post(&router, "/api/v1/log/entries", body).await;
        let message = answer.refusal(status, number);
        assert!(message.starts_with(&text) && message.ends_with(&format!(" [{code}]")), "{message}");
    }
    assert_eq!(read_checkpoint(rekor.identity(), &rekor.checkpoint()).size, 0);
}

#[tokio::test]
async fn the_stored_form_of_an_entry_is_not_logged() {
    let (fixture, rekor) = Fixture::empty().await;
    let router = rekor.router();
    let (_, entry) = submit(&router, &fixture.dsse(b"{}").await).await.entry();
    let stored = BASE64_STANDARD.decode(entry["body"].as_str().unwrap()).unwrap();
    let answer = post(&router, "/api/v1/log/entries", stored).await;
    answer.refused(400, 400, "error processing entry: entry not insertable into log: proposedContent", "entry_not_insertable");
}

#[tokio::test]
async fn media_types_are_those_of_the_contract() {
    let (fixture, rekor) = Fixture::empty().await;
    let router = rekor.router();
    let proposal = fixture.proposal(0).await.to_string();
    let request = |content_type: &str, accept: &str| {
        Request::post("/api/v1/log/entries")
            .header("content-type", content_type)
            .header("accept", accept)
            .body(proposal.clone().into())
            .unwrap()
    };
    let answer = send(&router, request("text/plain", "*/*")).await;
    answer.refused(415, 415, "unsupported media type \"text/plain\", only [application/json] are allowed", "media_type");
    let untyped = send(&router, Request::post("/api/v1/log/entries").body(proposal.clone().into()).unwrap()).await;
    untyped.refused(415, 415, "unsupported media type \"application/octet-stream\"", "media_type");
    let answer = send(&router, request("application/json", "text/html")).await;
    answer.refused(406, 406, "only [application/json] are available", "not_acceptable");
    assert_eq!(send(&router, request("application/json; charset=utf-8", "application/json")).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn bodies_are_taken_up_to_thirty_two_mebibytes() {
    let (fixture, rekor) = Fixture::empty().await;
    let router = rekor.router();
    let mut body = fixture.proposal(0).await.to_string().into_bytes();
    body.resize(MAX_REQUEST, b' ');
    assert_eq!(post(&router, "/api/v1/log/entries", body.clone()).await.status, StatusCode::CREATED);
    body.push(b' ');
    let answer = post(&router, "/api/v1/log/entries", body).await;
    answer.refused(413, 413, "Request Entity Too Large. Limit set to 33554432", "body_too_large");
    // A large attestation: what is stored of it is small.
    let payload = vec![b'x'; 20 << 20];
    let entry = submit(&router, &fixture.dsse(&payload).await).await.entry();
    assert_eq!(verify(rekor.identity(), &entry), (1, 2));
}

#[tokio::test]
async fn an_entry_that_is_too_large_to_store_is_refused() {
    let (fixture, rekor) = Fixture::empty().await;
    let router = rekor.router();
    let mut proposal = json!({"kind": "intoto", "apiVersion": "0.0.2"});
    let keyid = "k".repeat(300 << 10);
    let envelope = fixture.envelope(b"{}").await;
    proposal["spec"]["content"] = json!({
        "envelope": {
            "payload": b64(envelope["payload"].as_str().unwrap()),
            "payloadType": envelope["payloadType"],
            "signatures": [{"keyid": keyid, "publicKey": b64(fixture.client.public_key().to_pem()), "sig": b64(envelope["signatures"][0]["sig"].as_str().unwrap())}],
        },
        "hash": {"algorithm": "sha256", "value": sha256(b"").to_string()},
    });
    submit(&router, &proposal).await.refused(413, 413, "the log takes at most 262144", "log_entry_too_large");
}

#[tokio::test]
async fn the_query_stays_in_the_location_but_for_a_key() {
    let (fixture, rekor) = Fixture::empty().await;
    let router = rekor.router();
    let cases =
        [("", ""), ("?", ""), ("?apiKey=secret", ""), ("?a=1&apiKey=secret&b", "?a=1&b"), ("?stable=true", "?stable=true")];
    for (number, (query, kept)) in cases.iter().enumerate() {
        let proposal = fixture.proposal(number as u64).await.to_string();
        let answer = post(&router, &format!("/api/v1/log/entries{query}"), proposal).await;
        let id = answer.entry().0;
        assert_eq!(answer.header("location"), Some(format!("/api/v1/log/entries/{id}{kept}").as_str()));
        get(&router, answer.header("location").unwrap()).await.entry();
    }
}

#[tokio::test]
async fn a_frozen_log_says_so_and_is_still_read() {
    let (fixture, rekor) = Fixture::empty().await;
    let router = rekor.router();
    fixture.fill(&router, 1).await;
    let last = rekor.freeze().await.unwrap();
    assert!(last.last && !last.note.contains("Log frozen"), "{}", last.note);
    submit(&router, &fixture.proposal(1).await).await.refused(400, 400, "the log is frozen", "log_frozen");
    get(&router, "/api/v1/log/entries?logIndex=0").await.entry();
}

#[tokio::test]
async fn a_clock_that_stepped_back_and_a_log_that_closes_hold_entries_up() {
    let (fixture, rekor) = Fixture::empty().await;
    let router = rekor.router();
    fixture.fill(&router, 1).await;
    fixture.clock.set(fixture.clock.now() - SignedDuration::from_secs(60));
    let answer = submit(&router, &fixture.proposal(1).await).await;
    answer.refused(503, 503, "the log waits for its clock", "clock_stepped");
    assert_eq!(answer.header("retry-after"), Some("1"));
    fixture.clock.advance(SignedDuration::from_secs(61));
    assert_eq!(verify(rekor.identity(), &submit(&router, &fixture.proposal(1).await).await.entry()), (1, 2));

    rekor.app().shards[0].log.clone().close().await;
    submit(&router, &fixture.proposal(2).await).await.refused(503, 503, "closing, try again", "shutting_down");
}

/// Signs while it works.
#[derive(Debug)]
struct Moody {
    key: Arc<dyn keys::Signer>,
    broken: AtomicBool,
}

#[async_trait]
impl keys::Signer for Moody {
    fn public_key(&self) -> &PublicKey {
        self.key.public_key()
    }

    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        if self.broken.load(Ordering::Relaxed) {
            return Err(SignError { fingerprint: "0123456789ab".into(), source: "/dev/hsm0 is gone".into() });
        }
        self.key.sign(message).await
    }
}

#[tokio::test]
async fn our_own_failures_keep_their_causes_to_themselves() {
    let fixture = Fixture::new();
    fixture.create_empty().await;
    let rekor = fixture.open().await;
    let tree = rekor.identity().tree;
    rekor.close().await;
    let key = Arc::new(Moody { key: Arc::new(FileKey::load(&fixture.config.key).unwrap()), broken: AtomicBool::new(false) });
    let (_, signer) = identify(HOST, tree, key.clone()).unwrap();
    let store = Database::open(&fixture.database()).await.unwrap().log(LOG_NAME);
    let log = Log::open_with(store, Arc::new(signer), fixture.clock.clone(), None, Limits::default()).await.unwrap();
    let router = router::router(Arc::new(App { shards: vec![Shard { log, tree, key: key.clone() }] }));

    let proposal = fixture.proposal(0).await;
    key.broken.store(true, Ordering::Relaxed);
    let answer = submit(&router, &proposal).await;
    answer.refused(500, 500, "the log could not sign its tree head", "log_sign_failed");
    assert!(!answer.text().contains("hsm0"));
    key.broken.store(false, Ordering::Relaxed);
    submit(&router, &proposal).await.entry();
    key.broken.store(true, Ordering::Relaxed);
    let answer = get(&router, "/api/v1/log/entries?logIndex=0").await;
    answer.refused(500, 500, "error signing", "log_sign_failed");
    assert!(!answer.text().contains("hsm0"));
}

#[tokio::test]
async fn a_proof_that_does_not_hold_is_never_given_out() {
    let (_fixture, rekor) = Fixture::empty().await;
    let head =
        SignedTreeHead { size: 2, root: leaf_hash(b"other"), time: Timestamp::UNIX_EPOCH, note: String::new(), last: false };
    let proven = answer::Proven {
        index: 1,
        time: Timestamp::UNIX_EPOCH,
        body: b"body".to_vec(),
        proof: vec![leaf_hash(b"sibling")],
        head: Arc::new(head),
    };
    let error = rekor.app().view().active().answer(proven).await.unwrap_err();
    assert_eq!(error.into_response().status(), StatusCode::INTERNAL_SERVER_ERROR);
}
