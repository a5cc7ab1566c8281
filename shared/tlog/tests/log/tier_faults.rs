//! Each step of moving fails, before it took effect and after; the object store is gone; two do it at once. Nothing is ever lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tlog::{AppendError, Log, StoreError};

use crate::common::{World, append_all, grow, numbers, verify};
use crate::driver::{Driver, Home, Original, on_both, on_both_with_threads};
use crate::faulty::{Faults, FaultyStore, Step, When};
use crate::shelf::{Readable, Shelf};

on_both!(each_step_may_fail, an_object_store_that_is_down_keeps_only_old_entries_back);

on_both_with_threads!(two_may_move_at_once, what_is_read_while_it_is_moved_is_found);

const SIZE: u64 = 1_100;

/// A log of [`SIZE`] entries whose mover can fail.
struct Fixture {
    world: World,
    home: Home,
    shelf: Arc<Shelf>,
    faults: Faults,
    log: Log,
}

impl Fixture {
    async fn new(world: &World, original: &Original) -> Self {
        let (home, shelf, faults) = (original.copy().await, Shelf::new(), Faults::default());
        let log = open(world, &home, &shelf, &faults).await;
        Self { world: world.clone(), home, shelf, faults, log }
    }

    async fn restart(&mut self) {
        self.log.clone().close().await;
        self.log = open(&self.world, &self.home, &self.shelf, &self.faults).await;
    }

    /// Everything is there, whatever is moved of it; then the rest is moved.
    async fn check(mut self, readable: &Readable, crash: bool) {
        assert!(self.faults.spent() && self.shelf.spent());
        let moved = self.home.moved().await.unwrap();
        assert!(moved % 256 == 0 && moved <= 1_024);
        for number in 0..moved / 256 {
            let names = self.shelf.names();
            assert!(names.contains(&format!("leaves/{number:03}")) && names.contains(&format!("tile/0/{number:03}")));
        }
        if crash {
            self.restart().await;
        }
        assert_eq!(Readable::of(&self.log).await, *readable);
        assert_eq!(self.log.move_due().await.unwrap(), 1_024);
        assert_eq!(Readable::of(&self.log).await, *readable);
        grow(&self.log, SIZE..SIZE + 3).await;
        self.restart().await;
        self.world.check(&self.log, self.shelf.tiered(self.home.store(), 0).as_ref(), SIZE + 3).await;
    }
}

async fn open(world: &World, home: &Home, shelf: &Arc<Shelf>, faults: &Faults) -> Log {
    let store = Arc::new(FaultyStore { inner: home.store(), faults: faults.clone() });
    world.open(shelf.tiered(store, 0)).await.unwrap()
}

async fn template(driver: Driver) -> (World, Original, Readable) {
    let world = World::new();
    let (log, home) = driver.make(&world).await;
    grow(&log, 0..SIZE).await;
    let readable = Readable::of(&log).await;
    (world, home.original(log).await, readable)
}

async fn each_step_may_fail(driver: Driver) {
    let (world, original, readable) = template(driver).await;
    for when in [When::Before, When::After] {
        for crash in [false, true] {
            // Four bundles, and a tile with each: eight objects, each created and read back.
            for after in [0, 1, 4, 7] {
                let fixture = Fixture::new(&world, &original).await;
                fixture.shelf.fail_create(after, when);
                let error = fixture.log.move_due().await.unwrap_err();
                assert!(matches!(error, StoreError::Objects { .. }), "{error:?}");
                fixture.check(&readable, crash).await;

                let fixture = Fixture::new(&world, &original).await;
                fixture.shelf.fail_read(after, when);
                assert!(fixture.log.move_due().await.is_err());
                fixture.check(&readable, crash).await;
            }
            for step in [Step::Begin, Step::Drop, Step::Commit] {
                let fixture = Fixture::new(&world, &original).await;
                fixture.faults.plan(&[(step, when)]);
                assert!(fixture.log.move_due().await.is_err(), "{step:?} {when:?}");
                let took_effect = (step, when) == (Step::Commit, When::After);
                assert_eq!(fixture.home.moved().await.unwrap(), if took_effect { 256 } else { 0 });
                fixture.check(&readable, crash).await;
            }
        }
    }
}

