use rcgen::{CertificateParams, KeyPair, SanType, SigningKey as _};

use super::*;

/// Signs with a certificate, as a keyless client does.
struct Keyless {
    key: KeyPair,
    pem: String,
}

impl Keyless {
    fn new(email: &str, uri: &str) -> Self {
        let mut params = CertificateParams::default();
        params.subject_alt_names = vec![SanType::Rfc822Name(email.try_into().unwrap()), SanType::URI(uri.try_into().unwrap())];
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { key, pem }
    }

    fn proposal(&self, message: &str) -> Value {
        hashedrekord(message.as_bytes(), &self.key.sign(message.as_bytes()).unwrap(), &self.pem)
    }
}

fn ids(answer: &Answer) -> Vec<String> {
    assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, Some("application/json")), "{}", answer.text());
    assert!(answer.text().ends_with("]\n"));
    serde_json::from_slice(&answer.body).unwrap()
}

#[tokio::test]
async fn what_was_answered_is_found_at_once() {
    let (_fixture, rekor) = Fixture::empty().await;
    let router = rekor.router();
    let (one, two) =
        (Keyless::new("Dev@corp.example", "https://corp.example/W"), Keyless::new("ops@corp.example", "https://corp.example/W"));
    let (a, _) = submit(&router, &one.proposal("a")).await.entry();
    let (b, _) = submit(&router, &two.proposal("b")).await.entry();
    let digest = sha256(b"a").to_string();
    let key = |keyless: &Keyless| json!({"format": "x509", "content": b64(&keyless.pem)});
    let queries = [
        (json!({"email": "dev@corp.example"}), vec![&a]),
        (json!({"email": "DEV@Corp.Example"}), vec![&a]),
        (json!({"subject": "ops@corp.example"}), vec![&b]),
        (json!({"subject": "HTTPS://corp.example/w"}), vec![&a, &b]),
        (json!({"hash": digest}), vec![&a]),
        (json!({"hash": format!("sha256:{}", digest.to_uppercase())}), vec![&a]),
        (json!({"publicKey": key(&one)}), vec![&a]),
        (json!({"publicKey": {"format": "x509", "content": b64(one.pem.replace('\n', "\r\n"))}}), vec![&a]),
        // Nulls, as sigstore-java sends them.
        (json!({"hash": digest, "email": null, "subject": null, "publicKey": null, "operator": null, "more": 1}), vec![&a]),
        // Any, and each.
        (json!({"email": "dev@corp.example", "hash": sha256(b"b").to_string()}), vec![&a, &b]),
        (json!({"email": "dev@corp.example", "hash": digest, "operator": "or"}), vec![&a]),
        (json!({"email": "dev@corp.example", "hash": sha256(b"b").to_string(), "operator": "and"}), vec![]),
        (
            json!({"subject": "https://corp.example/w", "publicKey": key(&two), "hash": sha256(b"b").to_string(), "operator": "and"}),
            vec![&b],
        ),
        (json!({"email": "nobody@corp.example"}), vec![]),
        (json!({"hash": "00".repeat(64)}), vec![]),
        (json!({"hash": format!("sha1:{}", "00".repeat(20))}), vec![]),
        (json!({}), vec![]),
        (json!({"operator": "and"}), vec![]),
        (json!({"email": "", "subject": "", "hash": ""}), vec![]),
    ];
    for (query, expected) in queries {
        assert_eq!(ids(&search(&router, &query).await).iter().collect::<Vec<_>>(), expected, "{query}");
    }
    assert_eq!(search(&router, &json!({})).await.text(), "[]\n");
}

#[tokio::test]
async fn attestations_are_found_by_key_hashes_and_subjects() {
    let (fixture, rekor) = Fixture::empty().await;
    let router = rekor.router();
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "app", "digest": {"sha256": "AB".repeat(32), "sha512": "cd".repeat(64)}}],
        "predicate": {"buildDefinition": {"resolvedDependencies": [{"digest": {"sha1": "ef".repeat(20)}}]}},
    });
    let proposal = fixture.dsse(statement.to_string().as_bytes()).await;
    let (id, _) = submit(&router, &proposal).await.entry();
    let envelope = proposal["spec"]["proposedContent"]["envelope"].as_str().unwrap();
    let pem = fixture.client.public_key().to_pem();
    for query in [
        json!({"hash": "ab".repeat(32)}),
        json!({"hash": format!("sha512:{}", "cd".repeat(64))}),
        json!({"hash": "ef".repeat(20)}),
        json!({"hash": sha256(statement.to_string().as_bytes()).to_string()}),
        json!({"hash": sha256(envelope.as_bytes()).to_string()}),
        json!({"hash": sha256(pem.as_bytes()).to_string()}),
        json!({"publicKey": {"format": "x509", "content": b64(&pem)}}),
        json!({"publicKey": {"format": "x509", "content": b64(&pem)}, "hash": "ab".repeat(32), "operator": "and"}),
    ] {
        assert_eq!(ids(&search(&router, &query).await), std::slice::from_ref(&id), "{query}");
    }
}

