//! What comes along with an image, and what does not.

use oci::{Digest, media_type};
use serde_json::json;

use super::denying::legacy_signature;
use super::world::{World, descriptor, name, order, tag};
use crate::access::Actor;
use crate::promotion::{Order, PromotionError, PromotionState};

fn code(error: &PromotionError) -> &'static str {
    error.code()
}

#[tokio::test]
async fn an_image_with_everything_attached() {
    let world = World::new().await;
    let image = world.signed("staging/app", "v1", &["1"]).await;
    // A signature of an attestation, and something attached to that again.
    let sbom = world.referrers("staging/app", &image.arm64).await[1].clone();
    let countersigned = world.sign("staging/app", &sbom).await;
    let mut note = world.artifact("staging/app", &countersigned).await;
    note["artifactType"] = json!("application/vnd.example.note");
    let note = world.push("staging/app", &note, &[]).await;
    let legacy = legacy_signature(&world, "staging/app", &image.amd64, &["old"]).await;

    let promotion = world.promote("staging/app:1", "prod/app:2.1").await.unwrap();
    assert_eq!(promotion.state, PromotionState::Done);
    assert_eq!(world.tag("prod/app", "2.1").await.as_ref(), Some(&image.index));
    world.assert_whole("staging/app", "prod/app", &image.index).await;
    for digest in [&countersigned, &note, &legacy] {
        assert!(world.has("prod/app", digest).await);
    }
    assert_eq!(world.tag("prod/app", &format!("sha256-{}.sig", image.amd64.hex())).await, Some(legacy));
    assert_eq!(world.tag("prod/app", "1").await, None, "the source's own tags stay where they are");

    // The counts are those of what is there.
    let closure = world.closure("prod/app", &image.index).await;
    assert_eq!((promotion.manifests, promotion.attached), (3, 9));
    assert_eq!(closure.nodes.len() as u64, promotion.manifests + promotion.attached);
    assert_eq!(closure.blobs.len() as u64, promotion.blobs);
    assert_eq!((promotion.signatures, promotion.attestations.len(), promotion.attestations[0].count), (4, 1, 3));
    assert_eq!(promotion.platforms, ["linux/amd64", "linux/arm64"]);
    assert_eq!((promotion.previous, promotion.unchanged, promotion.late_referrers), (None, false, 0));
    assert_eq!(promotion.policy.unwrap().met(), (3, 3));
    let record = world.store.promotion(promotion.id.as_deref().unwrap()).await.unwrap().unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&record).unwrap()["state"], "done");
}

#[tokio::test]
async fn promoting_again_changes_nothing_and_brings_what_came_late() {
    let world = World::new().await;
    let image = world.signed("staging/app", "v1", &["1"]).await;
    let first = world.promote("staging/app:1", "prod/app:1").await.unwrap();
    let again = world.promote(&format!("staging/app@{}", image.index), "prod/app:1").await.unwrap();
    assert_eq!((again.unchanged, again.late_referrers, again.previous.as_ref()), (true, 0, Some(&image.index)));
    assert_eq!(again.plan, first.plan, "the same content has the same plan");
    let scan = world.attest("staging/app", &image.index, "https://cosign.sigstore.dev/attestation/vuln/v1", &json!({})).await;
    let late = world.promote("staging/app:1", "prod/app:1").await.unwrap();
    assert_eq!((late.unchanged, late.late_referrers, late.state), (true, 1, PromotionState::Done));
    assert_ne!(late.plan, first.plan);
    assert!(world.referrers("prod/app", &image.index).await.contains(&scan));
    world.assert_whole("staging/app", "prod/app", &image.index).await;
}

#[tokio::test]
async fn a_dry_run_says_what_would_be_done() {
    let world = World::new().await;
    world.signed("staging/app", "v1", &["1"]).await;
    let dry = Order { dry_run: true, ..order("staging/app:1", "prod/app:1") };
    let planned = world.promoter.run(dry, Actor::named("ops")).await.unwrap();
    assert_eq!((planned.state, &planned.id), (PromotionState::Planned, &None));
    assert!(world.is_empty("prod/app").await);
    let done = world.promote("staging/app:1", "prod/app:1").await.unwrap();
    assert_eq!((done.plan, done.bytes, done.attached), (planned.plan, planned.bytes, planned.attached));
}