async fn an_object_store_that_is_down_keeps_only_old_entries_back(driver: Driver) {
    let (world, original, readable) = template(driver).await;
    let mut fixture = Fixture::new(&world, &original).await;
    assert_eq!(fixture.log.move_due().await.unwrap(), 1_024);
    grow(&fixture.log, SIZE..SIZE + 500).await;
    fixture.shelf.set_down(true);
    for restart in [false, true] {
        if restart {
            // Old entries are no reason not to start.
            fixture.restart().await;
        }
        let log = &fixture.log;
        assert!(matches!(log.entries(1_000..1_030).await, Err(StoreError::Objects { .. })));
        assert_eq!(log.entries(1_024..1_600).await.unwrap().len(), 576);
        assert!(
            log.tile(0, 0, 256).await.is_ok() && log.tile(1, 0, 5).await.is_ok() && log.inclusion_proof(7, 1_500).await.is_ok()
        );
        assert!(log.move_due().await.is_err());
        let next = log.checkpoint().size;
        grow(log, next..next + 10).await;
        // A duplicate is found; what it is a duplicate of cannot be shown now.
        let answer = append_all(log, numbers(7..8)).await.remove(0);
        assert!(matches!(&answer, Err(AppendError::Store(_))), "{answer:?}");
        verify(append_all(log, numbers(1_200..1_201)).await.remove(0).as_ref().unwrap());
    }
    fixture.shelf.set_down(false);
    let again = append_all(&fixture.log, numbers(7..8)).await.remove(0).unwrap();
    verify(&again);
    assert!(again.duplicate && again.index == 7);
    assert_eq!(fixture.log.move_due().await.unwrap(), 1_536);
    drop(readable);
    fixture.world.check(&fixture.log, fixture.shelf.tiered(fixture.home.store(), 0).as_ref(), SIZE + 520).await;
}

async fn two_may_move_at_once(driver: Driver) {
    let (world, home, shelf) = (World::new(), driver.home().await, Shelf::new());
    let one = world.create(shelf.tiered(home.store(), 0)).await;
    grow(&one, 0..2_000).await;
    let readable = Readable::of(&one).await;
    let second = home.second().await;
    let two = world.open(shelf.tiered(second.store(), 0)).await.unwrap();
    let (first, other) = tokio::join!(tokio::spawn(move_all(one.clone())), tokio::spawn(move_all(two.clone())));
    assert_eq!((first.unwrap(), other.unwrap()), (1_792, 1_792));
    assert_eq!(Readable::of(&one).await, readable);
    assert_eq!(Readable::of(&two).await, readable);
    grow(&two, 2_000..2_010).await;
    world.check(&two, shelf.tiered(home.store(), 0).as_ref(), 2_010).await;
}

async fn move_all(log: Log) -> u64 {
    log.move_due().await.unwrap()
}

async fn what_is_read_while_it_is_moved_is_found(driver: Driver) {
    let (world, home, shelf) = (World::new(), driver.home().await, Shelf::new());
    let log = world.create(shelf.tiered(home.store(), 0)).await;
    grow(&log, 0..3_000).await;
    let done = Arc::new(AtomicBool::new(false));
    let readers: Vec<_> = (0..4_u64)
        .map(|reader| {
            let (log, done) = (log.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                let mut from = reader * 700;
                loop {
                    let last = done.load(Ordering::SeqCst);
                    let entries = log.entries(from..from + 300).await.unwrap();
                    assert!(entries.iter().map(|entry| entry.index).eq(from..3_000.min(from + 300)));
                    assert_eq!(log.tile(0, from / 256, 1).await.unwrap().unwrap().len(), 32);
                    log.inclusion_proof(from, 3_000).await.unwrap();
                    from = (from + 211) % 2_900;
                    if last {
                        return;
                    }
                }
            })
        })
        .collect();
    assert_eq!(log.move_due().await.unwrap(), 2_816);
    done.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.await.unwrap();
    }
}
