//! What others do while a promotion is under way.

use oci::Digest;
use serde_json::json;

use super::world::{Image, World, name, order, tag};
use crate::access::Actor;
use crate::promotion::copy::{Copied, Outcome, Recorded};
use crate::promotion::{MAX_ROUNDS, Order, Promotion, PromotionError, PromotionState};

/// The story up to the record.
pub(super) async fn recorded(world: &World, order: Order) -> Recorded {
    let promoter = &world.promoter;
    let resolved = promoter.resolve(order, &Actor::named("ops")).await.unwrap();
    let gathered = promoter.gather(&resolved).await.unwrap();
    let allowed = promoter.judge(resolved, gathered).await.unwrap().allow().unwrap();
    promoter.record(allowed).await.unwrap()
}

/// The story up to the tag.
async fn copied(world: &World, order: Order) -> Copied {
    let recorded = recorded(world, order).await;
    world.promoter.copy(recorded).await.unwrap()
}

async fn done(world: &World, copied: Copied) -> Promotion {
    match world.promoter.finish(copied, false).await.unwrap() {
        Outcome::Done(promotion) => *promotion,
        Outcome::Later(_) => panic!("something was attached"),
    }
}

fn conflict(outcome: Result<Outcome, PromotionError>) -> (Option<Digest>, Option<Digest>) {
    match outcome {
        Err(error @ PromotionError::TagMoved { .. }) => {
            assert_eq!(error.code(), "promotion_tag_moved");
            let PromotionError::TagMoved { found, expected, .. } = error else { unreachable!() };
            (found, expected)
        }
        other => panic!("{other:?}"),
    }
}

async fn two_images(world: &World) -> (Image, Image) {
    (world.signed("staging/app", "v1", &["1"]).await, world.signed("staging/app", "v2", &["2"]).await)
}

#[tokio::test]
async fn of_two_promotions_to_one_tag_the_second_is_refused() {
    let world = World::new().await;
    let (one, two) = two_images(&world).await;
    let first = copied(&world, order("staging/app:1", "prod/app:stable")).await;
    let second = copied(&world, order("staging/app:2", "prod/app:stable")).await;
    done(&world, second).await;
    let (found, expected) = conflict(world.promoter.finish(first, false).await);
    assert_eq!((found.as_ref(), expected), (Some(&two.index), None));
    assert_eq!(world.tag("prod/app", "stable").await.as_ref(), Some(&two.index));
    // Asked again, it goes from there.
    let again = world.promote("staging/app:1", "prod/app:stable").await.unwrap();
    assert_eq!((again.previous, world.tag("prod/app", "stable").await), (Some(two.index), Some(one.index)));
}

#[tokio::test]
async fn a_tag_that_was_moved_and_moved_back_was_moved() {
    let world = World::new().await;
    let (one, two) = two_images(&world).await;
    world.promote("staging/app:1", "prod/app:stable").await.unwrap();
    let slow = copied(&world, order("staging/app:2", "prod/app:stable")).await;
    world.promote("staging/app:2", "prod/app:stable").await.unwrap();
    world.promote("staging/app:1", "prod/app:stable").await.unwrap();
    let (found, expected) = conflict(world.promoter.finish(slow, false).await);
    assert_eq!((found.as_ref(), expected.as_ref()), (Some(&one.index), Some(&one.index)));
    assert_ne!(two.index, one.index);
}

#[tokio::test]
async fn two_promotions_of_one_image_agree() {
    let world = World::new().await;
    let image = world.signed("staging/app", "v1", &["1"]).await;
    let first = copied(&world, order("staging/app:1", "prod/app:1")).await;
    let second = copied(&world, order("staging/app:1", "prod/app:1")).await;
    assert!(!done(&world, first).await.unchanged);
    let second = done(&world, second).await;
    assert_eq!((second.unchanged, second.previous), (true, Some(image.index)));
}

#[tokio::test]
async fn what_the_caller_expects_of_the_tag_counts() {
    let world = World::new().await;
    let (one, two) = two_images(&world).await;
    let expecting =
        |source: &str, expected: Option<&Digest>| Order { expected: Some(expected.cloned()), ..order(source, "prod/app:stable") };
    let run = async |order| world.promoter.run(order, Actor::named("ops")).await;
    assert_eq!(run(expecting("staging/app:1", Some(&two.index))).await.unwrap_err().code(), "promotion_tag_moved");
    assert!(world.is_empty("prod/app").await, "said before anything is copied");
    assert_eq!(run(expecting("staging/app:1", None)).await.unwrap().state, PromotionState::Done);
    assert_eq!(run(expecting("staging/app:2", None)).await.unwrap_err().code(), "promotion_tag_moved");
    // An answer that was lost, and the same again: it is done.
    assert!(run(expecting("staging/app:1", None)).await.unwrap().unchanged);
    assert_eq!(run(expecting("staging/app:2", Some(&one.index))).await.unwrap().previous, Some(one.index));
}

