use pki::{Certificate, PublicKey};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{Rule, Time};

fn der(pem: &str) -> Vec<u8> {
    Certificate::from_pem(pem).unwrap().der().to_vec()
}

fn key(pem: &str) -> PublicKey {
    PublicKey::from_pem(pem).unwrap()
}

const ED25519: &str = include_str!("../../testdata/rekor-ed25519.pub");
const REKOR: &str = include_str!("../../testdata/rekor.pub");
const CTLOG: &str = include_str!("../../testdata/ctlog.pub");
const FULCIO: [&str; 2] =
    [include_str!("../../testdata/fulcio-intermediate.pem"), include_str!("../../testdata/fulcio-root.pem")];
/// Another root with the name of the first.
const TWIN: &str = include_str!("../../testdata/fulcio-root-twin.pem");
/// A CA for timestamping only.
const TSA_INTERMEDIATE: &str = include_str!("../../testdata/tsa-intermediate.pem");
/// A leaf for signing code.
const LEAF: &str = include_str!("../../testdata/leaf.pem");
const TSA: [&str; 2] = [include_str!("../../testdata/tsa.pem"), include_str!("../../testdata/tsa-root.pem")];

fn since(text: &str) -> ValidFor {
    ValidFor::since(text.parse().unwrap())
}

fn log(url: &str, pem: &str, id: Option<[u8; 32]>) -> TransparencyLog {
    let key = key(pem);
    let id = id.unwrap_or_else(|| key.fingerprint());
    TransparencyLog::new(url, &key, id, since("2026-11-22T09:14:03.5Z"))
}

fn authority(name: &str, uri: &str, chain: [&str; 2]) -> CertificateAuthority {
    let subject = Subject { organization: "example".into(), common_name: name.into() };
    CertificateAuthority::new(subject, uri, chain.map(der), since("2026-11-22T09:14:03Z"))
}

fn good() -> TrustedRoot {
    TrustedRoot::new(
        vec![log("https://log1.rekor.example", REKOR, None)],
        vec![authority("example intermediate", "https://fulcio.example", FULCIO)],
        vec![log("https://ctlog.example", CTLOG, None)],
        vec![authority("example tsa", "https://tsa.example/api/v1/timestamp", TSA)],
    )
}

fn refusal(root: TrustedRoot) -> String {
    let error = root.publishable().unwrap_err();
    assert_eq!(error.code(), "trusted_root_invalid");
    error.to_string()
}

#[test]
fn the_published_text_is_pinned() {
    let text = good().publishable().unwrap().to_json();
    assert_eq!(String::from_utf8(text.clone()).unwrap(), include_str!("../../testdata/trusted_root.json"));
    assert_eq!(TrustedRoot::from_json(&text).unwrap(), good());
}

#[test]
fn entries_are_sorted_by_start() {
    let mut newer = log("https://log2.rekor.example", ED25519, None);
    newer.public_key.valid_for = since("2027-01-01T00:00:00Z");
    let root = TrustedRoot::new(
        vec![newer.clone(), log("https://log1.rekor.example", REKOR, None)],
        good().certificate_authorities,
        good().ctlogs,
        vec![],
    );
    assert_eq!(root.tlogs[1], newer);
    let mut unsorted = root.publishable().unwrap().document().clone();
    unsorted.tlogs.swap(0, 1);
    assert!(refusal(unsorted).contains("tlogs is not sorted"));
}

#[test]
fn an_ed25519_log_is_known_by_its_key_or_its_note_key_hash() {
    let raw = key(ED25519).key_bytes().try_into().unwrap();
    let note_id = *note::ed25519_key_id("log2.rekor.example", &raw).as_bytes();
    let with = |url: &str, id| {
        let mut root = good();
        root.tlogs = vec![log(url, ED25519, Some(id))];
        root
    };
    with("https://log2.rekor.example", note_id).publishable().unwrap();
    with("https://log2.rekor.example", key(ED25519).fingerprint()).publishable().unwrap();
    assert!(
        refusal(with("https://log3.rekor.example", note_id))
            .starts_with("the trusted root must not be published: tlogs[0].logId")
    );
    // A CT log signs no notes.
    let mut root = good();
    root.ctlogs = vec![log("https://log2.rekor.example", ED25519, Some(note_id))];
    assert!(refusal(root).contains("ctlogs[0].logId.keyId"));
}

type Change = fn(&mut TrustedRoot);

