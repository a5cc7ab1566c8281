//! Complete bundles leave the database for an object store: in the background, and only when they are known to be there.
//!
//! One number says how far, [`Store::moved`]: below it the database has an entry's place, time and hashes, and neither its content nor its
//! leaf tile. One pass, told by what a crash leaves behind:
//!
//! 1. Choose the oldest complete bundles that are not moved and not among the entries that are kept. A crash leaves: nothing.
//! 2. Read their entries and check that they hash to the leaf tile, which leads to the tree in memory and so to the signed root. What is
//!    damaged is never copied. A crash leaves: nothing.
//! 3. Put each bundle, its leaf tile, and the tiles above that end with it. Each is durable and was read back when this is done. A crash
//!    leaves objects that nobody looks for; they are put again, find themselves there, and are equal.
//! 4. One transaction for each bundle: lock the state row, see that `moved` is what this pass began with, drop what was put, set `moved`
//!    behind it, commit. A crash leaves the bundle in the database or out of it, and in the object store in any case. So does a commit
//!    whose outcome nobody knows: the next pass reads the number.
//!
//! Several processes may do this at once: what they put is equal, and the transaction decides. Appends wait for a transaction of step 4,
//! as long as it takes to rewrite 256 rows, and for nothing else; between two of these there is room for theirs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::try_join_all;
use futures_util::{StreamExt as _, stream};
use merkle::{Hash, TILE_WIDTH, Tile, leaf_hash, sha256};

use crate::metric::Metrics;
use crate::reader::Reader;
use crate::sequencer::chain;
use crate::tier::tile_name;
use crate::{Content, Leaf, Store, StoreError, Tier};

/// Bundles of one pass.
const BUNDLES: u64 = 16;

/// Bundles that are read and put at once: so many are in memory.
const AT_ONCE: usize = 4;

/// After a failure the pause grows to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

pub(crate) struct Mover {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) tier: Tier,
    pub(crate) reader: Arc<Reader>,
    pub(crate) metrics: Metrics,
}

/// What a pass did.
enum Pass {
    /// Bundles were moved; there may be more.
    Moved,
    /// Nothing is due; so far all is moved.
    Done(u64),
    /// Another process was quicker.
    Beaten,
}

/// What is in the object store, and can be dropped.
struct Put {
    /// Number of the bundle.
    index: u64,
    /// The digest of what is kept beside each entry.
    extras: Vec<Hash>,
}

impl Mover {
    /// Moves what is due, again and again.
    pub(crate) async fn run(self) {
        let every = self.tier.every;
        let (mut pause, mut failing) = (every, false);
        loop {
            tokio::time::sleep(pause).await;
            pause = match self.pass().await {
                Ok(Pass::Moved) => Duration::ZERO,
                Ok(Pass::Done(_)) => every,
                // Two that take turns would put everything twice.
                Ok(Pass::Beaten) => every * 10,
                Err(error) => {
                    self.metrics.move_failed();
                    if !std::mem::replace(&mut failing, true) {
                        let (log, objects, error) = (self.store.location(), self.tier.objects.location(), chain(&error));
                        tracing::error!(
                            log,
                            objects,
                            error,
                            "entries cannot be moved to the object store; they stay in the database"
                        );
                    }
                    pause = (pause * 2).clamp(every, LONGEST_PAUSE.max(every));
                    continue;
                }
            };
            if std::mem::take(&mut failing) {
                tracing::info!(log = self.store.location(), "entries are moved to the object store again");
            }
        }
    }

    /// Moves all that is due; how far everything is moved then.
    pub(crate) async fn move_due(&self) -> Result<u64, StoreError> {
        loop {
            match self.pass().await {
                Ok(Pass::Done(moved)) => return Ok(moved),
                Ok(Pass::Moved | Pass::Beaten) => {}
                Err(error) => {
                    self.metrics.move_failed();
                    return Err(error);
                }
            }
        }
    }

