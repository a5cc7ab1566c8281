//! Every change to a good bundle is refused, with the code that says what was wrong.

use std::sync::LazyLock;

use proptest::prelude::*;
use rcgen::ExtendedKeyUsagePurpose;
use serde_json::{Value, json};
use verify::{Artifact, ArtifactDigest, IdentityPolicy, Matcher, Policy, VerifyError};

use crate::world::{
    ARTIFACT, IDENTITY, ISSUER, Key, Leaf, Logged, Order, SctOf, Signer, V02, V03, What, World, at, base64, policy, statement,
    verifier,
};

fn code_of(world: &World, bundle: &str, artifact: &[u8], policy: &Policy) -> String {
    match verifier(world).verify(bundle.as_bytes(), Artifact::Bytes(artifact), policy) {
        Ok(verified) => format!("accepted: {verified:?}"),
        Err(VerifyError::Refused(refusal)) => {
            let text = refusal.to_string();
            assert!(!text.contains(['"', '\n']), "{text}");
            refusal.code().to_owned()
        }
        Err(error) => error.to_string(),
    }
}

fn refuse(world: &World, what: &str, bundle: &Value, policy: &Policy, code: &str) {
    assert_eq!(code_of(world, &bundle.to_string(), ARTIFACT, policy), code, "{what}");
}

/// The bundle, changed at a place.
fn with(bundle: &Value, pointer: &str, change: impl FnOnce(&mut Value)) -> Value {
    let mut bundle = bundle.clone();
    change(bundle.pointer_mut(pointer).unwrap_or_else(|| panic!("no {pointer}")));
    bundle
}

