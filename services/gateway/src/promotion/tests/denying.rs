//! Everything that a policy denies, with every reason and nothing written.

use evidence::predicate;
use oci::{Digest, media_type};
use serde_json::json;
use testkit::sigstore::{self, IDENTITY, ISSUER, Order as Signing};

use super::world::{Image, SIGSTORE, World, descriptor, index};
use crate::policy::{Clause, PolicyResult};
use crate::promotion::{Promotion, PromotionState};

/// Promotes what must be denied, and sees that nothing came of it but the record.
async fn denied(world: &World, source: &str) -> Promotion {
    let promotion = world.promote(source, "prod/app:1").await.unwrap();
    assert_eq!(promotion.state, PromotionState::Denied);
    assert_eq!(promotion.policy.as_ref().unwrap().result, PolicyResult::Deny);
    assert!(world.is_empty("prod/app").await);
    let record = world.store.promotion(promotion.id.as_deref().unwrap()).await.unwrap().unwrap();
    assert_eq!(serde_json::from_str::<Promotion>(&record).unwrap(), promotion);
    promotion
}

fn clauses(promotion: &Promotion) -> [&Clause; 3] {
    let clauses = &promotion.policy.as_ref().unwrap().clauses;
    clauses.iter().collect::<Vec<_>>().try_into().unwrap()
}

fn codes(clause: &Clause) -> Vec<&str> {
    clause.reasons.iter().map(|reason| reason.code.as_str()).collect()
}

fn missing(clause: &Clause) -> Vec<&str> {
    clause.missing_on.iter().map(|place| place.role.as_str()).collect()
}

/// A signed image, but for one manifest.
async fn signed_but(world: &World, left: impl Fn(&Image) -> &Digest) -> Image {
    let image = world.unsigned("staging/app", "v1", &["1"]).await;
    for digest in image.all() {
        world.sbom("staging/app", digest).await;
        if digest != left(&image) {
            world.sign("staging/app", digest).await;
        }
    }
    image
}

#[tokio::test]
async fn unsigned() {
    let world = World::new().await;
    let image = world.unsigned("staging/app", "v1", &["1"]).await;
    let promotion = denied(&world, "staging/app:1").await;
    let [signature, logged, sbom] = clauses(&promotion);
    for clause in [signature, logged, sbom] {
        assert!(!clause.met && clause.reasons.is_empty());
        assert_eq!(missing(clause), ["index", "linux/amd64", "linux/arm64"]);
    }
    let command = format!("cosign sign --yes --recursive localhost:5000/staging/app@{}", image.index);
    assert_eq!(signature.advice, [command]);
    assert_eq!(sbom.advice.len(), 3);
    assert_eq!((promotion.signatures, promotion.attached, promotion.manifests), (0, 0, 3));
}

#[tokio::test]
async fn by_another_identity_or_issuer() {
    let other = "https://ghe.example/platform/other";
    for (subject, issuer, code) in [(other, ISSUER, "identity_mismatch"), (IDENTITY, "https://other.example", "issuer_mismatch")]
    {
        let world = World::new().await;
        let image = world.unsigned("staging/app", "v1", &["1"]).await;
        for digest in image.all() {
            let order = Signing::about(digest.hex(), predicate::SIGNATURE, &json!({})).by(subject, issuer);
            world.bundle("staging/app", digest, predicate::SIGNATURE, &SIGSTORE.sign(&order)).await;
            world.sbom("staging/app", digest).await;
        }
        let promotion = denied(&world, "staging/app:1").await;
        let [signature, _, sbom] = clauses(&promotion);
        assert!(sbom.met && !signature.met);
        // What it found instead, on each manifest; the SBOMs are named as what they are.
        assert_eq!(codes(signature), [code, "attestation_only"].repeat(3));
        assert_eq!(promotion.signatures, 3, "they are signatures, of somebody");
    }
}

#[tokio::test]
async fn only_the_sbom() {
    let world = World::new().await;
    let image = world.unsigned("staging/app", "v1", &["1"]).await;
    for digest in image.all() {
        world.sbom("staging/app", digest).await;
    }
    let promotion = denied(&world, "staging/app:1").await;
    let [signature, logged, sbom] = clauses(&promotion);
    assert!(!signature.met && !logged.met && sbom.met);
    assert_eq!(codes(signature), ["attestation_only"; 3]);
    assert_eq!(promotion.attestations[0].count, 3);
}

