use super::*;

/// P-256 private key 1, artifact `hello\n`, RFC 6979 signature.
const KEY: &str = "-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt\n6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==\n-----END PUBLIC KEY-----\n";
const SIGNATURE: &str = "MEQCIHen292V7bBd0Dpm1cLZ4X6p0dTyzgjQm9GMw1jYWBchAiBQQLeMK108Jzyg7vRi/PoMs4R05wvfWKVc+sq3Z0vsBw==";
const BODY: &str = r#"{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{"data":{"hash":{"algorithm":"sha256","value":"5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"}},"signature":{"content":"MEQCIHen292V7bBd0Dpm1cLZ4X6p0dTyzgjQm9GMw1jYWBchAiBQQLeMK108Jzyg7vRi/PoMs4R05wvfWKVc+sq3Z0vsBw==","publicKey":{"content":"LS0tLS1CRUdJTiBQVUJMSUMgS0VZLS0tLS0KTUZrd0V3WUhLb1pJemowQ0FRWUlLb1pJemowREFRY0RRZ0FFYXhmUjh1RXNRa2Y0dk9ibFk2UkE4bmNEZllFdAo2ek9nOUtFNVJkaVl3cFpQNDBMaS9ocC9tNDduNjBwOEQ1NFdLODR6VjJzeFhzN0x0a0JvTjc5UjlRPT0KLS0tLS1FTkQgUFVCTElDIEtFWS0tLS0tCg=="}}}}"#;

pub(super) fn proposal(algorithm: &str, value: &str, signature: &[u8], pem: &str) -> Value {
    json!({"kind": "hashedrekord", "apiVersion": "0.0.1", "spec": {
        "data": {"hash": {"algorithm": algorithm, "value": value}},
        "signature": {"content": b64(signature), "publicKey": {"content": b64(pem)}},
    }})
}

pub(super) fn valid() -> Value {
    proposal("sha256", &sha256(b"hello\n"), &BASE64_STANDARD.decode(SIGNATURE).unwrap(), KEY)
}

fn with(change: impl FnOnce(&mut Value)) -> Value {
    let mut proposal = valid();
    change(&mut proposal["spec"]);
    proposal
}

fn with_key(pem: impl AsRef<[u8]>) -> Value {
    with(|spec| spec["signature"]["publicKey"]["content"] = b64(pem).into())
}

#[test]
fn body_and_uuid_of_the_vector() {
    let entry = verified(&valid());
    assert_eq!(std::str::from_utf8(entry.body()).unwrap(), BODY);
    assert_eq!(entry.leaf_hash().to_string(), "42aa901e16f399cab40f48c5eb669eb3204ce2e560011b3d9aa69aab58aef0e0");
    let keys = [
        "sha256:0bcc8908c3cc5f2c08c1e1963e1b674e76aa2dfb7cd91c437b4081b25b7f9e03",
        "sha256:5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03",
    ];
    assert_eq!(entry.index_keys(), keys, "of the key's PEM, and of the artifact");
}

#[test]
fn spellings_of_one_entry_are_one_entry() {
    let key_line = KEY.lines().nth(1).unwrap().to_owned() + KEY.lines().nth(2).unwrap();
    for pem in [
        KEY.replace('\n', "\r\n"),
        format!("some text\n{KEY}"),
        format!("\n\n{KEY}\n \n"),
        format!("-----BEGIN PUBLIC KEY-----\n{key_line}\n-----END PUBLIC KEY-----"),
        format!("-----BEGIN PUBLIC KEY-----\nA-Header: of old\n\n{key_line}\n-----END PUBLIC KEY-----\n"),
    ] {
        assert_eq!(verified(&with_key(&pem)).body(), BODY.as_bytes(), "{pem}");
    }
    let more = with(|spec| {
        spec["data"]["content"] = b64("hello\n").into();
        spec["data"]["url"] = "http://127.0.0.1/never-fetched".into();
        spec["signature"]["format"] = "x509".into();
        spec["signature"]["publicKey"]["url"] = Value::Null;
        spec["extra"] = json!([1, {"two": 3}]);
    });
    assert_eq!(verified(&more).body(), BODY.as_bytes());
    let broken_lines =
        with(|spec| spec["signature"]["content"] = format!("{}\r\n{}\n", &SIGNATURE[..60], &SIGNATURE[60..]).into());
    assert_eq!(verified(&broken_lines).body(), BODY.as_bytes());
    let last = format!("{{\"spec\":{},\"apiVersion\":\"0.0.1\",\"kind\":\"hashedrekord\"}}", valid()["spec"]);
    assert_eq!(ProposedEntry::from_json(last.as_bytes()).unwrap().verify().unwrap().body(), BODY.as_bytes());
}

