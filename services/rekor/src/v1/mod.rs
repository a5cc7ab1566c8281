//! The Rekor v1 face: hashedrekord 0.0.1, dsse 0.0.1 and intoto in, an entry with the log's promise and proof out.
//!
//! Life of an entry: `write.rs` parses, verifies and canonicalises it (crate `entry`, no lock held) → the engine drops a duplicate or
//! makes it durable together with its search keys and a signed checkpoint (crate `tlog`) → `answer.rs` checks the proof, signs the promise
//! over what was stored, and writes the entry. Life of a read: `read.rs` by index and id, `retrieve.rs` ten at a time, `search.rs` ids by
//! name or hash, `info.rs` the tree itself.
//!
//! The log is one tree, or several that followed each other (`view.rs`): a tree is frozen, and the next takes the entries under a key of
//! its own. Clients see one list of entries: the index that is promised counts over all trees, the one that is proven is in a tree.

mod answer;
mod config;
mod create;
mod entry_id;
mod error;
pub mod fuzz;
mod info;
mod inspect;
mod media;
mod metric;
mod read;
mod retrieve;
mod router;
mod schema;
mod search;
mod start;
mod submission;
mod tree_id;
mod view;
mod write;

use view::Shard;

pub use crate::host::OriginError;
pub use crate::start::StartError;
pub use config::{Config, ShardConfig};
pub use create::{Created, complete, complete_shard, create, freeze};
pub use inspect::{accept, check};
pub use router::MAX_REQUEST;
pub use start::{Identity, RekorV1, check_files, open, open_shards};
pub use tree_id::TreeId;

/// What the handlers share.
#[derive(Debug)]
struct App {
    /// Oldest first, at least one. Those after the first that is not frozen wait for their time.
    shards: Vec<Shard>,
}

#[cfg(test)]
mod tests;
