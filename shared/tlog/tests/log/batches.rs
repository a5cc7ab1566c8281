//! Natural batching: whatever waited while the last batch was written is the next one; twins join it.

use std::sync::Arc;

use crate::common::{Entry, World, verify};
use async_trait::async_trait;
use keys::SignError;
use merkle::Hash;
use note::Checkpoint;
use tlog::sqlite::SqliteStore;
use tlog::{Appended, HeadError, Limits, Log, TreeHead, TreeHeadSigner};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;

/// Signs one head for each permit: between two of them the test arranges what waits.
struct SlowSigner {
    inner: Arc<dyn TreeHeadSigner>,
    /// A permit for each batch that has come to be signed.
    arrived: Semaphore,
    allowed: Semaphore,
}

#[async_trait]
impl TreeHeadSigner for SlowSigner {
    fn origin(&self) -> &str {
        self.inner.origin()
    }
    fn key_id(&self) -> Hash {
        self.inner.key_id()
    }
    async fn sign(&self, head: &TreeHead) -> Result<String, SignError> {
        self.arrived.add_permits(1);
        self.allowed.acquire().await.unwrap().forget();
        self.inner.sign(head).await
    }
    fn verify(&self, signed: &str) -> Result<Checkpoint, HeadError> {
        self.inner.verify(signed)
    }
}

struct Fixture {
    signer: Arc<SlowSigner>,
    log: Log,
    _folder: tempfile::TempDir,
}

impl Fixture {
    async fn new(limits: Limits) -> Self {
        let (world, folder) = (World::new(), tempfile::tempdir().unwrap());
        let inner = Arc::clone(&world.signer);
        let signer = Arc::new(SlowSigner { inner, arrived: Semaphore::new(0), allowed: Semaphore::new(1) });
        let store = SqliteStore::create(folder.path().join("log.db"), "test").await.unwrap();
        let log = Log::create(Arc::new(store.clone()), signer.clone(), world.clock.clone()).await.unwrap();
        log.close().await;
        signer.arrived.acquire().await.unwrap().forget();
        let log = Log::open_with(Arc::new(store), signer.clone(), world.clock.clone(), None, limits).await.unwrap();
        Self { signer, log, _folder: folder }
    }

    /// Sends an entry and returns when it waits, or has joined its twin.
    async fn send(&self, entry: &str) -> JoinHandle<Appended> {
        let (log, entry) = (self.log.clone(), Arc::new(Entry(entry.to_owned())));
        let task = tokio::spawn(async move { log.append(entry).await.unwrap() });
        tokio::task::yield_now().await;
        task
    }

    async fn until_a_batch_is_being_written(&self) {
        self.signer.arrived.acquire().await.unwrap().forget();
    }

    fn let_pass(&self, batches: usize) {
        self.signer.allowed.add_permits(batches);
    }
}

async fn size_and_duplicate(task: JoinHandle<Appended>) -> (u64, u64, bool) {
    let appended = task.await.unwrap();
    verify(&appended);
    (appended.index, appended.head.size, appended.duplicate)
}

#[tokio::test]
async fn what_waited_is_the_next_batch_and_twins_join() {
    let fixture = Fixture::new(Limits::default()).await;
    let first = fixture.send("a").await;
    fixture.until_a_batch_is_being_written().await;
    let (running_twin, b) = (fixture.send("a").await, fixture.send("b").await);
    let (waiting_twin, c) = (fixture.send("b").await, fixture.send("c").await);
    fixture.let_pass(1);
    assert_eq!(size_and_duplicate(first).await, (0, 1, false));
    assert_eq!(size_and_duplicate(running_twin).await, (0, 1, true), "answered with the batch that was being written");
    fixture.until_a_batch_is_being_written().await;
    fixture.let_pass(1);
    assert_eq!(size_and_duplicate(b).await, (1, 3, false));
    assert_eq!(size_and_duplicate(waiting_twin).await, (1, 3, true));
    assert_eq!(size_and_duplicate(c).await, (2, 3, false), "one batch for both");
}

#[tokio::test]
async fn a_batch_is_bounded_by_entries() {
    let fixture = Fixture::new(Limits { batch_entries: 2, ..Limits::default() }).await;
    fixture.let_pass(4);
    let mut tasks = Vec::new();
    for entry in ["a", "b", "c", "d", "e"] {
        let log = fixture.log.clone();
        tasks.push(tokio::spawn(async move { log.append(Arc::new(Entry(entry.to_owned()))).await.unwrap() }));
    }
    let mut sizes = Vec::new();
    for task in tasks {
        sizes.push(size_and_duplicate(task).await.1);
    }
    assert_eq!(sizes, [2, 2, 4, 4, 5]);
}

#[tokio::test]
async fn a_batch_is_bounded_by_bytes_and_a_large_entry_goes_alone() {
    // Leaf and search keys of a small one here are 135 bytes.
    let fixture = Fixture::new(Limits { batch_bytes: 270, ..Limits::default() }).await;
    fixture.let_pass(8);
    let mut tasks = Vec::new();
    for entry in ["a".repeat(40), "b".repeat(40), "c".repeat(400), "d".repeat(40)] {
        let log = fixture.log.clone();
        tasks.push(tokio::spawn(async move { log.append(Arc::new(Entry(entry))).await.unwrap() }));
    }
    let mut sizes = Vec::new();
    for task in tasks {
        sizes.push(size_and_duplicate(task).await.1);
    }
    assert_eq!(sizes, [2, 2, 3, 4]);
}
