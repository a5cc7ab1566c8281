use aws_lc_rs::digest::{self, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self as sig, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

/// P-256 private key 1, artifact `hello\n`, RFC 6979 signature.
const DIGEST: &str = "WJG1tSLV3whtD/CxEPvZ0hu0/HFjrzTQgoai6Eb2vgM=";
const SIGNATURE: &str = "MEQCIHen292V7bBd0Dpm1cLZ4X6p0dTyzgjQm9GMw1jYWBchAiBQQLeMK108Jzyg7vRi/PoMs4R05wvfWKVc+sq3Z0vsBw==";
const KEY: &str = "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==";
const BODY: &str = r#"{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{"hashedRekordV002":{"data":{"algorithm":"SHA2_256","digest":"WJG1tSLV3whtD/CxEPvZ0hu0/HFjrzTQgoai6Eb2vgM="},"signature":{"content":"MEQCIHen292V7bBd0Dpm1cLZ4X6p0dTyzgjQm9GMw1jYWBchAiBQQLeMK108Jzyg7vRi/PoMs4R05wvfWKVc+sq3Z0vsBw==","verifier":{"keyDetails":"PKIX_ECDSA_P256_SHA_256","publicKey":{"rawBytes":"MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q=="}}}}}}"#;
const LEAF_HASH: &str = "Os/z5UBEx00mCG7jsFTGbwzobSUWJP8sqBnCgLKcRqs=";

fn valid() -> Value {
    json!({"hashedRekordRequestV002": {
        "digest": DIGEST,
        "signature": {"content": SIGNATURE,
                      "verifier": {"publicKey": {"rawBytes": KEY}, "keyDetails": "PKIX_ECDSA_P256_SHA_256"}},
    }})
}

fn decode(text: &str) -> Vec<u8> {
    STANDARD.decode(text).unwrap()
}

fn submit(request: &Value) -> Result<HashedRekord, RequestError> {
    submit_text(&request.to_string())
}

fn submit_text(request: &str) -> Result<HashedRekord, RequestError> {
    HashedRekordRequest::from_json(request.as_bytes())?.verify()
}

/// The code that a request is refused with.
fn refusal(request: &str) -> &'static str {
    let error = submit_text(request).expect_err(request);
    let text = error.to_string();
    assert!(!text.contains('\n') && !text.contains('"'), "{text}");
    error.code()
}

fn with(change: impl FnOnce(&mut Value)) -> Value {
    let mut request = valid();
    change(&mut request["hashedRekordRequestV002"]);
    request
}

#[test]
fn body_and_leaf_hash_of_the_vector() {
    let entry = submit(&valid()).unwrap();
    assert_eq!(std::str::from_utf8(entry.body()).unwrap(), BODY);
    assert_eq!(entry.body().len(), 489);
    assert_eq!(STANDARD.encode(entry.leaf_hash().as_ref()), LEAF_HASH);
    let identity = "9a0b4a93ab3cc18883bcae471f0501a2204528175abe2c6c2748b77c017b90d1";
    assert_eq!(hex::encode(digest(&digest::SHA256, entry.body())), identity);
}

#[test]
fn a_request_we_write_is_one_we_read() {
    let request = HashedRekordRequest::from_json(valid().to_string().as_bytes()).unwrap();
    assert_eq!(HashedRekordRequest::from_json(&request.to_json()).unwrap(), request);
    assert_eq!(serde_json::from_slice::<Value>(&request.to_json()).unwrap(), valid());
}

#[test]
fn the_protobuf_json_dialect_is_read() {
    let url_safe = |text: &str| text.replace('+', "-").replace('/', "_");
    let bare = |text: &str| text.trim_end_matches('=').to_owned();
    let snake = json!({"hashed_rekord_request_v002": {"digest": DIGEST, "signature": {"content": SIGNATURE,
        "verifier": {"public_key": {"raw_bytes": KEY}, "key_details": 5}}}});
    let variants = [
        snake,
        with(|entry| entry["signature"]["verifier"]["keyDetails"] = 5.into()),
        with(|entry| entry["signature"]["verifier"]["x509Certificate"] = Value::Null),
        with(|entry| entry["digest"] = bare(DIGEST).into()),
        with(|entry| entry["digest"] = url_safe(DIGEST).into()),
        with(|entry| entry["signature"]["content"] = bare(&url_safe(SIGNATURE)).into()),
        with(|entry| entry["signature"]["verifier"]["publicKey"]["rawBytes"] = url_safe(KEY).into()),
    ];
    for request in &variants {
        assert_eq!(submit(request).unwrap().body(), BODY.as_bytes(), "{request}");
    }
    let mut unset = valid();
    unset["dsseRequestV002"] = Value::Null;
    assert_eq!(submit(&unset).unwrap().body(), BODY.as_bytes());
}

