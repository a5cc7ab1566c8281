//! A store whose older entries are elsewhere: read from there, they are the same.

use std::collections::{BTreeSet, HashMap};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use merkle::{Hash, TILE_WIDTH};
use moka::future::Cache;
use objects::{MOST_BYTES, ObjectError};
use tokio::sync::Semaphore;

use crate::tier::{Bundle, Tier, tile_name};
use crate::{Content, FullTile, Row, State, Store, StoreError, Stored, Transaction};

/// Objects that are read at once, by whomever: that bounds memory, as each can be large.
const READS: usize = 4;

/// How long an object may take, the wait for others included: a read that cannot be answered says so while its client still listens.
const PATIENCE: Duration = Duration::from_secs(10);

/// The store, and where it moves what is old, if it does.
///
/// Everything that reads through what is returned finds entries and tiles wherever they are. The entries of an object are given only when
/// they hash to what the database has kept; tiles are, like those of the database, for the caller to compare with the tree. Proofs need
/// none of them: the database keeps every leaf hash.
#[must_use]
pub fn tiered(store: Arc<dyn Store>, tier: Option<Tier>) -> Arc<dyn Store> {
    match tier {
        Some(tier) => Arc::new(Tiered::new(store, tier)),
        None => store,
    }
}

#[derive(Debug)]
struct Tiered {
    store: Arc<dyn Store>,
    tier: Tier,
    /// Bundles by number.
    bundles: Cache<u64, Arc<Bundle>>,
    reads: Semaphore,
    /// At least so much is moved, as far as this process has seen: what is below need not be looked for in the database.
    moved: AtomicU64,
}

impl Tiered {
    fn new(store: Arc<dyn Store>, tier: Tier) -> Self {
        let weigh = |_: &u64, bundle: &Arc<Bundle>| u32::try_from(bundle.length()).unwrap_or(u32::MAX);
        let bundles = Cache::builder().max_capacity(tier.cache_bytes).weigher(weigh).build();
        Self { store, tier, bundles, reads: Semaphore::new(READS), moved: AtomicU64::new(0) }
    }

    /// The object of this name, which is there: what is moved was put before.
    async fn object(&self, name: &str, most: usize) -> Result<Bytes, StoreError> {
        let read = async {
            let _turn = self.reads.acquire().await.expect("it is never closed");
            self.tier.objects.get(name, most).await
        };
        let late = |_| Err(ObjectError::TimedOut { object: self.whole_name(name), limit: PATIENCE });
        match tokio::time::timeout(PATIENCE, read).await.unwrap_or_else(late) {
            Ok(Some(object)) => Ok(object),
            Ok(None) => Err(self.wrong(name, "is missing")),
            Err(ObjectError::TooLarge { most, .. }) => Err(self.wrong(name, &format!("has more than {most} bytes"))),
            Err(error) => Err(StoreError::Objects { doing: "reading an object", source: Arc::new(error) }),
        }
    }

    async fn bundle(&self, index: u64) -> Result<(u64, Arc<Bundle>), StoreError> {
        if let Some(bundle) = self.bundles.get(&index).await {
            return Ok((index, bundle));
        }
        let form = self.tier.form;
        let name = form.name(index);
        let object = self.object(&name, MOST_BYTES).await?;
        let bundle = Bundle::parse(form, object).ok_or_else(|| self.wrong(&name, "is no bundle of 256 entries"))?;
        let bundle = Arc::new(bundle);
        self.bundles.insert(index, Arc::clone(&bundle)).await;
        Ok((index, bundle))
    }

    async fn leaf_tile(&self, index: u64) -> Result<FullTile, StoreError> {
        let length = TILE_WIDTH as usize * Hash::LEN;
        let name = tile_name(0, index);
        let hashes = self.object(&name, length).await?;
        if hashes.len() != length {
            return Err(self.wrong(&name, "has not 256 hashes"));
        }
        Ok(FullTile { level: 0, index, hashes: hashes.into() })
    }

