//! What cosign 2 attaches to images: what is accepted, and that every change of it is refused, with its reason.

use std::sync::LazyLock;

use pki::HashAlgorithm;
use proptest::prelude::*;
use serde_json::{Value, json};
use testkit::sigstore::legacy::{CERTIFICATE, CHAIN, ENTRY, SIGNATURE, TIMESTAMP};
use verify::{ArtifactDigest, Legacy, LegacyForm, Policy, TimeSource, Verified, VerifyError};

use crate::world::{
    Key, Leaf, LegacyLayer, Logged, Order, SctOf, Signer, What, World, at, base64, policy, simple_signing, statement_about,
    verifier,
};

const SPDX: &str = "https://spdx.dev/Document";

fn image() -> ArtifactDigest {
    ArtifactDigest::new(HashAlgorithm::Sha256, HashAlgorithm::Sha256.digest(b"manifest")).unwrap()
}

fn hex_of(image: &ArtifactDigest) -> String {
    image.to_string().split_once(':').unwrap().1.to_owned()
}

fn signature() -> Order<'static> {
    Order::image(image())
}

fn attestation() -> Order<'static> {
    Order { what: Order::about(&hex_of(&image()), SPDX, &json!({"packages": []})).what, ..Order::v1() }
}

fn form(order: &Order<'_>) -> LegacyForm {
    match order.what {
        What::Message(_) => LegacyForm::Signature,
        What::Envelope { .. } => LegacyForm::Attestation,
    }
}

fn verify(world: &World, form: LegacyForm, layer: &LegacyLayer, policy: &Policy) -> Result<Verified, VerifyError> {
    let annotation = |name: &str| layer.annotations.get(name).map(String::as_str);
    let legacy = Legacy {
        form,
        layer: &layer.content,
        signature: annotation(SIGNATURE),
        certificate: annotation(CERTIFICATE),
        entry: annotation(ENTRY),
        timestamp: annotation(TIMESTAMP),
    };
    verifier(world).verify_legacy(&legacy, &image(), policy)
}

fn code_of(world: &World, form: LegacyForm, layer: &LegacyLayer, policy: &Policy) -> String {
    match verify(world, form, layer, policy) {
        Ok(verified) => format!("accepted: {verified:?}"),
        Err(VerifyError::Refused(refusal)) => {
            let text = refusal.to_string();
            assert!(!text.contains(['"', '\n']), "{text}");
            refusal.code().to_owned()
        }
        Err(error) => error.to_string(),
    }
}

fn accept(world: &World, order: &Order<'_>) -> Verified {
    verify(world, form(order), &world.sign_legacy(order), &policy()).unwrap()
}

#[test]
fn a_signature_with_and_without_a_timestamp() {
    let world = World::new();
    for (order, times) in [(signature(), vec![at(2)]), (Order { stamped: Some(3), ..signature() }, vec![at(3), at(2)])] {
        let verified = accept(&world, &order);
        assert!(verified.statement.is_none());
        assert_eq!(verified.times.iter().map(|time| time.time).collect::<Vec<_>>(), times);
        assert_eq!(verified.times.last().unwrap().source, TimeSource::TransparencyLog);
        let [entry] = &verified.log_entries[..] else { panic!() };
        assert_eq!((entry.kind.as_str(), entry.index, entry.included), ("hashedrekord 0.0.1", 1002, false));
        assert_eq!(entry.log, "https://rekor-v1.example");
    }
}

#[test]
fn attestations_of_both_kinds() {
    let world = World::new();
    for (logged, kind) in [(attestation().logged, "dsse 0.0.1"), (Logged::V1InToto, "intoto 0.0.2")] {
        for stamped in [None, Some(3)] {
            let verified = accept(&world, &Order { logged, stamped, ..attestation() });
            assert_eq!(verified.statement.unwrap().predicate_type, SPDX);
            assert_eq!(verified.times.len(), 1 + usize::from(stamped.is_some()), "the token is over the envelope");
            assert_eq!(verified.log_entries[0].kind, kind);
        }
    }
    let wanted = policy().with_predicate_type("https://slsa.dev/provenance/v1");
    let layer = world.sign_legacy(&attestation());
    assert_eq!(code_of(&world, LegacyForm::Attestation, &layer, &wanted), "predicate_type");
    let layer = world.sign_legacy(&signature());
    assert_eq!(code_of(&world, LegacyForm::Signature, &layer, &wanted), "predicate_type");
}

