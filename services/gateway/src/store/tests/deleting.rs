//! What goes with what.

use oci::{Algorithm, Digest};

use super::support::{World, index, name, tag};
use crate::store::Unlinked;

#[tokio::test]
async fn a_tag_goes_alone() {
    let world = World::new().await;
    let digest = world.image("a", "layer", &["x", "y"]).await;
    assert_eq!(world.tag("a", "x").await, Some(digest.clone()), "in memory now");
    assert!(world.store.delete_tag(&name("a"), &tag("x"), "tester").await.unwrap());
    assert_eq!((world.tag("a", "x").await, world.tag("a", "y").await), (None, Some(digest.clone())));
    assert!(world.has("a", &digest).await);
    assert!(!world.store.delete_tag(&name("nowhere"), &tag("x"), "tester").await.unwrap());
}

#[tokio::test]
async fn a_manifest_goes_with_its_tags_at_once() {
    let world = World::new().await;
    let digest = world.image("a", "layer", &["x", "y"]).await;
    let other = world.image("a", "other", &["z"]).await;
    world.image("b", "layer", &["x"]).await;
    for name in ["x", "y", "z"] {
        assert!(world.tag("a", name).await.is_some(), "in memory now");
    }
    assert!(world.has("a", &digest).await);
    assert!(world.store.delete_manifest(&name("a"), &digest, vec![], "tester").await.unwrap());
    assert!(!world.store.delete_manifest(&name("a"), &digest, vec![], "tester").await.unwrap());
    assert_eq!((world.tag("a", "x").await, world.tag("a", "y").await), (None, None));
    assert_eq!(world.tag("a", "z").await, Some(other));
    assert!(!world.has("a", &digest).await);
    assert!(world.has("b", &digest).await, "the other repository keeps it, bytes and all");
    assert_eq!(world.tag("b", "x").await, Some(digest.clone()));
    assert!(world.store.delete_manifest(&name("b"), &digest, vec![], "tester").await.unwrap());
    assert_eq!(world.count("manifest_bytes").await, 1, "bytes that nobody has are not kept");
    world.image("a", "layer", &["x"]).await;
    assert_eq!(world.tag("a", "x").await, Some(digest), "and it may come back");
}

#[tokio::test]
async fn an_index_goes_without_its_members() {
    let world = World::new().await;
    let member = world.image("a", "layer", &[]).await;
    let parent = world.push("a", &index(&[&member]), &["x"]).await;
    assert!(world.store.delete_manifest(&name("a"), &member, vec![], "tester").await.unwrap(), "an index may be left broken");
    assert!(world.store.delete_manifest(&name("a"), &parent, vec![], "tester").await.unwrap());
    assert_eq!((world.count("child").await, world.count("manifest").await), (0, 0));
}

#[tokio::test]
async fn where_nothing_is_nothing_is_deleted() {
    let world = World::new().await;
    let digest = world.image("a", "layer", &[]).await;
    assert!(!world.store.delete_manifest(&name("nowhere"), &digest, vec![], "tester").await.unwrap());
    assert_eq!(world.store.unlink_blob(&name("nowhere"), &digest).await.unwrap(), Unlinked::Absent);
    assert_eq!(world.store.repositories(None, 9).await.unwrap(), [name("a")], "asking makes no repository");
}

/// Which manifest it is, so that whoever cleans up knows what to begin with.
#[tokio::test]
async fn a_blob_goes_after_the_manifests_that_name_it() {
    let world = World::new().await;
    let image = world.image("a", "layer", &["x"]).await;
    world.image("b", "other", &["x"]).await;
    let free = world.blob("a", b"nobody names it").await;
    let unlink =
        async |repository: &str, content: &[u8]| world.store.unlink_blob(&name(repository), &Digest::of(content)).await.unwrap();
    assert_eq!(unlink("a", b"layer").await, Unlinked::Needed(image.clone()));
    assert_eq!(unlink("a", b"{}").await, Unlinked::Needed(image.clone()), "its configuration, too");
    assert_eq!(world.store.unlink_blob(&name("a"), &free).await.unwrap(), Unlinked::Gone);
    let same = Digest::with(Algorithm::Sha512, b"layer");
    assert_eq!(world.store.unlink_blob(&name("a"), &same).await.unwrap(), Unlinked::Absent, "another name for it is not here");
    // What another repository needs is no reason.
    world.blob("a", b"other").await;
    assert_eq!(unlink("a", b"other").await, Unlinked::Gone);
    assert!(world.store.delete_manifest(&name("a"), &image, vec![], "tester").await.unwrap());
    assert_eq!((unlink("a", b"layer").await, unlink("a", b"layer").await), (Unlinked::Gone, Unlinked::Absent));
}
