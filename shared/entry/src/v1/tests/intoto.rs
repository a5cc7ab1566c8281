use super::*;

/// As cosign 2 and `rekor-cli --pki-format …` send 0.0.1.
fn first(envelope: &str, signer: &Signer) -> Value {
    json!({"kind": "intoto", "apiVersion": "0.0.1", "spec": {
        "content": {"envelope": envelope, "hash": {"algorithm": "sha256", "value": sha256(envelope.as_bytes())}},
        "publicKey": b64(&signer.pem),
    }})
}

/// As rekor-cli and sigstore-js send 0.0.2: base64 twice, a key beside each signature, a hash of their own.
fn second(envelope: &Value, signers: &[&Signer]) -> Value {
    let sigs = envelope["signatures"].as_array().unwrap().iter().zip(signers);
    let signatures: Vec<_> = sigs
        .map(|(signature, signer)| json!({"publicKey": b64(&signer.pem), "sig": b64(signature["sig"].as_str().unwrap())}))
        .collect();
    json!({"kind": "intoto", "apiVersion": "0.0.2", "spec": {"content": {
        "envelope": {
            "payload": b64(envelope["payload"].as_str().unwrap()),
            "payloadType": envelope["payloadType"],
            "signatures": signatures,
        },
        "hash": {"algorithm": "sha256", "value": sha256(b"the client's own")},
    }}})
}

#[test]
fn the_first_version_keeps_two_hashes_and_a_key() {
    let signer = Signer::p256();
    let envelope = envelope(b"{\"_type\":\"x\"}", &[&signer]).to_string();
    let entry = verified(&first(&envelope, &signer));
    assert_eq!(
        body(&entry),
        json!({"apiVersion": "0.0.1", "kind": "intoto", "spec": {
            "content": {
                "hash": {"algorithm": "sha256", "value": sha256(envelope.as_bytes())},
                "payloadHash": {"algorithm": "sha256", "value": sha256(b"{\"_type\":\"x\"}")},
            },
            "publicKey": b64(&signer.pem),
        }})
    );
    for key in [
        signer.index_key(),
        format!("sha256:{}", sha256(envelope.as_bytes())),
        format!("sha256:{}", sha256(b"{\"_type\":\"x\"}")),
    ] {
        assert!(entry.index_keys().contains(&key));
    }
    // The hashes that the client computed are not believed.
    let mut lying = first(&envelope, &signer);
    lying["spec"]["content"]["hash"]["value"] = sha256(b"other").into();
    lying["spec"]["content"]["payloadHash"] = json!({"algorithm": "nonsense"});
    assert_eq!(verified(&lying).body(), entry.body());
    // CRLF in the key makes no other entry.
    let mut spelled = first(&envelope, &signer);
    spelled["spec"]["publicKey"] = b64(signer.pem.replace('\n', "\r\n")).into();
    assert_eq!(verified(&spelled).body(), entry.body());
}

#[test]
fn the_first_version_asks_for_one_signature_by_its_key() {
    let (one, two) = (Signer::p256(), Signer::ed25519());
    let both = envelope(b"payload", &[&one, &two]).to_string();
    verified(&first(&both, &one));
    verified(&first(&both, &two));
    assert_refused(&first(&both, &Signer::p256()), "entry_envelope_signature", "verifies none of its signatures");
    assert_refused(&first("{", &one), "entry_envelope", "not a DSSE envelope");
    assert_refused(&first("{}", &one), "entry_envelope_signature", "1 or more signatures");
    let mut url_safe = envelope(&[0xfb, 0xff], &[&one]);
    url_safe["payload"] = BASE64_URL_SAFE.encode([0xfb, 0xff]).into();
    assert_refused(&first(&url_safe.to_string(), &one), "entry_envelope", "its payload is not base64");
}

