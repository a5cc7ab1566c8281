//! What must hold is decided in the write itself.

use oci::Digest;

use super::support::{World, index, name, put, tag};
use crate::store::{Condition, DeleteError, PutError, Unmet};

#[tokio::test]
async fn what_a_tag_reaches_is_not_deleted() {
    let world = World::new().await;
    let member = world.image("a", "layer", &[]).await;
    let parent = world.push("a", &index(&[&member]), &["x"]).await;
    for digest in [&member, &parent] {
        let conditions = vec![Condition::Unreached(digest.clone())];
        let refused = world.store.delete_manifest(&name("a"), digest, conditions.clone(), "tester").await.unwrap_err();
        let DeleteError::Unmet(unmet) = refused else { panic!("{refused:?}") };
        assert_eq!(unmet, Unmet { condition: conditions[0].clone(), tag: Some(tag("x")) });
        assert_eq!(unmet.to_string(), format!("tag x reaches {digest}"));
        assert!(world.has("a", digest).await);
    }
    world.store.delete_tag(&name("a"), &tag("x"), "tester").await.unwrap();
    assert!(
        world.store.delete_manifest(&name("a"), &member, vec![Condition::Unreached(member.clone())], "tester").await.unwrap()
    );
}

/// A signature is as much a part of what was tagged as a platform is: without it the rest proves nothing any more.
#[tokio::test]
async fn what_is_attached_to_what_a_tag_reaches_is_not_deleted() {
    let world = World::new().await;
    let member = world.image("a", "layer", &[]).await;
    let signature = world.referrer("a", &member, "signature").await;
    let of_it = world.referrer("a", &signature, "signature of the signature").await;
    let alone = world.referrer("a", &Digest::of(b"nowhere"), "of something that is not here").await;
    world.push("a", &index(&[&member]), &["x"]).await;
    for digest in [&signature, &of_it] {
        let conditions = vec![Condition::Unreached(digest.clone())];
        let refused = world.store.delete_manifest(&name("a"), digest, conditions, "tester").await.unwrap_err();
        assert!(matches!(refused, DeleteError::Unmet(Unmet { tag: Some(found), .. }) if found == tag("x")));
    }
    let conditions = vec![Condition::Unreached(alone.clone())];
    assert!(world.store.delete_manifest(&name("a"), &alone, conditions, "tester").await.unwrap());
}

#[tokio::test]
async fn what_must_be_attached() {
    let world = World::new().await;
    let subject = world.image("a", "layer", &[]).await;
    let (signature, plain) = (world.referrer("a", &subject, "one").await, world.image("a", "plain", &[]).await);
    let elsewhere = world.referrer("b", &subject, "two").await;
    let attached = |digest: &Digest, to: Option<&Digest>| Condition::Attached { digest: digest.clone(), to: to.cloned() };
    let holds = async |condition: Condition| {
        let mut put = put("a", &index(&[]), &[]);
        put.conditions = vec![condition];
        match world.store.put_manifest(put).await {
            Ok(_) => true,
            Err(PutError::Unmet(_)) => false,
            Err(error) => panic!("{error}"),
        }
    };
    assert!(holds(attached(&signature, None)).await && holds(attached(&signature, Some(&subject))).await);
    for digest in [&plain, &elsewhere, &Digest::of(b"nowhere")] {
        assert!(!holds(attached(digest, None)).await, "{digest}");
    }
    assert!(!holds(attached(&signature, Some(&plain))).await);
}

#[tokio::test]
async fn a_tag_that_comes_between_question_and_deletion_is_seen() {
    let world = World::new().await;
    let digest = world.image("a", "layer", &[]).await;
    assert_eq!(world.store.reached_by_tag(&name("a"), &digest).await.unwrap(), None, "asked");
    // A write is under way that tags it; the deletion comes meanwhile, and waits for it.
    let mut write = world.store.begin("testing").await.unwrap();
    let (of, condition) = (name("a"), Condition::Unreached(digest.clone()));
    let deletion = world.store.delete_manifest(&of, &digest, vec![condition], "tester");
    let mut deletion = std::pin::pin!(deletion);
    assert!(futures_util::poll!(&mut deletion).is_pending());
    let repository = write.repository(&name("a")).await.unwrap();
    let expect = crate::store::TagExpectation::Any;
    write.move_tag::<PutError>(&repository, &tag("x"), &digest, &expect, "tester").await.unwrap();
    write.commit("testing").await.unwrap();
    assert!(matches!(deletion.await, Err(DeleteError::Unmet(_))));
    assert_eq!(world.tag("a", "x").await.as_ref(), Some(&digest));
}

#[tokio::test]
async fn what_must_be_there() {
    let world = World::new().await;
    let here = world.image("a", "layer", &[]).await;
    let elsewhere = world.image("b", "elsewhere", &[]).await;
    let mut put = put("a", &index(&[&here]), &["sha256-0.sig"]);
    put.conditions = vec![Condition::Present(here.clone()), Condition::Present(elsewhere.clone())];
    let refused = world.store.put_manifest(put.clone()).await.unwrap_err();
    let PutError::Unmet(unmet) = refused else { panic!("{refused:?}") };
    assert_eq!(unmet, Unmet { condition: Condition::Present(elsewhere), tag: None });
    assert_eq!(world.tag("a", "sha256-0.sig").await, None);
    put.conditions.pop();
    world.store.put_manifest(put).await.unwrap();
}

#[tokio::test]
async fn no_more_referrers_than_verifiers_can_bear() {
    let world = World::new().await;
    let subject = Digest::of(b"subject");
    let first = world.referrer("a", &subject, "first").await;
    // As many as there may be, by hand.
    let many = "WITH RECURSIVE n (i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) \
        INSERT INTO manifest_bytes SELECT 'sha256:' || printf('%064d', i), x'' FROM n";
    world.execute(many).await;
    let many = "INSERT INTO manifest (repository, digest, media_type, subject, pushed, actor, descriptor) \
        SELECT m.repository, b.digest, '', m.subject, 0, '', '' FROM manifest_bytes b, manifest m WHERE b.digest <> m.digest";
    world.execute(many).await;
    let mut document = world.image_document("a", "one more").await;
    document["subject"] = super::support::descriptor("x", &subject, 1);
    let refused = world.try_push("a", &document, &[]).await.unwrap_err();
    assert!(matches!(refused, PutError::TooManyReferrers { limit: 20_000, .. }), "{refused:?}");
    assert_eq!(world.count("manifest").await, 20_000);
    assert_eq!(world.referrer("a", &subject, "first").await, first, "one that is there may be pushed again");
}