/// One bit of base64 bytes turned.
fn flip(value: &mut Value) {
    use base64::Engine as _;
    let mut bytes = base64::engine::general_purpose::STANDARD.decode(value.as_str().unwrap()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    *value = json!(base64(&bytes));
}

const ENTRY: &str = "/verificationMaterial/tlogEntries/0";
const PROOF: &str = "/verificationMaterial/tlogEntries/0/inclusionProof";
const STAMP: &str = "/verificationMaterial/timestampVerificationData/rfc3161Timestamps/0/signedTimestamp";
const CERTIFICATE: &str = "/verificationMaterial/certificate/rawBytes";

fn entry(member: &str) -> String {
    format!("{ENTRY}/{member}")
}

fn proof(member: &str) -> String {
    format!("{PROOF}/{member}")
}

#[test]
fn a_blob_in_rekor_v2_changed() {
    let world = World::new();
    let (good, other) = (world.sign(&Order::default()), world.sign(&Order::default()));
    let take = |pointer: &str| other.pointer(pointer).unwrap().clone();
    let cases: Vec<(&str, Value, &str)> = vec![
        ("signature", with(&good, "/messageSignature/signature", flip), "log_entry_mismatch"),
        ("digest", with(&good, "/messageSignature/messageDigest/digest", flip), "log_entry_mismatch"),
        (
            "digest algorithm",
            with(&good, "/messageSignature/messageDigest/algorithm", |v| *v = json!("SHA2_512")),
            "artifact_mismatch",
        ),
        ("certificate of another signature", with(&good, CERTIFICATE, |v| *v = take(CERTIFICATE)), "log_entry_mismatch"),
        ("log entry of another signature", with(&good, ENTRY, |v| *v = take(ENTRY)), "log_entry_mismatch"),
        ("proof of another signature", with(&good, PROOF, |v| *v = take(PROOF)), "inclusion_proof"),
        ("timestamp of another signature", with(&good, STAMP, |v| *v = take(STAMP)), "timestamp_invalid"),
        ("body", with(&good, &entry("canonicalizedBody"), flip), "log_entry_mismatch"),
        ("log index", with(&good, &entry("logIndex"), |v| *v = json!("1")), "inclusion_proof"),
        ("index of the proof", with(&good, &proof("logIndex"), |v| *v = json!("1")), "inclusion_proof"),
        (
            "both indices",
            with(&with(&good, &entry("logIndex"), |v| *v = json!("1")), &proof("logIndex"), |v| *v = json!("1")),
            "inclusion_proof",
        ),
        ("log id", with(&good, &entry("logId/keyId"), flip), "not_logged"),
        (
            "log id of the other log",
            with(&good, &entry("logId/keyId"), |v| *v = world.trusted_root["tlogs"][1]["logId"]["keyId"].clone()),
            "checkpoint_origin",
        ),
        ("root hash", with(&good, &proof("rootHash"), flip), "inclusion_proof"),
        ("tree size", with(&good, &proof("treeSize"), |v| *v = json!("5")), "inclusion_proof"),
        ("a hash of the proof", with(&good, &proof("hashes/0"), flip), "inclusion_proof"),
        (
            "one hash more",
            with(&good, &proof("hashes"), |v| v.as_array_mut().unwrap().push(json!(base64(&[0; 32])))),
            "inclusion_proof",
        ),
        ("no proof", with(&good, PROOF, |v| *v = Value::Null), "log_entry_incomplete"),
        ("no checkpoint", with(&good, &proof("checkpoint/envelope"), |v| *v = json!("")), "log_entry_incomplete"),
        ("no timestamp", with(&good, "/verificationMaterial/timestampVerificationData", |v| *v = json!({})), "time_missing"),
        ("no entry", with(&good, "/verificationMaterial/tlogEntries", |v| *v = json!([])), "not_logged"),
        (
            "the entry twice",
            with(&good, "/verificationMaterial/tlogEntries", |v| {
                v.as_array_mut().unwrap().push(good.pointer(ENTRY).unwrap().clone());
            }),
            "log_entry_duplicate",
        ),
        ("kind", with(&good, &entry("kindVersion/version"), |v| *v = json!("0.0.1")), "checkpoint_origin"),
        ("unknown kind", with(&good, &entry("kindVersion/kind"), |v| *v = json!("jar")), "bundle_malformed"),
        ("integrated time", with(&good, &entry("integratedTime"), |v| *v = json!("1000000000")), "log_entry_time"),
        ("unknown member", with(&good, ENTRY, |v| v["more"] = json!(1)), "bundle_malformed"),
        (
            "media type",
            with(&good, "/mediaType", |v| *v = json!("application/vnd.dev.sigstore.bundle.v0.4+json")),
            "bundle_media_type",
        ),
    ];
    for (what, bundle, code) in &cases {
        refuse(&world, what, bundle, &policy(), code);
    }
    let mut extra = other.pointer(ENTRY).unwrap().clone();
    extra["logIndex"] = json!("3");
    extra["inclusionProof"]["logIndex"] = json!("3");
    let two = with(&good, "/verificationMaterial/tlogEntries", |v| v.as_array_mut().unwrap().push(extra));
    refuse(&world, "an extra entry, of another signature", &two, &policy(), "log_entry_mismatch");
    assert_eq!(code_of(&world, &good.to_string(), b"another artifact", &policy()), "artifact_mismatch");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// One byte changed anywhere: refused, or proof of exactly the same. What is not signed (the token's outer lists, a
    /// certificate hint) may change; what is reported may not.
    #[test]
    fn no_byte_changes_what_is_proven(at in any::<prop::sample::Index>(), flip in 1u8..128, v1: bool) {
        static WORLD: LazyLock<World> = LazyLock::new(World::new);
        static BUNDLES: LazyLock<[String; 2]> =
            LazyLock::new(|| [Order::default(), Order::v1()].map(|order| WORLD.sign(&order).to_string()));
        let bundle = &BUNDLES[usize::from(v1)];
        let verify = |bundle: &[u8]| {
            let verified = verifier(&WORLD).verify(bundle, Artifact::Bytes(ARTIFACT), &policy());
            verified.map(|verified| serde_json::to_string(&verified).unwrap())
        };
        let mut changed = bundle.clone().into_bytes();
        let at = at.index(changed.len());
        changed[at] ^= flip;
        if let Ok(report) = verify(&changed) {
            prop_assert_eq!(report, verify(bundle.as_bytes()).unwrap());
        }
    }
}

#[test]
fn checkpoints() {
    let world = World::new();
    let good = world.sign(&Order::default());
    let envelope = good.pointer(&proof("checkpoint/envelope")).unwrap().as_str().unwrap();
    let text = &envelope[..envelope.find("\n\n").unwrap() + 1];
    let put = |envelope: String| with(&good, &proof("checkpoint/envelope"), |v| *v = json!(envelope));
    let host = "log1.rekor.example";
    for (what, bundle, code) in [
        ("another size", put(World::checkpoint(&text.replace("\n4\n", "\n5\n"), host, &world.v2)), "inclusion_proof"),
        ("not signed again", put(envelope.replace("\n4\n", "\n5\n")), "checkpoint_signature"),
        (
            "another origin",
            put(World::checkpoint(&text.replace(host, "log2.rekor.example"), host, &world.v2)),
            "checkpoint_origin",
        ),
        ("another name", put(World::checkpoint(text, "log2.rekor.example", &world.v2)), "checkpoint_signature"),
        ("the other listed log", put(World::checkpoint(text, host, &world.v1)), "checkpoint_signature"),
        ("a stranger", put(World::checkpoint(text, host, &Key::p256())), "checkpoint_signature"),
        ("no signature", put(format!("{text}\n")), "bundle_malformed"),
    ] {
        refuse(&world, what, &bundle, &policy(), code);
    }
    let cosigned = format!("{envelope}— witness.example AAAAAAAA\n");
    assert!(code_of(&world, &put(cosigned).to_string(), ARTIFACT, &policy()).starts_with("accepted"));
}

#[test]
fn the_wrong_identity_issuer_or_key() {
    let world = World::new();
    let key = Key::p256();
    let (certified, keyed) =
        (world.sign(&Order::default()), world.sign(&Order { signer: Signer::Key(&key), ..Order::default() }));
    let identity = |identity: &str, issuer: &str| {
        Policy::identity(IdentityPolicy { identity: Matcher::Exact(identity.into()), issuer: Matcher::Exact(issuer.into()) })
    };
    refuse(&world, "identity", &certified, &identity("https://ghe.example/other", ISSUER), "identity_mismatch");
    refuse(&world, "issuer", &certified, &identity(IDENTITY, "https://ghe.example"), "issuer_mismatch");
    let part = IdentityPolicy { identity: Matcher::pattern("platform/app").unwrap(), issuer: Matcher::Exact(ISSUER.into()) };
    refuse(&world, "a part of the identity", &certified, &Policy::identity(part), "identity_mismatch");
    refuse(&world, "a key instead of an identity", &keyed, &policy(), "certificate_expected");
    refuse(&world, "a key instead of anyone's certificate", &keyed, &Policy::anyone(), "certificate_expected");
    refuse(&world, "an identity instead of a key", &certified, &Policy::key(key.public.clone()), "key_expected");
    refuse(&world, "another key", &keyed, &Policy::key(Key::p256().public), "log_entry_mismatch");
    let v1 = world.sign(&Order { signer: Signer::Key(&key), ..Order::v1() });
    refuse(&world, "another key, Rekor v1", &v1, &Policy::key(Key::p256().public), "log_entry_mismatch");
}

#[test]
fn certificates() {
    let world = World::new();
    let sign = |leaf: Leaf| world.sign(&Order { signer: Signer::Certified(leaf), ..Order::default() });
    for (what, leaf, code) in [
        ("SCT of an unlisted log", Leaf { sct: SctOf::OtherLog, ..Leaf::default() }, "certificate_sct"),
        ("SCT over another certificate", Leaf { sct: SctOf::OtherCertificate, ..Leaf::default() }, "certificate_sct"),
        (
            "SCT before the log's key was valid",
            Leaf { sct: SctOf::ListedLogAt(-101 * 86_400), ..Leaf::default() },
            "certificate_sct",
        ),
        ("no SCT", Leaf { sct: SctOf::Nobody, ..Leaf::default() }, "certificate_sct"),
        ("expired before it was timestamped", Leaf { seconds: (-600, 0), ..Leaf::default() }, "certificate_expired"),
        ("not yet valid", Leaf { seconds: (2, 600), ..Leaf::default() }, "certificate_expired"),
        ("for servers", Leaf { purpose: ExtendedKeyUsagePurpose::ServerAuth, ..Leaf::default() }, "certificate_purpose"),
    ] {
        refuse(&world, what, &sign(leaf), &policy(), code);
    }
    refuse(&World::new(), "of other authorities", &world.sign(&Order::default()), &policy(), "not_logged");
}

/// CVE-2026-24122: the leaf is valid, the timestamp is good, but the root behind it had expired or was not there yet.
#[test]
fn authorities_that_were_not_valid_then() {
    for days in [(-400, -1), (1, 400)] {
        let world = World::with_ca_days(days);
        refuse(&world, "the root", &world.sign(&Order::default()), &policy(), "certificate_untrusted");
    }
    let mut world = World::new();
    let bundle = world.sign(&Order::default());
    for (list, code) in [("certificateAuthorities", "certificate_untrusted"), ("timestampAuthorities", "timestamp_invalid")] {
        for valid_for in [json!({"start": at(2).to_string()}), json!({"start": at(-100).to_string(), "end": at(0).to_string()})] {
            let before = std::mem::replace(&mut world.trusted_root[list][0]["validFor"], valid_for);
            refuse(&world, list, &bundle, &policy(), code);
            world.trusted_root[list][0]["validFor"] = before;
        }
        let before = std::mem::replace(&mut world.trusted_root[list], json!([]));
        refuse(&world, list, &bundle, &policy(), code);
        world.trusted_root[list] = before;
    }
}

#[test]
fn an_attestation_changed() {
    let world = World::new();
    let good = world.sign(&Order::attestation());
    let sign = |payload_type: &'static str, statement: Value| {
        world.sign(&Order { what: What::Envelope { payload_type, statement }, ..Order::default() })
    };
    let in_toto = "application/vnd.in-toto+json";
    let changed = |pointer: &str, value: Value| sign(in_toto, with(&statement(), pointer, |v| *v = value));
    let hex = |text: &str| hex::encode(pki::HashAlgorithm::Sha512.digest(text.as_bytes()));
    let many: Vec<Value> = (0..1025).map(|at| json!({"name": at.to_string(), "digest": {"sha1": "00"}})).collect();
    let digests: serde_json::Map<String, Value> = (0..33).map(|at| (format!("gitTree{at}"), json!("00"))).collect();
    for (what, bundle, code) in [
        ("payload", with(&good, "/dsseEnvelope/payload", flip), "log_entry_mismatch"),
        ("payload type", with(&good, "/dsseEnvelope/payloadType", |v| *v = json!("text/plain")), "log_entry_mismatch"),
        ("signature", with(&good, "/dsseEnvelope/signatures/0/sig", flip), "log_entry_mismatch"),
        (
            "two signatures",
            with(&good, "/dsseEnvelope/signatures", |v| {
                let first = v[0].clone();
                v.as_array_mut().unwrap().push(first);
            }),
            "dsse_signature_count",
        ),
        ("signed, but another payload type", sign("application/json", statement()), "payload_type"),
        ("signed, but no statement", sign(in_toto, json!({"subject": []})), "statement_malformed"),
        (
            "signed, but another kind of statement",
            changed("/_type", json!("https://example.org/Statement/v9")),
            "statement_malformed",
        ),
        (
            "signed, but about something else",
            changed("/subject", json!([{"name": "app", "digest": {"sha256": "00".repeat(32)}}])),
            "artifact_mismatch",
        ),
        (
            "signed, but a SHA-256 under another name",
            changed(
                "/subject",
                json!([{"name": "app", "digest": {"sha384": hex::encode(pki::HashAlgorithm::Sha256.digest(ARTIFACT))}}]),
            ),
            "artifact_mismatch",
        ),
        (
            "signed, but the digest of another text",
            changed("/subject", json!([{"name": "app", "digest": {"sha512": hex("other")}}])),
            "artifact_mismatch",
        ),
        ("signed, but no subject", changed("/subject", json!([])), "artifact_mismatch"),
        ("signed, but too many subjects", changed("/subject", json!(many)), "bundle_too_large"),
        ("signed, but too many digests", changed("/subject", json!([{"name": "app", "digest": digests}])), "bundle_too_large"),
    ] {
        refuse(&world, what, &bundle, &policy(), code);
    }
    refuse(&world, "another predicate", &good, &policy().with_predicate_type("https://spdx.dev/Document"), "predicate_type");
    let blob = world.sign(&Order::default());
    refuse(&world, "no predicate", &blob, &policy().with_predicate_type("https://spdx.dev/Document"), "predicate_type");
    assert_eq!(code_of(&world, &good.to_string(), b"another artifact", &policy()), "artifact_mismatch");
}