#[test]
fn the_stored_form_of_the_first_version_finds_its_entry() {
    let signer = Signer::p256();
    let entry = verified(&first(&envelope(b"payload", &[&signer]).to_string(), &signer));
    let form = body(&entry);
    assert_eq!(read(&form).unwrap().locate().unwrap(), entry.leaf_hash());
    assert_refused(&form, "entry_not_insertable", "content.envelope is missing");
    let mut of_old = form.clone();
    of_old["spec"]["content"].as_object_mut().unwrap().remove("payloadHash");
    let expected = serde_json_canonicalizer::to_vec(&of_old).unwrap();
    assert_eq!(read(&of_old).unwrap().locate().unwrap(), merkle::leaf_hash(&expected));

    let locate = |change: &dyn Fn(&mut Value)| {
        let mut form = form.clone();
        change(&mut form["spec"]);
        read(&form).unwrap().locate().unwrap_err().code()
    };
    assert_eq!(locate(&|spec| spec["content"] = Value::Null), "entry_member_missing");
    assert_eq!(locate(&|spec| spec["content"]["hash"] = Value::Null), "entry_member_missing");
    assert_eq!(locate(&|spec| spec["content"]["hash"]["algorithm"] = "md5".into()), "entry_hash");
    assert_eq!(locate(&|spec| spec["content"]["payloadHash"]["value"] = "x".into()), "entry_hash");
    assert_eq!(locate(&|spec| spec["publicKey"] = Value::Null), "entry_member_missing");
    assert_eq!(locate(&|spec| spec["publicKey"] = "~".into()), "entry_base64");
    assert_eq!(locate(&|spec| spec["publicKey"] = b64("no key").into()), "entry_public_key");
}

#[test]
fn the_second_version_keeps_base64_twice_and_drops_the_payload() {
    let signer = Signer::p256();
    let envelope = envelope(b"{}", &[&signer]);
    let proposal = second(&envelope, &[&signer]);
    let entry = verified(&proposal);
    assert_eq!(
        body(&entry),
        json!({"apiVersion": "0.0.2", "kind": "intoto", "spec": {"content": {
            "envelope": {"payloadType": IN_TOTO, "signatures": [{
                "publicKey": b64(&signer.pem),
                "sig": b64(envelope["signatures"][0]["sig"].as_str().unwrap()),
            }]},
            "hash": {"algorithm": "sha256", "value": sha256(b"the client's own")},
            "payloadHash": {"algorithm": "sha256", "value": sha256(b"{}")},
        }}})
    );
    let mut keys = [signer.index_key(), format!("sha256:{}", sha256(b"{}"))];
    keys.sort();
    assert_eq!(entry.index_keys(), keys, "not the client's own hash");
}

#[test]
fn key_ids_order_and_spelling_of_keys_are_kept() {
    let (one, two) = (Signer::p256(), Signer::p256());
    let mut proposal = second(&envelope(b"{}", &[&one, &two]), &[&one, &two]);
    let signatures = &mut proposal["spec"]["content"]["envelope"]["signatures"];
    signatures[0]["keyid"] = "a \"key\" \u{7}\u{2028}é".into();
    signatures[1]["keyid"] = "".into();
    let crlf = b64(one.pem.replace('\n', "\r\n"));
    signatures[0]["publicKey"] = crlf.clone().into();
    let entry = verified(&proposal);
    let logged = &body(&entry)["spec"]["content"]["envelope"]["signatures"];
    assert_eq!(logged[0]["keyid"], "a \"key\" \u{7}\u{2028}é");
    assert_eq!(logged[0]["publicKey"], crlf, "two spellings are two entries");
    assert!(logged[1].get("keyid").is_none());
    assert!(entry.index_keys().contains(&one.index_key()), "but it is found as the same key");

    // That a key stands beside the signature it made is not asked.
    let mut swapped = proposal.clone();
    let signatures = swapped["spec"]["content"]["envelope"]["signatures"].as_array_mut().unwrap();
    let sig = signatures[0]["sig"].clone();
    signatures[0]["sig"] = std::mem::replace(&mut signatures[1]["sig"], sig);
    verified(&swapped);
}