#[tokio::test]
async fn a_target_without_policy_is_allowed_by_none() {
    let world = World::new().await;
    let image = world.unsigned("staging/app", "v1", &["1"]).await;
    let promotion = world.promote("staging/app:1", "mirror/app:1").await.unwrap();
    assert_eq!((promotion.state, &promotion.policy), (PromotionState::Done, &None));
    world.assert_whole("staging/app", "mirror/app", &image.index).await;
}

#[tokio::test]
async fn the_target_selects_the_policy_wherever_an_image_comes_from() {
    let world = World::new().await;
    let image = world.unsigned("prod/app", "before there was a policy", &["1"]).await;
    let promotion = world.promote("prod/app:1", "prod/app:2").await.unwrap();
    assert_eq!(promotion.state, PromotionState::Denied);
    for digest in image.all() {
        world.sign("prod/app", digest).await;
        world.sbom("prod/app", digest).await;
    }
    assert_eq!(world.promote("prod/app:1", "prod/app:2").await.unwrap().state, PromotionState::Done);
    assert_eq!(world.tag("prod/app", "2").await, Some(image.index));
}

/// Anybody may attach, and the policy looks at what is attached to the image alone.
#[tokio::test]
async fn what_could_be_taken_for_an_image_stays_behind() {
    let world = World::new().await;
    let image = world.signed("staging/app", "v1", &["1"]).await;
    let mut evil = world.image_document("staging/app", "evil").await;
    let plain = world
        .push("staging/app", &evil, &[&format!("sha256-{}.sig", image.index.hex()), &format!("sha256-{}.x", image.index.hex())])
        .await;
    evil["subject"] = descriptor(media_type::IMAGE_INDEX, &image.index, 7);
    let attached = world.push("staging/app", &evil, &[]).await;
    let signature_of_it = world.sign("staging/app", &attached).await;
    let listing = json!({
        "schemaVersion": 2, "mediaType": media_type::IMAGE_INDEX, "manifests": [descriptor(media_type::IMAGE_MANIFEST, &plain, 7)],
        "subject": descriptor(media_type::IMAGE_INDEX, &image.index, 7),
    });
    let listing = world.push("staging/app", &listing, &[]).await;
    // One of the tags points to the image itself: no way to give it a tag that nobody promoted.
    world
        .push(
            "staging/app",
            &serde_json::from_slice(&world.closure("staging/app", &image.amd64).await.nodes[0].document().bytes()[..]).unwrap(),
            &[&format!("sha256-{}.att", image.amd64.hex())],
        )
        .await;

    let promotion = world.promote("staging/app:1", "prod/app:1").await.unwrap();
    assert_eq!(promotion.state, PromotionState::Done);
    for left in [&plain, &attached, &signature_of_it, &listing] {
        assert!(!world.has("prod/app", left).await, "{left}");
    }
    assert_eq!(world.store.tags(&name("prod/app"), None, 10).await.unwrap().unwrap(), [tag("1")]);
    assert_eq!(
        promotion.warnings.iter().filter(|warning| warning.contains("left behind")).count(),
        5,
        "{:?}",
        promotion.warnings
    );
    // Where no policy holds, everything comes along.
    world.promote("staging/app:1", "mirror/app:1").await.unwrap();
    world.assert_whole("staging/app", "mirror/app", &image.index).await;
    assert!(world.has("mirror/app", &attached).await);
}

#[tokio::test]
async fn signature_tags_are_replaced_only_by_what_holds_as_much() {
    let world = World::new().await;
    let digest = world.image("staging/app", "v1", &["1"]).await;
    let sig = format!("sha256-{}.sig", digest.hex());
    legacy_signature(&world, "staging/app", &digest, &["one"]).await;
    world.promote("staging/app:1", "mirror/app:1").await.unwrap();
    // Signed again at the source: the manifest there holds both.
    let both = legacy_signature(&world, "staging/app", &digest, &["one", "two"]).await;
    let promotion = world.promote("staging/app:1", "mirror/app:1").await.unwrap();
    assert_eq!((world.tag("mirror/app", &sig).await.as_ref(), promotion.warnings.len()), (Some(&both), 0));
    // Signed at the target too: the source's lacks that.
    let there = legacy_signature(&world, "mirror/app", &digest, &["one", "two", "three"]).await;
    let promotion = world.promote("staging/app:1", "mirror/app:1").await.unwrap();
    assert_eq!(world.tag("mirror/app", &sig).await, Some(there));
    assert!(promotion.warnings[0].contains("was kept"), "{:?}", promotion.warnings);
}

