//! Appends: what is answered, what is a duplicate, what is refused.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::common::{Entry, Plain, World, append_all, at, grow, numbers, verify};
use crate::driver::{Driver, on_both};
use jiff::SignedDuration;
use merkle::{EMPTY_ROOT, leaf_hash};
use tlog::{AppendError, Leaf, Limits, Log, ReadError, Submission};

on_both!(
    the_empty_log_has_a_signed_head_and_nothing_to_prove,
    entries_are_answered_with_index_time_leaf_and_proof,
    many_at_once_each_get_an_index_of_their_own,
    a_duplicate_is_answered_with_the_first_now_and_after_a_restart,
    fifty_twins_at_once_are_logged_once,
    leaf_hashes_are_found_whether_or_not_they_are_the_dedup_key,
    time_stands_still_for_a_small_step_back_and_appends_stop_for_a_large_one,
    a_head_can_be_signed_anew,
    a_frozen_log_refuses_appends_for_ever,
    what_waits_when_a_log_is_frozen_is_in_its_last_head,
    too_much_is_refused_before_it_costs_anything,
    closing_finishes_what_waits_and_takes_no_more,
    a_face_that_panics_stops_the_log_and_keeps_nobody_waiting,
);

async fn the_empty_log_has_a_signed_head_and_nothing_to_prove(driver: Driver) {
    let world = World::new();
    let (log, store) = driver.make(&world).await;
    let head = log.checkpoint();
    assert_eq!((head.size, head.root), (0, EMPTY_ROOT));
    assert_eq!(world.signer.verify(&head.note).unwrap().size, 0);
    assert!(matches!(log.inclusion_proof(0, 0).await, Err(ReadError::OutOfRange(_))));
    assert!(matches!(log.inclusion_proof(0, 1).await, Err(ReadError::Beyond { asked: 1, published: 0 })));
    assert_eq!(log.consistency_proof(0, 0).await.unwrap(), []);
    assert_eq!(log.tile(0, 0, 1).await.unwrap(), None);
    assert_eq!(log.entries(0..10).await.unwrap(), []);
    assert_eq!(log.index_of(&EMPTY_ROOT).await.unwrap(), None);
    world.check(&log, &*store, 0).await;
    log.close().await;
    let log = world.open(store.store()).await.unwrap();
    assert_eq!(log.checkpoint(), head);
    grow(&log, 0..1).await;
    world.check(&log, &*store, 1).await;
}

async fn entries_are_answered_with_index_time_leaf_and_proof(driver: Driver) {
    let world = World::new();
    let (log, store) = driver.make(&world).await;
    for n in 0..5 {
        world.clock.advance(SignedDuration::from_micros(1_700));
        let appended = log.append(Arc::new(Entry(format!("entry {n}")))).await.unwrap();
        verify(&appended);
        assert_eq!((appended.index, appended.duplicate, appended.head.size), (n, false, n + 1));
        assert_eq!(appended.time.subsec_nanosecond() % 1_000_000, 0, "times are whole milliseconds");
        assert_eq!((appended.time, &appended.leaf), (appended.head.time, &Entry(format!("entry {n}")).leaf(n, appended.time)));
        let stored = log.entries(n..n + 1).await.unwrap().remove(0);
        assert_eq!(
            (stored.index, stored.time, stored.data, stored.extra),
            (n, appended.time, appended.leaf.data, appended.leaf.extra)
        );
    }
    world.check(&log, &*store, 5).await;
}

async fn many_at_once_each_get_an_index_of_their_own(driver: Driver) {
    let world = World::new();
    let (log, store) = driver.make(&world).await;
    let answers = append_all(&log, numbers(0..3_000)).await;
    let mut indexes = HashSet::new();
    for (n, answer) in answers.iter().enumerate() {
        let appended = answer.as_ref().unwrap();
        verify(appended);
        assert!(!appended.duplicate && indexes.insert(appended.index));
        assert!(appended.leaf.data.ends_with(format!(" {n}").as_bytes()));
        assert_eq!(log.index_of(&leaf_hash(&appended.leaf.data)).await.unwrap(), Some(appended.index));
    }
    assert_eq!(indexes.len(), 3_000);
    world.check(&log, &*store, 3_000).await;
}

async fn a_duplicate_is_answered_with_the_first_now_and_after_a_restart(driver: Driver) {
    let world = World::new();
    let (log, store) = driver.make(&world).await;
    grow(&log, 0..300).await;
    let first = log.append(Arc::new(Entry("once".into()))).await.unwrap();
    world.clock.advance(SignedDuration::from_secs(5));
    grow(&log, 300..600).await;
    log.clone().close().await;
    let reopened = world.open(store.store()).await.unwrap();
    let again = reopened.append(Arc::new(Entry("once".into()))).await.unwrap();
    verify(&again);
    assert_eq!((again.index, again.time, &again.leaf, again.duplicate), (first.index, first.time, &first.leaf, true));
    assert_eq!(again.head.size, 601, "the proof is against the newest head");
    world.check(&reopened, &*store, 601).await;
}