#[test]
fn each_variant_that_some_client_refuses_or_misreads_is_not_published() {
    let hint: Change = |root| root.ctlogs[0].checkpoint_key_id = Some(LogId { key_id: [1; 4].into() });
    let cases: Vec<(&str, Change)> = vec![
        ("tlogs is empty", |root| root.tlogs.clear()),
        ("ctlogs is empty", |root| root.ctlogs.clear()),
        ("certificateAuthorities is empty", |root| root.certificate_authorities.clear()),
        ("ctlogs[0].checkpointKeyId is present", hint),
        ("tlogs[0].operator is present", |root| root.tlogs[0].operator = "example".into()),
        ("timestampAuthorities[0].operator is present", |root| root.timestamp_authorities[0].operator = "example".into()),
        ("tlogs[0].baseUrl is log1.rekor.example;", |root| root.tlogs[0].base_url = "log1.rekor.example".into()),
        ("tlogs[0].baseUrl is https://log1.rekor.example/;", |root| root.tlogs[0].base_url.push('/')),
        ("tlogs[0].hashAlgorithm is SHA2_512", |root| root.tlogs[0].hash_algorithm = HashAlgorithm::Sha2_512),
        ("tlogs[0].logId.keyId is 01010101;", |root| root.tlogs[0].log_id.key_id = [1; 4].into()),
        ("ctlogs[0].logId.keyId is the log id of another log", |root| {
            root.ctlogs[0].public_key = root.tlogs[0].public_key.clone();
            root.ctlogs[0].log_id = root.tlogs[0].log_id.clone();
        }),
        ("ctlogs[0].publicKey.validFor ends before", |root| {
            root.ctlogs[0].public_key.valid_for.end = end("2026-11-22T09:14:02Z");
        }),
        ("certificateAuthorities[0].validFor ends before", |root| {
            root.certificate_authorities[0].valid_for.end = end("2026-11-22T09:14:02Z");
        }),
        ("certificateAuthorities[0].subject needs both", |root| root.certificate_authorities[0].subject.organization.clear()),
        ("timestampAuthorities[0].subject needs both", |root| root.timestamp_authorities[0].subject.common_name.clear()),
        ("certificateAuthorities[0].uri is ;", |root| root.certificate_authorities[0].uri.clear()),
        ("certificateAuthorities[0].certChain has 0", |root| root.certificate_authorities[0].cert_chain.certificates.clear()),
        ("tlogs[0].publicKey.rawBytes is not a DER", |root| {
            root.tlogs[0].public_key.raw_bytes = REKOR.as_bytes().into();
        }),
        ("tlogs[0].publicKey.keyDetails is PKIX_ED25519; expected PKIX_ECDSA_P256_SHA_256", |root| {
            root.tlogs[0].public_key.key_details = KeyDetails::PkixEd25519;
        }),
        ("certificateAuthorities[0].certChain.certificates[1] is not a DER", |root| {
            root.certificate_authorities[0].cert_chain.certificates[1].raw_bytes = FULCIO[1].as_bytes().into();
        }),
        ("certificateAuthorities[0].certChain.certificates[0] is not issued by the next", |root| {
            root.certificate_authorities[0].cert_chain.certificates.reverse();
        }),
        ("certificateAuthorities[0].certChain.certificates[0] is not self-signed", |root| {
            root.certificate_authorities[0].cert_chain.certificates.truncate(1);
        }),
        ("certificateAuthorities[0].certChain.certificates[0] is not a CA", |root| {
            root.certificate_authorities[0].cert_chain = root.timestamp_authorities[0].cert_chain.clone();
        }),
        ("certificateAuthorities[0].certChain.certificates[0] is not issued by the next", |root| {
            root.certificate_authorities[0].cert_chain.certificates[1] =
                root.timestamp_authorities[0].cert_chain.certificates[1].clone();
        }),
        ("timestampAuthorities[0].certChain.certificates[0] is a CA", |root| {
            root.timestamp_authorities[0].cert_chain.certificates.reverse();
        }),
        ("certificateAuthorities[0].certChain.certificates[0] is not signed with the key of the next", |root| {
            root.certificate_authorities[0].cert_chain.certificates[1].raw_bytes = der(TWIN).into();
        }),
        ("certificateAuthorities[0].certChain.certificates[0] excludes", |root| {
            root.certificate_authorities[0].cert_chain.certificates[0].raw_bytes = der(TSA_INTERMEDIATE).into();
        }),
        ("timestampAuthorities[0].certChain.certificates[0] is not for timestamping", |root| {
            root.timestamp_authorities[0].cert_chain.certificates[0].raw_bytes = der(LEAF).into();
        }),
        ("timestampAuthorities[0].certChain has 1", |root| root.timestamp_authorities[0].cert_chain.certificates.truncate(1)),
    ];
    for (expected, change) in cases {
        let mut root = good();
        change(&mut root);
        let shown = refusal(root);
        assert!(shown.contains(expected), "{shown} should say: {expected}");
    }
}

