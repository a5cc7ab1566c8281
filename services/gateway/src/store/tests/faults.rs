//! Each write fails, before it took effect and after; then the store is whole, and the same request goes through.

use serde_json::Value;

use super::support::{World, name, put, tag};
use crate::faults::{Step, When};
use crate::store::{PutError, Store, StoreError, TagExpectation};

#[tokio::test]
async fn a_commit_that_fails_is_done_again() {
    for when in [When::Before, When::After] {
        let world = World::new().await;
        let old = world.image("a", "old", &["x"]).await;
        assert_eq!(world.tag("a", "x").await, Some(old.clone()), "in memory");
        let document = world.image_document("a", "new").await;
        world.store.faults().plan(&[(Step::Commit, when)]);
        let error = world.try_push("a", &document, &["x"]).await.unwrap_err();
        assert!(matches!(error, PutError::Store(StoreError::Failed { .. })), "{error:?}");
        let now = world.tag("a", "x").await;
        assert_eq!(now == Some(old), when == When::Before, "memory says what the database says");
        let put = world.try_push("a", &document, &["x"]).await.unwrap();
        assert_eq!((put.created, put.tags[0].unchanged), (when == When::Before, when == When::After));
        assert_eq!((world.count("tag_history").await, world.tag("a", "x").await == now), (2, when == When::After));
        let digest = put_digest(&document);
        world.store.faults().plan(&[(Step::Commit, when)]);
        assert!(world.store.delete_manifest(&name("a"), &digest, vec![], "tester").await.is_err());
        assert_eq!(world.has("a", &digest).await, when == When::Before);
        assert_eq!(world.tag("a", "x").await.is_some(), when == When::Before, "the manifest and its tag go together");
    }
}

/// Any statement in the middle of a write fails: all of it is as if it had never begun.
#[tokio::test]
async fn a_write_is_whole_or_not_at_all() {
    for (table, event) in [
        ("manifest_bytes", "INSERT"),
        ("manifest", "INSERT"),
        ("child", "INSERT"),
        ("tag_history", "INSERT"),
        ("tag", "UPDATE"),
        ("tag", "INSERT"),
    ] {
        let world = World::new().await;
        let old = world.image("a", "old", &["x"]).await;
        let before = (world.count("manifest").await, world.count("manifest_bytes").await, world.count("tag_history").await);
        let fail = format!("CREATE TRIGGER fail BEFORE {event} ON {table} BEGIN SELECT RAISE(ABORT, 'failing on purpose'); END");
        sqlx::query(sqlx::AssertSqlSafe(fail)).execute(world.store.0.database.writer()).await.unwrap();
        let document = super::support::index(&[&old]);
        assert!(world.try_push("a", &document, &["x", "new"]).await.is_err(), "{event} {table}");
        let after = (world.count("manifest").await, world.count("manifest_bytes").await, world.count("tag_history").await);
        assert_eq!(after, before, "{event} {table}");
        assert_eq!((world.tag("a", "x").await, world.tag("a", "new").await), (Some(old), None));
        world.execute("DROP TRIGGER fail").await;
        assert!(world.try_push("a", &document, &["x", "new"]).await.unwrap().created);
    }
}

#[tokio::test]
async fn a_full_disk_is_named_and_survived() {
    let world = World::new().await;
    let old = world.image("a", "old", &["x"]).await;
    let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(world.store.0.database.writer()).await.unwrap();
    let limit = sqlx::AssertSqlSafe(format!("PRAGMA max_page_count = {pages}"));
    sqlx::query(limit).execute(world.store.0.database.writer()).await.unwrap();
    let mut document = world.image_document("a", "old").await;
    document["annotations"] = serde_json::json!({ "long": "x".repeat(1 << 20) });
    let error = world.try_push("a", &document, &["x"]).await.unwrap_err();
    assert!(matches!(error, PutError::Store(StoreError::Full { .. })), "{error:?}");
    assert_eq!(world.tag("a", "x").await, Some(old));
    // The limit was one connection's, which was given up.
    assert!(world.try_push("a", &document, &["x"]).await.unwrap().created, "once there is space");
}

#[tokio::test]
async fn a_client_that_goes_away_does_not_stop_a_write() {
    let world = World::new().await;
    let document = world.image_document("a", "layer").await;
    // Something else writes, so that this one cannot get far before its client goes.
    let other = world.store.begin("testing").await.unwrap();
    let mut pushing = Box::pin(world.try_push("a", &document, &["x"]));
    assert!(futures_util::poll!(&mut pushing).is_pending());
    drop(pushing);
    drop(other);
    world.store.0.writes.close();
    world.store.0.writes.wait().await;
    assert_eq!(world.tag("a", "x").await, Some(put_digest(&document)));
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let world = World::new().await;
    let digest = world.image("a", "layer", &["x"]).await;
    let referrer = world.referrer("a", &digest, "signature").await;
    let path = world.store.0.database.path().to_owned();
    assert!(Store::open(&path, world.clock.clone()).await.is_err(), "one process at a time");
    let world = world.reopened().await;
    assert_eq!(world.tag("a", "x").await, Some(digest.clone()));
    assert_eq!(world.referrers("a", &digest).await, [referrer]);
    let mut again = put("a", &world.image_document("a", "other").await, &["x"]);
    again.expect = TagExpectation::Version(1);
    world.store.put_manifest(again).await.unwrap();
    assert_eq!(world.store.tag(&name("a"), &tag("x")).await.unwrap().unwrap().version, 2);
}

fn put_digest(document: &Value) -> oci::Digest {
    oci::Digest::of(document.to_string().as_bytes())
}