async fn fifty_twins_at_once_are_logged_once(driver: Driver) {
    let world = World::new();
    let (log, store) = driver.make(&world).await;
    for round in 0..20 {
        let twins = (0..50).map(|_| Entry(format!("twin {round}")));
        let others = (0..10).map(|n| Entry(format!("other {round} {n}")));
        let answers = append_all(&log, twins.chain(others)).await;
        let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
        answers.iter().for_each(verify);
        let (twins, others) = answers.split_at(50);
        assert!(twins.iter().all(|twin| (twin.index, twin.time, &twin.leaf) == (twins[0].index, twins[0].time, &twins[0].leaf)));
        assert_eq!(twins.iter().filter(|twin| !twin.duplicate).count(), 1);
        assert!(others.iter().all(|other| !other.duplicate));
    }
    world.check(&log, &*store, 20 * 11).await;
}

async fn leaf_hashes_are_found_whether_or_not_they_are_the_dedup_key(driver: Driver) {
    let world = World::new();
    let (log, _store) = driver.make(&world).await;
    let plain = log.append(Arc::new(Plain("plain".into()))).await.unwrap();
    let other = log.append(Arc::new(Entry("other".into()))).await.unwrap();
    assert_eq!(log.index_of(&leaf_hash(b"plain")).await.unwrap(), Some(plain.index));
    assert_eq!(log.index_of(&leaf_hash(&other.leaf.data)).await.unwrap(), Some(other.index));
    assert_eq!(log.index_of(&Entry("other".into()).dedup_key()).await.unwrap(), None, "a dedup key is no leaf hash");
}

async fn time_stands_still_for_a_small_step_back_and_appends_stop_for_a_large_one(driver: Driver) {
    let world = World::new();
    let (log, store) = driver.make(&world).await;
    world.clock.set(at(10_000_000_000_000));
    let append = |name: &str| log.append(Arc::new(Entry(name.to_owned())));
    let first = append("first").await.unwrap();
    assert_eq!(first.time, at(10_000_000_000_000));

    world.clock.set(at(10_000_000_000_000 - 999));
    let same = append("a little back").await.unwrap();
    assert_eq!(same.time, first.time);

    world.clock.set(at(10_000_000_000_000 - 1_000));
    let error = append("far back").await.unwrap_err();
    assert!(matches!(error, AppendError::ClockStepped(stepped) if stepped.last == first.time), "{error}");
    assert!(matches!(log.refresh().await, Err(AppendError::ClockStepped(_))));
    assert!(append("first").await.unwrap().duplicate, "what is there needs no time");
    world.check(&log, &*store, 2).await;

    log.clone().close().await;
    let log = world.open(store.store()).await.unwrap();
    let refused = log.append(Arc::new(Entry("after a restart".into()))).await.unwrap_err();
    assert_eq!(refused.code(), "clock_stepped", "a restart does not make time go back");
    world.clock.set(at(10_000_000_000_001));
    assert_eq!(log.append(Arc::new(Entry("later".into()))).await.unwrap().time, at(10_000_000_000_001));
    world.check(&log, &*store, 3).await;
}

async fn a_head_can_be_signed_anew(driver: Driver) {
    let world = World::new();
    let (log, store) = driver.make(&world).await;
    grow(&log, 0..3).await;
    let old = log.checkpoint();
    world.clock.advance(SignedDuration::from_hours(1));
    let new = log.refresh().await.unwrap();
    assert_eq!((new.size, new.root), (old.size, old.root));
    assert_eq!(new.time.duration_since(old.time), SignedDuration::from_hours(1));
    assert_eq!(log.checkpoint(), new);
    world.check(&log, &*store, 3).await;
    world.clock.advance(SignedDuration::from_secs(-7_200));
    assert_eq!(log.refresh().await.unwrap_err().code(), "clock_stepped");
    assert_eq!(log.checkpoint(), new);
}