#[tokio::test]
async fn indexes_that_contain_each_other_end() {
    let world = World::new().await;
    let digest = world.image("staging/app", "v1", &["1"]).await;
    // An index that is attached to one of its members.
    let around = json!({
        "schemaVersion": 2, "mediaType": media_type::IMAGE_INDEX, "manifests": [descriptor(media_type::IMAGE_MANIFEST, &digest, 7)],
        "subject": descriptor(media_type::IMAGE_MANIFEST, &digest, 7),
    });
    let around = world.push("staging/app", &around, &[]).await;
    let promotion = world.promote("staging/app:1", "mirror/app:1").await.unwrap();
    assert_eq!((promotion.manifests, promotion.attached), (1, 1));
    assert!(world.has("mirror/app", &around).await);
}

#[tokio::test]
async fn chains_end_at_a_depth() {
    let world = World::new().await;
    let mut subject = world.image("staging/app", "v1", &["1"]).await;
    for _ in 0..super::super::closure::MAX_DEPTH {
        let document = world.artifact("staging/app", &subject).await;
        subject = world.push("staging/app", &document, &[]).await;
    }
    assert_eq!(world.promote("staging/app:1", "mirror/app:1").await.unwrap().attached, 32);
    let document = world.artifact("staging/app", &subject).await;
    world.push("staging/app", &document, &[]).await;
    let error = world.promote("staging/app:1", "mirror/app:2").await.unwrap_err();
    assert_eq!(code(&error), "promotion_too_large");
}

#[tokio::test]
async fn layers_that_live_elsewhere_need_not_be_here() {
    let world = World::new().await;
    let mut document = world.image_document("staging/app", "v1").await;
    let mut foreign = descriptor("application/vnd.oci.image.layer.nondistributable.v1.tar", &Digest::of(b"nowhere"), 9);
    foreign["urls"] = json!(["https://example.com/layer"]);
    document["layers"].as_array_mut().unwrap().push(foreign);
    world.push("staging/app", &document, &["1"]).await;
    assert_eq!(world.promote("staging/app:1", "mirror/app:1").await.unwrap().blobs, 2);
}

#[tokio::test]
async fn what_is_not_whole_is_not_promoted() {
    let world = World::new().await;
    let image = world.unsigned("staging/app", "v1", &["1"]).await;
    world.store.delete_manifest(&name("staging/app"), &image.arm64, Vec::new(), "tester").await.unwrap();
    let error = world.promote("staging/app:1", "mirror/app:1").await.unwrap_err();
    assert_eq!(code(&error), "promotion_incomplete");
    assert!(error.to_string().contains(image.arm64.as_str()), "{error}");
    let digest = world.image("staging/app", "v2", &["2"]).await;
    world.store.lose_blob(&name("staging/app"), &Digest::of(b"v2")).await;
    let error = world.promote(&format!("staging/app@{digest}"), "mirror/app:1").await.unwrap_err();
    assert_eq!(code(&error), "promotion_incomplete");
    assert!(world.is_empty("mirror/app").await);
}

#[tokio::test]
async fn sources_and_targets_that_cannot_be() {
    let world = World::new().await;
    let digest = world.image("staging/app", "v1", &["1"]).await;
    let refused = async |source: &str, target: &str| world.promote(source, target).await.unwrap_err().code();
    assert_eq!(refused("staging/app:2", "mirror/app:1").await, "promotion_source_unknown");
    assert_eq!(refused("staging/other:1", "mirror/app:1").await, "promotion_source_unknown");
    assert_eq!(refused(&format!("staging/other@{digest}"), "mirror/app:1").await, "promotion_source_unknown");
    assert_eq!(refused("staging/app:1", "hub/app:1").await, "promotion_target_proxied");
    assert_eq!(refused("staging/app:1", &format!("mirror/app:sha256-{}.sig", digest.hex())).await, "promotion_reference");
}