#[test]
fn an_upper_case_digest_stays_and_makes_another_entry() {
    let upper = with(|spec| spec["data"]["hash"]["value"] = sha256(b"hello\n").to_uppercase().into());
    let (upper, lower) = (verified(&upper), verified(&valid()));
    assert_eq!(body(&upper)["spec"]["data"]["hash"]["value"], sha256(b"hello\n").to_uppercase());
    assert_ne!(upper.leaf_hash(), lower.leaf_hash());
    assert_eq!(upper.index_keys(), lower.index_keys(), "it is found like the other");
}

#[test]
fn every_allowed_pair_of_key_and_hash_is_taken_and_no_other() {
    let message = b"artifact";
    let signers = [
        ("sha256", HashAlgorithm::Sha256, Signer::p256()),
        ("sha384", HashAlgorithm::Sha384, Signer::p384()),
        ("sha512", HashAlgorithm::Sha512, Signer::p521()),
        ("sha256", HashAlgorithm::Sha256, Signer::rsa2048()),
    ];
    for (name, hash, signer) in &signers {
        let signature = signer.sign(message);
        let entry = verified(&proposal(name, &hex::encode(hash.digest(message)), &signature, &signer.pem));
        assert_eq!(body(&entry)["spec"]["data"]["hash"]["algorithm"], *name);
        assert!(entry.index_keys().contains(&format!("{name}:{}", hex::encode(hash.digest(message)))));
        assert!(entry.index_keys().contains(&signer.index_key()));
        for (other, wrong, _) in signers.iter().filter(|(other, ..)| other != name) {
            let proposal = proposal(other, &hex::encode(wrong.digest(message)), &signature, &signer.pem);
            assert_refused(&proposal, "entry_algorithm", "entry algorithms are not allowed: ");
        }
    }
    let p384 = Signer::p384();
    let weaker = proposal("sha256", &sha256(message), &p384.sign(message), &p384.pem);
    assert_refused(&weaker, "entry_algorithm", "ECDSA P-384 with SHA-256, expected SHA-384");
}

#[test]
fn ed25519_means_the_prehashed_form() {
    // RFC 8032 §7.3: Ed25519ph over SHA-512 of "abc".
    let pem = pem_of(
        "302a300506032b6570032100",
        &hex::decode("ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf").unwrap(),
    );
    let signature = hex::decode(
        "98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae4131f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406",
    )
    .unwrap();
    let digest = hex::encode(HashAlgorithm::Sha512.digest(b"abc"));
    verified(&proposal("sha512", &digest, &signature, &pem));
    let pure = Signer::ed25519();
    let digest = HashAlgorithm::Sha512.digest(b"abc");
    for message in [&b"abc"[..], &digest] {
        let proposal = proposal("sha512", &hex::encode(&digest), &pure.sign(message), &pure.pem);
        assert_refused(&proposal, "entry_signature", "verifying signature: ");
    }
    let sha256 = proposal("sha256", &sha256(b"abc"), &pure.sign(b"abc"), &pure.pem);
    assert_refused(&sha256, "entry_algorithm", "Ed25519 with SHA-256, expected SHA-512 and an Ed25519ph signature");
}

#[test]
fn a_raw_ecdsa_signature_is_taken_and_kept_as_sent() {
    let raw = hex::decode("77a7dbdd95edb05dd03a66d5c2d9e17ea9d1d4f2ce08d09bd18cc358d85817215040b78c2b5d3c273ca0eef462fcfa0cb38474e70bdf58a55cfacab7674bec07").unwrap();
    let entry = verified(&proposal("sha256", &sha256(b"hello\n"), &raw, KEY));
    assert_eq!(body(&entry)["spec"]["signature"]["content"], b64(&raw));
    assert_refused(&proposal("sha256", &sha256(b"hello\n"), &raw[1..], KEY), "entry_signature", "verifying signature: ");
}

