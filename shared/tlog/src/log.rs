use std::fmt;
use std::net::IpAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use clock::Clock;
use merkle::{Hash, Tile};
use note::Checkpoint;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::{Admission, Place};
use crate::follow::Follower;
use crate::metric::Metrics;
use crate::mover::Mover;
use crate::queue::{Queue, Recorded};
use crate::reader::Reader;
use crate::recover::{self, Recovered};
use crate::sequencer::Sequencer;
use crate::{AppendError, Appended, OpenError, ReadError, SignedTreeHead, Store, StoreError, Stored, Submission, TreeHeadSigner};

/// How much a log takes at a time.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Entries in one batch.
    pub batch_entries: usize,
    /// Bytes of leaves and search keys in one batch.
    pub batch_bytes: usize,
    /// Entries on their way in, from [`Log::admit`] until they are written; more are refused as overloaded. One client gets at most half.
    pub queue_entries: usize,
    /// Bytes of those entries; more are refused as overloaded. One client gets at most half.
    pub queue_bytes: usize,
    /// Bytes in one leaf, `data` and `extra` together; larger ones are refused for good.
    pub entry_bytes: usize,
    /// Full leaf tiles kept in memory, 16 KiB each.
    pub leaf_tiles: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            batch_entries: 1_024,
            batch_bytes: 8 << 20,
            queue_entries: 8_192,
            queue_bytes: 32 << 20,
            entry_bytes: 256 << 10,
            leaf_tiles: 512,
        }
    }
}

/// What is known outside the database of the heads that a log has published. A log that does not reach all of them is not opened.
#[derive(Debug, Clone, Default)]
pub struct Published {
    /// A head that was published once, for example when the log was created.
    pub anchor: Option<Checkpoint>,
    /// The file in which the newest head is kept from now on, for this process alone; made when it is not there. It belongs on another
    /// disk than the database, or at least into no backup together with it.
    pub record: Option<PathBuf>,
}

impl Published {
    /// A head that was published once, and a record in this file.
    #[must_use]
    pub fn recorded(anchor: Option<Checkpoint>, record: impl AsRef<Path>) -> Self {
        Self { anchor, record: Some(record.as_ref().to_owned()) }
    }
}

impl From<Option<Checkpoint>> for Published {
    fn from(anchor: Option<Checkpoint>) -> Self {
        Self { anchor, record: None }
    }
}

/// A log that is open for appends and reads: a handle, cheap to clone.
///
/// When the last handle is dropped, what waits is still written; [`Log::close`] waits for that.
#[derive(Clone)]
pub struct Log {
    shared: Arc<Shared>,
}

struct Shared {
    store: Arc<dyn Store>,
    signer: Arc<dyn TreeHeadSigner>,
    admission: Arc<Admission>,
    queue: Arc<Queue>,
    reader: Arc<Reader>,
    metrics: Metrics,
    tasks: TaskTracker,
    record: Option<PathBuf>,
    /// Ends what would go on for ever.
    over: CancellationToken,
}

impl Log {
    /// Makes a new, empty log with a signed head of size 0, and opens it.
    ///
    /// # Errors
    /// [`OpenError::Exists`] when there is one already, and what the signer or the store fail with.
    pub async fn create(
        store: Arc<dyn Store>,
        signer: Arc<dyn TreeHeadSigner>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        recover::create(store.as_ref(), signer.as_ref(), clock.as_ref()).await?;
        Self::open(store, signer, clock, None).await
    }

    /// Opens a log that was created before, after checking that key, origin, state, head, tiles and entries agree.
    ///
    /// `published` is what is known from elsewhere to have been published, if anything: the log must reach it.
    ///
    /// # Errors
    /// [`OpenError`], one variant for each thing that does not agree.
    pub async fn open(
        store: Arc<dyn Store>,
        signer: Arc<dyn TreeHeadSigner>,
        clock: Arc<dyn Clock>,
        published: impl Into<Published>,
    ) -> Result<Self, OpenError> {
        Self::open_with(store, signer, clock, published, Limits::default()).await
    }

