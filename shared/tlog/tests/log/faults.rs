//! Each write of a batch fails, before it took effect and after; then the log is whole, and goes on.

use std::collections::HashMap;
use std::sync::Arc;

use crate::common::{Entry, World, append_all, at, grow, numbers, verify};
use crate::driver::{Driver, Home, Original, on_both};
use crate::faulty::{Faults, FaultyStore, STEPS, Step, When};
use async_trait::async_trait;
use clock::ManualClock;
use jiff::{SignedDuration, Timestamp};
use keys::SignError;
use merkle::{Hash, verify_consistency};
use note::Checkpoint;
use proptest::prelude::*;
use tlog::{AppendError, Appended, HeadError, Log, SignedTreeHead, TreeHead, TreeHeadSigner};

on_both!(
    each_step_of_a_batch_may_fail,
    each_step_of_freezing_may_fail,
    a_commit_of_unknown_outcome_is_found_out_by_the_next_batch,
    whole_batches_fail_and_are_sent_again,
);

/// Fails before, or signs another tree "after".
struct FaultySigner {
    inner: Arc<dyn TreeHeadSigner>,
    faults: Faults,
}

#[async_trait]
impl TreeHeadSigner for FaultySigner {
    fn origin(&self) -> &str {
        self.inner.origin()
    }
    fn key_id(&self) -> Hash {
        self.inner.key_id()
    }
    async fn sign(&self, head: &TreeHead) -> Result<String, SignError> {
        if self.faults.hits(Step::Sign, When::Before) {
            return Err(SignError { fingerprint: "0123456789ab".into(), source: "failing on purpose".into() });
        }
        if self.faults.hits(Step::Sign, When::After) {
            return self.inner.sign(&TreeHead { size: head.size + 1, ..head.clone() }).await;
        }
        self.inner.sign(head).await
    }
    fn verify(&self, signed: &str) -> Result<Checkpoint, HeadError> {
        self.inner.verify(signed)
    }
}

/// A log of `size` entries, to be copied: making one takes longer than what is tried on it.
struct Template {
    world: World,
    original: Original,
}

/// A log on a store that can fail.
struct Fixture {
    world: World,
    faults: Faults,
    store: Home,
    log: Log,
}

impl Template {
    async fn new(driver: Driver, size: u64) -> Self {
        let world = World::new();
        let (log, home) = driver.make(&world).await;
        for from in (0..size).step_by(6_000) {
            grow(&log, from..size.min(from + 6_000)).await;
        }
        Self { world, original: home.original(log).await }
    }

    async fn fixture(&self) -> Fixture {
        let (mut world, faults) = (self.world.clone(), Faults::default());
        world.signer = Arc::new(FaultySigner { inner: world.signer, faults: faults.clone() });
        let store = self.original.copy().await;
        let log = world.open(Arc::new(FaultyStore { inner: store.store(), faults: faults.clone() })).await.unwrap();
        Fixture { world, faults, store, log }
    }
}

impl Fixture {
    /// As after a crash: memory is gone, the store is what it is. What is planned to fail is for batches, and waits for the next one.
    async fn restart(&mut self) {
        self.log.clone().close().await;
        let planned = self.faults.take();
        self.log =
            self.world.open(Arc::new(FaultyStore { inner: self.store.store(), faults: self.faults.clone() })).await.unwrap();
        self.faults.plan(&planned);
    }

    async fn stored(&self) -> u64 {
        self.store.state().await.unwrap().unwrap().size
    }

    async fn append(&self, entry: &str) -> Result<Appended, AppendError> {
        self.log.append(Arc::new(Entry(entry.into()))).await
    }
}

fn expect_failure(answer: Result<Appended, AppendError>, step: Step) {
    let error = answer.unwrap_err();
    match step {
        Step::Sign => assert!(matches!(error.code(), "log_sign_failed" | "log_store_failed"), "{error:?}"),
        _ => assert_eq!(error.code(), "log_store_failed", "{error:?}"),
    }
}

async fn each_step_of_a_batch_may_fail(driver: Driver) {
    for size in [254, 255, 256, 257] {
        let template = Template::new(driver, size).await;
        for step in STEPS {
            for when in [When::Before, When::After] {
                for (crash, same_first) in [(false, true), (false, false), (true, true), (true, false)] {
                    one_fault(template.fixture().await, step, when, crash, same_first).await;
                }
            }
        }
    }
}