/// Who stands above a certificate is the trusted root's to say, whatever a chain beside it says.
#[test]
fn the_chain_is_not_read() {
    let (world, stranger) = (World::new(), World::new());
    let good = world.sign_legacy(&signature());
    for chain in ["", "no PEM"] {
        assert!(verify(&world, LegacyForm::Signature, &good.with(CHAIN, chain), &policy()).is_ok());
    }
    // A whole other Sigstore, with its chain, proves nothing here.
    let strange = stranger.sign_legacy(&signature());
    assert_eq!(code_of(&world, LegacyForm::Signature, &strange, &policy()), "not_logged");
}

/// The entry of a layer, its body changed and promised again by `key` in the name of the listed log.
fn promised_again(layer: &LegacyLayer, key: &Key, change: impl FnOnce(&mut Value)) -> LegacyLayer {
    use base64::Engine as _;
    layer.changed(ENTRY, |entry| {
        let body = entry["Payload"]["body"].as_str().unwrap();
        let mut body: Value = serde_json::from_slice(&base64::engine::general_purpose::STANDARD.decode(body).unwrap()).unwrap();
        change(&mut body);
        entry["Payload"]["body"] = json!(base64(body.to_string().as_bytes()));
        promise(entry, key);
    })
}

fn promise(entry: &mut Value, key: &Key) {
    let payload = &entry["Payload"];
    let signed = format!(
        "{{\"body\":{},\"integratedTime\":{},\"logID\":{},\"logIndex\":{}}}",
        payload["body"], payload["integratedTime"], payload["logID"], payload["logIndex"]
    );
    entry["SignedEntryTimestamp"] = json!(base64(&key.sign(signed.as_bytes())));
}

#[test]
fn every_annotation_changed() {
    let world = World::new();
    for order in [signature(), attestation(), Order { logged: Logged::V1InToto, ..attestation() }] {
        let form = form(&order);
        let (good, other) = (world.sign_legacy(&order), world.sign_legacy(&order));
        let take = |name: &str| good.with(name, other.annotation(name));
        let set = |pointer: &'static str, value: Value| good.changed(ENTRY, |entry| *entry.pointer_mut(pointer).unwrap() = value);
        let member = |place: &'static str| {
            good.changed(ENTRY, |entry| {
                entry.pointer_mut(place).unwrap().as_object_mut().unwrap().extend([("x".into(), json!(1))]);
            })
        };
        let v2 = json!(hex::encode(world.v2.public.fingerprint()));
        let ct = json!("00".repeat(32));
        let cases = [
            ("no entry", good.with(ENTRY, ""), "not_logged"),
            ("an entry that is none", good.with(ENTRY, "{}"), "legacy_malformed"),
            ("another entry of the same signer and image", take(ENTRY), "log_entry_mismatch"),
            ("another certificate of the same signer", take(CERTIFICATE), "log_entry_mismatch"),
            ("no certificate", good.with(CERTIFICATE, ""), "certificate_expected"),
            ("no PEM", good.with(CERTIFICATE, "x"), "certificate_malformed"),
            ("an index that the log did not sign", set("/Payload/logIndex", json!(1003)), "not_logged"),
            ("a time that the log did not sign", set("/Payload/integratedTime", json!(at(3).as_second())), "not_logged"),
            ("no time", set("/Payload/integratedTime", json!(0)), "not_logged"),
            ("a time beyond all times", set("/Payload/integratedTime", json!(i64::MAX)), "legacy_malformed"),
            ("an unknown log", set("/Payload/logID", ct), "not_logged"),
            ("the other log's name", set("/Payload/logID", v2), "not_logged"),
            ("a log without name", set("/Payload/logID", json!("")), "not_logged"),
            ("no base64", set("/Payload/body", json!("%")), "legacy_malformed"),
            ("no body", set("/Payload/body", json!("")), "legacy_malformed"),
            ("no promise", set("/SignedEntryTimestamp", json!("")), "not_logged"),
            ("an unknown member", member("/Payload"), "legacy_malformed"),
            ("an unknown member outside", member(""), "legacy_malformed"),
            ("no timestamp", good.with(TIMESTAMP, "{}"), "legacy_malformed"),
            ("signed by another log", promised_again(&good, &world.v2, |_| {}), "not_logged"),
            ("signed by anybody", promised_again(&good, &Key::p256(), |_| {}), "not_logged"),
        ];
        for (what, layer, code) in &cases {
            assert_eq!(code_of(&world, form, layer, &policy()), *code, "{form:?}: {what}");
        }
    }
}