#[test]
fn what_is_no_request_is_refused() {
    let valid = valid().to_string();
    let renamed = |from: &str, to: &str| valid.replacen(from, to, 1);
    let malformed = [
        "{".to_owned(),
        "null".to_owned(),
        "[]".to_owned(),
        "\"hashedRekordRequestV002\"".to_owned(),
        format!("{valid} {valid}"),
        format!("\u{feff}{valid}"),
        renamed("\"digest\"", "\"Digest\""),
        renamed("\"digest\":", "\"unknown\":1,\"digest\":"),
        renamed("\"rawBytes\":", "\"comment\":\"\",\"rawBytes\":"),
        renamed("\"digest\":", "\"digest\":null,\"digest\":"),
        renamed("\"publicKey\":", "\"public_key\":null,\"publicKey\":"),
        renamed("\"hashedRekordRequestV002\":", "\"hashed_rekord_request_v002\":null,\"hashedRekordRequestV002\":"),
        renamed(DIGEST, "WJG1tSLV3whtD_CxEPvZ0hu0/HFjrzTQgoai6Eb2vgM="),
        renamed(DIGEST, "not base64"),
        renamed("PKIX_ECDSA_P256_SHA_256", "PKIX_ECDSA_P256"),
        renamed("\"PKIX_ECDSA_P256_SHA_256\"", "\"5\""),
        renamed("\"PKIX_ECDSA_P256_SHA_256\"", "0"),
        renamed("\"PKIX_ECDSA_P256_SHA_256\"", "-5"),
        renamed("\"PKIX_ECDSA_P256_SHA_256\"", "4294967301"),
        json!({"hashedRekordRequestV002": [DIGEST, {"content": SIGNATURE}]}).to_string(),
        json!({"hashedRekordRequestV002": 1}).to_string(),
        json!({"dsseRequestV002": 1}).to_string(),
        format!("{{\"hashedRekordRequestV002\":{}", "[".repeat(100_000)),
    ];
    for request in &malformed {
        assert_eq!(refusal(request), "entry_json", "{request:.300}");
    }
    for request in ["", "{}", r#"{"hashedRekordRequestV002":null}"#, r#"{"dsse_request_v002":null}"#] {
        assert_eq!(refusal(request), "entry_type", "{request}");
    }
}

#[test]
fn dsse_of_old_clients_is_refused_with_the_versions_that_work() {
    let envelope = json!({"payload": "e30=", "payloadType": "application/vnd.in-toto+json", "signatures": [{"sig": "AA=="}]});
    for name in ["dsseRequestV002", "dsse_request_v002"] {
        let error = submit(&json!({name: {"envelope": envelope, "verifiers": []}})).unwrap_err();
        assert_eq!(error.code(), "entry_dsse");
        for client in ["cosign 3.1", "sigstore-go 1.2", "sigstore-python 4.3"] {
            assert!(error.to_string().contains(client), "{error}");
        }
    }
    let mut both = valid();
    both["dsseRequestV002"] = json!({});
    assert_eq!(refusal(&both.to_string()), "entry_oneof");
}

#[test]
fn whatever_must_be_there_and_is_not_is_named() {
    let paths: [(&str, &[&str]); 6] = [
        ("digest", &["digest"]),
        ("signature", &["signature"]),
        ("signature.content", &["signature", "content"]),
        ("signature.verifier", &["signature", "verifier"]),
        ("signature.verifier.keyDetails", &["signature", "verifier", "keyDetails"]),
        ("signature.verifier.publicKey.rawBytes", &["signature", "verifier", "publicKey", "rawBytes"]),
    ];
    for (name, path) in paths {
        for value in [Value::Null, Value::String(String::new())] {
            let message = ["signature", "signature.verifier", "signature.verifier.keyDetails"].contains(&name);
            if message && value.is_string() {
                continue;
            }
            let request = with(|entry| *path.iter().fold(entry, |value, name| &mut value[*name]) = value);
            let error = submit(&request).unwrap_err();
            assert!(matches!(&error, RequestError::Missing { member } if *member == name), "{name}: {error:?}");
        }
    }
    assert_eq!(
        refusal(&with(|entry| entry["signature"]["verifier"]["publicKey"] = Value::Null).to_string()),
        "entry_member_missing"
    );
    let two = with(|entry| entry["signature"]["verifier"]["x509Certificate"] = json!({"rawBytes": KEY}));
    assert_eq!(refusal(&two.to_string()), "entry_oneof");
}

