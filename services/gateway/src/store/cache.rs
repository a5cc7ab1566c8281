//! What was read from the database last, in memory and bounded in bytes.
//!
//! A value from before a commit must never be put in after it, or it would be served for ever. So who reads the database takes a
//! [`Ticket`] first and hands it in with the value; a write [holds](Cache::hold) every key that it changes from before its commit until
//! after it, which removes the value and voids all tickets taken before the hold ends. Whatever a commit's outcome is, and even when
//! it is unknown, the next reader asks the database.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard};

use moka::sync::Cache as Moka;
use oci::{Digest, RepositoryName, Tag};

use super::{Referrer, StoredManifest, Tagged};

/// How many locks the keys are spread over. Two keys behind one lock only make each other miss now and then.
const SHARDS: usize = 256;
/// What a value costs besides its bytes and its key, roughly.
const OVERHEAD: usize = 256;

/// The cache, one for everything that is read often.
#[derive(Debug, Clone)]
pub(super) struct Cache {
    values: Moka<Key, Value>,
    shards: Arc<Shards>,
}

/// One read result.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// Of [`Key::manifest`].
    Manifest(Arc<StoredManifest>),
    /// Of [`Key::tag`].
    Tag(Tagged),
    /// Of [`Key::referrers`].
    Referrers(Arc<[Referrer]>),
    /// Of [`Key::blob`]: its size in bytes.
    Blob(u64),
}

/// What a value is of. Spaces occur in no name, tag or digest, so two keys are never alike by accident.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key(Box<str>);

impl Key {
    pub(super) fn manifest(repository: &RepositoryName, digest: &Digest) -> Self {
        Self::new("m", repository, digest.as_str())
    }

    pub(super) fn tag(repository: &RepositoryName, tag: &Tag) -> Self {
        Self::new("t", repository, tag.as_str())
    }

    /// What is attached to `subject`.
    pub(super) fn referrers(repository: &RepositoryName, subject: &Digest) -> Self {
        Self::new("r", repository, subject.as_str())
    }

    pub(super) fn blob(repository: &RepositoryName, digest: &Digest) -> Self {
        Self::new("b", repository, digest.as_str())
    }

    fn new(kind: &str, repository: &RepositoryName, of: &str) -> Self {
        let mut key = String::with_capacity(kind.len() + repository.as_str().len() + of.len() + 2);
        for part in [kind, " ", repository.as_str(), " ", of] {
            key.push_str(part);
        }
        Self(key.into())
    }
}

/// The right to put a value of one key in, as long as no write has touched it since.
#[derive(Debug)]
pub(super) struct Ticket {
    key: Key,
    shard: usize,
    /// Nothing while a write holds the key.
    epoch: Option<u64>,
}

/// A write's hold on some keys: dropped when its outcome is settled.
#[derive(Debug)]
pub(super) struct Hold {
    cache: Cache,
    shards: Vec<usize>,
}

impl Cache {
    /// An empty one that keeps to about `bytes` in memory.
    pub(super) fn new(bytes: u64) -> Self {
        let weigh = |key: &Key, value: &Value| u32::try_from(OVERHEAD + key.0.len() + value.weight()).unwrap_or(u32::MAX);
        Self { values: Moka::builder().max_capacity(bytes).weigher(weigh).build(), shards: Arc::new(Shards::new()) }
    }

    pub(super) fn get(&self, key: &Key) -> Option<Value> {
        self.values.get(key)
    }

    /// Taken before the database is read.
    pub(super) fn ticket(&self, key: Key) -> Ticket {
        let shard = self.shards.of(&key);
        let state = self.shards.lock(shard);
        Ticket { key, shard, epoch: (state.writers == 0).then_some(state.epoch) }
    }

    /// Keeps what was read with this ticket, unless a write has begun since it was taken.
    pub(super) fn fill(&self, ticket: Ticket, value: Value) {
        // The lock is held until the value is in: a write that comes then removes it again.
        let state = self.shards.lock(ticket.shard);
        if state.writers == 0 && ticket.epoch == Some(state.epoch) {
            self.values.insert(ticket.key, value);
        }
    }

    /// The beginning of a write that has not named any key yet.
    pub(super) fn hold(&self) -> Hold {
        Hold { cache: self.clone(), shards: Vec::new() }
    }
}

