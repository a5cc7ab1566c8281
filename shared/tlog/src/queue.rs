//! What waits for the next batch.
//!
//! 1. An entry that comes in has a place already (`admission.rs`), and is put at the end.
//! 2. One that is the same as an entry already waiting, or in the batch being written, joins it and is answered with it.
//! 3. The sequencer takes what is there when it is ready for it: whatever waited while the last batch was written is the next batch.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use jiff::Timestamp;
use merkle::Hash;
use tokio::sync::{Notify, oneshot};

use crate::admission::Place;
use crate::metric::Metrics;
use crate::{AppendError, Leaf, Limits, SignedTreeHead, Submission};

/// What the sequencer says to one waiter.
pub(crate) type Answer = Result<Recorded, AppendError>;

/// What it says to who asked for a new head.
pub(crate) type Refreshed = Result<Arc<SignedTreeHead>, AppendError>;

/// What it says to who asked for what others appended: the newest head in memory.
pub(crate) type Followed = Result<Arc<SignedTreeHead>, AppendError>;

/// An entry that is durable, and the head that covers it.
#[derive(Debug, Clone)]
pub(crate) struct Recorded {
    pub(crate) index: u64,
    pub(crate) time: Timestamp,
    pub(crate) duplicate: bool,
    /// None when it is not in the database any more: it is read by whoever waits, not by the one task that writes.
    pub(crate) leaf: Option<Arc<Leaf>>,
    pub(crate) head: Arc<SignedTreeHead>,
}

/// An entry that waits to be written.
pub(crate) struct Pending {
    pub(crate) key: Hash,
    pub(crate) submission: Arc<dyn Submission>,
    length: usize,
}

/// What is written together.
#[derive(Default)]
pub(crate) struct Batch {
    /// No two have the same key.
    pub(crate) entries: Vec<Pending>,
    /// Whoever asked for a head of its own.
    pub(crate) refresh: Vec<oneshot::Sender<Refreshed>>,
    /// Whether that head is to be the last one.
    pub(crate) freeze: bool,
    /// Whoever asked for what others appended. They are answered first, and all at once.
    pub(crate) follow: Vec<oneshot::Sender<Followed>>,
}

pub(crate) struct Queue {
    limits: Limits,
    metrics: Metrics,
    /// Held for a few instructions at a time, never across an await.
    inner: Mutex<Inner>,
    wake: Notify,
}

#[derive(Default)]
struct Inner {
    order: VecDeque<Pending>,
    /// Everybody who is to be answered, by dedup key: waiting, or in the batch being written. Each keeps its place until then, also when
    /// it has gone away: its entry is still here.
    waiting: HashMap<Hash, Vec<Waiter>>,
    refresh: Vec<oneshot::Sender<Refreshed>>,
    freeze: bool,
    follow: Vec<oneshot::Sender<Followed>>,
    closed: bool,
}

struct Waiter {
    answer: oneshot::Sender<Answer>,
    _place: Place,
}

impl Queue {
    pub(crate) fn new(limits: Limits, metrics: Metrics) -> Self {
        Self { limits, metrics, inner: Mutex::default(), wake: Notify::new() }
    }

    /// Puts an entry at the end, or joins it to its twin.
    pub(crate) fn push(&self, submission: Arc<dyn Submission>, place: Place) -> Result<oneshot::Receiver<Answer>, AppendError> {
        let (key, length) = (submission.dedup_key(), self.length(submission.as_ref())?);
        let mut inner = self.lock();
        if inner.closed {
            return Err(AppendError::Closed);
        }
        let (answer, receiver) = oneshot::channel();
        let twins = inner.waiting.entry(key).or_default();
        twins.push(Waiter { answer, _place: place });
        if twins.len() == 1 {
            inner.order.push_back(Pending { key, submission, length });
            self.metrics.queued(inner.order.len());
            self.wake.notify_one();
        }
        Ok(receiver)
    }

    /// The bytes of an entry, leaf and search keys.
    pub(crate) fn length(&self, submission: &dyn Submission) -> Result<usize, AppendError> {
        let length = submission.leaf_length();
        if length > self.limits.entry_bytes {
            return Err(AppendError::TooLarge { length, limit: self.limits.entry_bytes });
        }
        Ok(length + submission.search_keys().iter().map(String::len).sum::<usize>())
    }

    /// Asks for a new head, whether or not there is an entry.
    pub(crate) fn refresh(&self) -> Result<oneshot::Receiver<Refreshed>, AppendError> {
        self.ask_for_head(false)
    }

    /// Asks for the last head: after the next batch the log is closed for ever.
    pub(crate) fn freeze(&self) -> Result<oneshot::Receiver<Refreshed>, AppendError> {
        self.ask_for_head(true)
    }

    fn ask_for_head(&self, last: bool) -> Result<oneshot::Receiver<Refreshed>, AppendError> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(AppendError::Closed);
        }
        let (answer, receiver) = oneshot::channel();
        inner.refresh.push(answer);
        inner.freeze |= last;
        self.wake.notify_one();
        Ok(receiver)
    }

    /// Asks for what other processes appended to be taken over into memory.
    pub(crate) fn follow(&self) -> Result<oneshot::Receiver<Followed>, AppendError> {
        let mut inner = self.lock();
        if inner.closed {
            return Err(AppendError::Closed);
        }
        let (answer, receiver) = oneshot::channel();
        inner.follow.push(answer);
        self.wake.notify_one();
        Ok(receiver)
    }

    /// The next batch, as soon as anything waits; none when the queue is closed and empty. Only the sequencer calls this.
    pub(crate) async fn take(&self) -> Option<Batch> {
        loop {
            {
                let mut inner = self.lock();
                if !inner.order.is_empty() || !inner.refresh.is_empty() || !inner.follow.is_empty() {
                    return Some(self.cut(&mut inner));
                }
                if inner.closed {
                    return None;
                }
            }
            self.wake.notified().await;
        }
    }

    /// Answers everybody who waits for this entry.
    pub(crate) fn settle(&self, key: &Hash, answer: Answer) {
        let waiters = self.lock().waiting.remove(key).unwrap_or_default();
        let mut answer = answer;
        for waiter in waiters {
            // A waiter that went away is no concern: its entry is logged like any other.
            let _ = waiter.answer.send(answer.clone());
            // Only the first one logged it; to the others it was there.
            answer = answer.map(|recorded| Recorded { duplicate: true, ..recorded });
        }
    }

    /// Takes nothing more; what is there is still written.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.wake.notify_one();
    }

    /// Lets everybody go: what waits is not going to be written.
    pub(crate) fn abandon(&self) {
        let mut inner = self.lock();
        inner.closed = true;
        inner.order.clear();
        // A waiter whose sender is gone reads that as closed.
        inner.waiting.clear();
        inner.refresh.clear();
        inner.follow.clear();
    }

    fn cut(&self, inner: &mut Inner) -> Batch {
        let (refresh, follow) = (std::mem::take(&mut inner.refresh), std::mem::take(&mut inner.follow));
        let mut batch = Batch { entries: Vec::new(), refresh, freeze: std::mem::take(&mut inner.freeze), follow };
        let mut bytes = 0;
        while let Some(next) = inner.order.front() {
            let full = batch.entries.len() >= self.limits.batch_entries || bytes + next.length > self.limits.batch_bytes;
            // An entry larger than a whole batch goes alone.
            if full && !batch.entries.is_empty() {
                break;
            }
            bytes += next.length;
            batch.entries.extend(inner.order.pop_front());
        }
        self.metrics.queued(inner.order.len());
        batch
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no panic while the lock is held")
    }
}