#[test]
fn rekor_v1_entries_changed() {
    let world = World::new();
    for order in [Order::v1(), Order { what: Order::attestation().what, ..Order::v1() }] {
        let (good, other) = (world.sign(&order), world.sign(&order));
        let take = |pointer: &str| other.pointer(pointer).unwrap().clone();
        for (what, bundle, code) in [
            ("entry of another signature", with(&good, ENTRY, |v| *v = take(ENTRY)), "log_entry_mismatch"),
            (
                "promise of another signature",
                with(&good, &entry("inclusionPromise"), |v| *v = take(&entry("inclusionPromise"))),
                "not_logged",
            ),
            (
                "integrated time",
                with(&good, &entry("integratedTime"), |v| *v = json!((at(3).as_second()).to_string())),
                "not_logged",
            ),
            ("integrated time, absent", with(&good, &entry("integratedTime"), |v| *v = json!("0")), "not_logged"),
            ("log index", with(&good, &entry("logIndex"), |v| *v = json!("1003")), "not_logged"),
            ("proof of another signature", with(&good, PROOF, |v| *v = take(PROOF)), "inclusion_proof"),
            ("body", with(&good, &entry("canonicalizedBody"), flip), "not_logged"),
            ("no proof", with(&good, PROOF, |v| *v = Value::Null), "log_entry_incomplete"),
            (
                "chain in v0.3",
                with(&good, "/verificationMaterial", |v| {
                    let certificate = v.as_object_mut().unwrap().remove("certificate").unwrap();
                    v["x509CertificateChain"] = json!({"certificates": [certificate]});
                }),
                "bundle_certificate_chain",
            ),
        ] {
            refuse(&world, what, &bundle, &policy(), code);
        }
    }
}