#[test]
fn each_changed_bit_of_a_signature_or_digest_is_noticed() {
    let signature = BASE64_STANDARD.decode(SIGNATURE).unwrap();
    for bit in 0..signature.len() * 8 {
        let mut changed = signature.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let error = verify(&proposal("sha256", &sha256(b"hello\n"), &changed, KEY)).unwrap_err();
        assert_eq!(error.code(), "entry_signature", "bit {bit}");
    }
    assert_refused(&with(|spec| spec["data"]["hash"]["value"] = sha256(b"other").into()), "entry_signature", "data.hash");
}

#[test]
fn whatever_is_missing_is_named() {
    let paths: [&[&str]; 7] = [
        &["data"],
        &["data", "hash"],
        &["data", "hash", "algorithm"],
        &["data", "hash", "value"],
        &["signature"],
        &["signature", "content"],
        &["signature", "publicKey", "content"],
    ];
    for path in paths {
        for value in [Value::Null, json!(""), json!(7), json!([])] {
            let proposal = with(|spec| *path.iter().fold(spec, |value, name| &mut value[*name]) = value);
            assert_refused(&proposal, "entry_member_missing", &format!("{} in body is required", path.join(".")));
        }
    }
    let keyless = with(|spec| spec["signature"]["publicKey"] = Value::Null);
    assert_refused(&keyless, "entry_member_missing", "signature.publicKey.content in body is required");
}

#[test]
fn hashes_must_be_of_their_algorithm() {
    let hash = |algorithm: &str, value: &str| with(|spec| spec["data"]["hash"] = json!({"algorithm": algorithm, "value": value}));
    let digest = sha256(b"hello\n");
    for value in [&digest[..63], &format!("{digest}0"), &"z".repeat(64), &format!("0x{}", &digest[2..]), &"é".repeat(32)] {
        assert_refused(&hash("sha256", value), "entry_hash", "invalid value for hash: expected 64 hex digits");
    }
    assert_refused(&hash("sha384", &digest), "entry_hash", "expected 96");
    assert_refused(&hash("sha512", &digest), "entry_hash", "expected 128");
    for algorithm in ["sha1", "SHA256", "md5", "sha224"] {
        assert_refused(
            &hash(algorithm, &digest),
            "entry_hash",
            "data.hash.algorithm in body should be one of sha256, sha384 or sha512",
        );
    }
}

