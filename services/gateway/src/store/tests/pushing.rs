//! What is stored, and what is refused.

use oci::{Algorithm, Digest, media_type};
use serde_json::json;

use super::support::{World, descriptor, image, index, name, parse, put, tag};
use crate::blobs::Durable;
use crate::store::{NamedManifest, PutError, References, TagExpectation, TagMoved, Unlinked};

#[tokio::test]
async fn bytes_come_back_as_they_were() {
    let world = World::new().await;
    let document = world.image_document("team/app", "layer").await;
    let digest = world.push("team/app", &document, &["1.0", "latest"]).await;
    let world = world.reopened().await;
    for _ in ["from the database", "from memory"] {
        let stored = world.store.manifest(&name("team/app"), &digest).await.unwrap().unwrap();
        assert_eq!(stored.bytes, document.to_string().as_bytes());
        assert_eq!((&*stored.media_type, stored.subject.clone()), (media_type::IMAGE_MANIFEST, None));
        assert_eq!(stored.artifact_type.as_deref(), Some(media_type::EMPTY));
        let tagged = world.store.tag(&name("team/app"), &tag("latest")).await.unwrap().unwrap();
        assert_eq!((tagged.digest, tagged.version), (digest.clone(), 1));
    }
    assert!(!world.has("team/other", &digest).await, "another repository does not have it");
}

#[tokio::test]
async fn the_digest_is_the_one_that_the_client_named() {
    let world = World::new().await;
    let document = world.image_document("a", "layer").await;
    let manifest = parse(&document);
    let wide = Digest::with(Algorithm::Sha512, manifest.bytes());
    assert!(NamedManifest::named(manifest.clone(), Digest::of(b"other bytes")).is_none());
    let mut both = put("a", &document, &["wide"]);
    both.manifest = NamedManifest::named(manifest.clone(), wide.clone()).unwrap();
    world.store.put_manifest(both).await.unwrap();
    assert!(!world.has("a", manifest.digest()).await, "nobody pushed it under this digest");
    world.push("a", &document, &["narrow"]).await;
    assert_eq!(world.store.manifest(&name("a"), &wide).await.unwrap().unwrap().digest, wide);
    assert_eq!(world.store.manifest(&name("a"), manifest.digest()).await.unwrap().unwrap().digest, *manifest.digest());
    assert_eq!((world.tag("a", "wide").await, world.tag("a", "narrow").await), (Some(wide), Some(manifest.digest().clone())));
}

#[tokio::test]
async fn bytes_are_kept_once_and_shown_where_they_were_pushed() {
    let world = World::new().await;
    let digest = world.image("a", "layer", &[]).await;
    assert_eq!(world.image("b", "layer", &[]).await, digest);
    assert_eq!((world.count("manifest").await, world.count("manifest_bytes").await), (2, 1));
    assert_eq!((world.count("blob_link").await, world.count("blob").await), (4, 2));
}

#[tokio::test]
async fn pushing_again_changes_nothing() {
    let world = World::new().await;
    let subject = world.image("a", "subject", &[]).await;
    let first = world.referrer("a", &subject, "first").await;
    let second = world.referrer("a", &subject, "second").await;
    let document = world.image_document("a", "layer").await;
    let made = world.try_push("a", &document, &["x"]).await.unwrap();
    assert!(made.created && !made.tags[0].unchanged && made.tags[0].previous.is_none() && made.tags[0].version == 1);
    let again = world.try_push("a", &document, &["x"]).await.unwrap();
    assert!(!again.created && again.tags[0].unchanged && again.tags[0].version == 1);
    assert_eq!(again.tags[0].previous, Some(Digest::of(document.to_string().as_bytes())));
    assert_eq!(world.count("tag_history").await, 1);
    world.referrer("a", &subject, "first").await;
    assert_eq!(world.referrers("a", &subject).await, [first, second], "it keeps its place");
}