    /// As [`Log::open`], with limits other than the usual ones.
    ///
    /// # Errors
    /// As [`Log::open`].
    pub async fn open_with(
        store: Arc<dyn Store>,
        signer: Arc<dyn TreeHeadSigner>,
        clock: Arc<dyn Clock>,
        published: impl Into<Published>,
        limits: Limits,
    ) -> Result<Self, OpenError> {
        let published = published.into();
        recover::check_moved(store.as_ref()).await?;
        // What another process appended between two reads would look like damage: it waits until all was compared.
        let held = recover::hold(store.as_ref()).await?;
        let Recovered { state, tree } = recover::open(store.as_ref(), signer.as_ref()).await?;
        let reader = Arc::new(Reader::new(Arc::clone(&store), tree, state.signed_head(), &limits));
        if let Some(anchor) = &published.anchor {
            recover::check_published(store.as_ref(), &reader, &state, anchor, recover::ANCHOR).await?;
        }
        let record = match &published.record {
            Some(path) => Some(recover::open_record(path, store.as_ref(), signer.as_ref(), &reader, &state).await?),
            None => None,
        };
        drop(held);
        let record_path = record.as_ref().map(|record| record.path().to_owned());
        let metrics = Metrics::new(signer.origin());
        let admission = Arc::new(Admission::new(&limits));
        let queue = Arc::new(Queue::new(limits, metrics.clone()));
        let sequencer = Sequencer {
            store: Arc::clone(&store),
            signer: Arc::clone(&signer),
            clock,
            queue: Arc::clone(&queue),
            reader: Arc::clone(&reader),
            believed: state,
            record,
            metrics: metrics.clone(),
        };
        let tasks = TaskTracker::new();
        tasks.spawn(sequencer.run());
        let over = CancellationToken::new();
        if store.shared() {
            let follower = Follower { store: Arc::clone(&store), queue: Arc::clone(&queue), reader: Arc::clone(&reader) };
            tasks.spawn(over.clone().run_until_cancelled_owned(follower.run()));
        }
        let (record, ends) = (record_path, over.clone());
        let shared = Shared { store, signer, admission, queue, reader, metrics, tasks, record, over: ends };
        let log = Self { shared: Arc::new(shared) };
        if let Some(mover) = log.mover() {
            log.shared.tasks.spawn(over.run_until_cancelled_owned(mover.run()));
        }
        Ok(log)
    }

    /// A place for an entry of about `bytes` from this client, to be asked for before anything is done for the request.
    ///
    /// # Errors
    /// [`AppendError::Overloaded`] when too much is on its way in already, or too much of it from this client.
    pub fn admit(&self, client: Option<IpAddr>, bytes: usize) -> Result<Place, AppendError> {
        self.shared.admission.admit(client, bytes)
    }

    /// Logs an entry, or finds the one it duplicates, as [`Log::append_in`] does, in any place that is free.
    ///
    /// # Errors
    /// As [`Log::append_in`]; besides, [`AppendError::Overloaded`].
    pub async fn append(&self, submission: Arc<dyn Submission>) -> Result<Appended, AppendError> {
        let place = self.admit(None, self.shared.queue.length(submission.as_ref())?)?;
        self.append_in(place, submission).await
    }

    /// Logs an entry, or finds the one it duplicates. The answer is durable and comes with its proof.
    ///
    /// When the future is dropped before it is done, the entry may be logged all the same.
    ///
    /// # Errors
    /// [`AppendError`]; sending the entry again is always safe.
    pub async fn append_in(&self, place: Place, submission: Arc<dyn Submission>) -> Result<Appended, AppendError> {
        let answer = self.shared.queue.push(submission, place)?;
        let Recorded { index, time, duplicate, leaf, head } = answer.await.map_err(|_| AppendError::Closed)??;
        let proof = self.shared.reader.inclusion_proof(index, head.size).await.map_err(unproved)?;
        let leaf = match leaf {
            Some(leaf) => Arc::unwrap_or_clone(leaf),
            None => self.shared.reader.leaf(index).await?,
        };
        Ok(Appended { index, time, duplicate, leaf, proof, head })
    }

    /// Signs a new head, with the present time, whether or not there are new entries: for logs that promise how old a head can be.
    ///
    /// # Errors
    /// As [`Log::append`].
    pub async fn refresh(&self) -> Result<Arc<SignedTreeHead>, AppendError> {
        self.shared.queue.refresh()?.await.map_err(|_| AppendError::Closed)?
    }

    /// Closes the log for ever, in every process: what waits is still written, every later append is refused as frozen, reads go on. The
    /// answer is the last head; asked again, it is the same.
    ///
    /// # Errors
    /// As [`Log::append`]: then the log is frozen, or as open as before. Asking again is always safe.
    pub async fn freeze(&self) -> Result<Arc<SignedTreeHead>, AppendError> {
        match self.shared.queue.freeze()?.await.map_err(|_| AppendError::Closed)? {
            Err(AppendError::Frozen) => Ok(self.checkpoint()),
            outcome => outcome,
        }
    }

    /// The published head. What another process appended shows in it after at most a fifth of a second and the time of a read.
    #[must_use]
    pub fn checkpoint(&self) -> Arc<SignedTreeHead> {
        self.shared.reader.head()
    }

    /// The published head, after a look at the store when it does not reach `size`: another process may have appended so much, and may
    /// have told its client. It can still be smaller.
    pub async fn reach(&self, size: u64) -> Arc<SignedTreeHead> {
        let Shared { store, queue, reader, .. } = self.shared.as_ref();
        let head = reader.head();
        if size <= head.size || !store.shared() {
            return head;
        }
        // However many ask, one of them reads. When that fails, the head that is known is no less true.
        match queue.follow() {
            Ok(answer) => answer.await.ok().and_then(Result::ok).unwrap_or_else(|| reader.head()),
            Err(_) => reader.head(),
        }
    }

