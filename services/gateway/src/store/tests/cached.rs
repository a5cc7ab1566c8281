//! What is in memory never lags behind the database.

use std::sync::Arc;

use oci::Digest;

use super::support::{World, name, tag};
use crate::store::cache::{Key, Value};

#[tokio::test]
async fn a_warm_read_asks_nobody() {
    let world = World::new().await;
    let digest = world.image("a", "layer", &["x"]).await;
    let referrer = world.referrer("a", &digest, "signature").await;
    let blob = Digest::of(b"layer");
    world.tag("a", "x").await;
    assert!(world.has("a", &digest).await);
    world.referrers("a", &digest).await;
    world.store.blob_size(&name("a"), &blob).await.unwrap();
    // Without a connection no read of the database can succeed.
    world.store.0.database.readers().close().await;
    assert_eq!(world.tag("a", "x").await, Some(digest.clone()));
    assert!(world.has("a", &digest).await);
    assert_eq!(world.referrers("a", &digest).await, [referrer]);
    assert_eq!(world.store.blob_size(&name("a"), &blob).await.unwrap(), Some(5));
    assert!(world.store.tag(&name("a"), &tag("y")).await.is_err(), "this one is not in memory");
}

#[tokio::test]
async fn a_reader_that_is_overtaken_by_a_write_does_not_put_the_old_value_back() {
    let world = World::new().await;
    let (repository, x) = (name("a"), tag("x"));
    let old = world.image("a", "old", &["x"]).await;
    // A reader has read the database, and is held up before it keeps what it read.
    let ticket = world.store.0.cache.ticket(Key::tag(&repository, &x));
    let stale = world.store.read_tag(&repository, &x).await.unwrap().unwrap();
    assert_eq!(stale.digest, old);
    let new = world.image("a", "new", &["x"]).await;
    world.store.0.cache.fill(ticket, Value::Tag(stale));
    assert_eq!(world.tag("a", "x").await, Some(new));
}

#[tokio::test]
async fn a_reader_in_the_middle_of_a_write_keeps_nothing() {
    let world = World::new().await;
    let (repository, x) = (name("a"), tag("x"));
    let old = world.image("a", "old", &["x"]).await;
    let new = world.image("a", "new", &[]).await;
    assert_eq!(world.tag("a", "x").await, Some(old.clone()), "in memory");
    let mut write = world.store.begin("testing").await.unwrap();
    let row = write.repository(&repository).await.unwrap();
    let expect = crate::store::TagExpectation::Any;
    write.move_tag::<crate::store::PutError>(&row, &x, &new, &expect, "tester").await.unwrap();
    assert_eq!(world.tag("a", "x").await, Some(old), "not committed yet; and this value is not kept");
    write.commit("testing").await.unwrap();
    assert_eq!(world.tag("a", "x").await, Some(new));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn readers_and_writers_at_once_agree_in_the_end() {
    let world = Arc::new(World::new().await);
    let (one, two) = (world.image("a", "one", &["x"]).await, world.image("a", "two", &[]).await);
    let readers: Vec<_> = (0..4)
        .map(|_| {
            let (world, mut last) = (Arc::clone(&world), 0);
            tokio::spawn(async move {
                while last < 200 {
                    let version = world.store.tag(&name("a"), &tag("x")).await.unwrap().unwrap().version;
                    assert!(version >= last, "time went back from {last} to {version}");
                    last = version;
                    // A read from memory never waits: without this nobody else would get a turn.
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for round in 1..200 {
        let content = if round % 2 == 0 { "one" } else { "two" };
        assert_eq!(world.image("a", content, &["x"]).await, if round % 2 == 0 { one.clone() } else { two.clone() });
        let version = world.store.tag(&name("a"), &tag("x")).await.unwrap().unwrap().version;
        assert_eq!(version, round + 1, "who wrote reads what was written");
    }
    for reader in readers {
        reader.await.unwrap();
    }
}

#[tokio::test]
async fn a_manifest_that_the_disk_has_changed_is_not_given_out() {
    let world = World::new().await;
    let digest = world.image("a", "layer", &[]).await;
    world.execute("UPDATE manifest_bytes SET bytes = x'7b7d'").await;
    let error = world.store.manifest(&name("a"), &digest).await.unwrap_err();
    assert!(error.to_string().contains("a manifest with other bytes"), "{error}");
}
