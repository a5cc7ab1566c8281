//! Two writers on one log never fork it, whoever they are.

use std::sync::Arc;

use crate::common::{Entry, World, append_all, grow, numbers, verify};
use crate::driver::{Driver, on_both, on_both_with_threads, sqlite};
use merkle::verify_consistency;
use tlog::sqlite::{DatabaseError, SqliteStore};
use tlog::{AppendError, Log, Store};

on_both!(
    a_store_that_goes_back_under_a_running_log_is_not_written_to,
    an_older_head_of_the_same_tree_is_not_gone_back_to,
    a_log_that_was_frozen_elsewhere_is_frozen_here,
);
on_both_with_threads!(two_logs_on_one_store, two_processes_on_one_database);

/// Both write at once, the same and other entries; then everything both ever said must be true of one tree.
async fn race(world: &World, one: (&Log, &dyn Store), two: (&Log, &dyn Store)) {
    let mut heads = Vec::new();
    for round in 0..10_u64 {
        let base = round * 100;
        let (a, b) = tokio::join!(append_all(one.0, numbers(base..base + 60)), append_all(two.0, numbers(base + 40..base + 100)));
        for appended in a.into_iter().chain(b).map(Result::unwrap) {
            verify(&appended);
            heads.push(appended.head);
        }
    }
    let last = append_all(one.0, [Entry("last".into())]).await.remove(0).unwrap();
    assert_eq!(last.head.size, 1_001, "each entry once");
    for head in heads {
        let proof = one.0.consistency_proof(head.size, last.head.size).await.unwrap();
        verify_consistency(head.size, last.head.size, &proof, &head.root, &last.head.root).unwrap();
    }
    let again = two.0.append(Arc::new(Entry("last".into()))).await.unwrap();
    assert_eq!((again.index, again.duplicate, &again.head), (last.index, true, &last.head));
    world.check(one.0, one.1, 1_001).await;
    world.check(two.0, two.1, 1_001).await;
}

async fn two_logs_on_one_store(driver: Driver) {
    let world = World::new();
    let (one, store) = driver.make(&world).await;
    let two = world.open(store.store()).await.unwrap();
    race(&world, (&one, &*store), (&two, &*store)).await;
}

/// Two replicas; on SQLite two processes that got around the lock.
async fn two_processes_on_one_database(driver: Driver) {
    let world = World::new();
    let (one, store) = driver.make(&world).await;
    let second = store.second().await;
    let two = world.open(second.store()).await.unwrap();
    race(&world, (&one, &*store), (&two, &*second)).await;
}

#[tokio::test]
async fn a_second_process_is_refused() {
    let (world, folder) = (World::new(), tempfile::tempdir().unwrap());
    let (log, store) = sqlite(&world, folder.path()).await;
    let path = folder.path().join("log.db");
    assert!(matches!(SqliteStore::open(&path, "test").await, Err(DatabaseError::InUse { .. })));
    log.close().await;
    drop(store);
    world.open(Arc::new(SqliteStore::open(&path, "test").await.unwrap())).await.unwrap();
}

async fn a_store_that_goes_back_under_a_running_log_is_not_written_to(driver: Driver) {
    let world = World::new();
    let (log, store) = driver.make(&world).await;
    grow(&log, 0..10).await;
    let old = store.state().await.unwrap().unwrap();
    grow(&log, 10..20).await;
    store.tamper("DELETE FROM entry WHERE idx >= 10").await;
    let mut transaction = store.begin().await.unwrap();
    transaction.update(&old).await.unwrap();
    transaction.commit().await.unwrap();

    for entry in ["15", "new"] {
        let error = log.append(Arc::new(Entry(entry.into()))).await.unwrap_err();
        assert!(matches!(error, AppendError::Store(_)), "{error}");
    }
    assert_eq!(log.checkpoint().size, 20, "what was published stays published");
    assert_eq!(store.state().await.unwrap().unwrap(), old, "nothing is built upon it");
    log.close().await;
    let published = world.signer.verify(&world.open(store.store()).await.unwrap().checkpoint().note).unwrap();
    assert_eq!(published.size, 10, "only a head kept elsewhere can tell after a restart");
}

async fn an_older_head_of_the_same_tree_is_not_gone_back_to(driver: Driver) {
    let world = World::new();
    let (log, store) = driver.make(&world).await;
    grow(&log, 0..10).await;
    let old = store.state().await.unwrap().unwrap();
    world.clock.advance(jiff::SignedDuration::from_hours(1));
    let published = log.refresh().await.unwrap();
    let mut transaction = store.begin().await.unwrap();
    transaction.update(&old).await.unwrap();
    transaction.commit().await.unwrap();
    world.clock.set(old.time);
    let error = log.append(Arc::new(Entry("new".into()))).await.unwrap_err();
    assert!(matches!(error, AppendError::Store(_)), "{error}");
    assert_eq!(log.checkpoint(), published, "times that were published never go back");
}

async fn a_log_that_was_frozen_elsewhere_is_frozen_here(driver: Driver) {
    let world = World::new();
    let (one, store) = driver.make(&world).await;
    let two = world.open(store.store()).await.unwrap();
    grow(&one, 0..3).await;
    let last = two.freeze().await.unwrap();
    assert!(matches!(one.append(Arc::new(Entry("new".into()))).await, Err(AppendError::Frozen)));
    assert!(matches!(two.append(Arc::new(Entry("new".into()))).await, Err(AppendError::Frozen)));
    assert_eq!((one.checkpoint(), one.freeze().await.unwrap()), (last.clone(), last));
    world.check(&one, &*store, 3).await;
    world.check(&two, &*store, 3).await;
}
