//! A store of which each step can be made to fail.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use merkle::Hash;
use tlog::{FullTile, NewEntry, Row, State, Store, StoreError, Transaction};

/// What a batch asks of its store and its signer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Begin,
    Find,
    Entries,
    Tiles,
    Update,
    Commit,
    Sign,
    /// What moves entries asks for, no batch.
    Drop,
}

/// Those of a batch.
pub const STEPS: [Step; 7] = [Step::Begin, Step::Find, Step::Entries, Step::Tiles, Step::Update, Step::Commit, Step::Sign];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// It is not done.
    Before,
    /// It is done and reported as failed.
    After,
}

/// What is going to fail, in order; each fails once.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Mutex<Vec<(Step, When)>>>);

impl Faults {
    pub fn plan(&self, faults: &[(Step, When)]) {
        *self.0.lock().unwrap() = faults.to_vec();
    }

    /// What is still planned, which is then planned no more.
    pub fn take(&self) -> Vec<(Step, When)> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    pub fn spent(&self) -> bool {
        self.0.lock().unwrap().is_empty()
    }

    pub fn hits(&self, step: Step, when: When) -> bool {
        let mut planned = self.0.lock().unwrap();
        let hit = planned.first() == Some(&(step, when));
        if hit {
            planned.remove(0);
        }
        hit
    }

    fn check(&self, step: Step, when: When) -> Result<(), StoreError> {
        let failed = || StoreError::Failed { doing: "failing on purpose", source: format!("{step:?} {when:?}").into() };
        if self.hits(step, when) { Err(failed()) } else { Ok(()) }
    }
}

#[derive(Debug)]
pub struct FaultyStore {
    pub inner: Arc<dyn Store>,
    pub faults: Faults,
}

struct FaultyTransaction {
    inner: Box<dyn Transaction>,
    faults: Faults,
}

#[async_trait]
impl Store for FaultyStore {
    fn location(&self) -> String {
        self.inner.location()
    }
    fn shared(&self) -> bool {
        self.inner.shared()
    }
    async fn create(&self, state: &State) -> Result<(), StoreError> {
        self.inner.create(state).await
    }
    async fn state(&self) -> Result<Option<State>, StoreError> {
        self.inner.state().await
    }
    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        self.faults.check(Step::Begin, When::Before)?;
        let inner = self.inner.begin().await?;
        self.faults.check(Step::Begin, When::After)?;
        Ok(Box::new(FaultyTransaction { inner, faults: self.faults.clone() }))
    }
    async fn moved(&self) -> Result<u64, StoreError> {
        self.inner.moved().await
    }
    async fn rows(&self, range: Range<u64>) -> Result<Vec<Row>, StoreError> {
        self.inner.rows(range).await
    }
    async fn leaf_hashes(&self, range: Range<u64>) -> Result<Vec<(u64, Hash)>, StoreError> {
        self.inner.leaf_hashes(range).await
    }
    async fn index_of(&self, leaf_hash: &Hash) -> Result<Option<u64>, StoreError> {
        self.inner.index_of(leaf_hash).await
    }
    async fn search(&self, key: &str, from: u64, limit: u32) -> Result<Vec<(u64, Hash)>, StoreError> {
        self.inner.search(key, from, limit).await
    }
    async fn tiles(&self, level: u8, range: Range<u64>) -> Result<Vec<FullTile>, StoreError> {
        self.inner.tiles(level, range).await
    }
    async fn extent(&self) -> Result<Option<(u64, u64)>, StoreError> {
        self.inner.extent().await
    }
    async fn count(&self) -> Result<u64, StoreError> {
        self.inner.count().await
    }
}

#[async_trait]
impl Transaction for FaultyTransaction {
    fn state(&self) -> &State {
        self.inner.state()
    }
    fn moved(&self) -> u64 {
        self.inner.moved()
    }
    async fn find(&mut self, dedup_keys: &[Hash]) -> Result<Vec<(Hash, Row)>, StoreError> {
        self.faults.check(Step::Find, When::Before)?;
        let found = self.inner.find(dedup_keys).await?;
        self.faults.check(Step::Find, When::After)?;
        Ok(found)
    }
    async fn insert_entries(&mut self, entries: &[NewEntry]) -> Result<(), StoreError> {
        self.faults.check(Step::Entries, When::Before)?;
        self.inner.insert_entries(entries).await?;
        self.faults.check(Step::Entries, When::After)
    }
    async fn insert_tiles(&mut self, tiles: &[FullTile]) -> Result<(), StoreError> {
        self.faults.check(Step::Tiles, When::Before)?;
        self.inner.insert_tiles(tiles).await?;
        self.faults.check(Step::Tiles, When::After)
    }
    async fn drop_content(&mut self, to: u64, extras: &[Hash]) -> Result<(), StoreError> {
        self.faults.check(Step::Drop, When::Before)?;
        self.inner.drop_content(to, extras).await?;
        self.faults.check(Step::Drop, When::After)
    }
    async fn update(&mut self, state: &State) -> Result<(), StoreError> {
        self.faults.check(Step::Update, When::Before)?;
        self.inner.update(state).await?;
        self.faults.check(Step::Update, When::After)
    }
    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        self.faults.check(Step::Commit, When::Before)?;
        self.inner.commit().await?;
        self.faults.check(Step::Commit, When::After)
    }
}