async fn a_frozen_log_refuses_appends_for_ever(driver: Driver) {
    let world = World::new();
    let (log, store) = driver.make(&world).await;
    grow(&log, 0..3).await;
    world.clock.advance(SignedDuration::from_secs(1));
    let (last, again) = (log.freeze().await.unwrap(), log.freeze().await.unwrap());
    assert!(last.last && last.note.contains("\nLog frozen \u{2014} "), "{}", last.note);
    assert_eq!((&again, &log.checkpoint()), (&last, &last), "there is one last head");
    for entry in ["new", "0"] {
        assert!(matches!(log.append(Arc::new(Entry(entry.into()))).await, Err(AppendError::Frozen)));
    }
    assert!(matches!(log.refresh().await, Err(AppendError::Frozen)));
    assert_eq!(log.inclusion_proof(0, 3).await.unwrap().len(), 2);
    log.clone().close().await;
    let log = world.open(store.store()).await.unwrap();
    assert_eq!((log.checkpoint(), log.freeze().await.unwrap()), (last.clone(), last));
    assert!(matches!(log.append(Arc::new(Entry("new".into()))).await, Err(AppendError::Frozen)));
    world.check(&log, &*store, 3).await;
}

async fn what_waits_when_a_log_is_frozen_is_in_its_last_head(driver: Driver) {
    let world = World::new();
    let (log, store) = driver.make(&world).await;
    let (appended, last) = tokio::join!(log.append(Arc::new(Entry("0".into()))), log.freeze());
    let (appended, last) = (appended.unwrap(), last.unwrap());
    assert_eq!((appended.index, last.size, last.last), (0, 1, true));
    world.check(&log, &*store, 1).await;
}

async fn too_much_is_refused_before_it_costs_anything(driver: Driver) {
    let world = World::new();
    let (log, store) = driver.make(&world).await;
    log.close().await;
    let limits = Limits { queue_entries: 3, queue_bytes: 202, entry_bytes: 100, ..Limits::default() };
    let open = || Log::open_with(store.store(), world.signer.clone(), world.clock.clone(), None, limits.clone());
    let log = open().await.unwrap();

    let large = log.append(Arc::new(Plain("x".repeat(101)))).await.unwrap_err();
    assert!(matches!(large, AppendError::TooLarge { length: 101, limit: 100 }), "{large}");
    assert!(log.append(Arc::new(Plain("x".repeat(100)))).await.is_ok());

    // The test's runtime has one thread: nothing is written before this task waits.
    let many: Vec<_> = (0..5).map(|n| log.append(Arc::new(Plain(n.to_string())))).collect();
    let answers = join(many).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 3);
    let overloaded = answers.iter().find_map(|answer| answer.as_ref().err()).unwrap();
    assert!(matches!(overloaded, AppendError::Overloaded { retry_after } if *retry_after >= Duration::from_secs(1)));

    let heavy: Vec<_> = (0..3).map(|n| log.append(Arc::new(Plain(n.to_string().repeat(90))))).collect();
    let answers = join(heavy).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 2, "by bytes: leaf and search key of two are 202");
    world.check(&log, &*store, 6).await;
}

async fn closing_finishes_what_waits_and_takes_no_more(driver: Driver) {
    let world = World::new();
    let (log, store) = driver.make(&world).await;
    let waiting: Vec<_> = (0..2_000).map(|n| log.append(Arc::new(Entry(n.to_string())))).collect();
    let (answers, ()) = tokio::join!(join(waiting), log.clone().close());
    assert!(answers.iter().all(Result::is_ok));
    assert!(matches!(log.append(Arc::new(Entry("late".into()))).await, Err(AppendError::Closed)));
    assert!(matches!(log.refresh().await, Err(AppendError::Closed)));
    world.check(&log, &*store, 2_000).await;
}

async fn a_face_that_panics_stops_the_log_and_keeps_nobody_waiting(driver: Driver) {
    struct Broken;
    impl Submission for Broken {
        fn dedup_key(&self) -> merkle::Hash {
            EMPTY_ROOT
        }
        fn leaf(&self, index: u64, _time: jiff::Timestamp) -> Leaf {
            assert_eq!(index, 0, "a face that fails");
            Leaf { data: vec![], extra: vec![] }
        }
    }
    let world = World::new();
    let (log, store) = driver.make(&world).await;
    grow(&log, 0..2).await;
    assert!(matches!(log.append(Arc::new(Broken)).await, Err(AppendError::Closed)));
    assert!(matches!(log.append(Arc::new(Entry("next".into()))).await, Err(AppendError::Closed)));
    drop(log);
    let log = world.open(store.store()).await.unwrap();
    grow(&log, 2..4).await;
    world.check(&log, &*store, 4).await;
}

/// Polls all in order until all are done.
async fn join<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(|future| (Box::pin(future), None)).collect();
    std::future::poll_fn(|context| {
        for (future, done) in &mut futures {
            if done.is_none()
                && let std::task::Poll::Ready(output) = future.as_mut().poll(context)
            {
                *done = Some(output);
            }
        }
        if futures.iter().all(|(_, done)| done.is_some()) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
    futures.into_iter().filter_map(|(_, done)| done).collect()
}
