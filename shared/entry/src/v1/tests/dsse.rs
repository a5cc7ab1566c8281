use super::*;

fn proposal_of(envelope: &str, verifiers: &[&str]) -> Value {
    let verifiers: Vec<_> = verifiers.iter().map(b64).collect();
    json!({"kind": "dsse", "apiVersion": "0.0.1", "spec": {"proposedContent": {"envelope": envelope, "verifiers": verifiers}}})
}

fn proposal(envelope: &Value, signers: &[&Signer]) -> Value {
    let pems: Vec<_> = signers.iter().map(|signer| signer.pem.as_str()).collect();
    proposal_of(&envelope.to_string(), &pems)
}

/// The stored form of an entry, as a proposal.
fn stored(entry: &VerifiedEntry) -> Value {
    body(entry)
}

#[test]
fn an_envelope_is_logged_by_its_hashes_and_signatures() {
    let signer = Signer::p256();
    let envelope = envelope(b"{\"a\": 1}", &[&signer]);
    let entry = verified(&proposal(&envelope, &[&signer]));
    assert_eq!(
        body(&entry),
        json!({"apiVersion": "0.0.1", "kind": "dsse", "spec": {
            "envelopeHash": {"algorithm": "sha256", "value": sha256(envelope.to_string().as_bytes())},
            "payloadHash": {"algorithm": "sha256", "value": sha256(b"{\"a\": 1}")},
            "signatures": [{"signature": envelope["signatures"][0]["sig"], "verifier": b64(&signer.pem)}],
        }})
    );
    let mut keys = [
        signer.index_key(),
        format!("sha256:{}", sha256(b"{\"a\": 1}")),
        format!("sha256:{}", sha256(envelope.to_string().as_bytes())),
    ];
    keys.sort();
    assert_eq!(entry.index_keys(), keys);
}

#[test]
fn an_envelope_written_otherwise_is_another_entry_over_the_same_payload() {
    let signer = Signer::p256();
    let envelope = envelope(b"{}", &[&signer]);
    let spaced = envelope.to_string().replacen(':', ": ", 1);
    let (one, other) = (verified(&proposal(&envelope, &[&signer])), verified(&proposal_of(&spaced, &[&signer.pem])));
    assert_ne!(one.leaf_hash(), other.leaf_hash());
    assert_eq!(body(&one)["spec"]["payloadHash"], body(&other)["spec"]["payloadHash"]);
}

#[test]
fn every_kind_of_key_signs_envelopes() {
    for signer in [Signer::p256(), Signer::rsa2048(), Signer::ed25519()] {
        verified(&proposal(&envelope(b"payload", &[&signer]), &[&signer]));
    }
    // SHA-256 whatever the curve: openssl dgst -sha256 -sign over the encoding of "payload".
    let sig = "MGUCMQCXT0sIpgtY6Jlg8YfUIrBKr1GtOo4rtmk76llF5USu/UlPH0bZx1ajOOd4s9p7+mECMH8dUpeGRvxpx0GiRHKnjtZNwvhjlvzpNO1gbvKLL6InCAn3sVrKBQX4KnnZJ579Qg==";
    let pem = "-----BEGIN PUBLIC KEY-----\nMHYwEAYHKoZIzj0CAQYFK4EEACIDYgAElVmNzZV1+MS+FZIrfQEv+D8s3QGXn6uO\n0g2vKF4pYmZjh1K7w+7Nl0fPXfhOLsjjlWSGPwr6aOClD1Ab0BFZCRszN7FVO+x+\nhrmGb/VpTtw+xaTqCBH3opXDjPr4hCnh\n-----END PUBLIC KEY-----\n";
    let by_openssl = json!({"payload": b64("payload"), "payloadType": IN_TOTO, "signatures": [{"sig": sig}]});
    verified(&proposal_of(&by_openssl.to_string(), &[pem]));
    let p384 = Signer::p384();
    assert_refused(
        &proposal(&envelope(b"payload", &[&p384]), &[&p384]),
        "entry_envelope_signature",
        "could not verify envelope: key 1 verifies none",
    );
}

