//! An entry on its way into the engine.

use entry::v1::VerifiedEntry;
use jiff::Timestamp;
use merkle::Hash;
use tlog::{Leaf, Submission};

/// A verified entry. Its leaf depends on neither index nor time, so the leaf hash is also what makes two submissions the same.
#[derive(Debug)]
pub(super) struct EntrySubmission(pub(super) VerifiedEntry);

impl Submission for EntrySubmission {
    fn dedup_key(&self) -> Hash {
        self.0.leaf_hash()
    }

    fn leaf(&self, _index: u64, _time: Timestamp) -> Leaf {
        Leaf { data: self.0.body().to_vec(), extra: Vec::new() }
    }

    fn leaf_length(&self) -> usize {
        self.0.body().len()
    }

    fn search_keys(&self) -> Vec<String> {
        self.0.index_keys().to_vec()
    }
}
