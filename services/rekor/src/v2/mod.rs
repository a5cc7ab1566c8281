//! The Rekor v2 face: hashedrekord 0.0.2 in, a static tile log out.
//!
//! Life of an entry: `write.rs` parses, verifies and canonicalises it (crate `entry`, no lock held) → the engine drops a
//! duplicate or makes it durable together with a signed checkpoint (crate `tlog`) → `answer.rs` checks the proof and writes the
//! `TransparencyLogEntry`. With witnesses, `published.rs` waits in between for a checkpoint that they have cosigned. Life of a read: `read.rs` serves what the published checkpoint covers, and nothing beyond.

mod answer;
mod bundles;
mod config;
mod create;
mod error;
mod export;
mod gateway;
mod inspect;
mod metric;
mod origin;
mod published;
mod read;
mod router;
mod start;
mod submission;
mod write;

use merkle::Hash;
use tlog::Log;

pub use crate::host::OriginError;
pub use crate::start::StartError;
use crate::witness::Witnesses;
pub use config::{Config, ExportConfig, ShardConfig};
pub use create::{Created, SEEDS, complete_shard, create, freeze};
pub use export::FolderError;
pub use inspect::{accept, check};
pub use origin::origin_of;
pub use start::{Identity, RekorV2, check_files, open, open_shard};

/// What the handlers share.
#[derive(Debug)]
struct App {
    log: Log,
    log_id: Hash,
    /// Those whose cosignatures its checkpoints carry, if it has any.
    witnesses: Option<Witnesses>,
    bundles: bundles::Bundles,
}

#[cfg(test)]
mod tests;