#[test]
fn a_root_without_timestamp_authority_loads_everywhere() {
    let mut root = good();
    root.timestamp_authorities.clear();
    root.publishable().unwrap();
}

#[test]
fn what_strict_readers_refuse_does_not_parse() {
    let remove = |pointer: &str, member: &str| {
        let mut value = serde_json::to_value(good()).unwrap();
        value.pointer_mut(pointer).unwrap().as_object_mut().unwrap().remove(member).unwrap();
        value
    };
    let set = |pointer: &str, member: &str, to: Value| {
        let mut value = serde_json::to_value(good()).unwrap();
        value.pointer_mut(pointer).unwrap()[member] = to;
        value
    };
    let cases = [
        remove("", "mediaType"),
        set("", "mediaType", json!("application/vnd.dev.sigstore.trustedroot.v0.1+json")),
        set("", "mediaType", json!("application/vnd.dev.sigstore.trustedroot.v0.2+json")),
        set("", "extra", json!(1)),
        set("/tlogs/0", "extra", json!(1)),
        set("/tlogs/0/publicKey/validFor", "extra", json!(1)),
        set("/certificateAuthorities/0/certChain/certificates/0", "extra", json!(1)),
        remove("/tlogs/0", "logId"),
        remove("/ctlogs/0", "logId"),
        remove("/ctlogs/0/publicKey", "validFor"),
        remove("/ctlogs/0/publicKey/validFor", "start"),
        set("/ctlogs/0/publicKey", "keyDetails", json!("PKIX_OF_TOMORROW")),
        set("/ctlogs/0/publicKey", "rawBytes", json!("-----BEGIN PUBLIC KEY-----")),
        remove("/certificateAuthorities/0", "subject"),
        remove("/certificateAuthorities/0", "validFor"),
        remove("/certificateAuthorities/0", "certChain"),
    ];
    for value in cases {
        let error = TrustedRoot::from_json(value.to_string().as_bytes()).unwrap_err();
        assert!(matches!(error, DocumentError::Shape { document: Document::TrustedRoot, .. }), "{value}");
    }
}

#[test]
fn what_foreign_roots_hold_is_read_and_kept() {
    let mut value = serde_json::to_value(good()).unwrap();
    value["tlogs"][0]["operator"] = json!("example");
    value["tlogs"][0]["checkpointKeyId"] = json!({"keyId": "AQEBAQ=="});
    value["tlogs"][0]["publicKey"]["validFor"]["end"] = json!("2027-10-31T23:59:59.999Z");
    value["timestampAuthorities"] = Value::Null;
    let root = TrustedRoot::from_json(value.to_string().as_bytes()).unwrap();
    let mut written = serde_json::to_value(&root).unwrap();
    assert_eq!(written["timestampAuthorities"].take(), json!([]));
    value["timestampAuthorities"] = Value::Null;
    assert_eq!(written, value);
}

fn end(text: &str) -> Option<Time> {
    Some(Time::from(text.parse::<jiff::Timestamp>().unwrap()))
}

#[test]
fn refusals_say_what_and_why_in_one_line() {
    let shown = Rule::LogIdShared.to_string();
    assert!(!shown.contains(['\n', '"']));
    let mut root = good();
    root.tlogs[0].log_id.key_id = [0; 32].into();
    assert_eq!(
        refusal(root),
        format!(
            "the trusted root must not be published: tlogs[0].logId.keyId is {}; clients compute {} from the key and the origin",
            hex::encode([0; 32]),
            hex::encode(key(REKOR).fingerprint()),
        )
    );
}

proptest! {
    #[test]
    fn any_bytes_are_answered_without_panic(bytes: Vec<u8>) {
        let _ = TrustedRoot::from_json(&bytes);
    }

    /// Cuts and replacements in a good text: parsed or refused, and what parses can be checked and written.
    #[test]
    fn any_damage_is_answered_without_panic(position in 0..6000_usize, length in 0..40_usize, text in "[ -~]{0,12}") {
        let mut bytes = good().publishable().unwrap().to_json();
        let start = position.min(bytes.len());
        let end = (start + length).min(bytes.len());
        bytes.splice(start..end, text.into_bytes());
        if let Ok(root) = TrustedRoot::from_json(&bytes)
            && let Ok(root) = root.publishable()
        {
            prop_assert_eq!(&TrustedRoot::from_json(&root.to_json()).unwrap(), root.document());
        }
    }
}