#[test]
fn keys_that_do_not_parse_are_refused() {
    let with_key =
        |key: &[u8]| with(|entry| entry["signature"]["verifier"]["publicKey"]["rawBytes"] = STANDARD.encode(key).into());
    let key = decode(KEY);
    let (mut off_curve, mut trailing) = (key.clone(), key.clone());
    off_curve[60] ^= 1;
    trailing.push(0);
    let mut compressed = key[..59].to_vec();
    (compressed[1], compressed[24], compressed[26]) = (57, 34, 3);
    for key in [off_curve, trailing, compressed, key[..90].to_vec(), vec![0x30, 0], b"-----BEGIN PUBLIC KEY-----".to_vec()] {
        assert_eq!(refusal(&with_key(&key).to_string()), "entry_public_key");
    }
    let certificate = with(|entry| {
        entry["signature"]["verifier"] = json!({"x509Certificate": {"rawBytes": KEY}, "keyDetails": 5});
    });
    assert_eq!(refusal(&certificate.to_string()), "entry_certificate");
}

#[test]
fn labels_other_than_the_default_of_the_key_are_refused() {
    for details in KeyDetails::ALL.iter().filter(|details| **details != KeyDetails::PkixEcdsaP256Sha256) {
        let request = with(|entry| entry["signature"]["verifier"]["keyDetails"] = details.name().into());
        assert_eq!(refusal(&request.to_string()), "entry_key_details", "{details}");
    }
}

#[test]
fn digests_of_another_length_and_other_digests_are_refused() {
    for (length, code) in
        [(20, "entry_digest_length"), (48, "entry_digest_length"), (64, "entry_digest_length"), (32, "entry_signature")]
    {
        let request = with(|entry| entry["digest"] = STANDARD.encode(vec![7; length]).into());
        assert_eq!(refusal(&request.to_string()), code);
    }
}

struct Signed {
    request: HashedRekordRequest,
    hash_name: &'static str,
}

fn ecdsa(
    algorithm: &'static EcdsaSigningAlgorithm,
    hash: &'static digest::Algorithm,
    key_details: KeyDetails,
    hash_name: &'static str,
) -> Signed {
    let key = EcdsaKeyPair::generate(algorithm).unwrap();
    let signature = key.sign(&SystemRandom::new(), b"artifact").unwrap().as_ref().to_vec();
    let spki = aws_lc_rs::encoding::AsDer::as_der(key.public_key()).unwrap().as_ref().to_vec();
    let digest = digest(hash, b"artifact").as_ref().to_vec();
    Signed { request: HashedRekordRequest { digest, signature, verifier: Verifier::PublicKey(spki), key_details }, hash_name }
}

fn rsa(size: KeySize, key_details: KeyDetails) -> Signed {
    let key = RsaKeyPair::generate(size).unwrap();
    let mut signature = vec![0; key.public_modulus_len()];
    key.sign(&sig::RSA_PKCS1_SHA256, &SystemRandom::new(), b"artifact", &mut signature).unwrap();
    let spki = aws_lc_rs::encoding::AsDer::as_der(key.public_key()).unwrap().as_ref().to_vec();
    let digest = digest(&digest::SHA256, b"artifact").as_ref().to_vec();
    Signed {
        request: HashedRekordRequest { digest, signature, verifier: Verifier::PublicKey(spki), key_details },
        hash_name: "SHA2_256",
    }
}

/// RFC 8032 §7.3, over `abc`.
fn ed25519ph() -> Signed {
    let key = hex::decode("ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf").unwrap();
    let signature = hex::decode(
        "98a70222f0b8121aa9d30f813d683f809e462b469c7ff87639499bb94e6dae4131f85042463c2a355a2003d062adf5aaa10b8c61e636062aaad11c2a26083406",
    )
    .unwrap();
    let spki = [hex::decode("302a300506032b6570032100").unwrap(), key].concat();
    let digest = digest(&digest::SHA512, b"abc").as_ref().to_vec();
    let key_details = KeyDetails::PkixEd25519Ph;
    Signed {
        request: HashedRekordRequest { digest, signature, verifier: Verifier::PublicKey(spki), key_details },
        hash_name: "SHA2_512",
    }
}