    /// Bundles of all rows without content, by number.
    async fn bundles_of(&self, rows: &[Row]) -> Result<HashMap<u64, Arc<Bundle>>, StoreError> {
        let is_moved = |row: &&Row| matches!(row.content, Content::Moved { .. });
        let indexes: BTreeSet<u64> = rows.iter().filter(is_moved).map(|row| row.index / TILE_WIDTH).collect();
        stream::iter(indexes).map(|index| self.bundle(index)).buffered(READS).try_collect().await
    }

    fn wrong(&self, name: &str, what: &str) -> StoreError {
        StoreError::Object { name: self.whole_name(name), what: what.to_owned() }
    }

    fn whole_name(&self, name: &str) -> String {
        self.tier.shown(name)
    }
}

#[async_trait]
impl Store for Tiered {
    fn location(&self) -> String {
        self.store.location()
    }

    fn shared(&self) -> bool {
        self.store.shared()
    }

    fn tier(&self) -> Option<&Tier> {
        Some(&self.tier)
    }

    async fn create(&self, state: &State) -> Result<(), StoreError> {
        self.store.create(state).await
    }

    async fn state(&self) -> Result<Option<State>, StoreError> {
        self.store.state().await
    }

    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        self.store.begin().await
    }

    async fn moved(&self) -> Result<u64, StoreError> {
        let moved = self.store.moved().await?;
        self.moved.fetch_max(moved, Ordering::Relaxed);
        Ok(moved)
    }

    async fn rows(&self, range: Range<u64>) -> Result<Vec<Row>, StoreError> {
        self.store.rows(range).await
    }

    async fn entries(&self, range: Range<u64>) -> Result<Vec<Stored>, StoreError> {
        let rows = self.store.rows(range).await?;
        // Whatever these rows lack was put before they were read: the mover may go on meanwhile.
        let bundles = self.bundles_of(&rows).await?;
        let mut entries = Vec::with_capacity(rows.len());
        for row in rows {
            let Content::Moved { .. } = row.content else {
                entries.push(row.into_stored()?);
                continue;
            };
            let number = row.index / TILE_WIDTH;
            let Some(entry) = bundles.get(&number).and_then(|bundle| bundle.entry(&row)) else {
                // It may be put right: then it is read anew.
                self.bundles.invalidate(&number).await;
                return Err(
                    self.wrong(&self.tier.form.name(number), &format!("does not hold entry {} as it was logged", row.index))
                );
            };
            entries.push(entry);
        }
        Ok(entries)
    }

    async fn leaf_hashes(&self, range: Range<u64>) -> Result<Vec<(u64, Hash)>, StoreError> {
        self.store.leaf_hashes(range).await
    }

    async fn index_of(&self, leaf_hash: &Hash) -> Result<Option<u64>, StoreError> {
        self.store.index_of(leaf_hash).await
    }

    async fn search(&self, key: &str, from: u64, limit: u32) -> Result<Vec<(u64, Hash)>, StoreError> {
        self.store.search(key, from, limit).await
    }

    async fn tiles(&self, level: u8, range: Range<u64>) -> Result<Vec<FullTile>, StoreError> {
        if level > 0 {
            return self.store.tiles(level, range).await;
        }
        // What is known to be moved is not looked for. The rest is; what is not there, and is moved by now, went in between or before.
        let known = (self.moved.load(Ordering::Relaxed) / TILE_WIDTH).clamp(range.start, range.end.max(range.start));
        let here = self.store.tiles(0, known..range.end).await?;
        let first = here.first().map_or(range.end, |tile| tile.index);
        if first <= range.start {
            return Ok(here);
        }
        let gone = range.start..first.min(self.moved().await? / TILE_WIDTH);
        let mut tiles: Vec<_> = stream::iter(gone).map(|index| self.leaf_tile(index)).buffered(READS).try_collect().await?;
        tiles.extend(here);
        Ok(tiles)
    }

    async fn extent(&self) -> Result<Option<(u64, u64)>, StoreError> {
        self.store.extent().await
    }

    async fn count(&self) -> Result<u64, StoreError> {
        self.store.count().await
    }
}