    /// How many entries are committed, whichever process wrote them: at least what [`Log::checkpoint`] covers, more when another
    /// writer appended.
    ///
    /// # Errors
    /// When the store fails, or has no such log any more.
    pub async fn committed_size(&self) -> Result<u64, StoreError> {
        self.shared.store.state().await?.map(|state| state.size).ok_or(StoreError::Missing)
    }

    /// The file in which this process keeps the newest published head, if it keeps one: for what a face keeps beside it.
    #[must_use]
    pub fn record(&self) -> Option<&Path> {
        self.shared.record.as_deref()
    }

    /// Name of the log.
    #[must_use]
    pub fn origin(&self) -> &str {
        self.shared.signer.origin()
    }

    /// The whole id of its key.
    #[must_use]
    pub fn key_id(&self) -> Hash {
        self.shared.signer.key_id()
    }

    /// The audit path of leaf `index` in the tree of `size` leaves, leaf side first.
    ///
    /// # Errors
    /// [`ReadError`] when there is no such leaf or no head of that size yet, or the store fails.
    pub async fn inclusion_proof(&self, index: u64, size: u64) -> Result<Vec<Hash>, ReadError> {
        self.reach(size).await;
        self.shared.reader.inclusion_proof(index, size).await
    }

    /// The proof that the tree of `old` leaves is the beginning of the tree of `new`.
    ///
    /// # Errors
    /// [`ReadError`] when `old` is larger than `new` or there is no head of that size yet, or the store fails.
    pub async fn consistency_proof(&self, old: u64, new: u64) -> Result<Vec<Hash>, ReadError> {
        self.reach(new).await;
        self.shared.reader.consistency_proof(old, new).await
    }

    /// Where the entry with this leaf hash is; none when the published tree has no such leaf.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn index_of(&self, leaf_hash: &Hash) -> Result<Option<u64>, StoreError> {
        let Some(index) = self.shared.store.index_of(leaf_hash).await? else { return Ok(None) };
        let head = self.reach(index + 1).await;
        Ok(Some(index).filter(|index| *index < head.size))
    }

    /// The entries from index `from` on that were logged with this search key, in order, at most `limit` of them: each its index and
    /// leaf hash, as far as the published head reaches.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn search(&self, key: &str, from: u64, limit: u32) -> Result<Vec<(u64, Hash)>, StoreError> {
        let mut found = self.shared.store.search(key, from, limit).await?;
        let head = self.reach(found.last().map_or(0, |(index, _)| index + 1)).await;
        found.retain(|(index, _)| *index < head.size);
        Ok(found)
    }

    /// The entries with these indexes, in order, as far as the published head reaches.
    ///
    /// All of them are read into memory: bound the range.
    ///
    /// # Errors
    /// When the store fails, or has a gap.
    pub async fn entries(&self, range: Range<u64>) -> Result<Vec<Stored>, StoreError> {
        self.reach(range.end).await;
        self.shared.reader.entries(range).await
    }

    /// The first `width` hashes of a tile, 32 bytes each; none when the published tree has not that many there.
    ///
    /// # Errors
    /// When the store fails, or the stored tile does not lead to the signed root.
    pub async fn tile(&self, level: u8, index: u64, width: u16) -> Result<Option<Bytes>, StoreError> {
        let tile = Tile { level, index, width };
        self.reach(tile.least_size()).await;
        self.shared.reader.tile(tile).await
    }

    /// Moves every complete bundle that is not kept to the log's [`Tier`](crate::Tier) now, as is done in the background all the time. The answer is how
    /// far everything is moved then; without a tier nothing is, and the answer is 0.
    ///
    /// # Errors
    /// When the store or the object store fails, or something does not lead to the signed root; what was moved stays so.
    pub async fn move_due(&self) -> Result<u64, StoreError> {
        match self.mover() {
            Some(mover) => mover.move_due().await,
            None => Ok(0),
        }
    }

    fn mover(&self) -> Option<Mover> {
        let Shared { store, reader, metrics, .. } = self.shared.as_ref();
        let tier = store.tier()?.clone();
        Some(Mover { store: Arc::clone(store), tier, reader: Arc::clone(reader), metrics: metrics.clone() })
    }

    /// Takes no more entries, writes those that wait, and returns when all are answered. Other handles can still read.
    pub async fn close(self) {
        self.shared.queue.close();
        self.shared.over.cancel();
        self.shared.tasks.close();
        self.shared.tasks.wait().await;
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").field("origin", &self.origin()).field("store", &self.shared.store).finish_non_exhaustive()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.queue.close();
        self.over.cancel();
    }
}

/// The entry is logged and its proof could not be read: only a duplicate's can need the store.
fn unproved(error: ReadError) -> AppendError {
    match error {
        ReadError::Store(error) => error.into(),
        ReadError::OutOfRange(_) | ReadError::Beyond { .. } => StoreError::damaged(error.to_string()).into(),
    }
}