#[tokio::test]
async fn what_it_refers_to_must_be_in_this_repository() {
    let world = World::new().await;
    world.image("other", "layer", &[]).await;
    let config = world.blob("a", b"{}").await;
    let (layer, twice) = (Digest::of(b"layer"), descriptor("application/layer", &Digest::of(b"layer"), 5));
    let mut document = image("layer");
    document["layers"] = json!([twice, twice]);
    let Err(PutError::Missing(missing)) = world.try_push("a", &document, &["x"]).await else { panic!("stored") };
    assert_eq!(missing, [layer], "each once, and the config {config} is here");
    assert_eq!((world.tag("a", "x").await, world.count("manifest").await), (None, 1), "nothing was written");

    let (gone, blob) = (Digest::of(b"gone"), world.blob("a", b"a blob in an index").await);
    let Err(PutError::Missing(missing)) = world.try_push("a", &index(&[&gone, &blob]), &[]).await else { panic!("stored") };
    assert_eq!(missing, std::slice::from_ref(&gone));
    let mut sparse = put("a", &index(&[&gone]), &["x"]);
    sparse.references = References::Sparse;
    assert!(world.store.put_manifest(sparse).await.unwrap().created);
    assert_eq!(world.store.reached_by_tag(&name("a"), &gone).await.unwrap(), Some(tag("x")), "even before it is here");
}