#[test]
fn every_permitted_algorithm_is_accepted_and_its_body_is_canonical() {
    let all = [
        ecdsa(&sig::ECDSA_P256_SHA256_ASN1_SIGNING, &digest::SHA256, KeyDetails::PkixEcdsaP256Sha256, "SHA2_256"),
        ecdsa(&sig::ECDSA_P384_SHA384_ASN1_SIGNING, &digest::SHA384, KeyDetails::PkixEcdsaP384Sha384, "SHA2_384"),
        ecdsa(&sig::ECDSA_P521_SHA512_ASN1_SIGNING, &digest::SHA512, KeyDetails::PkixEcdsaP521Sha512, "SHA2_512"),
        rsa(KeySize::Rsa2048, KeyDetails::PkixRsaPkcs1V15_2048Sha256),
        rsa(KeySize::Rsa3072, KeyDetails::PkixRsaPkcs1V15_3072Sha256),
        rsa(KeySize::Rsa4096, KeyDetails::PkixRsaPkcs1V15_4096Sha256),
        ed25519ph(),
    ];
    for Signed { request, hash_name } in all {
        let entry = request.clone().verify().unwrap_or_else(|error| panic!("{}: {error}", request.key_details));
        let body: Value = serde_json::from_slice(entry.body()).unwrap();
        let expected = json!({"apiVersion": VERSION, "kind": KIND, "spec": {"hashedRekordV002": {
            "data": {"algorithm": hash_name, "digest": STANDARD.encode(&request.digest)},
            "signature": {"content": STANDARD.encode(&request.signature), "verifier": {
                "keyDetails": request.key_details.name(), "publicKey": {"rawBytes": STANDARD.encode(request.verifier.der())}}},
        }}});
        assert_eq!(body, expected);

        let mut tampered = request.clone();
        tampered.digest[0] ^= 1;
        assert_eq!(tampered.verify().unwrap_err().code(), "entry_signature", "{}", request.key_details);
    }
}

#[test]
fn keys_and_signatures_outside_the_list_are_refused() {
    let mut pss = rsa(KeySize::Rsa2048, KeyDetails::PkixRsaPss2048Sha256);
    assert_eq!(pss.request.clone().verify().unwrap_err().code(), "entry_key_details");
    pss.request.key_details = KeyDetails::PkixEcdsaP256Sha256;
    assert_eq!(pss.request.verify().unwrap_err().code(), "entry_key_details");

    let pair = Ed25519KeyPair::generate().unwrap();
    let mut pure = ed25519ph().request;
    pure.signature = pair.sign(b"abc").as_ref().to_vec();
    pure.verifier =
        Verifier::PublicKey([hex::decode("302a300506032b6570032100").unwrap(), pair.public_key().as_ref().to_vec()].concat());
    assert_eq!(pure.clone().verify().unwrap_err().code(), "entry_signature");
    pure.signature = pair.sign(&pure.digest).as_ref().to_vec();
    assert_eq!(pure.clone().verify().unwrap_err().code(), "entry_signature");
    pure.key_details = KeyDetails::PkixEd25519;
    assert_eq!(pure.verify().unwrap_err().code(), "entry_key_details");
}

#[test]
fn a_certificate_stands_for_its_key() {
    let pair = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(vec!["a.example".into()]).unwrap().self_signed(&pair).unwrap();
    let key = EcdsaKeyPair::from_pkcs8(&sig::ECDSA_P256_SHA256_ASN1_SIGNING, pair.serialized_der()).unwrap();
    let request = HashedRekordRequest {
        digest: digest(&digest::SHA256, b"artifact").as_ref().to_vec(),
        signature: key.sign(&SystemRandom::new(), b"artifact").unwrap().as_ref().to_vec(),
        verifier: Verifier::Certificate(leaf.der().to_vec()),
        key_details: KeyDetails::PkixEcdsaP256Sha256,
    };
    let entry = submit_text(std::str::from_utf8(&request.to_json()).unwrap()).unwrap();
    let body: Value = serde_json::from_slice(entry.body()).unwrap();
    let verifier = &body["spec"]["hashedRekordV002"]["signature"]["verifier"];
    assert_eq!(
        *verifier,
        json!({"keyDetails": "PKIX_ECDSA_P256_SHA_256", "x509Certificate": {"rawBytes": STANDARD.encode(leaf.der())}})
    );
    assert_eq!(serde_json_canonicalizer::to_vec(&body).unwrap(), entry.body());

    let mut other = request;
    other.signature = EcdsaKeyPair::generate(&sig::ECDSA_P256_SHA256_ASN1_SIGNING)
        .unwrap()
        .sign(&SystemRandom::new(), b"artifact")
        .unwrap()
        .as_ref()
        .to_vec();
    assert_eq!(other.verify().unwrap_err().code(), "entry_signature");
}

