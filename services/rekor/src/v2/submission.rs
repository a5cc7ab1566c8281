//! An entry on its way into the engine.

use entry::HashedRekord;
use jiff::Timestamp;
use merkle::Hash;
use tlog::{Leaf, Submission};

/// A verified hashedrekord entry. Its leaf depends on neither index nor time, so the leaf hash is also what makes two
/// submissions the same.
#[derive(Debug)]
pub(super) struct HashedrekordSubmission(pub(super) HashedRekord);

impl Submission for HashedrekordSubmission {
    fn dedup_key(&self) -> Hash {
        self.0.leaf_hash()
    }

    fn leaf(&self, _index: u64, _time: Timestamp) -> Leaf {
        Leaf { data: self.0.body().to_vec(), extra: Vec::new() }
    }

    fn leaf_length(&self) -> usize {
        self.0.body().len()
    }
}