#[test]
fn base64_of_an_envelope_may_be_url_safe_and_key_ids_say_nothing() {
    let signer = Signer::p256();
    let payload = [0xfb, 0xff, 0xfe, 0x3e];
    let mut envelope = envelope(&payload, &[&signer]);
    let sig = BASE64_STANDARD.decode(envelope["signatures"][0]["sig"].as_str().unwrap()).unwrap();
    envelope["payload"] = BASE64_URL_SAFE.encode(payload).into();
    envelope["signatures"][0] = json!({"keyid": "another key's", "sig": BASE64_URL_SAFE.encode(&sig), "more": 1});
    let entry = verified(&proposal(&envelope, &[&signer]));
    assert_eq!(body(&entry)["spec"]["signatures"][0]["signature"], BASE64_URL_SAFE.encode(&sig), "as it is written");
    assert_eq!(body(&entry)["spec"]["payloadHash"]["value"], sha256(&payload));
}

#[test]
fn two_keys_in_either_order_are_one_entry() {
    let (one, two) = (Signer::p256(), Signer::ed25519());
    let envelope = envelope(b"payload", &[&one, &two]);
    let (a, b) = (verified(&proposal(&envelope, &[&one, &two])), verified(&proposal(&envelope, &[&two, &one])));
    assert_eq!(a.body(), b.body());
    let body = body(&a);
    let signatures = body["spec"]["signatures"].as_array().unwrap();
    let texts: Vec<_> = signatures.iter().map(|signature| signature["signature"].as_str().unwrap()).collect();
    assert!(texts.is_sorted(), "{texts:?}");
    for signature in signatures {
        let of_one = signature["signature"] == envelope["signatures"][0]["sig"];
        assert_eq!(signature["verifier"], b64(if of_one { &one.pem } else { &two.pem }));
    }
}

#[test]
fn keys_and_signatures_must_cover_each_other() {
    let (one, two, three) = (Signer::p256(), Signer::p256(), Signer::p256());
    let single = envelope(b"payload", &[&one]);
    let double = envelope(b"payload", &[&one, &two]);
    const CODE: &str = "entry_envelope_signature";
    assert_refused(&proposal(&single, &[&two]), CODE, "could not verify envelope: key 1 verifies none of its signatures");
    assert_refused(&proposal(&single, &[&two, &one]), CODE, "key 1 verifies none");
    assert_refused(&proposal(&double, &[&one]), CODE, "all signatures must have a key that verifies it: 1 of 2 have none");
    assert_refused(&proposal(&double, &[&one, &three]), CODE, "key 2 verifies none");
    assert_refused(&proposal(&double, &[]), CODE, "all signatures must have a key that verifies it: 2 of 2 have none");

    // Once every signature has its key, further ones are not even read.
    let surplus = proposal_of(&single.to_string(), &[&one.pem, &two.pem, "no key at all"]);
    assert_eq!(verified(&surplus).body(), verified(&proposal(&single, &[&one])).body());

    // A key counts for the first signature it made, so two by one key never pass.
    let twice = envelope(b"payload", &[&one, &one]);
    assert_ne!(twice["signatures"][0], twice["signatures"][1]);
    assert_refused(&proposal(&twice, &[&one]), CODE, "all signatures must have a key that verifies it: 1 of 2 have none");
    assert_refused(&proposal(&twice, &[&one, &one]), CODE, "two signatures by one key are never accepted");

    // The same signature twice is one.
    let mut repeated = single.clone();
    repeated["signatures"].as_array_mut().unwrap().push(single["signatures"][0].clone());
    assert_eq!(body(&verified(&proposal(&repeated, &[&one])))["spec"]["signatures"].as_array().unwrap().len(), 1);
}

#[test]
fn what_is_no_envelope_is_refused() {
    let signer = Signer::p256();
    let valid = envelope(b"payload", &[&signer]);
    let with = |member: &str, value: Value| {
        let mut envelope = valid.clone();
        envelope[member] = value;
        proposal(&envelope, &[&signer])
    };
    for text in ["", "{", "[]", "null", "{\"payload\":1}", "{\"payload\":\"\",\"payload\":\"\"}", "{\"signatures\":{}}"] {
        assert_refused(&proposal_of(text, &[&signer.pem]), "entry_envelope", "not a DSSE envelope in JSON");
    }
    assert_refused(&with("signatures", json!([])), "entry_envelope_signature", "DSSE envelope must contain 1 or more signatures");
    assert_refused(&proposal_of("{}", &[&signer.pem]), "entry_envelope_signature", "must contain 1 or more signatures");
    assert_refused(&with("payload", "~".into()), "entry_envelope", "its payload is not base64");
    assert_refused(&with("payload", b64("other").into()), "entry_envelope_signature", "verifies none");
    assert_refused(&with("payloadType", "text/plain".into()), "entry_envelope_signature", "verifies none");
    let broken = json!([valid["signatures"][0], {"sig": "~"}]);
    assert_refused(&with("signatures", broken), "entry_envelope", "its signatures is not base64");
    let many: Vec<_> = (0..17).map(|_| valid["signatures"][0].clone()).collect();
    assert_refused(&with("signatures", many.into()), "entry_too_many", "signatures has 17 items, the most accepted is 16");
}