#[tokio::test]
async fn what_is_attached_meanwhile_comes_along() {
    let world = World::new().await;
    let image = world.signed("staging/app", "v1", &["1"]).await;
    let copied = copied(&world, order("staging/app:1", "prod/app:1")).await;
    let late = world.attest("staging/app", &image.amd64, "https://example.com/review/v1", &json!({})).await;
    let Outcome::Later(more) = world.promoter.finish(copied, false).await.unwrap() else { panic!("not seen") };
    assert_eq!(world.tag("prod/app", "1").await, None);
    let copied = world.promoter.copy(*more).await.unwrap();
    let promotion = done(&world, copied).await;
    assert_eq!((promotion.late_referrers, promotion.attached, promotion.attestations.len()), (1, 7, 2));
    assert!(world.referrers("prod/app", &image.amd64).await.contains(&late));
    world.assert_whole("staging/app", "prod/app", &image.index).await;
}

#[tokio::test]
async fn who_attaches_without_end_does_not_keep_an_image_from_being_promoted() {
    let world = World::new().await;
    let image = world.signed("staging/app", "v1", &["1"]).await;
    let mut copied = copied(&world, order("staging/app:1", "prod/app:1")).await;
    for round in 1..MAX_ROUNDS {
        world.attest("staging/app", &image.index, &format!("https://example.com/{round}"), &json!({})).await;
        let Outcome::Later(more) = world.promoter.finish(copied, false).await.unwrap() else { panic!("not seen") };
        copied = world.promoter.copy(*more).await.unwrap();
    }
    world.attest("staging/app", &image.index, "https://example.com/last", &json!({})).await;
    let Outcome::Done(promotion) = world.promoter.finish(copied, true).await.unwrap() else { panic!("not done") };
    assert_eq!(promotion.late_referrers, 2);
    assert_eq!(world.tag("prod/app", "1").await, Some(image.index));
}

#[tokio::test]
async fn what_is_deleted_meanwhile_is_there_when_the_tag_is() {
    let world = World::new().await;
    let image = world.signed("staging/app", "v1", &["1"]).await;
    let copied = copied(&world, order("staging/app:1", "mirror/app:1")).await;
    let signature = world.referrers("mirror/app", &image.arm64).await[0].clone();
    for digest in [&image.index, &image.arm64, &signature] {
        assert!(world.store.delete_manifest(&name("mirror/app"), digest, Vec::new(), "tester").await.unwrap());
    }
    assert!(world.store.lose_blob(&name("mirror/app"), &Digest::of(b"v1 amd64")).await);
    done(&world, copied).await;
    let closure = world.closure("mirror/app", &image.index).await;
    assert_eq!(closure.nodes.len(), 9);
}

#[tokio::test]
async fn a_source_tag_that_moves_is_reported() {
    let world = World::new().await;
    let image = world.signed("staging/app", "v1", &["1"]).await;
    let copied = copied(&world, order("staging/app:1", "prod/app:1")).await;
    let other = world.image("staging/app", "v2", &["1"]).await;
    let promotion = done(&world, copied).await;
    assert_eq!(promotion.digest, image.index);
    assert_eq!(promotion.warnings, [format!("source tag 1 points to {other} now; {} was promoted", image.index)]);
}

#[tokio::test]
async fn only_a_few_at_once() {
    let world = World::new().await;
    world.signed("staging/app", "v1", &["1"]).await;
    let held = std::sync::Arc::clone(&world.promoter.places).try_acquire_many_owned(super::super::AT_ONCE as u32).unwrap();
    assert_eq!(world.promote("staging/app:1", "prod/app:1").await.unwrap_err().code(), "promotion_busy");
    drop(held);
    world.promote("staging/app:1", "prod/app:1").await.unwrap();
    assert_eq!(world.store.tag(&name("prod/app"), &tag("1")).await.unwrap().unwrap().version, 1);
}