#[tokio::test]
async fn without_the_sbom() {
    let world = World::new().await;
    let image = world.unsigned("staging/app", "v1", &["1"]).await;
    for digest in image.all() {
        world.sign("staging/app", digest).await;
    }
    let promotion = denied(&world, "staging/app:1").await;
    let [signature, logged, sbom] = clauses(&promotion);
    assert!(signature.met && logged.met && !sbom.met);
    assert_eq!(promotion.policy.as_ref().unwrap().met(), (2, 3));
}

#[tokio::test]
async fn one_manifest_unsigned() {
    for (left, role) in [(0, "index"), (1, "linux/amd64"), (2, "linux/arm64")] {
        let world = World::new().await;
        let image = signed_but(&world, |image| image.all()[left]).await;
        let promotion = denied(&world, "staging/app:1").await;
        let [signature, ..] = clauses(&promotion);
        assert_eq!((missing(signature), signature.present_on.len()), (vec![role], 2));
        let command = format!("cosign sign --yes localhost:5000/staging/app@{}", image.all()[left]);
        assert_eq!(signature.advice, [command]);
    }
}

#[tokio::test]
async fn where_the_root_is_enough_platforms_may_be_unsigned() {
    let world = World::with(json!([{
        "name": "p", "repositories": "prod/*", "mode": "enforce", "require": "root",
        "identities": [{"issuer": ISSUER, "subject": IDENTITY}],
    }]))
    .await;
    let image = world.unsigned("staging/app", "v1", &["1"]).await;
    denied(&world, "staging/app:1").await;
    world.sign("staging/app", &image.index).await;
    let promotion = world.promote("staging/app:1", "prod/app:1").await.unwrap();
    assert_eq!(promotion.state, PromotionState::Done);
}

#[tokio::test]
async fn bundles_of_another_image_or_another_sigstore_and_tampered_ones() {
    let world = World::new().await;
    let image = signed_but(&world, |image| &image.arm64).await;
    let about = |digest: &Digest| Signing::about(digest.hex(), predicate::SIGNATURE, &json!({}));
    let elsewhere = SIGSTORE.sign(&about(&image.amd64));
    let foreign = sigstore::World::new().sign(&about(&image.arm64));
    let mut tampered = SIGSTORE.sign(&about(&image.arm64));
    tampered["dsseEnvelope"]["payload"] = elsewhere["dsseEnvelope"]["payload"].clone();
    for bundle in [&elsewhere, &foreign, &tampered] {
        world.bundle("staging/app", &image.arm64, predicate::SIGNATURE, bundle).await;
    }
    let promotion = denied(&world, "staging/app:1").await;
    let [signature, ..] = clauses(&promotion);
    assert_eq!(missing(signature), ["linux/arm64"]);
    assert_eq!(codes(signature), ["attestation_only", "artifact_mismatch", "not_logged", "log_entry_mismatch"]);
    let reported: Vec<&str> = promotion.unverified.iter().map(|one| one.code.as_str()).collect();
    assert_eq!(reported, ["artifact_mismatch", "not_logged", "log_entry_mismatch"]);
    // They do no harm to an image that is signed.
    world.sign("staging/app", &image.arm64).await;
    let promotion = world.promote("staging/app:1", "prod/app:1").await.unwrap();
    assert_eq!((promotion.state, promotion.unverified.len()), (PromotionState::Done, 3));
    world.assert_whole("staging/app", "prod/app", &image.index).await;
}

