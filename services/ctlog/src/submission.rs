//! An entry on its way into the engine.

use ct::{SignedEntry, TimestampedEntry, leaf_index_extension};
use jiff::Timestamp;
use merkle::Hash;
use tlog::{Leaf, Submission};

/// A certificate or precertificate whose chain was accepted. Made by [`crate::chain::accept`] only.
#[derive(Debug)]
pub(crate) struct CtSubmission {
    /// SHA-256 of the submitted certificate. The leaf cannot tell twins: it holds its own time and index.
    pub(crate) identity: Hash,
    pub(crate) entry: SignedEntry,
    /// `extra_data` (RFC 6962 §4.6).
    pub(crate) extra: Vec<u8>,
    /// Whether the leaf carries its index.
    pub(crate) leaf_index: bool,
}

impl Submission for CtSubmission {
    fn dedup_key(&self) -> Hash {
        self.identity
    }

    fn leaf(&self, index: u64, time: Timestamp) -> Leaf {
        let extensions = match leaf_index_extension(index) {
            Some(extension) if self.leaf_index => extension.to_vec(),
            // From entry 2^40 on the extension has no form. At a thousand entries a second that is 34 years away.
            _ => Vec::new(),
        };
        // Negative only before 1970.
        let timestamp = u64::try_from(time.as_millisecond()).unwrap_or_default();
        let entry = TimestampedEntry { timestamp, entry: self.entry.clone(), extensions };
        let data = entry.to_leaf().expect("a request of at most 64 KiB holds no part of 16 MiB");
        Leaf { data, extra: self.extra.clone() }
    }
}
