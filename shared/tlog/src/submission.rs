use std::sync::Arc;

use jiff::Timestamp;
use merkle::Hash;

use crate::SignedTreeHead;

/// An entry on its way into the log: parsed, verified and canonical. How it becomes a leaf is the face's business.
pub trait Submission: Send + Sync {
    /// What makes two submissions the same entry. The second of two with one key is answered with the first.
    fn dedup_key(&self) -> Hash;

    /// The leaf for this index and time.
    ///
    /// Contract: pure and quick. It may be called more than once, and with an index that is not given out in the end; the length
    /// of the leaf does not depend on index and time.
    fn leaf(&self, index: u64, time: Timestamp) -> Leaf;

    /// The length of the leaf, `data` and `extra` together, in bytes.
    fn leaf_length(&self) -> usize {
        self.leaf(0, Timestamp::UNIX_EPOCH).length()
    }

    /// Words under which [`Log::search`](crate::Log::search) finds the entry; written with it, and not hashed.
    ///
    /// Contract: the same whenever they are asked for, and bounded: they wait and are written like the leaf.
    fn search_keys(&self) -> Vec<String> {
        Vec::new()
    }
}

/// What is stored of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// What is hashed: the leaf hash is SHA-256(0x00 ‖ data).
    pub data: Vec<u8>,
    /// What is kept beside it and not hashed (CT: the `extra_data` of RFC 6962 §4.6). Often empty.
    pub extra: Vec<u8>,
}

impl Leaf {
    pub(crate) fn length(&self) -> usize {
        self.data.len() + self.extra.len()
    }
}

/// The answer to an append: durable, and proved against a signed head.
#[derive(Debug, Clone)]
pub struct Appended {
    /// Where the entry is. For a duplicate, where its first submission is.
    pub index: u64,
    /// When it was logged, in whole milliseconds. For a duplicate, the time of its first submission.
    pub time: Timestamp,
    /// Whether the entry was there already, or came in with the same batch from somebody else.
    pub duplicate: bool,
    /// The leaf as it is stored.
    pub leaf: Leaf,
    /// The audit path of the leaf in the tree of `head`, leaf side first.
    pub proof: Vec<Hash>,
    /// The signed head that covers it.
    pub head: Arc<SignedTreeHead>,
}
