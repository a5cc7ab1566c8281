//! From an accepted submission to an SCT.

use std::sync::Arc;

use ct::{DigitallySigned, LogId, Sct, TimestampedEntry, leaf_index_extension};
use jiff::Timestamp;
use keys::{SignError, Signer};
use merkle::Hash;
use tlog::{Appended, Leaf, Submission};

use crate::chain::Accepted;
use crate::head::milliseconds;

/// A submission on its way into the log.
pub(crate) struct CtSubmission {
    accepted: Accepted,
    leaf_index: bool,
}

impl CtSubmission {
    pub(crate) fn new(accepted: Accepted, leaf_index: bool) -> Arc<Self> {
        Arc::new(Self { accepted, leaf_index })
    }
}

impl Submission for CtSubmission {
    /// The submitted certificate, since the leaf contains the time and the index.
    fn dedup_key(&self) -> Hash {
        self.accepted.identity
    }

    fn leaf(&self, index: u64, time: Timestamp) -> Leaf {
        let entry = TimestampedEntry {
            timestamp: milliseconds(time),
            entry: self.accepted.entry.clone(),
            extensions: extensions(self.leaf_index, index),
        };
        let data = entry.to_leaf().expect("a certificate from a bounded body fits its length field");
        Leaf { data, extra: self.accepted.extra.clone() }
    }
}

/// Beyond 2^40 entries the index no longer fits, and SCTs go without.
fn extensions(leaf_index: bool, index: u64) -> Vec<u8> {
    leaf_index.then(|| leaf_index_extension(index)).flatten().map_or_else(Vec::new, Vec::from)
}

/// Signs the SCT of an entry that is durable. What is signed is the stored leaf itself, so that a duplicate gets the time and index of
/// the first submission.
pub(crate) async fn sign(key: &dyn Signer, appended: &Appended) -> Result<Sct, SctFailed> {
    let leaf = &appended.leaf.data;
    let entry = TimestampedEntry::parse_leaf(leaf)?;
    let signature = DigitallySigned(key.sign(leaf).await?);
    Ok(Sct { log_id: LogId::of(key.public_key()), timestamp: entry.timestamp, extensions: entry.extensions, signature })
}

/// No SCT was made for an entry that is in the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SctFailed {
    /// The key.
    #[error("the log could not sign the SCT")]
    Sign(#[from] SignError),
    /// The stored leaf is not one.
    #[error("the stored leaf is not a log entry")]
    Leaf(#[from] ct::Malformed),
}