/// A signed request with a certificate that has an extension of so many bytes.
fn with_extension(length: usize) -> HashedRekordRequest {
    let pair = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["a.example".into()]).unwrap();
    params.custom_extensions = vec![rcgen::CustomExtension::from_oid_content(&[1, 2, 3], vec![0x04; length])];
    let key = EcdsaKeyPair::from_pkcs8(&sig::ECDSA_P256_SHA256_ASN1_SIGNING, pair.serialized_der()).unwrap();
    HashedRekordRequest {
        digest: digest(&digest::SHA256, b"artifact").as_ref().to_vec(),
        signature: key.sign(&SystemRandom::new(), b"artifact").unwrap().as_ref().to_vec(),
        verifier: Verifier::Certificate(params.self_signed(&pair).unwrap().der().to_vec()),
        key_details: KeyDetails::PkixEcdsaP256Sha256,
    }
}

#[test]
fn a_body_that_no_bundle_can_hold_is_refused() {
    let body = |length| {
        let request = with_extension(length);
        canonical_hashedrekord_v002(
            pki::HashAlgorithm::Sha256,
            &request.digest,
            &request.signature,
            &request.verifier,
            request.key_details,
        )
        .len()
    };
    // Three bytes of certificate are four of the body; signatures vary by a few bytes, so stay that far from the limit.
    let length = 48_000 + (MAX_BODY - body(48_000)) / 4 * 3;
    let largest = with_extension(length - 12).verify().unwrap();
    assert!((MAX_BODY - 40..=MAX_BODY).contains(&largest.body().len()), "{}", largest.body().len());
    let error = with_extension(length + 12).verify().unwrap_err();
    assert!(matches!(error, RequestError::TooLarge { found } if (MAX_BODY + 1..MAX_BODY + 40).contains(&found)), "{error:?}");
}

/// Any JSON, with the members of a request among the names.
fn any_json() -> impl Strategy<Value = Value> {
    let name = prop_oneof![
        Just("hashedRekordRequestV002".to_owned()),
        Just("digest".to_owned()),
        Just("signature".to_owned()),
        Just("verifier".to_owned()),
        Just("publicKey".to_owned()),
        Just("rawBytes".to_owned()),
        ".{0,8}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,16}".prop_map(Value::from),
        Just(Value::from(KEY)),
    ];
    leaf.prop_recursive(6, 48, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(name.clone(), inner, 0..5).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn any_json_and_any_bytes_are_refused_without_panic(value in any_json(), bytes: Vec<u8>) {
        let inside = json!({"hashedRekordRequestV002": &value});
        prop_assert!(submit(&value).is_err());
        prop_assert!(submit(&inside).is_err());
        prop_assert!(HashedRekordRequest::from_json(&bytes).is_err());
    }

    #[test]
    fn a_changed_request_is_refused_or_means_the_same(position: prop::sample::Index, byte: u8) {
        let mut text = valid().to_string().into_bytes();
        let position = position.index(text.len());
        text[position] = byte;
        if let Ok(entry) = HashedRekordRequest::from_json(&text).and_then(HashedRekordRequest::verify) {
            prop_assert_eq!(entry.body(), BODY.as_bytes());
        }
    }

    #[test]
    fn a_changed_value_is_refused(which in 0..3_usize, position: prop::sample::Index, bit in 0..8_u32) {
        let mut request = HashedRekordRequest::from_json(valid().to_string().as_bytes()).unwrap();
        let Verifier::PublicKey(key) = &mut request.verifier else { unreachable!() };
        let bytes = [&mut request.digest, &mut request.signature, key].into_iter().nth(which).unwrap();
        let position = position.index(bytes.len());
        bytes[position] ^= 1 << bit;
        prop_assert!(request.verify().is_err());
    }

    #[test]
    fn the_template_is_rfc_8785(digest: Vec<u8>, signature: Vec<u8>, der: Vec<u8>, certificate: bool, details in 0..KeyDetails::ALL.len()) {
        let verifier = if certificate { Verifier::Certificate(der) } else { Verifier::PublicKey(der) };
        for hash in [pki::HashAlgorithm::Sha256, pki::HashAlgorithm::Sha384, pki::HashAlgorithm::Sha512] {
            let body = canonical_hashedrekord_v002(hash, &digest, &signature, &verifier, KeyDetails::ALL[details]);
            let value: Value = serde_json::from_slice(&body).unwrap();
            prop_assert_eq!(serde_json_canonicalizer::to_vec(&value).unwrap(), body);
        }
    }
}