/// A time beside an inclusion proof is not signed by anybody: it is no time, and still must not contradict the certificate.
#[test]
fn times_that_nobody_signed() {
    let world = World::new();
    let unsigned = Order { logged: Logged::V1 { promise: false, proof: true }, stamped: None, ..Order::default() };
    refuse(&world, "no promise, no timestamp", &world.sign(&unsigned), &policy(), "time_missing");
    let stamped = world.sign(&Order { stamped: Some(1), ..unsigned });
    let early = with(&stamped, &entry("integratedTime"), |v| *v = json!("1000000000"));
    refuse(&world, "outside of the certificate's validity", &early, &policy(), "log_entry_time");
    let promised = Order { logged: Logged::V1 { promise: true, proof: true }, stamped: Some(596), ..Order::default() };
    refuse(&world, "a good promise and a late timestamp", &world.sign(&promised), &policy(), "certificate_expired");
}

#[test]
fn roots_in_chains() {
    let world = World::new();
    let good = world.sign(&Order { media_type: V02, ..Order::v1() });
    let root = world.trusted_root["certificateAuthorities"][0]["certChain"]["certificates"][1].clone();
    let bundle = with(&good, "/verificationMaterial/x509CertificateChain/certificates", |v| v.as_array_mut().unwrap().push(root));
    refuse(&world, "a root", &bundle, &policy(), "bundle_certificate_chain");
    assert_eq!(good["mediaType"], json!(V02));
    refuse(&world, "said to be v0.3", &with(&good, "/mediaType", |v| *v = json!(V03)), &policy(), "bundle_certificate_chain");
}