/// Where the first tile of tiles becomes full: 256^2. Larger logs take longer to check, so each fault is tried once, with a restart.
#[tokio::test(flavor = "multi_thread")]
async fn each_step_may_fail_where_a_tile_of_tiles_becomes_full() {
    let template = Template::new(Driver::Sqlite, 65_535).await;
    for (step, when) in STEPS.into_iter().flat_map(|step| [(step, When::Before), (step, When::After)]) {
        let mut fixture = template.fixture().await;
        let mut size = 65_535;
        // The entry that completes the tile, and the one after it, each fail once and are sent again.
        for entry in ["x", "y"] {
            fixture.faults.plan(&[(step, when)]);
            let committed = fixture.append(entry).await.is_ok();
            assert!(fixture.faults.spent() && committed == ((step, when) == (Step::Commit, When::After)));
            let appended = fixture.append(entry).await.unwrap();
            verify(&appended);
            assert_eq!((appended.index, appended.duplicate), (size, committed), "{step:?} {when:?}");
            size += 1;
        }
        fixture.restart().await;
        assert_eq!(fixture.log.checkpoint().size, size);
        verify(&fixture.append("z").await.unwrap());
        if step == Step::Tiles || step == Step::Commit {
            fixture.world.check(&fixture.log, &*fixture.store, size + 1).await;
        }
    }
}

/// One append fails in `step`; then the same entry and another one are appended, with or without a restart between.
async fn one_fault(mut fixture: Fixture, step: Step, when: When, crash: bool, same_first: bool) {
    let before = fixture.log.checkpoint();
    let size = before.size;
    fixture.faults.plan(&[(step, when)]);
    let answer = fixture.append("x").await;
    assert!(fixture.faults.spent(), "{step:?} {when:?} is a step of every batch");
    let committed = (step, when) == (Step::Commit, When::After);
    if committed {
        // The row said that it took effect.
        let appended = answer.unwrap();
        verify(&appended);
        assert_eq!((appended.index, appended.duplicate), (size, false));
    } else {
        expect_failure(answer, step);
        assert_eq!(fixture.log.checkpoint(), before, "nothing was published");
    }
    fixture.world.check(&fixture.log, &*fixture.store, size + u64::from(committed)).await;
    if crash {
        fixture.restart().await;
    }
    for entry in if same_first { ["x", "y"] } else { ["y", "x"] } {
        let appended = fixture.append(entry).await.unwrap();
        verify(&appended);
        assert_eq!(appended.duplicate, committed && entry == "x");
    }
    fixture.world.check(&fixture.log, &*fixture.store, size + 2).await;
    fixture.restart().await;
    fixture.world.check(&fixture.log, &*fixture.store, size + 2).await;
}

/// Whatever fails, the log is as open as before or frozen, and asking again freezes it.
async fn each_step_of_freezing_may_fail(driver: Driver) {
    let template = Template::new(driver, 255).await;
    for step in [Step::Begin, Step::Update, Step::Commit, Step::Sign] {
        for (when, crash) in [(When::Before, false), (When::Before, true), (When::After, false), (When::After, true)] {
            let mut fixture = template.fixture().await;
            fixture.faults.plan(&[(step, when)]);
            let outcome = fixture.log.freeze().await;
            assert!(fixture.faults.spent(), "{step:?} is a step of freezing");
            let committed = (step, when) == (Step::Commit, When::After);
            assert_eq!((outcome.is_ok(), fixture.log.checkpoint().last), (committed, committed), "{step:?} {when:?}");
            assert_eq!(fixture.store.state().await.unwrap().unwrap().frozen, committed);
            if crash {
                fixture.restart().await;
            }
            let appended = fixture.append("x").await;
            assert_eq!(appended.as_ref().err().map(AppendError::code), committed.then_some("log_frozen"), "{appended:?}");
            let last = fixture.log.freeze().await.unwrap();
            assert!(last.last && matches!(fixture.append("y").await, Err(AppendError::Frozen)));
            fixture.restart().await;
            assert_eq!(fixture.log.checkpoint(), last);
            fixture.world.check(&fixture.log, &*fixture.store, 255 + u64::from(!committed)).await;
        }
    }
}

async fn a_commit_of_unknown_outcome_is_found_out_by_the_next_batch(driver: Driver) {
    // The commit took effect, said it did not, and the store was gone when the row was to be read.
    for size in [254, 255, 256, 257] {
        let template = Template::new(driver, size).await;
        for (crash, next) in [(false, "x"), (false, "y"), (true, "x"), (true, "y")] {
            let mut fixture = template.fixture().await;
            fixture.faults.plan(&[(Step::Commit, When::After), (Step::Begin, When::Before)]);
            expect_failure(fixture.append("x").await, Step::Commit);
            assert!(fixture.faults.spent());
            assert_eq!(
                (fixture.stored().await, fixture.log.checkpoint().size),
                (size + 1, size),
                "in the store, and not known to be"
            );
            if crash {
                fixture.restart().await;
            }
            let appended = fixture.append(next).await.unwrap();
            verify(&appended);
            let (index, duplicate) = if next == "x" { (size, true) } else { (size + 1, false) };
            assert_eq!((appended.index, appended.duplicate), (index, duplicate));
            fixture.world.check(&fixture.log, &*fixture.store, size + if next == "x" { 1 } else { 2 }).await;
        }
    }
}

