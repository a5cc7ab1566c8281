use super::*;

/// What the index finds of a payload, besides hashes of its own.
fn found(payload: &str) -> Vec<String> {
    let mut keys = IndexKeys::default();
    keys.add_statement(payload.as_bytes());
    keys.into_vec()
}

#[test]
fn subjects_materials_and_dependencies_are_found() {
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {"name": "a", "digest": {"sha256": "AA", "gitCommit": "c0ffee"}},
            {"name": "b", "digest": {"sha512": "bb"}},
        ],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "materials": [{"uri": "git+https://x", "digest": {"sha1": "dd"}}],
            "buildDefinition": {"resolvedDependencies": [{"digest": {"sha256": "ee"}}], "externalParameters": {"digest": {"no": "0"}}},
            "subject": [{"digest": {"no": "1"}}],
        },
        "digest": {"no": "2"},
    });
    assert_eq!(found(&statement.to_string()), ["gitcommit:c0ffee", "sha1:dd", "sha256:aa", "sha256:ee", "sha512:bb"]);
}

#[test]
fn members_of_other_types_are_read_over() {
    for (statement, expected) in [
        (json!({"subject": "text", "predicate": []}), vec![]),
        (json!({"subject": [1, null, "x", [], {"digest": [1]}, {"digest": {"sha256": 5, "sha1": "ok"}}]}), vec!["sha1:ok"]),
        (json!({"predicate": "text", "subject": [{"digest": {"sha256": "still"}}]}), vec!["sha256:still"]),
        (json!({"predicate": {"materials": {"digest": {"no": "0"}}, "buildDefinition": 3}}), vec![]),
        (json!([{"subject": [{"digest": {"no": "0"}}]}]), vec![]),
        (json!(null), vec![]),
    ] {
        assert_eq!(found(&statement.to_string()), expected, "{statement}");
    }
    let whole = json!({"subject": [{"digest": {"sha256": "aa"}}]}).to_string();
    for broken in [whole[..whole.len() - 1].to_owned(), format!("{whole}x"), "\u{0}".into(), String::new()] {
        assert_eq!(found(&broken), [""; 0], "{broken}");
    }
}

#[test]
fn words_are_bounded_in_number_and_length() {
    let subjects: Vec<_> = (0..MAX_INDEX_KEYS + 50).map(|n| json!({"digest": {"sha256": n.to_string()}})).collect();
    assert_eq!(found(&json!({"subject": subjects}).to_string()).len(), MAX_INDEX_KEYS);
    let digest = |length: usize| json!({"subject": [{"digest": {"a": "é".repeat(length)}}]}).to_string();
    assert_eq!(found(&digest(MAX_INDEX_KEY - 2)).len(), 1);
    assert_eq!(found(&digest(MAX_INDEX_KEY - 1)).len(), 0);
}

#[test]
fn an_entry_is_found_by_its_own_words_however_many_subjects_it_has() {
    let signer = Signer::p256();
    let subjects: Vec<_> = (0..MAX_INDEX_KEYS + 50).map(|n| json!({"digest": {"sha256": n.to_string()}})).collect();
    let payload = json!({"subject": subjects}).to_string();
    let envelope = envelope(payload.as_bytes(), &[&signer]).to_string();
    let entry = verified(&json!({"kind": "dsse", "apiVersion": "0.0.1",
        "spec": {"proposedContent": {"envelope": envelope, "verifiers": [b64(&signer.pem)]}}}));
    assert_eq!(entry.index_keys().len(), MAX_INDEX_KEYS);
    assert!(entry.index_keys().contains(&signer.index_key()));
    assert!(entry.index_keys().contains(&format!("sha256:{}", sha256(payload.as_bytes()))));
}

#[test]
fn a_payload_of_another_type_is_not_looked_into() {
    let signer = Signer::p256();
    let payload = json!({"subject": [{"digest": {"sha256": "aa"}}]}).to_string();
    for (payload_type, expected) in [(IN_TOTO, 4), ("application/json", 3)] {
        let sig = b64(signer.sign(&pae(payload_type, payload.as_bytes())));
        let envelope = json!({"payload": b64(&payload), "payloadType": payload_type, "signatures": [{"sig": sig}]});
        let entry = verified(&json!({"kind": "dsse", "apiVersion": "0.0.1",
            "spec": {"proposedContent": {"envelope": envelope.to_string(), "verifiers": [b64(&signer.pem)]}}}));
        assert_eq!(entry.index_keys().len(), expected);
    }
}