#[test]
fn only_keys_and_certificates_in_pem_are_taken() {
    let spki = PublicKey::from_pem(KEY).unwrap();
    let pkcs1 = format!("-----BEGIN RSA PUBLIC KEY-----\n{}\n-----END RSA PUBLIC KEY-----\n", b64("x"));
    let private = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", b64("x"));
    for (key, text) in [
        (spki.spki_der().to_vec(), "failure decoding PEM"),
        (vec![0xff, 0xfe], "failure decoding PEM"),
        (b"no key".to_vec(), "failure decoding PEM"),
        (KEY.as_bytes()[..60].to_vec(), "failure decoding PEM"),
        (pkcs1.into_bytes(), "cannot handle type RSA PUBLIC KEY; expected PUBLIC KEY or CERTIFICATE"),
        (private.into_bytes(), "cannot handle type PRIVATE KEY"),
        (format!("{KEY}and more").into_bytes(), "text after the last PEM block"),
        (format!("{KEY}{KEY}").into_bytes(), "cannot handle type PUBLIC KEY"),
        (KEY.replace("MFkw", "MFkx").into_bytes(), "invalid public key"),
    ] {
        assert_refused(&with_key(key), "entry_public_key", text);
    }
    assert_refused(&with_key("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), "entry_certificate", "");
    assert_refused(&with(|spec| spec["signature"]["content"] = "!".into()), "entry_base64", "signature.content");
    let unpadded = SIGNATURE.trim_end_matches('=');
    assert_refused(&with(|spec| spec["signature"]["content"] = unpadded.into()), "entry_base64", "with padding");
    assert_refused(&with(|spec| spec["signature"]["publicKey"]["content"] = "-_".into()), "entry_base64", "publicKey");
}

/// A root, an intermediate and a leaf with names of every kind; the leaf's key.
struct Chain {
    pems: Vec<String>,
    leaf: rcgen::KeyPair,
}

impl Chain {
    fn new(leaf_begins: i32) -> Self {
        use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType, date_time_ymd};
        let key = || KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
        let params = |name: &str, ca: bool| {
            let mut params = CertificateParams::default();
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
            params.not_before = date_time_ymd(2026, 1, 1);
            params.not_after = date_time_ymd(2030, 1, 1);
            params.is_ca = if ca { IsCa::Ca(BasicConstraints::Unconstrained) } else { IsCa::ExplicitNoCa };
            params
        };
        let (root_key, intermediate_key, leaf) = (key(), key(), key());
        let root = params("root", true).self_signed(&root_key).unwrap();
        let root_issuer = Issuer::new(params("root", true), &root_key);
        let intermediate = params("intermediate", true).signed_by(&intermediate_key, &root_issuer).unwrap();
        let issuer = Issuer::new(params("intermediate", true), &intermediate_key);
        let mut ends = params("leaf", false);
        ends.not_before = date_time_ymd(leaf_begins, 1, 2);
        ends.not_after = date_time_ymd(leaf_begins, 1, 3);
        ends.subject_alt_names = vec![
            SanType::Rfc822Name("Dev@corp.example".try_into().unwrap()),
            SanType::URI("https://Corp.example/W@refs/heads/main".try_into().unwrap()),
            SanType::DnsName("host.corp.example".try_into().unwrap()),
            SanType::IpAddress([10, 0, 0, 7].into()),
            SanType::OtherName((vec![1, 3, 6, 1, 4, 1, 57264, 1, 7], "dev!corp.example".into())),
        ];
        let end = ends.signed_by(&leaf, &issuer).unwrap();
        Self { pems: [end.pem(), intermediate.pem(), root.pem()].map(|pem| pem.replace("\r\n", "\n")).to_vec(), leaf }
    }

    fn proposal(&self, pem: &str) -> Value {
        use rcgen::SigningKey as _;
        proposal("sha256", &sha256(b"artifact"), &self.leaf.sign(b"artifact").unwrap(), pem)
    }
}

#[test]
fn a_certificate_may_come_with_its_chain_and_is_found_by_its_names() {
    let chain = Chain::new(2027);
    let [leaf, intermediate, root] = &chain.pems[..] else { panic!() };
    for pem in [leaf.clone(), format!("{leaf}{root}"), format!("{leaf}{intermediate}{root}"), format!("{leaf}{intermediate}")] {
        let result = verify(&chain.proposal(&pem));
        if pem == format!("{leaf}{root}") {
            let (code, text) = described(&result.unwrap_err());
            assert!(code == "entry_certificate" && text.contains("not a chain, leaf first"), "{text}");
            continue;
        }
        let entry = result.unwrap();
        assert_eq!(body(&entry)["spec"]["signature"]["publicKey"]["content"], b64(&pem));
        let names =
            ["dev@corp.example", "https://corp.example/w@refs/heads/main", "host.corp.example", "10.0.0.7", "dev!corp.example"];
        for name in names {
            assert!(entry.index_keys().iter().any(|key| key == name), "{name}: {:?}", entry.index_keys());
        }
        assert_eq!(entry.index_keys().len(), names.len() + 2);
    }
    let spaced = format!("{leaf}\n\n{intermediate}\nwords between\n{root}");
    let plain = format!("{leaf}{intermediate}{root}");
    assert_eq!(body(&verified(&chain.proposal(&spaced)))["spec"]["signature"]["publicKey"]["content"], b64(plain));
    let upside_down = format!("{root}{intermediate}{leaf}");
    assert_refused(&chain.proposal(&upside_down), "entry_certificate", "not a chain");
    let many = leaf.repeat(11);
    assert_refused(&chain.proposal(&many), "entry_certificate", "found 11, the most accepted is 10");
    let mixed = format!("{leaf}{KEY}");
    assert_refused(&chain.proposal(&mixed), "entry_public_key", "cannot handle type PUBLIC KEY");
}

#[test]
fn a_chain_is_judged_at_the_time_its_leaf_begins() {
    let late = Chain::new(2031);
    assert_refused(&late.proposal(&late.pems.concat()), "entry_certificate", "certificate 2 of the chain is not valid");
    verified(&late.proposal(&late.pems[0]));
}