#[tokio::test]
async fn queries_that_cannot_be_are_refused() {
    let (fixture, rekor) = Fixture::empty().await;
    let router = rekor.router();
    const PATH: &str = "/api/v1/index/retrieve";
    post(&router, PATH, "").await.refused(422, 602, "query in body is required", "request_schema");
    for body in ["{", "[]", r#"{"email":1}"#, r#"{"publicKey":"x"}"#, r#"{"hash":"a","hash":"b"}"#] {
        post(&router, PATH, body).await.refused(400, 400, "parsing query body from \"\" failed, because", "search_malformed");
    }
    let key = |format: &str| json!({"publicKey": {"format": format, "content": b64(fixture.client.public_key().to_pem())}});
    for (query, status, number, text, code) in [
        (json!({"email": "nobody"}), 422, 601, "email in body must be of type email", "request_schema"),
        (json!({"email": "a b@c"}), 422, 601, "email in body", "request_schema"),
        (json!({"hash": "12"}), 422, 605, "hash in body should match '^(sha512:)?", "request_schema"),
        (json!({"hash": format!("sha256:{}", "00".repeat(64))}), 422, 605, "hash in body", "request_schema"),
        (json!({"hash": "0".repeat(96)}), 422, 605, "hash in body", "request_schema"),
        (json!({"operator": "xor"}), 422, 606, "operator in body should be one of [and or]", "request_schema"),
        (json!({"subject": "x".repeat(513)}), 422, 603, "subject in body should be at most 512 chars long", "request_schema"),
        (json!({"publicKey": {"content": ""}}), 422, 602, "publicKey.format in body is required", "request_schema"),
        (key("foo"), 422, 606, "publicKey.format in body should be one of [pgp x509 minisign ssh tuf]", "request_schema"),
        (key("pgp"), 400, 400, "the PKI format requested is not supported by this server", "search_key"),
        (
            json!({"publicKey": {"format": "x509", "content": b64("garbage")}}),
            400,
            400,
            "public key provided could not be parsed",
            "search_key",
        ),
        (
            json!({"publicKey": {"format": "x509", "content": "~"}}),
            400,
            400,
            "public key provided could not be parsed",
            "search_key",
        ),
        (json!({"publicKey": {"format": "x509"}}), 400, 400, "public key provided could not be parsed", "search_key"),
    ] {
        search(&router, &query).await.refused(status, number, text, code);
    }
    assert_eq!(ids(&search(&router, &json!({"subject": "x".repeat(512)})).await), [""; 0]);
}

#[tokio::test]
async fn long_answers_are_whole() {
    let (_fixture, rekor) = Fixture::empty().await;
    let router = rekor.router();
    let keyless = Keyless::new("dev@corp.example", "https://corp.example/w");
    let proposals: Vec<_> = (0..1_100).map(|number| keyless.proposal(&number.to_string())).collect();
    for answer in join_all(proposals.iter().map(|proposal| submit(&router, proposal))).await {
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    }
    let found = ids(&search(&router, &json!({"email": "dev@corp.example"})).await);
    assert_eq!(found.len(), 1_100);
    assert_eq!(found.iter().collect::<std::collections::BTreeSet<_>>().len(), 1_100, "each once");
    let both = json!({"email": "dev@corp.example", "subject": "https://corp.example/w", "operator": "and"});
    assert_eq!(ids(&search(&router, &both).await), found);
    let (last, entry) = get(&router, "/api/v1/log/entries?logIndex=1099").await.entry();
    assert_eq!((found.last(), entry["logIndex"].as_u64()), (Some(&last), Some(1_099)), "in the order of the log");
}