/// Each of these the log itself has signed: an entry for something else does not count however genuine it is.
#[test]
fn every_member_of_a_genuine_entry_is_compared() {
    let world = World::new();
    let other = base64(b"another");
    let hash = json!("00".repeat(32));
    let stranger = base64(Key::p256().public.to_pem().as_bytes());
    let in_toto = Order { logged: Logged::V1InToto, ..attestation() };
    let cases = [
        (signature(), "/spec/data/hash/value", hash.clone()),
        (signature(), "/spec/data/hash/algorithm", json!("sha512")),
        (signature(), "/spec/signature/content", json!(other)),
        (signature(), "/spec/signature/publicKey/content", json!(stranger)),
        (signature(), "/spec/signature/publicKey/content", json!("")),
        (attestation(), "/spec/payloadHash/value", hash.clone()),
        (attestation(), "/spec/envelopeHash/value", hash.clone()),
        (attestation(), "/spec/signatures", json!([])),
        (attestation(), "/spec/signatures/0/signature", json!(other)),
        (attestation(), "/spec/signatures/0/verifier", json!(stranger)),
        (in_toto.clone(), "/spec/content/payloadHash/value", hash),
        (in_toto.clone(), "/spec/content/envelope/payloadType", json!("text/plain")),
        (in_toto.clone(), "/spec/content/envelope/signatures", json!([])),
        (in_toto.clone(), "/spec/content/envelope/signatures/0/sig", json!(base64(other.as_bytes()))),
        (in_toto.clone(), "/spec/content/envelope/signatures/0/publicKey", json!(stranger)),
        (signature(), "/spec", json!({})),
    ];
    for (order, pointer, value) in cases {
        let layer = world.sign_legacy(&order);
        let changed = promised_again(&layer, &world.v1, |body| *body.pointer_mut(pointer).unwrap() = value.clone());
        assert_eq!(code_of(&world, form(&order), &changed, &policy()), "log_entry_mismatch", "{pointer} {value}");
        assert!(verify(&world, form(&order), &promised_again(&layer, &world.v1, |_| {}), &policy()).is_ok());
    }
    // The kind is the body's word; another kind is read as what it is, and is not about this.
    let layer = world.sign_legacy(&signature());
    for (kind, version, code) in [
        ("dsse", "0.0.1", "log_entry_mismatch"),
        ("intoto", "0.0.2", "log_entry_mismatch"),
        ("intoto", "0.0.1", "unsupported"),
        ("hashedrekord", "0.0.2", "unsupported"),
        ("rekord", "0.0.1", "unsupported"),
    ] {
        let changed = promised_again(&layer, &world.v1, |body| {
            (body["kind"], body["apiVersion"]) = (json!(kind), json!(version));
        });
        assert_eq!(code_of(&world, LegacyForm::Signature, &changed, &policy()), code, "{kind} {version}");
    }
}

/// A signature over an envelope's encoding is one over bytes too, and the other way round: the kind of the entry tells them apart.
#[test]
fn an_envelope_logged_as_bytes_is_no_attestation() {
    let world = World::new();
    let layer = world.sign_legacy(&attestation());
    let envelope: Value = serde_json::from_slice(&layer.content).unwrap();
    let (signature, certificate) = (envelope["signatures"][0]["sig"].clone(), base64(layer.annotation(CERTIFICATE).as_bytes()));
    let changed = promised_again(&layer, &world.v1, |body| {
        *body = json!({"apiVersion": "0.0.1", "kind": "hashedrekord", "spec": {
            "data": {"hash": {"algorithm": "sha256", "value": "00".repeat(32)}},
            "signature": {"content": signature, "publicKey": {"content": certificate}},
        }});
    });
    assert_eq!(code_of(&world, LegacyForm::Attestation, &changed, &policy()), "log_entry_mismatch");
}