#[tokio::test]
async fn what_may_be_absent() {
    let world = World::new().await;
    world.push("a", &index(&[]), &["empty"]).await;
    let mut document = world.image_document("a", "layer").await;
    document["subject"] = descriptor(media_type::IMAGE_MANIFEST, &Digest::of(b"never pushed"), 9);
    document["layers"] = json!([
        { "mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "digest": Digest::of(b"x"), "size": 1 },
        { "mediaType": "application/layer", "digest": Digest::of(b"y"), "size": 1, "urls": ["https://elsewhere.example"] },
    ]);
    let put = world.try_push("a", &document, &[]).await.unwrap();
    assert_eq!((put.created, put.referrers), (true, 1));
}

#[tokio::test]
async fn ten_thousand_references_are_looked_up_at_once() {
    let world = World::new().await;
    let digests: Vec<Digest> = (0..10_000_u32).map(|number| Digest::of(&number.to_be_bytes())).collect();
    let Err(PutError::Missing(missing)) = world.try_push("a", &index(&digests.iter().collect::<Vec<_>>()), &[]).await else {
        panic!("stored")
    };
    assert_eq!(missing.len(), 10_000);
}

#[tokio::test]
async fn a_tag_is_moved_by_compare_and_swap() {
    let world = World::new().await;
    let (one, two) = (world.image_document("a", "one").await, world.image_document("a", "two").await);
    let digest = |document: &serde_json::Value| Digest::of(document.to_string().as_bytes());
    let expecting = |document, expect| {
        let mut put = put("a", document, &["x"]);
        put.expect = expect;
        world.store.put_manifest(put)
    };
    let moved = |found: Option<Digest>| TagMoved { tag: tag("x"), found };
    let refused = |result: Result<_, PutError>| match result {
        Err(PutError::Moved(moved)) => moved,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(expecting(&one, TagExpectation::Version(1)).await), moved(None));
    assert_eq!(refused(expecting(&one, TagExpectation::Digest(digest(&one))).await), moved(None));
    assert!(!world.has("a", &digest(&one)).await, "the manifest is not stored without its tag");
    expecting(&one, TagExpectation::Absent).await.unwrap();
    assert_eq!(refused(expecting(&two, TagExpectation::Absent).await), moved(Some(digest(&one))));
    assert_eq!(refused(expecting(&two, TagExpectation::Digest(digest(&two))).await), moved(Some(digest(&one))));
    let put = expecting(&two, TagExpectation::Digest(digest(&one))).await.unwrap();
    assert_eq!((put.tags[0].version, put.tags[0].previous.clone()), (2, Some(digest(&one))));
    // There and back again is a change, for who looks at versions.
    expecting(&one, TagExpectation::Version(2)).await.unwrap();
    assert_eq!(refused(expecting(&two, TagExpectation::Version(1)).await), moved(Some(digest(&one))));
    assert_eq!(world.tag("a", "x").await, Some(digest(&one)));
}

#[tokio::test]
async fn one_tag_that_moved_keeps_all_of_them_where_they_are() {
    let world = World::new().await;
    let old = world.image("a", "old", &["second"]).await;
    let mut put = put("a", &world.image_document("a", "new").await, &["first", "second"]);
    put.expect = TagExpectation::Absent;
    assert!(matches!(world.store.put_manifest(put).await, Err(PutError::Moved(_))));
    assert_eq!((world.tag("a", "first").await, world.tag("a", "second").await), (None, Some(old)));
    assert_eq!(world.count("tag_history").await, 1);
}

#[tokio::test]
async fn of_many_who_expect_the_same_one_wins() {
    let world = World::new().await;
    let mut puts = Vec::new();
    for number in 0..16 {
        let mut put = put("a", &world.image_document("a", &number.to_string()).await, &["x"]);
        put.expect = TagExpectation::Absent;
        puts.push(world.store.put_manifest(put));
    }
    let won = futures_util::future::join_all(puts).await.into_iter().filter(Result::is_ok).count();
    assert_eq!((won, world.count("tag_history").await, world.count("manifest").await), (1, 1, 1));
}

#[tokio::test]
async fn history_is_only_added_to() {
    let world = World::new().await;
    let one = world.image("a", "one", &["x"]).await;
    let two = world.image("a", "two", &["x"]).await;
    assert!(world.store.delete_tag(&name("a"), &tag("x"), "remover").await.unwrap());
    assert!(!world.store.delete_tag(&name("a"), &tag("x"), "remover").await.unwrap(), "it is gone");
    world.image("a", "one", &["x"]).await;
    let select = "SELECT version, digest, previous, actor FROM tag_history WHERE name = 'x' ORDER BY version";
    let history: Vec<(i64, Option<String>, Option<String>, String)> =
        sqlx::query_as(select).fetch_all(world.store.readers()).await.unwrap();
    let (one, two) = (Some(one.to_string()), Some(two.to_string()));
    let expected = [
        (1, one.clone(), None, "tester"),
        (2, two.clone(), one.clone(), "tester"),
        (3, None, two, "remover"),
        (4, one, None, "tester"),
    ];
    assert_eq!(history, expected.map(|(version, digest, previous, actor)| (version, digest, previous, actor.to_owned())));
    assert_eq!(world.store.tag(&name("a"), &tag("x")).await.unwrap().unwrap().version, 4);
    for edit in ["UPDATE tag_history SET actor = 'nobody'", "DELETE FROM tag_history"] {
        let error = sqlx::query(edit).execute(world.store.0.database.writer()).await.unwrap_err();
        assert!(error.to_string().contains("append-only"), "{error}");
    }
}

#[tokio::test]
async fn blobs_are_seen_where_they_are_linked() {
    let world = World::new().await;
    let digest = world.blob("a", b"content").await;
    let size = async |repository: &str| world.store.blob_size(&name(repository), &digest).await.unwrap();
    assert_eq!((size("a").await, size("b").await), (Some(7), None));
    assert!(!world.store.mount_blob(Some(&name("c")), &name("b"), &digest).await.unwrap());
    assert!(!world.store.mount_blob(None, &name("b"), &Digest::of(b"unknown")).await.unwrap());
    assert_eq!(world.store.repositories(None, 9).await.unwrap(), [name("a")], "a mount that fails makes no repository");
    assert!(world.store.mount_blob(Some(&name("a")), &name("b"), &digest).await.unwrap());
    assert!(world.store.mount_blob(None, &name("c"), &digest).await.unwrap());
    assert_eq!((size("b").await, size("c").await), (Some(7), Some(7)));
    assert_eq!(world.store.unlink_blob(&name("a"), &digest).await.unwrap(), Unlinked::Gone);
    assert_eq!(world.store.unlink_blob(&name("a"), &digest).await.unwrap(), Unlinked::Absent);
    assert_eq!((size("a").await, size("b").await), (None, Some(7)), "the others keep it");
}

#[tokio::test]
async fn a_blob_that_is_not_on_the_disk_is_linked_nowhere() {
    let world = World::new().await;
    let mut write = world.store.begin("testing").await.unwrap();
    let repository = write.repository(&name("a")).await.unwrap();
    assert!(write.link_blob(&repository, &Digest::of(b"never stored")).await.is_err());
    drop(write);
    let durable = Durable::pretended(Digest::of(b"stored"), 6);
    world.store.link_blob(&name("a"), &durable, None).await.unwrap();
}
