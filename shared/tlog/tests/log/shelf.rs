//! Objects in memory, which are lost, changed and refused at will; and all that can be read of a log.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use merkle::Tile;
use objects::{Created, Driver, ObjectError, Objects};
use tlog::{Form, Log, Store, Stored, Tier, tiered};

use crate::faulty::When;

#[derive(Debug, Default)]
pub struct Shelf {
    pub objects: Mutex<BTreeMap<String, Bytes>>,
    /// The create after so many, and the read after so many, fail once.
    creates: Mutex<Option<(usize, When)>>,
    reads: Mutex<Option<(usize, When)>>,
    down: AtomicBool,
}

impl Shelf {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Objects that keep what is here.
    pub fn open(self: &Arc<Self>) -> Objects {
        Objects::over(Arc::clone(self) as Arc<dyn Driver>)
    }

    /// A store that moves all it can here, when it is told to.
    pub fn tiered(self: &Arc<Self>, store: Arc<dyn Store>, keep_entries: u64) -> Arc<dyn Store> {
        let tier = Tier::new(self.open(), Form::Leaves, keep_entries);
        // Never by itself.
        tiered(store, Some(Tier { every: Duration::from_secs(1_000_000), ..tier }))
    }

    pub fn fail_create(&self, after: usize, when: When) {
        *self.creates.lock().unwrap() = Some((after, when));
    }

    pub fn fail_read(&self, after: usize, when: When) {
        *self.reads.lock().unwrap() = Some((after, when));
    }

    /// Whether what was to fail has failed.
    pub fn spent(&self) -> bool {
        self.creates.lock().unwrap().is_none() && self.reads.lock().unwrap().is_none()
    }

    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    pub fn names(&self) -> Vec<String> {
        self.objects.lock().unwrap().keys().cloned().collect()
    }

    /// Puts something else in place of an object, or nothing; what was there.
    pub fn swap(&self, name: &str, content: Option<Bytes>) -> Option<Bytes> {
        let mut objects = self.objects.lock().unwrap();
        match content {
            Some(content) => objects.insert(name.to_owned(), content),
            None => objects.remove(name),
        }
    }

    fn fails(&self, planned: &Mutex<Option<(usize, When)>>, now: When) -> Result<(), ObjectError> {
        let failed = |why: &str| Err(ObjectError::Failed { object: "an object".into(), source: why.into() });
        if self.down.load(Ordering::SeqCst) {
            return failed("down on purpose");
        }
        let mut planned = planned.lock().unwrap();
        match planned.as_mut() {
            Some((0, when)) if *when == now => {
                *planned = None;
                failed("failing on purpose")
            }
            Some((after, _)) if now == When::Before => {
                *after = after.saturating_sub(1);
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

#[async_trait]
impl Driver for Shelf {
    fn location(&self) -> String {
        "shelf".into()
    }

    async fn create(&self, name: &str, content: Bytes) -> Result<Created, ObjectError> {
        self.fails(&self.creates, When::Before)?;
        tokio::task::yield_now().await;
        let created = match self.objects.lock().unwrap().entry(name.to_owned()) {
            std::collections::btree_map::Entry::Occupied(_) => Created::There,
            std::collections::btree_map::Entry::Vacant(place) => {
                place.insert(content);
                Created::New
            }
        };
        self.fails(&self.creates, When::After)?;
        Ok(created)
    }

    async fn replace(&self, _name: &str, _content: Bytes) -> Result<(), ObjectError> {
        unreachable!("what is moved is never replaced")
    }

    async fn read(&self, name: &str, most: usize) -> Result<Option<Bytes>, ObjectError> {
        self.fails(&self.reads, When::Before)?;
        tokio::task::yield_now().await;
        let found = self.objects.lock().unwrap().get(name).cloned();
        self.fails(&self.reads, When::After)?;
        match found {
            Some(object) if object.len() > most => Err(ObjectError::TooLarge { object: name.into(), most }),
            found => Ok(found),
        }
    }

    async fn remove_under(&self, _prefix: &str) -> Result<(), ObjectError> {
        unreachable!("what is moved is never removed")
    }
}

/// Entries, tiles in several widths, proofs at several sizes: all that readers can ask for, in bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Readable {
    entries: Vec<Stored>,
    tiles: Vec<Bytes>,
    proofs: Vec<Vec<merkle::Hash>>,
}

impl Readable {
    pub async fn of(log: &Log) -> Self {
        let size = log.checkpoint().size;
        let (mut tiles, mut proofs) = (Vec::new(), Vec::new());
        for level in 0..3 {
            for index in 0..Tile::hashes_in_level(level, size).div_ceil(256) {
                let width = Tile::at(level, index, size).unwrap().width;
                for width in [1, width.div_ceil(2), width] {
                    tiles.push(log.tile(level, index, width).await.unwrap().unwrap());
                }
            }
        }
        for at in [1, 2, 255, 256, 257, 700, size - 1, size].into_iter().filter(|at| (1..=size).contains(at)) {
            for index in (0..at).step_by(61) {
                proofs.push(log.inclusion_proof(index, at).await.unwrap());
            }
            proofs.push(log.consistency_proof(at, size).await.unwrap());
        }
        let mut entries = log.entries(0..size).await.unwrap();
        // In other pieces they are the same.
        for from in (0..size).step_by(300) {
            assert_eq!(log.entries(from..from + 300).await.unwrap(), entries[from as usize..size.min(from + 300) as usize]);
        }
        entries.shrink_to_fit();
        Self { entries, tiles, proofs }
    }
}
