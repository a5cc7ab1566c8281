//! Bundles made with throwaway authorities and logs: what each proves about an image, and what it does not.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use evidence::{Claim, Evidence, Form, Kind, Refused, Sbom, examine, examine_claim, predicate};
use oci::{Descriptor, Digest};
use serde_json::{Value, json};
use testkit::sigstore::legacy::ENTRY;
use testkit::sigstore::{IDENTITY, ISSUER, Key, LegacyLayer, Order, Signer, V02, What, World, at};
use verify::{IdentityPolicy, Matcher, Verifier};

const MANIFEST: &[u8] = br#"{"schemaVersion":2}"#;

fn subject() -> Digest {
    Digest::of(MANIFEST)
}

fn about(predicate_type: &str, predicate: &Value) -> Order<'static> {
    Order::about(subject().hex(), predicate_type, predicate)
}

fn signature() -> Order<'static> {
    about(predicate::SIGNATURE, &json!({}))
}

fn verifier(world: &World) -> Verifier {
    Verifier::from_trusted_root(&world.trusted_root.to_string()).unwrap()
}

fn examined(world: &World, bundle: &Value) -> Result<Evidence, Refused> {
    examine(&verifier(world), &subject(), bundle.to_string().as_bytes())
}

fn accepted(world: &World, order: &Order<'_>) -> Evidence {
    examined(world, &world.sign(order)).unwrap()
}

fn refused(world: &World, bundle: &Value) -> &'static str {
    examined(world, bundle).unwrap_err().code()
}

#[test]
fn a_signature_and_who_made_it_when_and_where() {
    let evidence = accepted(&World::new(), &signature());
    assert_eq!(evidence.kind, Kind::Signature);
    assert_eq!((evidence.identity(), evidence.issuer(), evidence.predicate_type()), (IDENTITY, Some(ISSUER), None));
    assert_eq!(evidence.signed_at(), Some(at(1)));
    assert_eq!((evidence.log_entries[0].index, evidence.log_entries[0].log.as_str()), (2, "https://log1.rekor.example"));
    let document = serde_json::to_value(&evidence).unwrap();
    assert_eq!(document["kind"], "signature");
    assert_eq!(document["signer"]["identity"], IDENTITY);
}

#[test]
fn a_signature_over_the_manifest_itself() {
    let order = Order { what: What::Message(MANIFEST.to_vec()), ..Order::default() };
    assert_eq!(accepted(&World::new(), &order).kind, Kind::Signature);
}

#[test]
fn attestations_are_no_signatures() {
    let world = World::new();
    let spdx = accepted(&world, &about(predicate::SPDX, &json!({"packages": [{"name": "a"}, {"name": "b"}]})));
    assert_eq!(spdx.kind, Kind::Attestation { predicate_type: predicate::SPDX.into() });
    assert_eq!(spdx.sbom, Some(Sbom { packages: 2 }));
    let cyclonedx = accepted(&world, &about(predicate::CYCLONEDX, &json!({"components": [{}, {}, {}], "packages": [{}]})));
    assert_eq!(cyclonedx.sbom, Some(Sbom { packages: 3 }));
    for predicate in [json!("SPDXVersion: SPDX-2.3"), json!({}), json!({"packages": "none"})] {
        assert_eq!(accepted(&world, &about(predicate::SPDX, &predicate)).sbom, None, "{predicate}");
    }
    let other = accepted(&world, &about("https://example.com/review/v1", &json!({"packages": [{}]})));
    assert_eq!((other.predicate_type(), other.sbom), (Some("https://example.com/review/v1"), None));
    // Almost the type of a signature is another type.
    for near in
        ["https://sigstore.dev/cosign/sign/v1/", "https://sigstore.dev/cosign/sign/v2", "HTTPS://sigstore.dev/cosign/sign/v1"]
    {
        assert_eq!(accepted(&world, &about(near, &json!({}))).kind, Kind::Attestation { predicate_type: near.into() });
    }
}

#[test]
fn of_something_else() {
    let world = World::new();
    let other = Digest::of(b"another manifest");
    assert_eq!(refused(&world, &world.sign(&Order::about(other.hex(), predicate::SIGNATURE, &json!({})))), "artifact_mismatch");
    let message = Order { what: What::Message(b"another manifest".to_vec()), ..Order::default() };
    assert_eq!(refused(&world, &world.sign(&message)), "artifact_mismatch");
    // A subject under the name of another algorithm is none.
    let sha512: Digest = format!("sha512:{}", "0".repeat(128)).parse().unwrap();
    let bundle = world.sign(&signature()).to_string();
    assert_eq!(examine(&verifier(&world), &sha512, bundle.as_bytes()).unwrap_err().code(), "artifact_mismatch");
}

#[test]
fn tampered() {
    let world = World::new();
    let good = world.sign(&signature());
    let other = world.sign(&about(predicate::SPDX, &json!({})));
    let mut payload = good.clone();
    payload["dsseEnvelope"]["payload"] = other["dsseEnvelope"]["payload"].clone();
    assert_eq!(refused(&world, &payload), "log_entry_mismatch");
    let mut envelope = good.clone();
    envelope["dsseEnvelope"] = other["dsseEnvelope"].clone();
    assert_eq!(refused(&world, &envelope), "log_entry_mismatch");
    let mut more = good;
    more["note"] = json!("a member that no version has");
    assert_eq!(refused(&world, &more), "bundle_malformed");
    for bytes in [&b""[..], b"null", b"[]", b"\xff", b"{\"mediaType\":1}"] {
        assert_eq!(examine(&verifier(&world), &subject(), bytes).unwrap_err().code(), "bundle_malformed");
    }
}