async fn whole_batches_fail_and_are_sent_again(driver: Driver) {
    let template = Template::new(driver, 200).await;
    for step in STEPS {
        for when in [When::Before, When::After] {
            let mut fixture = template.fixture().await;
            fixture.faults.plan(&[(step, when)]);
            let answers = append_all(&fixture.log, numbers(200..800)).await;
            assert!(fixture.faults.spent());
            answers.iter().flatten().for_each(verify);
            let stored = fixture.log.checkpoint().size;
            fixture.world.check(&fixture.log, &*fixture.store, stored).await;
            let answered: HashMap<_, _> =
                answers.iter().enumerate().filter_map(|(n, answer)| Some((n, answer.as_ref().ok()?.index))).collect();
            for (n, answer) in append_all(&fixture.log, numbers(200..800)).await.into_iter().enumerate() {
                let appended = answer.unwrap();
                verify(&appended);
                assert!(answered.get(&n).is_none_or(|index| *index == appended.index && appended.duplicate));
            }
            fixture.world.check(&fixture.log, &*fixture.store, 800).await;
            fixture.restart().await;
            fixture.world.check(&fixture.log, &*fixture.store, 800).await;
        }
    }
}

/// What can happen to a log.
#[derive(Debug, Clone)]
enum Event {
    /// These entries come in at once; some were there before.
    Append(Vec<u16>),
    Refresh,
    Restart,
    /// By milliseconds, forward or back.
    Clock(i64),
    Fault(usize, bool),
    /// Another writer on the same store appends.
    Elsewhere(Vec<u16>),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let entries = || prop::collection::vec(0_u16..400, 1..120);
    let event = prop_oneof![
        6 => entries().prop_map(Event::Append),
        1 => Just(Event::Refresh),
        1 => Just(Event::Restart),
        2 => (-1_500_i64..2_500).prop_map(Event::Clock),
        2 => (0..STEPS.len(), any::<bool>()).prop_map(|(step, after)| Event::Fault(step, after)),
        2 => entries().prop_map(Event::Elsewhere),
    ];
    prop::collection::vec(event, 1..25)
}

/// Everything that was ever answered or published.
#[derive(Default)]
struct Witness {
    entries: HashMap<u16, (u64, Timestamp)>,
    heads: Vec<Arc<SignedTreeHead>>,
}

impl Witness {
    fn see(&mut self, numbers: &[u16], answers: Vec<Result<Appended, AppendError>>) {
        for (number, appended) in numbers.iter().zip(answers).filter_map(|(number, answer)| Some((*number, answer.ok()?))) {
            verify(&appended);
            let first = *self.entries.entry(number).or_insert((appended.index, appended.time));
            assert_eq!((appended.index, appended.time), first, "an entry is where it was first said to be");
            self.heads.push(appended.head);
        }
    }

    /// Every head ever seen is a beginning of this one, and no two of one size differ.
    async fn check(&self, log: &Log) {
        let last = log.checkpoint();
        for head in &self.heads {
            assert!(head.size <= last.size && head.time <= last.time, "heads only grow");
            let proof = log.consistency_proof(head.size, last.size).await.unwrap();
            verify_consistency(head.size, last.size, &proof, &head.root, &last.root).unwrap();
        }
    }
}

async fn live(driver: Driver, events: Vec<Event>) {
    let mut fixture = Template::new(driver, 0).await.fixture().await;
    let elsewhere = fixture.world.open(fixture.store.store()).await.unwrap();
    let mut witness = Witness::default();
    let entries = |numbers: &[u16]| numbers.iter().map(|n| Entry(n.to_string())).collect::<Vec<_>>();
    for event in events {
        match event {
            Event::Append(numbers) => witness.see(&numbers, append_all(&fixture.log, entries(&numbers)).await),
            Event::Elsewhere(numbers) => witness.see(&numbers, append_all(&elsewhere, entries(&numbers)).await),
            Event::Refresh => witness.heads.extend(fixture.log.refresh().await),
            Event::Restart => fixture.restart().await,
            Event::Clock(by) => fixture.world.clock.advance(SignedDuration::from_millis(by)),
            Event::Fault(step, after) => fixture.faults.plan(&[(STEPS[step], if after { When::After } else { When::Before })]),
        }
    }
    fixture.faults.plan(&[]);
    set_late(&fixture.world.clock);
    witness.see(&[1_000], append_all(&elsewhere, entries(&[1_000])).await);
    witness.see(&[1_000], append_all(&fixture.log, entries(&[1_000])).await);
    witness.check(&fixture.log).await;
    witness.check(&elsewhere).await;
    let size = fixture.log.checkpoint().size;
    assert!(size > 0 && size as usize >= witness.entries.len());
    fixture.world.check(&fixture.log, &*fixture.store, size).await;
}

/// Later than anything that was signed.
fn set_late(clock: &ManualClock) {
    clock.set(at(1_800_000_000_000));
}

fn on_threads(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap().block_on(test);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_happens_answers_stay_true_on_sqlite(events in events()) {
        on_threads(live(Driver::Sqlite, events));
    }

    #[test]
    fn whatever_happens_answers_stay_true_on_postgres(events in events()) {
        on_threads(live(Driver::Postgres, events));
    }
}