#[test]
fn digests_of_another_algorithm() {
    let world = World::new();
    let bundle = world.sign(&Order::default()).to_string();
    let algorithm = pki::HashAlgorithm::Sha512;
    let digest = ArtifactDigest::new(algorithm, algorithm.digest(ARTIFACT)).unwrap();
    let error = verifier(&world).verify(bundle.as_bytes(), Artifact::Digest(digest), &policy()).unwrap_err();
    assert_eq!(error.to_string(), "the bundle is about a sha256 digest, and a sha512 digest was given; give the artifact itself");
}

#[test]
fn trusted_roots_that_cannot_be_used() {
    let world = World::new();
    let code = |change: &dyn Fn(&mut Value)| {
        let mut root = world.trusted_root.clone();
        change(&mut root);
        verify::Verifier::from_trusted_root(&root.to_string()).unwrap_err().code()
    };
    assert_eq!(verify::Verifier::from_trusted_root("{").unwrap_err().code(), "trusted_root_malformed");
    assert_eq!(code(&|root| root["mediaType"] = json!("application/json")), "trusted_root_malformed");
    assert_eq!(code(&|root| root["tlogs"][1]["logId"] = root["tlogs"][0]["logId"].clone()), "trusted_root_unusable");
    assert_eq!(code(&|root| root["tlogs"][0]["publicKey"]["validFor"] = json!({})), "trusted_root_malformed");
    let chain = |list: &'static str| {
        move |root: &mut Value| drop(root[list][0]["certChain"]["certificates"].as_array_mut().unwrap().remove(0))
    };
    assert_eq!(code(&chain("timestampAuthorities")), "trusted_root_unusable");
    assert_eq!(code(&|root| root["certificateAuthorities"][0]["certChain"]["certificates"] = json!([])), "trusted_root_unusable");
    assert_eq!(
        code(&|root| flip(&mut root["certificateAuthorities"][0]["certChain"]["certificates"][0]["rawBytes"])),
        "trusted_root_unusable"
    );
}