#[test]
fn of_another_sigstore() {
    assert_eq!(refused(&World::new(), &World::new().sign(&signature())), "not_logged");
}

#[test]
fn whose_word_counts_is_the_callers_to_say() {
    let world = World::new();
    let wanted = IdentityPolicy { identity: Matcher::Exact(IDENTITY.into()), issuer: Matcher::Exact(ISSUER.into()) };
    let check = |order: Order<'_>| wanted.check(&accepted(&world, &order).signer).map_err(|refusal| refusal.code());
    assert_eq!(check(signature()), Ok(()));
    assert_eq!(check(signature().by("https://ghe.example/platform/app", ISSUER)), Err("identity_mismatch"));
    assert_eq!(check(signature().by(IDENTITY, "https://token.actions.githubusercontent.com")), Err("issuer_mismatch"));
}

#[test]
fn bare_keys_name_nobody() {
    let world = World::new();
    let key = Key::p256();
    assert_eq!(refused(&world, &world.sign(&Order { signer: Signer::Key(&key), ..signature() })), "certificate_expected");
}

/// cosign passes over what is older, so it would not find the signature that an image was accepted for.
#[test]
fn bundles_older_than_v03_do_not_count() {
    let world = World::new();
    let refused = examined(&world, &world.sign(&Order { media_type: V02, ..signature() })).unwrap_err();
    assert_eq!(refused.code(), "bundle_media_type");
    assert!(refused.to_string().contains(V02), "{refused}");
}

fn claim(form: Form, layer: &LegacyLayer) -> Claim {
    let layer = Descriptor {
        media_type: "text/plain".into(),
        digest: Digest::of(&layer.content),
        size: layer.content.len() as u64,
        artifact_type: None,
        annotations: layer.annotations.clone(),
        platform: None,
        urls: Vec::new(),
    };
    Claim { form, layer, predicate_type: None }
}

fn legacy(world: &World, form: Form, layer: &LegacyLayer) -> Result<Evidence, Refused> {
    examine_claim(&verifier(world), &subject(), &claim(form, layer), &layer.content)
}

#[test]
fn the_form_of_cosign_2() {
    let world = World::new();
    let signed = world.sign_legacy(&Order::image(subject()));
    let evidence = legacy(&world, Form::LegacySignature, &signed).unwrap();
    assert_eq!((evidence.kind.clone(), evidence.form, evidence.identity()), (Kind::Signature, Form::LegacySignature, IDENTITY));
    assert_eq!((evidence.signed_at(), evidence.log_entries[0].log.as_str()), (Some(at(2)), "https://rekor-v1.example"));
    assert_eq!(serde_json::to_value(&evidence).unwrap()["form"], "legacy_signature");

    let order = Order { what: about(predicate::SPDX, &json!({"packages": [{}]})).what, ..Order::v1() };
    let evidence = legacy(&world, Form::LegacyAttestation, &world.sign_legacy(&order)).unwrap();
    assert_eq!((evidence.predicate_type(), evidence.sbom), (Some(predicate::SPDX), Some(Sbom { packages: 1 })));

    // A bundle in a claim is a bundle.
    let bundle = world.sign(&signature()).to_string().into_bytes();
    let bundle = LegacyLayer { content: bundle, annotations: std::collections::BTreeMap::new() };
    assert_eq!(legacy(&world, Form::Bundle, &bundle).unwrap().form, Form::Bundle);
}

/// cosign 2 looks for signatures among signatures: what says in an attestation that it is one would not be found there.
#[test]
fn an_attestation_that_calls_itself_a_signature_is_none() {
    let world = World::new();
    let order = Order { what: signature().what, ..Order::v1() };
    let evidence = legacy(&world, Form::LegacyAttestation, &world.sign_legacy(&order)).unwrap();
    assert_eq!(evidence.kind, Kind::Attestation { predicate_type: predicate::SIGNATURE.into() });
}

#[test]
fn the_form_of_cosign_2_for_something_else() {
    let world = World::new();
    let code = |form, layer: &LegacyLayer| legacy(&world, form, layer).unwrap_err().code();
    let other = Digest::of(b"another manifest");
    let signed = world.sign_legacy(&Order::image(subject()));
    assert_eq!(code(Form::LegacySignature, &world.sign_legacy(&Order::image(other))), "artifact_mismatch");
    assert_eq!(code(Form::LegacySignature, &signed.with(ENTRY, "")), "not_logged");
    assert_eq!(code(Form::LegacyAttestation, &signed), "legacy_malformed");
    let sha512: Digest = format!("sha512:{}", "0".repeat(128)).parse().unwrap();
    let refused = examine_claim(&verifier(&world), &sha512, &claim(Form::LegacySignature, &signed), &signed.content);
    assert_eq!(refused.unwrap_err().code(), "artifact_mismatch");
}
