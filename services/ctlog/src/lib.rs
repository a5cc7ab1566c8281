//! The certificate transparency log: the CT face (RFC 6962) of the log engine. What its compromise would cost is in the README.
//!
//! Life of a submission, one module per step:
//!
//! 1. `write.rs`: the request's JSON becomes a chain of bytes (crate `ct`);
//! 2. `chain.rs`: the chain is whole, in order, of the right kind, and ends in an accepted root (`roots.rs`);
//! 3. `submission.rs`: the engine finds its first twin, or gives it an index and a time, and makes it durable together with a
//!    signed tree head (`head.rs`, crate `tlog`);
//! 4. `write.rs`: the stored leaf is signed. The signed certificate timestamp is made after the commit and from what was committed, so
//!    there is none for an entry that is not in the log.
//!
//! Reads (`read.rs`, `entries.rs`) never touch the write path. `upkeep.rs` picks up new roots and keeps the tree head young.

mod chain;
mod config;
mod entries;
mod error;
pub mod fuzz;
mod head;
mod inspect;
mod origin;
mod parameters;
mod read;
mod roots;
mod router;
mod start;
mod submission;
mod upkeep;
mod write;

use std::sync::Arc;

use tlog::Log;

pub use config::{Config, ShardConfig};
pub use entries::MAX_ENTRIES;
pub use error::StartError;
pub use inspect::{accept, check};
pub use origin::{OriginError, origin_of};
pub use roots::RootsError;
pub use router::MAX_REQUEST;
pub use start::{Created, CtLog, Identity, check_files, complete_shard, create, freeze, open, open_shard};

/// What the handlers share.
#[derive(Debug)]
struct App {
    log: Log,
    heads: Arc<head::CtHeadSigner>,
    roots: roots::Roots,
    leaf_index: bool,
}
