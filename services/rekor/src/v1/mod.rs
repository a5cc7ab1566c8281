//! The Rekor v1 face: hashedrekord 0.0.1, dsse 0.0.1 and intoto in, an entry with the log's promise and proof out.
//!
//! Life of an entry: `write.rs` parses, verifies and canonicalises it (crate `entry`, no lock held) → the engine drops a duplicate or
//! makes it durable together with its search keys and a signed checkpoint (crate `tlog`) → `answer.rs` checks the proof, signs the promise
//! over what was stored, and writes the entry. Life of a read: `read.rs` by index and id, `retrieve.rs` ten at a time, `search.rs` ids by
//! name or hash, `info.rs` the tree itself.
//!
//! There is one tree. What the contract calls a virtual index is the index in it, until there is a second.

mod answer;
mod config;
mod create;
mod entry_id;
mod error;
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
mod write;

use std::sync::Arc;

use keys::Signer;
use tlog::Log;

pub use crate::host::OriginError;
pub use crate::start::StartError;
pub use config::Config;
pub use create::{Created, complete, create};
pub use inspect::{accept, check};
pub use router::MAX_REQUEST;
pub use start::{Identity, RekorV1, open, open_in};
pub use tree_id::TreeId;

/// What the handlers share.
#[derive(Debug)]
struct App {
    log: Log,
    tree: TreeId,
    /// The log's key: it signs promises too.
    key: Arc<dyn Signer>,
}

#[cfg(test)]
mod tests;