#[test]
fn what_is_no_proposal_is_refused() {
    let signer = Signer::p256();
    let envelope = envelope(b"payload", &[&signer]);
    let valid = proposal(&envelope, &[&signer]);
    let with = |change: &dyn Fn(&mut Value)| {
        let mut proposal = valid.clone();
        change(&mut proposal["spec"]);
        proposal
    };
    const NEITHER: &str = "either proposedContent or envelopeHash, payloadHash, and signatures must be present";
    assert_refused(&with(&|spec| *spec = json!({})), "entry_oneof", NEITHER);
    assert_refused(&with(&|spec| spec["proposedContent"] = "text".into()), "entry_oneof", NEITHER);
    for member in ["envelopeHash", "payloadHash"] {
        let both = with(&|spec| spec[member] = json!({"algorithm": "sha256", "value": sha256(b"x")}));
        assert_refused(&both, "entry_oneof", "but not both");
    }
    assert_refused(&with(&|spec| spec["signatures"] = json!([{"signature": "x"}])), "entry_oneof", "but not both");
    let content = |member: &'static str, value: Value| with(&|spec| spec["proposedContent"][member] = value.clone());
    assert_refused(&content("envelope", Value::Null), "entry_member_missing", "proposedContent.envelope in body is required");
    assert_refused(&content("verifiers", Value::Null), "entry_member_missing", "proposedContent.verifiers in body is required");
    assert_refused(&content("verifiers", json!(["~"])), "entry_base64", "proposedContent.verifiers");
    assert_refused(&content("verifiers", json!([b64("no key")])), "entry_public_key", "failure decoding PEM");
    let many = vec![b64(&signer.pem); 17];
    assert_refused(&content("verifiers", many.into()), "entry_too_many", "proposedContent.verifiers has 17 items");
    // Empty and null ones are not there.
    verified(&content("verifiers", json!(["", Value::Null, b64(&signer.pem)])));
}

#[test]
fn the_stored_form_finds_its_entry_and_is_not_logged() {
    let (one, two) = (Signer::p256(), Signer::p256());
    let entry = verified(&proposal(&envelope(b"payload", &[&one, &two]), &[&one, &two]));
    let mut form = stored(&entry);
    assert_eq!(read(&form).unwrap().locate().unwrap(), entry.leaf_hash());
    assert_refused(&form, "entry_not_insertable", "entry not insertable into log: proposedContent is missing");
    form["spec"]["signatures"].as_array_mut().unwrap().reverse();
    assert_eq!(read(&form).unwrap().locate().unwrap(), entry.leaf_hash(), "whatever the order");

    let with = |change: &dyn Fn(&mut Value)| {
        let mut form = stored(&entry);
        change(&mut form["spec"]);
        let error = read(&form).unwrap().locate().unwrap_err();
        error.code()
    };
    assert_eq!(with(&|spec| spec["envelopeHash"]["algorithm"] = "sha512".into()), "entry_hash");
    assert_eq!(with(&|spec| spec["payloadHash"]["value"] = "12".into()), "entry_hash");
    assert_eq!(with(&|spec| spec["payloadHash"] = Value::Null), "entry_oneof");
    assert_eq!(with(&|spec| spec["signatures"] = json!([])), "entry_oneof");
    assert_eq!(with(&|spec| spec["signatures"][0]["signature"] = Value::Null), "entry_member_missing");
    assert_eq!(with(&|spec| spec["signatures"][0]["verifier"] = "".into()), "entry_member_missing");
    assert_eq!(with(&|spec| spec["signatures"][0]["verifier"] = "~".into()), "entry_base64");
    let seventeen = vec![json!({"signature": "a", "verifier": "YQ=="}); 17];
    assert_eq!(with(&|spec| spec["signatures"] = seventeen.clone().into()), "entry_too_many");
}