    async fn pass(&self) -> Result<Pass, StoreError> {
        // 1. What is due.
        let moved = self.store.moved().await?;
        self.metrics.moved(moved);
        let due = self.reader.head().size.saturating_sub(self.tier.keep_entries) / TILE_WIDTH;
        let from = moved / TILE_WIDTH;
        let to = due.min(from + BUNDLES);
        if from >= to {
            return Ok(Pass::Done(moved));
        }

        // 2. and 3. What comes before one that cannot be put is moved all the same.
        let (mut done, mut outcome) = (Vec::new(), Ok(Pass::Moved));
        let mut puts = std::pin::pin!(stream::iter(from..to).map(|index| self.put(index)).buffered(AT_ONCE));
        while let Some(put) = puts.next().await {
            match put {
                Ok(Some(put)) => done.push(put),
                Ok(None) => outcome = Ok(Pass::Beaten),
                Err(error) => outcome = Err(error),
            }
            if !matches!(outcome, Ok(Pass::Moved)) {
                break;
            }
        }

        // 4.
        for put in done {
            let began = Instant::now();
            if !self.drop_content(&put).await? {
                return Ok(Pass::Beaten);
            }
            self.metrics.moved((put.index + 1) * TILE_WIDTH);
            // Whoever appends gets most of the time that the one lock can be held.
            tokio::time::sleep(began.elapsed() * 3).await;
        }
        outcome
    }

    /// Puts a bundle and the tiles that end with it. None when its content is gone: another process moved it.
    async fn put(&self, index: u64) -> Result<Option<Put>, StoreError> {
        let Some(leaves) = self.read(index).await? else { return Ok(None) };
        let name = self.tier.form.name(index);
        let bundle = self.tier.form.encode(leaves.iter());
        let bundle = bundle.ok_or_else(|| StoreError::damaged(format!("an entry does not fit the form of {name}")))?;
        let extras = leaves.iter().map(|leaf| sha256(&leaf.extra)).collect();
        drop(leaves);
        let mut objects = vec![(name, bundle)];
        objects.extend(self.tiles_ending_with(index).await?);
        try_join_all(objects.into_iter().map(|(name, content)| self.put_object(name, content))).await?;
        Ok(Some(Put { index, extras }))
    }

    /// The entries of a bundle, as they were signed.
    async fn read(&self, index: u64) -> Result<Option<Vec<Leaf>>, StoreError> {
        let first = index * TILE_WIDTH;
        let tile = self.reader.leaf_tile(index).await?;
        let rows = self.store.rows(first..first + TILE_WIDTH).await?;
        if !rows.iter().map(|row| row.index).eq(first..first + TILE_WIDTH) {
            return Err(StoreError::damaged(format!("entries are missing between {first} and {}", first + TILE_WIDTH)));
        }
        let mut leaves = Vec::with_capacity(rows.len());
        for (row, hash) in rows.into_iter().zip(tile.leaf_hashes()) {
            let Content::Here(leaf) = row.content else { return Ok(None) };
            if row.leaf_hash != *hash || leaf_hash(&leaf.data) != *hash {
                return Err(StoreError::damaged(format!("entry {} does not lead to the signed root", row.index)));
            }
            leaves.push(leaf);
        }
        Ok(Some(leaves))
    }

    /// Names and content of the leaf tile of a bundle, and of the tiles above whose last hash it is under.
    async fn tiles_ending_with(&self, index: u64) -> Result<Vec<(String, Bytes)>, StoreError> {
        let leaf_tile = self.reader.leaf_tile(index).await?;
        let mut tiles = vec![(tile_name(0, index), leaf_tile.leaves(TILE_WIDTH as u16).into())];
        let (mut level, mut end) = (1, index + 1);
        while end % TILE_WIDTH == 0 {
            end /= TILE_WIDTH;
            let hashes = self.reader.tree().tile(Tile::full(level, end - 1));
            let hashes =
                hashes.ok_or_else(|| StoreError::damaged(format!("tile {} of level {level} is not in memory", end - 1)))?;
            tiles.push((tile_name(level, end - 1), hashes.into()));
            level += 1;
        }
        Ok(tiles)
    }

    async fn put_object(&self, name: String, content: Bytes) -> Result<(), StoreError> {
        let put = self.tier.objects.put_new(&name, content).await;
        put.map_err(|error| StoreError::Objects { doing: "writing an object", source: Arc::new(error) })
    }

    /// Drops from the database what was put. False when another process did so before.
    async fn drop_content(&self, put: &Put) -> Result<bool, StoreError> {
        let (from, to) = (put.index * TILE_WIDTH, (put.index + 1) * TILE_WIDTH);
        let mut transaction = self.store.begin().await?;
        if transaction.moved() != from {
            return Ok(false);
        }
        if transaction.state().size < to {
            return Err(StoreError::damaged(format!("the state row went back to size {}", transaction.state().size)));
        }
        transaction.drop_content(to, &put.extras).await?;
        transaction.commit().await?;
        Ok(true)
    }
}