#[test]
fn signatures_over_something_else() {
    let world = World::new();
    let good = world.sign_legacy(&signature());
    let another = format!("sha256:{}", "ab".repeat(32));
    let bytes = LegacyLayer { content: simple_signing(&another), ..good.clone() };
    assert_eq!(code_of(&world, LegacyForm::Signature, &bytes, &policy()), "log_entry_mismatch");
    let replayed = world.sign_legacy(&Order::image(&another));
    assert_eq!(code_of(&world, LegacyForm::Signature, &replayed, &policy()), "artifact_mismatch");
    // The manifest itself, or a statement about it, signed as a file: no document that was meant for an image.
    let statement = statement_about(&hex_of(&image()), SPDX, &json!({})).to_string();
    for message in [b"manifest".to_vec(), statement.into_bytes(), Vec::new()] {
        let file = world.sign_legacy(&Order { what: What::Message(message), ..Order::v1() });
        assert_eq!(code_of(&world, LegacyForm::Signature, &file, &policy()), "simple_signing");
    }
    let mut document: Value = serde_json::from_slice(&simple_signing(image())).unwrap();
    document["critical"]["type"] = json!("atomic container signature");
    let podman = Order { what: What::Message(document.to_string().into_bytes()), ..Order::v1() };
    assert_eq!(code_of(&world, LegacyForm::Signature, &world.sign_legacy(&podman), &policy()), "simple_signing");

    for value in ["", "%", "AAAA"] {
        let code = code_of(&world, LegacyForm::Signature, &good.with(SIGNATURE, value), &policy());
        assert_eq!(code, if value == "AAAA" { "log_entry_mismatch" } else { "legacy_malformed" }, "{value}");
    }
}

#[test]
fn attestations_of_something_else() {
    let world = World::new();
    let about_another = Order::about(&"ab".repeat(32), SPDX, &json!({})).what;
    let replayed = world.sign_legacy(&Order { what: about_another, ..attestation() });
    assert_eq!(code_of(&world, LegacyForm::Attestation, &replayed, &policy()), "artifact_mismatch");
    let good = world.sign_legacy(&attestation());
    let with = |change: fn(&mut Value)| {
        let mut envelope: Value = serde_json::from_slice(&good.content).unwrap();
        change(&mut envelope);
        LegacyLayer { content: envelope.to_string().into_bytes(), ..good.clone() }
    };
    let twice = with(|v| v["signatures"] = json!([v["signatures"][0], v["signatures"][0]]));
    for (what, layer, code) in [
        ("another payload", with(|v| v["payload"] = json!(base64(b"{}"))), "log_entry_mismatch"),
        ("another type", with(|v| v["payloadType"] = json!("text/plain")), "log_entry_mismatch"),
        ("a member that changes nothing but the bytes", with(|v| v["x"] = json!(1)), "log_entry_mismatch"),
        ("no signature", with(|v| v["signatures"] = json!([])), "dsse_signature_count"),
        ("two signatures", twice, "dsse_signature_count"),
        ("no envelope", with(|v| *v = json!([])), "legacy_malformed"),
        ("a signature beside it", good.with(SIGNATURE, "AAAA"), "legacy_malformed"),
        ("a signature in its place", world.sign_legacy(&signature()), "legacy_malformed"),
    ] {
        assert_eq!(code_of(&world, LegacyForm::Attestation, &layer, &policy()), code, "{what}");
    }
    let in_its_place = code_of(&world, LegacyForm::Signature, &good, &policy());
    assert_eq!(in_its_place, "legacy_malformed", "an attestation in a signature's place");
}

