use jiff::Timestamp;
use merkle::{EMPTY_ROOT, Hash, sha256};

use crate::{SignedTreeHead, TreeHead};

/// All that a writer must know of a log: one row, locked while a batch is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// Name of the log.
    pub origin: String,
    /// Id of its key.
    pub key_id: Hash,
    /// Leaves in the tree.
    pub size: u64,
    /// Root of the tree.
    pub root: Hash,
    /// Compact range of the tree, left to right: what the next leaf is appended to.
    pub frontier: Vec<Hash>,
    /// Time of the last head, in whole milliseconds.
    pub time: Timestamp,
    /// The last signed head.
    pub checkpoint: String,
    /// Whether the log is closed for ever.
    pub frozen: bool,
}

impl State {
    /// The state of a new log, before its first head is signed.
    pub(crate) fn empty(origin: &str, key_id: Hash, time: Timestamp) -> Self {
        Self {
            origin: origin.to_owned(),
            key_id,
            size: 0,
            root: EMPTY_ROOT,
            frontier: Vec::new(),
            time,
            checkpoint: String::new(),
            frozen: false,
        }
    }

    /// SHA-256 over all fields, for the store to keep beside them: a row in which a byte has changed is never built upon.
    ///
    /// It guards against damage, not against malice: who can write the row can write the digest.
    #[must_use]
    pub fn digest(&self) -> Hash {
        let mut bytes = Vec::with_capacity(512 + self.checkpoint.len());
        let mut field = |content: &[u8]| {
            bytes.extend_from_slice(&(content.len() as u64).to_be_bytes());
            bytes.extend_from_slice(content);
        };
        field(self.origin.as_bytes());
        field(self.key_id.as_ref());
        field(&self.size.to_be_bytes());
        field(self.root.as_ref());
        field(&self.frontier_bytes());
        field(&self.time.as_millisecond().to_be_bytes());
        field(self.checkpoint.as_bytes());
        field(&[u8::from(self.frozen)]);
        sha256(&bytes)
    }

    /// The frontier as one string of bytes, 32 for each hash.
    #[must_use]
    pub fn frontier_bytes(&self) -> Vec<u8> {
        self.frontier.iter().flat_map(|hash| *hash.as_bytes()).collect()
    }

    pub(crate) fn head(&self) -> TreeHead {
        TreeHead { origin: self.origin.clone(), size: self.size, root: self.root, time: self.time }
    }

    pub(crate) fn signed_head(&self) -> SignedTreeHead {
        let Self { size, root, time, frozen, .. } = *self;
        SignedTreeHead { size, root, time, note: self.checkpoint.clone(), last: frozen }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_in_the_digest() {
        let state = State::empty("a", EMPTY_ROOT, Timestamp::UNIX_EPOCH);
        let other = sha256(b"other");
        let changes: [fn(&mut State, Hash); 8] = [
            |state, _| state.origin.push('b'),
            |state, other| state.key_id = other,
            |state, _| state.size = 1,
            |state, other| state.root = other,
            |state, other| state.frontier.push(other),
            |state, _| state.time = Timestamp::from_millisecond(1).unwrap(),
            |state, _| state.checkpoint.push('c'),
            |state, _| state.frozen = true,
        ];
        for change in changes {
            let mut changed = state.clone();
            change(&mut changed, other);
            assert_ne!(changed.digest(), state.digest(), "{changed:?}");
        }
    }
}