#[tokio::test]
async fn signatures_in_the_form_of_cosign_2() {
    let world = World::new().await;
    let digest = world.image("staging/app", "v1", &["1"]).await;
    let attestation = Signing { what: Signing::about(digest.hex(), predicate::SPDX, &json!({})).what, ..Signing::v1() };
    let sbom = SIGSTORE.sign_legacy(&attestation);
    legacy(&world, "staging/app", &digest, "att", &[&sbom]).await;
    // Of somebody else, of another image, damaged: each layer has a reason of its own.
    let right = Signing::image(&digest);
    let wrong = [
        SIGSTORE.sign_legacy(&right.clone().by("https://ghe.example/platform/other", ISSUER)),
        SIGSTORE.sign_legacy(&Signing::image(Digest::of(b"another"))),
        SIGSTORE.sign_legacy(&right).with(sigstore::legacy::ENTRY, ""),
    ];
    legacy(&world, "staging/app", &digest, "sig", &wrong.iter().collect::<Vec<_>>()).await;
    let promotion = denied(&world, "staging/app:1").await;
    let [signature, _, sbom] = clauses(&promotion);
    assert!(sbom.met && !signature.met);
    let codes = codes(signature);
    assert!(["identity_mismatch", "artifact_mismatch", "not_logged"].iter().all(|code| codes.contains(code)), "{codes:?}");
    assert!(signature.reasons.iter().filter(|reason| reason.code != "attestation_only").all(|reason| reason.layer.is_some()));
    assert_eq!((promotion.signatures, promotion.unverified.len()), (1, 2));

    // cosign adds a layer; the other ones do no harm.
    let good = SIGSTORE.sign_legacy(&right);
    let layers: Vec<_> = wrong.iter().chain([&good]).collect();
    let signatures = legacy(&world, "staging/app", &digest, "sig", &layers).await;
    let promotion = world.promote("staging/app:1", "prod/app:1").await.unwrap();
    assert_eq!((promotion.state, promotion.signatures), (PromotionState::Done, 2));
    assert!(promotion.policy.unwrap().clauses[0].text.ends_with("in the form of cosign 2"));
    assert!(promotion.warnings.is_empty());
    assert_eq!(world.tag("prod/app", &format!("sha256-{}.sig", digest.hex())).await, Some(signatures));

    // With a bundle beside it, released clients no longer find it.
    world.sbom("staging/app", &digest).await;
    let promotion = world.promote("staging/app:1", "prod/app:2").await.unwrap();
    assert!(
        promotion.warnings.iter().any(|warning| warning.contains("in the form of cosign 2 alone")),
        "{:?}",
        promotion.warnings
    );
    world.sign("staging/app", &digest).await;
    assert!(world.promote("staging/app:1", "prod/app:3").await.unwrap().warnings.is_empty());
}

/// A log or authority that is added to the trusted root counts from the next promotion on; a file that cannot be used changes
/// nothing, and the answer says so.
#[tokio::test]
async fn the_trusted_root_is_read_again() {
    let world = World::new().await;
    let newer = sigstore::World::new();
    let image = world.image("staging/app", "v1", &["1"]).await;
    for (predicate_type, predicate) in [(predicate::SIGNATURE, json!({})), (predicate::SPDX, json!({"packages": []}))] {
        let bundle = newer.sign(&Signing::about(image.hex(), predicate_type, &predicate));
        world.bundle("staging/app", &image, predicate_type, &bundle).await;
    }
    denied(&world, "staging/app:1").await;
    let file = world.folder.path().join("trusted_root.json");
    std::fs::write(&file, "not yet whole").unwrap();
    let promotion = denied(&world, "staging/app:1").await;
    assert!(promotion.warnings.iter().any(|warning| warning.contains("verified with the one from before")), "{promotion:?}");
    std::fs::write(&file, newer.trusted_root.to_string()).unwrap();
    let promotion = world.promote("staging/app:1", "prod/app:1").await.unwrap();
    assert_eq!((promotion.state, promotion.warnings.len()), (PromotionState::Done, 0));
}

/// The signature of one platform, tagged as that of another one or of the index.
#[tokio::test]
async fn signatures_under_the_tag_of_another_manifest() {
    let world = World::new().await;
    let image = world.unsigned("staging/app", "v1", &["1"]).await;
    let good = SIGSTORE.sign_legacy(&Signing::image(&image.amd64));
    for digest in image.all() {
        world.sbom("staging/app", digest).await;
        legacy(&world, "staging/app", digest, "sig", &[&good]).await;
    }
    let promotion = denied(&world, "staging/app:1").await;
    let [signature, ..] = clauses(&promotion);
    // One manifest under three tags is looked at for the first of them; none of it may pass for the index or the other platform.
    assert!(missing(signature).contains(&"index") && missing(signature).contains(&"linux/arm64"), "{:?}", missing(signature));
}

/// Pushes what signs `subject` in the form of cosign 2, under the tag that says so.
async fn legacy(world: &World, repository: &str, subject: &Digest, ending: &str, layers: &[&sigstore::LegacyLayer]) -> Digest {
    let config = world.blob(repository, b"{\"architecture\":\"\"}").await;
    let media_type = if ending == "sig" { media_type::SIMPLE_SIGNING } else { media_type::DSSE_ENVELOPE };
    let mut list = Vec::new();
    for layer in layers {
        let digest = world.blob(repository, &layer.content).await;
        let mut descriptor = descriptor(media_type, &digest, layer.content.len());
        descriptor["annotations"] = json!(layer.annotations);
        list.push(descriptor);
    }
    let document = json!({
        "schemaVersion": 2, "mediaType": media_type::IMAGE_MANIFEST,
        "config": descriptor(media_type::IMAGE_CONFIG, &config, 19), "layers": list,
    });
    world.push(repository, &document, &[&format!("sha256-{}.{ending}", subject.hex())]).await
}