#[test]
fn in_the_second_version_every_key_and_signature_must_match() {
    const CODE: &str = "entry_envelope_signature";
    let (one, two) = (Signer::p256(), Signer::p256());
    let single = envelope(b"{}", &[&one]);
    assert_refused(&second(&single, &[&two]), CODE, "key 1 verifies none of its signatures");
    let double = envelope(b"{}", &[&one, &two]);
    assert_refused(&second(&double, &[&one, &one]), CODE, "1 of 2 have none");
    let twice = envelope(b"{}", &[&one, &one]);
    assert_refused(&second(&twice, &[&one, &one]), CODE, "two signatures by one key are never accepted");
    let mut other = second(&single, &[&one]);
    other["spec"]["content"]["envelope"]["payload"] = b64(b64("other")).into();
    assert_refused(&other, CODE, "key 1 verifies none");
}

#[test]
fn what_the_second_version_lacks_is_named() {
    let signer = Signer::p256();
    let valid = second(&envelope(b"{}", &[&signer]), &[&signer]);
    let with = |path: &str, value: Value| {
        let mut proposal = valid.clone();
        *path.split('.').fold(&mut proposal["spec"]["content"], |at, name| match name.parse::<usize>() {
            Ok(index) => &mut at[index],
            Err(_) => &mut at[name],
        }) = value;
        proposal
    };
    for (path, named) in [
        ("envelope", "content.envelope"),
        ("envelope.payloadType", "content.envelope.payloadType"),
        ("envelope.signatures", "content.envelope.signatures"),
        ("envelope.signatures.0.sig", "content.envelope.signatures.sig"),
        ("envelope.signatures.0.publicKey", "content.envelope.signatures.publicKey"),
        ("hash", "content.hash"),
        ("envelope.payload", "content.envelope.payload"),
    ] {
        for value in [Value::Null, json!(1)] {
            assert_refused(&with(path, value), "entry_member_missing", &format!("{named} in body is required"));
        }
    }
    assert_refused(&with("envelope", "text".into()), "entry_member_missing", "content.envelope");
    assert_refused(&with("envelope.signatures", json!([])), "entry_member_missing", "content.envelope.signatures");
    assert_refused(&with("envelope.signatures.0.sig", "~".into()), "entry_base64", "signatures.sig");
    assert_refused(&with("envelope.signatures.0.sig", b64([0xff]).into()), "entry_base64", "signatures.sig");
    assert_refused(&with("envelope.signatures.0.sig", b64("~").into()), "entry_envelope", "signatures is not base64");
    assert_refused(&with("envelope.signatures.0.publicKey", "~".into()), "entry_base64", "signatures.publicKey");
    assert_refused(&with("envelope.signatures.0.publicKey", b64("no key").into()), "entry_public_key", "PEM");
    assert_refused(&with("envelope.payload", "~".into()), "entry_base64", "content.envelope.payload");
    assert_refused(&with("envelope.payload", b64("~").into()), "entry_envelope", "payload is not base64");
    assert_refused(&with("envelope.payload", b64("-_==").into()), "entry_envelope", "payload is not base64");
    assert_refused(&with("hash.value", "abc".into()), "entry_hash", "64 hex digits in content.hash");
    assert_refused(&with("hash.algorithm", "sha1".into()), "entry_hash", "content.hash.algorithm");
    let many = vec![valid["spec"]["content"]["envelope"]["signatures"][0].clone(); 17];
    assert_refused(&with("envelope.signatures", many.into()), "entry_too_many", "has 17 items");
}

#[test]
fn the_stored_form_of_the_second_version_finds_its_entry() {
    let signer = Signer::p256();
    let entry = verified(&second(&envelope(b"{}", &[&signer]), &[&signer]));
    let form = body(&entry);
    assert_eq!(read(&form).unwrap().locate().unwrap(), entry.leaf_hash());
    assert_refused(&form, "entry_not_insertable", "content.envelope.payload is missing");
}
