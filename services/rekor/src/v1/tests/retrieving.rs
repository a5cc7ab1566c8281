use super::*;

/// A log of `count` entries: its router, and the ids of the entries by index.
async fn filled(fixture: &Fixture, rekor: &RekorV1, count: u64) -> (Router, Vec<String>) {
    let router = rekor.router();
    let mut ids = Vec::new();
    for number in 0..count {
        ids.push(submit(&router, &fixture.proposal(number).await).await.entry().0);
    }
    (router, ids)
}

fn indexes(answer: &Answer) -> Vec<u64> {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    answer.json().as_array().unwrap().iter().map(|entry| one(entry).1["logIndex"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn ten_entries_are_read_at_a_time_in_the_order_of_the_contract() {
    let (fixture, rekor) = Fixture::empty().await;
    let (router, ids) = filled(&fixture, &rekor, 12).await;
    let answer = retrieve(&router, &json!({"logIndexes": (0..10).collect::<Vec<_>>()})).await;
    assert_eq!(indexes(&answer), (0..10).collect::<Vec<_>>());
    for entry in answer.json().as_array().unwrap() {
        verify(rekor.identity(), &one(entry));
    }
    assert!(answer.text().starts_with("[{\"") && answer.text().ends_with("}]\n"));

    // Full ids, then hashes, then what was proposed, then indexes.
    let proposal = fixture.proposal(12).await;
    submit(&router, &proposal).await.entry();
    let query = json!({
        "logIndexes": [1, 0],
        "entries": [proposal],
        "entryUUIDs": [&ids[5][16..], ids[7], ids[6].to_uppercase(), &ids[4][16..]],
    });
    assert_eq!(indexes(&retrieve(&router, &query).await), [7, 6, 5, 4, 12, 1, 0]);
    // The same one twice is there twice.
    assert_eq!(indexes(&retrieve(&router, &json!({"logIndexes": [3, 3]})).await), [3, 3]);
}

#[tokio::test]
async fn what_is_not_there_is_left_out() {
    let (fixture, rekor) = Fixture::empty().await;
    let (router, ids) = filled(&fixture, &rekor, 2).await;
    let query = json!({
        "logIndexes": [7, 1],
        "entries": [fixture.proposal(0).await],
        "entryUUIDs": ["ab".repeat(32), format!("{:016x}{}", 17, &ids[0][16..]), format!("{}{}", &ids[0][..16], "cd".repeat(32))],
    });
    assert_eq!(indexes(&retrieve(&router, &query).await), [1]);
    let nothing = retrieve(&router, &json!({"logIndexes": [2]})).await;
    assert_eq!((nothing.status, nothing.text()), (StatusCode::OK, "[]\n"));
    for query in [json!({}), json!({"logIndexes": null, "entryUUIDs": null, "entries": null, "more": [1]})] {
        assert_eq!(retrieve(&router, &query).await.text(), "[]\n", "{query}");
    }
}

#[tokio::test]
async fn ten_is_the_most_in_each_list_and_in_all() {
    let (fixture, rekor) = Fixture::empty().await;
    let (router, ids) = filled(&fixture, &rekor, 1).await;
    let proposal = fixture.proposal(0).await;
    for (name, item) in [("logIndexes", json!(0)), ("entryUUIDs", json!(ids[0])), ("entries", proposal)] {
        let list = |count: usize| json!({name: vec![item.clone(); count]});
        let text = format!("{name} in body should have at least 1 items");
        retrieve(&router, &list(0)).await.refused(422, 612, &text, "request_schema");
        for count in [11, 16, 17, 1_000] {
            let text = format!("{name} in body should have at most 10 items");
            retrieve(&router, &list(count)).await.refused(422, 611, &text, "request_schema");
        }
        assert_eq!(retrieve(&router, &list(10)).await.status, StatusCode::OK);
    }
    let sum = json!({"logIndexes": [0, 0, 0, 0, 0], "entryUUIDs": vec![ids[0].clone(); 6]});
    retrieve(&router, &sum).await.refused(422, 422, "more than max allowed 10 entries in request", "search_limit");
}

#[tokio::test]
async fn unreadable_queries_are_refused_as_a_whole() {
    let (fixture, rekor) = Fixture::empty().await;
    let (router, ids) = filled(&fixture, &rekor, 1).await;
    const PATH: &str = "/api/v1/log/entries/retrieve";
    post(&router, PATH, "").await.refused(422, 602, "entry in body is required", "request_schema");
    for body in [
        "{",
        "[]",
        "\"x\"",
        r#"{"logIndexes":["1"]}"#,
        r#"{"entryUUIDs":[1]}"#,
        r#"{"logIndexes":[null]}"#,
        r#"{"logIndexes":1}"#,
    ] {
        let answer = post(&router, PATH, body).await;
        answer.refused(400, 400, "parsing entry body from \"\" failed, because", "search_malformed");
    }
    let bad_id = json!({"entryUUIDs": [ids[0], "xyz"]});
    retrieve(&router, &bad_id).await.refused(422, 605, "entryUUIDs.1 in body should match", "request_schema");
    let bad_tree = json!({"entryUUIDs": [format!("{}{}", "f".repeat(16), &ids[0][16..])]});
    retrieve(&router, &bad_tree).await.refused(400, 400, "ffffffffffffffff is not a valid TreeID", "tree_unknown");
    let negative = json!({"logIndexes": [0, -1]});
    retrieve(&router, &negative).await.refused(
        422,
        609,
        "logIndexes.1 in body should be greater than or equal to 0",
        "request_schema",
    );

    let mut forged = fixture.proposal(0).await;
    forged["spec"]["data"]["hash"]["value"] = sha256(b"other").to_string().into();
    let query = json!({"logIndexes": [0], "entries": [forged]});
    let answer = retrieve(&router, &query).await;
    assert!(answer.refusal(400, 400).starts_with("verifying signature: "), "{}", answer.text());
    for (entry, status, number, text) in [
        (json!({}), 422, 602, "kind in body is required"),
        (json!(null), 422, 602, "kind in body is required"),
        (json!({"kind": "nope", "apiVersion": "0.0.1", "spec": {}}), 422, 422, "invalid kind value: \"nope\""),
        (json!({"kind": "rekord", "apiVersion": "0.0.1", "spec": {}}), 400, 400, "entry kind 'rekord' is not enabled"),
        (
            json!({"kind": "intoto", "apiVersion": "0.0.2", "spec": {"content": {}}}),
            400,
            400,
            "content.envelope in body is required",
        ),
        (json!({"kind": "intoto", "apiVersion": "0.0.1", "spec": {}}), 400, 400, "content in body is required"),
    ] {
        let message = retrieve(&router, &json!({"entries": [entry]})).await.refusal(status, number);
        assert!(message.starts_with(text), "{message}");
    }
}

#[tokio::test]
async fn an_entry_is_found_by_what_was_proposed_and_by_what_is_stored() {
    let (fixture, rekor) = Fixture::empty().await;
    let router = rekor.router();
    let envelope = fixture.envelope(b"{}").await;
    let pem = b64(fixture.client.public_key().to_pem());
    let dsse = json!({"kind": "dsse", "apiVersion": "0.0.1", "spec": {"proposedContent": {"envelope": envelope.to_string(), "verifiers": [pem]}}});
    let intoto = json!({"kind": "intoto", "apiVersion": "0.0.1", "spec": {"content": {"envelope": envelope.to_string()}, "publicKey": pem}});
    // As cosign 2 asks: it does not know as which of the two the attestation was logged.
    let both = json!({"entries": [dsse, intoto]});
    assert_eq!(indexes(&retrieve(&router, &both).await), [0; 0]);
    let (_, entry) = submit(&router, &intoto).await.entry();
    assert_eq!(indexes(&retrieve(&router, &both).await), [0]);
    let stored: Value = serde_json::from_slice(&BASE64_STANDARD.decode(entry["body"].as_str().unwrap()).unwrap()).unwrap();
    assert_eq!(indexes(&retrieve(&router, &json!({"entries": [stored]})).await), [0]);
}