/// Manifests that look like signatures in the form of cosign 2, and are signed by nobody.
pub(super) async fn legacy_signature(world: &World, repository: &str, subject: &Digest, layers: &[&str]) -> Digest {
    let config = world.blob(repository, b"{\"architecture\":\"\"}").await;
    let mut list = Vec::new();
    for layer in layers {
        let digest = world.blob(repository, layer.as_bytes()).await;
        list.push(descriptor(media_type::SIMPLE_SIGNING, &digest, layer.len()));
    }
    let document = json!({
        "schemaVersion": 2, "mediaType": media_type::IMAGE_MANIFEST,
        "config": descriptor(media_type::IMAGE_CONFIG, &config, 19), "layers": list,
    });
    world.push(repository, &document, &[&format!("sha256-{}.sig", subject.hex())]).await
}

/// BuildKit's attestations are covered by the index; an image that only calls itself one is not.
#[tokio::test]
async fn attestations_in_an_index_need_no_signature_and_nothing_hides_as_one() {
    for (layer, state) in
        [(media_type::IN_TOTO, PromotionState::Done), ("application/vnd.oci.image.layer.v1.tar", PromotionState::Denied)]
    {
        let world = World::new().await;
        let amd64 = world.image("staging/app", "amd64", &[]).await;
        let (config, content) = (world.blob("staging/app", b"{}").await, world.blob("staging/app", b"statement").await);
        let attestation = json!({
            "schemaVersion": 2, "mediaType": media_type::IMAGE_MANIFEST,
            "config": descriptor(media_type::IMAGE_CONFIG, &config, 2), "layers": [descriptor(layer, &content, 9)],
        });
        let attestation = world.push("staging/app", &attestation, &[]).await;
        let mut document = index(&[(&amd64, "linux", "amd64"), (&attestation, "unknown", "unknown")]);
        document["manifests"][1]["annotations"] =
            json!({"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": amd64});
        let index = world.push("staging/app", &document, &["1"]).await;
        for digest in [&index, &amd64] {
            world.sign("staging/app", digest).await;
            world.sbom("staging/app", digest).await;
        }
        let promotion = world.promote("staging/app:1", "prod/app:1").await.unwrap();
        assert_eq!(promotion.state, state, "{layer}");
        assert_eq!((promotion.manifests, &promotion.platforms[..]), (3, &["linux/amd64".to_owned()][..]));
        if state == PromotionState::Done {
            assert!(world.has("prod/app", &attestation).await);
        }
    }
}

/// What hangs on an index inside an index is asked about like the rest.
#[tokio::test]
async fn members_of_members_are_asked_about() {
    let world = World::new().await;
    let inner = world.unsigned("staging/app", "inner", &[]).await;
    let outer = json!({
        "schemaVersion": 2, "mediaType": media_type::IMAGE_INDEX,
        "manifests": [descriptor(media_type::IMAGE_INDEX, &inner.index, 7)],
    });
    let outer = world.push("staging/app", &outer, &["1"]).await;
    world.sign("staging/app", &outer).await;
    world.sbom("staging/app", &outer).await;
    let promotion = denied(&world, "staging/app:1").await;
    assert_eq!(missing(clauses(&promotion)[0]), ["linux/amd64", "linux/arm64"]);
    for digest in [&inner.amd64, &inner.arm64] {
        world.sign("staging/app", digest).await;
        world.sbom("staging/app", digest).await;
    }
    assert_eq!(world.promote("staging/app:1", "prod/app:1").await.unwrap().state, PromotionState::Done);
    world.assert_whole("staging/app", "prod/app", &outer).await;
}

#[tokio::test]
async fn a_dry_run_that_is_denied_leaves_no_record() {
    let world = World::new().await;
    world.unsigned("staging/app", "v1", &["1"]).await;
    let order = crate::promotion::Order { dry_run: true, ..super::world::order("staging/app:1", "prod/app:1") };
    let promotion = world.promoter.run(order, crate::access::Actor::named("ops")).await.unwrap();
    assert_eq!((promotion.state, promotion.id), (PromotionState::Denied, None));
    assert!(world.is_empty("prod/app").await);
}
