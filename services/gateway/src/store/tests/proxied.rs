//! What registries behind this one said last.

use jiff::SignedDuration;
use oci::{Digest, RepositoryName, Tag};

use super::support::{World, name, tag};
use crate::faults::{Step, When};
use crate::store::Behind;

fn behind(repository: &RepositoryName) -> Behind<'_> {
    Behind { repository, origin: "https://registry.example" }
}

async fn seen(world: &World, tag_name: &str) -> Option<Digest> {
    world.store.seen_tag(behind(&name("hub/a")), &tag(tag_name)).await.unwrap().map(|seen| seen.digest)
}

async fn attached(world: &World, subject: &Digest) -> Option<Vec<Digest>> {
    let seen = world.store.seen_referrers(behind(&name("hub/a")), subject).await.unwrap();
    seen.map(|seen| seen.referrers.iter().map(|referrer| referrer.digest.clone()).collect())
}

#[tokio::test]
async fn a_tag_is_what_was_said_last_and_when() {
    let world = World::new().await;
    let (old, new) = (world.image("hub/a", "old", &[]).await, world.image("hub/a", "new", &[]).await);
    assert_eq!(seen(&world, "x").await, None);
    let first = world.store.see_tag(behind(&name("hub/a")), &tag("x"), &old).await.unwrap();
    world.clock.advance(SignedDuration::from_secs(5));
    let second = world.store.see_tag(behind(&name("hub/a")), &tag("x"), &new).await.unwrap();
    assert_eq!(second.seen.duration_since(first.seen), SignedDuration::from_secs(5));
    let world = world.reopened().await;
    assert_eq!(world.store.seen_tag(behind(&name("hub/a")), &tag("x")).await.unwrap(), Some(second));
    assert_eq!(world.tag("hub/a", "x").await, None, "it is no tag of ours");
    world.store.forget_tag(&name("hub/a"), &tag("x")).await.unwrap();
    world.store.forget_tag(&name("hub/b"), &tag("x")).await.unwrap();
    assert_eq!(seen(&world, "x").await, None);
}

#[tokio::test]
async fn a_tag_points_to_what_is_here_or_is_not_noted() {
    let world = World::new().await;
    let elsewhere = world.image("hub/b", "elsewhere", &[]).await;
    assert!(world.store.see_tag(behind(&name("hub/a")), &tag("x"), &elsewhere).await.is_err());
    assert_eq!(seen(&world, "x").await, None);
}

#[tokio::test]
async fn tags_that_were_asked_for_are_listed_in_the_order_of_their_bytes() {
    let world = World::new().await;
    let image = world.image("hub/a", "image", &[]).await;
    for name_of_tag in ["b", "a", "B"] {
        world.store.see_tag(behind(&name("hub/a")), &tag(name_of_tag), &image).await.unwrap();
    }
    let list = async |last: Option<&str>, n| {
        let last: Option<Tag> = last.map(tag);
        let found = world.store.seen_tags(behind(&name("hub/a")), last.as_ref(), n).await.unwrap();
        found.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        (list(None, 9).await, list(None, 2).await, list(Some("B"), 9).await),
        ("B a b".into(), "B a".into(), "a b".into())
    );
    assert_eq!(world.store.seen_tags(behind(&name("hub/b")), None, 9).await.unwrap(), []);
}

#[tokio::test]
async fn referrers_are_listed_in_the_upstreams_order() {
    let world = World::new().await;
    let subject = world.image("hub/a", "subject", &[]).await;
    let (one, two) = (world.referrer("hub/a", &subject, "one").await, world.referrer("hub/a", &subject, "two").await);
    assert_eq!(attached(&world, &subject).await, None, "nobody has asked, whatever is here");
    let note = async |digests: &[Digest]| world.store.see_referrers(behind(&name("hub/a")), &subject, digests).await.unwrap();
    note(&[two.clone(), one.clone()]).await;
    assert_eq!(attached(&world, &subject).await, Some(vec![two.clone(), one.clone()]));
    note(&[]).await;
    assert_eq!(attached(&world, &subject).await, Some(vec![]));
    let other = world.referrer("hub/a", &one, "of another").await;
    note(&[other, subject.clone(), Digest::of(b"not here"), one.clone()]).await;
    let world = world.reopened().await;
    assert_eq!(attached(&world, &subject).await, Some(vec![one]), "nothing that is not here, or has another subject");
}

#[tokio::test]
async fn a_note_that_fails_is_made_again() {
    for when in [When::Before, When::After] {
        let world = World::new().await;
        let subject = world.image("hub/a", "subject", &[]).await;
        let one = world.referrer("hub/a", &subject, "one").await;
        let happened = when == When::After;
        world.store.faults().plan(&[(Step::Commit, when)]);
        assert!(world.store.see_tag(behind(&name("hub/a")), &tag("x"), &subject).await.is_err());
        assert_eq!(seen(&world, "x").await.is_some(), happened);
        world.store.see_tag(behind(&name("hub/a")), &tag("x"), &subject).await.unwrap();
        world.store.faults().plan(&[(Step::Commit, when)]);
        assert!(world.store.see_referrers(behind(&name("hub/a")), &subject, std::slice::from_ref(&one)).await.is_err());
        assert_eq!(attached(&world, &subject).await.is_some(), happened);
        world.store.see_referrers(behind(&name("hub/a")), &subject, std::slice::from_ref(&one)).await.unwrap();
        world.store.faults().plan(&[(Step::Commit, when)]);
        assert!(world.store.forget_tag(&name("hub/a"), &tag("x")).await.is_err());
        assert_eq!(seen(&world, "x").await.is_none(), happened);
        world.store.forget_tag(&name("hub/a"), &tag("x")).await.unwrap();
        assert_eq!((seen(&world, "x").await, attached(&world, &subject).await), (None, Some(vec![one])));
    }
}

/// A prefix may be given to another registry: what the one said is not the word of the other.
#[tokio::test]
async fn what_another_registry_said_counts_for_nothing() {
    let world = World::new().await;
    let (repository, subject) = (name("hub/a"), world.image("hub/a", "subject", &[]).await);
    let one = world.referrer("hub/a", &subject, "one").await;
    let other = Behind { origin: "https://other.example", ..behind(&repository) };
    world.store.see_tag(behind(&repository), &tag("x"), &subject).await.unwrap();
    world.store.see_referrers(behind(&repository), &subject, &[one]).await.unwrap();
    assert_eq!(world.store.seen_tag(other, &tag("x")).await.unwrap(), None);
    assert_eq!(world.store.seen_tags(other, None, 9).await.unwrap(), []);
    assert_eq!(world.store.seen_referrers(other, &subject).await.unwrap(), None);
    world.store.see_tag(other, &tag("x"), &subject).await.unwrap();
    world.store.see_referrers(other, &subject, &[]).await.unwrap();
    assert_eq!((seen(&world, "x").await, attached(&world, &subject).await), (None, None), "and the other way round");
}