#[test]
fn signers_and_times() {
    let world = World::new();
    let leaf = |change: fn(&mut Leaf)| {
        let mut leaf = Leaf::default();
        change(&mut leaf);
        Order { signer: Signer::Certified(leaf), ..signature() }
    };
    let key = Key::p256();
    for (what, order, code) in [
        ("another identity", signature().by("https://ghe.example/evil", testkit::sigstore::ISSUER), "identity_mismatch"),
        ("another issuer", signature().by(testkit::sigstore::IDENTITY, "https://evil.example"), "issuer_mismatch"),
        ("a certificate that had ended", leaf(|leaf| leaf.seconds = (-595, 1)), "log_entry_time"),
        ("a certificate that had not begun", leaf(|leaf| leaf.seconds = (3, 600)), "log_entry_time"),
        ("no SCT", leaf(|leaf| leaf.sct = SctOf::Nobody), "certificate_sct"),
        ("an SCT of a stranger", leaf(|leaf| leaf.sct = SctOf::OtherLog), "certificate_sct"),
        (
            "a certificate for servers",
            leaf(|leaf| leaf.purpose = rcgen::ExtendedKeyUsagePurpose::ServerAuth),
            "certificate_purpose",
        ),
        ("a bare key", Order { signer: Signer::Key(&key), ..signature() }, "certificate_expected"),
        ("a timestamp after its end", Order { stamped: Some(596), ..signature() }, "certificate_expired"),
    ] {
        assert_eq!(code_of(&world, LegacyForm::Signature, &world.sign_legacy(&order), &policy()), code, "{what}");
    }
    // Before the log was the trusted root's, its promise counts for nothing.
    let mut world = World::new();
    world.trusted_root["tlogs"][1]["publicKey"]["validFor"]["start"] = json!(at(3).to_string());
    assert_eq!(code_of(&world, LegacyForm::Signature, &world.sign_legacy(&signature()), &policy()), "not_logged");
    // A token over the envelope's signature is not what cosign 2 asks for: it is passed over, and the promise is left.
    let stamped = world.sign_legacy(&Order { stamped: Some(3), ..signature() });
    world.trusted_root["tlogs"][1]["publicKey"]["validFor"]["start"] = json!(at(0).to_string());
    let borrowed = world.sign_legacy(&signature()).with(TIMESTAMP, stamped.annotation(TIMESTAMP));
    assert_eq!(verify(&world, LegacyForm::Signature, &borrowed, &policy()).unwrap().times.len(), 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// One byte changed anywhere, in the layer or in an annotation: refused, or proof of exactly the same.
    #[test]
    fn no_byte_changes_what_is_proven(at in any::<prop::sample::Index>(), flip in 1u8..128, part in 0usize..5, which in 0usize..3) {
        static WORLD: LazyLock<World> = LazyLock::new(World::new);
        static LAYERS: LazyLock<[(LegacyForm, LegacyLayer); 3]> = LazyLock::new(|| {
            [signature(), attestation(), Order { logged: Logged::V1InToto, ..attestation() }].map(|order| {
                let order = Order { stamped: Some(1), ..order };
                (form(&order), WORLD.sign_legacy(&order))
            })
        });
        let (form, good) = &LAYERS[which];
        let report = |layer: &LegacyLayer| {
            verify(&WORLD, *form, layer, &policy()).map(|verified| {
                // A token that is damaged is passed over, as in released clients; the log's time is left.
                (json!(verified.signer), json!(verified.log_entries), json!(verified.times.last()), verified.statement.map(|s| s.payload))
            })
        };
        let mut changed = good.clone();
        match [SIGNATURE, CERTIFICATE, ENTRY, TIMESTAMP].get(part) {
            None => {
                let at = at.index(changed.content.len());
                changed.content[at] ^= flip;
            }
            Some(name) if good.annotation(name).is_empty() => {}
            Some(name) => {
                let mut bytes = good.annotation(name).as_bytes().to_vec();
                let at = at.index(bytes.len());
                bytes[at] ^= flip;
                // Every byte is ASCII, and stays so.
                changed = good.with(name, &String::from_utf8(bytes).unwrap());
            }
        }
        if let Ok(report_of_changed) = report(&changed) {
            prop_assert_eq!(report_of_changed, report(good).unwrap());
        }
    }

    #[test]
    fn anything_at_all(layer: Vec<u8>, one in "\\PC{0,80}", two in "\\PC{0,80}", attestation: bool) {
        static WORLD: LazyLock<World> = LazyLock::new(World::new);
        let form = if attestation { LegacyForm::Attestation } else { LegacyForm::Signature };
        let annotations = [(SIGNATURE, &one), (CERTIFICATE, &two), (ENTRY, &one), (TIMESTAMP, &two)]
            .map(|(name, value)| (name.to_owned(), value.clone()));
        let layer = LegacyLayer { content: layer, annotations: annotations.into() };
        prop_assert!(verify(&WORLD, form, &layer, &policy()).is_err());
    }
}