impl Hold {
    /// Forgets the value of this key, and keeps others from being put in until the hold ends.
    pub(super) fn touch(&mut self, key: &Key) {
        let shard = self.cache.shards.of(key);
        let mut state = self.cache.shards.lock(shard);
        state.writers += 1;
        self.cache.values.invalidate(key);
        self.shards.push(shard);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        for shard in &self.shards {
            let mut state = self.cache.shards.lock(*shard);
            state.writers -= 1;
            state.epoch += 1;
        }
    }
}

impl Value {
    fn weight(&self) -> usize {
        match self {
            Self::Manifest(manifest) => manifest.bytes.len() + manifest.artifact_type.as_ref().map_or(0, String::len),
            Self::Referrers(all) => all.iter().map(|one| OVERHEAD + one.descriptor.len()).sum(),
            Self::Tag(_) | Self::Blob(_) => 0,
        }
    }
}

/// Which keys are being written, and how often they were.
#[derive(Debug)]
struct Shards {
    states: Vec<Mutex<State>>,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct State {
    writers: u32,
    epoch: u64,
}

impl Shards {
    fn new() -> Self {
        Self { states: std::iter::repeat_with(Mutex::default).take(SHARDS).collect(), hasher: RandomState::new() }
    }

    fn of(&self, key: &Key) -> usize {
        (self.hasher.hash_one(key) % SHARDS as u64) as usize
    }

    fn lock(&self, shard: usize) -> MutexGuard<'_, State> {
        self.states[shard].lock().expect("no panic while the lock is held")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str) -> Key {
        Key::blob(&name.parse().unwrap(), &Digest::of(b"content"))
    }

    fn size(cache: &Cache, name: &str) -> Option<u64> {
        match cache.get(&key(name)) {
            Some(Value::Blob(size)) => Some(size),
            other => {
                assert!(other.is_none());
                None
            }
        }
    }

    #[test]
    fn what_was_read_before_a_write_is_not_kept_after_it() {
        let cache = Cache::new(1 << 20);
        let before = cache.ticket(key("a"));
        let mut hold = cache.hold();
        hold.touch(&key("a"));
        let during = cache.ticket(key("a"));
        cache.fill(before, Value::Blob(1));
        assert_eq!(size(&cache, "a"), None, "the write is under way");
        drop(hold);
        cache.fill(during, Value::Blob(1));
        assert_eq!(size(&cache, "a"), None, "read while the write was under way");
        cache.fill(cache.ticket(key("a")), Value::Blob(2));
        assert_eq!(size(&cache, "a"), Some(2));
    }

    #[test]
    fn a_ticket_from_before_a_finished_write_is_void() {
        let cache = Cache::new(1 << 20);
        let before = cache.ticket(key("a"));
        cache.hold().touch(&key("a"));
        cache.fill(before, Value::Blob(1));
        assert_eq!(size(&cache, "a"), None);
    }

    #[test]
    fn a_write_removes_what_is_there_and_leaves_the_rest() {
        let cache = Cache::new(1 << 20);
        cache.fill(cache.ticket(key("a")), Value::Blob(1));
        cache.fill(cache.ticket(key("b")), Value::Blob(1));
        let mut hold = cache.hold();
        hold.touch(&key("a"));
        hold.touch(&key("a"));
        assert_eq!((size(&cache, "a"), size(&cache, "b")), (None, Some(1)));
        drop(hold);
        cache.fill(cache.ticket(key("a")), Value::Blob(2));
        assert_eq!(size(&cache, "a"), Some(2), "a key that was touched twice is let go twice");
    }

    #[test]
    fn it_keeps_to_its_bytes() {
        let cache = Cache::new(1 << 16);
        for number in 0..1_000 {
            let manifest = StoredManifest {
                digest: Digest::of(b""),
                media_type: String::new(),
                artifact_type: None,
                subject: None,
                bytes: vec![0; 4_096].into(),
            };
            cache.fill(cache.ticket(key(&number.to_string())), Value::Manifest(Arc::new(manifest)));
        }
        cache.values.run_pending_tasks();
        assert!(cache.values.weighted_size() <= 1 << 16, "{}", cache.values.weighted_size());
        assert!(cache.values.entry_count() > 0);
    }

    #[test]
    fn kinds_do_not_meet() {
        let (name, digest) = ("a".parse().unwrap(), Digest::of(b""));
        let keys = [Key::manifest(&name, &digest), Key::referrers(&name, &digest), Key::blob(&name, &digest)];
        assert!(keys.iter().enumerate().all(|(at, key)| !keys[at + 1..].contains(key)));
    }
}
