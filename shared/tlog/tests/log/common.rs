//! A log of numbers, and what every test does with one.

use std::sync::Arc;

use clock::ManualClock;
use jiff::Timestamp;
use keys::FileKey;
use merkle::{Hash, leaf_hash, sha256};
use pki::KeyKind;
use tlog::{AppendError, Appended, Leaf, Log, NoteSigner, OpenError, Store, Submission, TreeHeadSigner, check_log};

pub const ORIGIN: &str = "log.example.test";

/// An entry whose leaf holds its index and time, as a CT leaf does.
#[derive(Debug, Clone)]
pub struct Entry(pub String);

impl Submission for Entry {
    fn dedup_key(&self) -> Hash {
        sha256(self.0.as_bytes())
    }

    fn leaf(&self, index: u64, time: Timestamp) -> Leaf {
        let data = format!("{index:010} {:015} {}", time.as_millisecond(), self.0).into_bytes();
        Leaf { data, extra: b"beside".to_vec() }
    }

    fn search_keys(&self) -> Vec<String> {
        vec![EVERY_ENTRY.into(), self.0.clone(), EVERY_ENTRY.into()]
    }
}

/// Under this every entry is found.
pub const EVERY_ENTRY: &str = "every entry";

/// An entry whose leaf is its content alone, as in Rekor v2: leaf hash and dedup key are one.
#[derive(Debug, Clone)]
pub struct Plain(pub String);

impl Submission for Plain {
    fn dedup_key(&self) -> Hash {
        leaf_hash(self.0.as_bytes())
    }

    fn leaf(&self, _index: u64, _time: Timestamp) -> Leaf {
        Leaf { data: self.0.clone().into_bytes(), extra: Vec::new() }
    }

    fn search_keys(&self) -> Vec<String> {
        vec![EVERY_ENTRY.into()]
    }
}

pub fn at(milliseconds: i64) -> Timestamp {
    Timestamp::from_millisecond(milliseconds).unwrap()
}

/// Everything around a log that outlives it.
#[derive(Clone)]
pub struct World {
    pub signer: Arc<dyn TreeHeadSigner>,
    pub clock: Arc<ManualClock>,
}

impl World {
    pub fn new() -> Self {
        let key = FileKey::generate(KeyKind::Ed25519).unwrap();
        let signer = Arc::new(NoteSigner::new(ORIGIN, Arc::new(key)).unwrap());
        Self { signer, clock: Arc::new(ManualClock::new(at(1_767_225_600_000))) }
    }

    pub async fn create(&self, store: Arc<dyn Store>) -> Log {
        Log::create(store, Arc::clone(&self.signer), self.clock.clone()).await.unwrap()
    }

    pub async fn open(&self, store: Arc<dyn Store>) -> Result<Log, OpenError> {
        Log::open(store, Arc::clone(&self.signer), self.clock.clone(), None).await
    }

    /// The whole log, computed anew, has `size` entries; so do the published head and every index structure.
    pub async fn check(&self, log: &Log, store: &dyn Store, size: u64) {
        let report = check_log(store, self.signer.as_ref()).await.unwrap();
        let head = log.checkpoint();
        assert_eq!((report.entries, head.size), (size, size));
        assert_eq!(report.root, head.root);
        assert_eq!(self.signer.verify(&head.note).unwrap().root, head.root);
        assert_eq!(log.search(EVERY_ENTRY, 0, u32::MAX).await.unwrap(), store.leaf_hashes(0..size).await.unwrap());
    }
}

/// Appends all at once and returns the answers in order.
pub async fn append_all<S: Submission + 'static>(
    log: &Log,
    entries: impl IntoIterator<Item = S>,
) -> Vec<Result<Appended, AppendError>> {
    let tasks: Vec<_> = entries
        .into_iter()
        .map(|entry| {
            let log = log.clone();
            tokio::spawn(async move { log.append(Arc::new(entry)).await })
        })
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        answers.push(task.await.unwrap());
    }
    answers
}

pub fn numbers(range: std::ops::Range<u64>) -> impl Iterator<Item = Entry> {
    range.map(|n| Entry(n.to_string()))
}

pub async fn grow(log: &Log, range: std::ops::Range<u64>) {
    for answer in append_all(log, numbers(range)).await {
        verify(&answer.unwrap());
    }
}

/// What a client checks of an answer.
pub fn verify(appended: &Appended) {
    let hash = leaf_hash(&appended.leaf.data);
    merkle::verify_inclusion(&hash, appended.index, appended.head.size, &appended.proof, &appended.head.root).unwrap();
}
