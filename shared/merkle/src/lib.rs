//! Merkle trees as RFC 6962 defines them, cut into tiles as C2SP `tlog-tiles` does. Pure: no I/O, no clock, no async.
//!
//! - [`struct@Hash`], [`leaf_hash`], [`node_hash`]: SHA-256 with the domain prefixes of RFC 6962 §2.1.
//! - [`CompactRange`]: the frontier of a growing tree, all that an append needs.
//! - [`ProofPlan`]: which perfect subtrees a proof consists of; the hashes come from whoever stores them.
//! - [`verify_inclusion`], [`verify_consistency`]: checks that share no code with the plans.
//! - [`Tile`], [`TilePath`], [`Node::place`]: where a hash lies in tiles of height 8, and what the tile is called.

mod hash;
mod proof;
mod range;
mod tile;
mod verify;

pub use hash::{EMPTY_ROOT, Hash, HashLength, leaf_hash, node_hash, sha256};
pub use proof::{Node, OutOfRange, ProofPlan, Subtree};
pub use range::{CompactRange, RangeError};
pub use tile::{Place, TILE_HEIGHT, TILE_WIDTH, Tile, TileKind, TilePath, TilePathError};
pub use verify::{ProofError, verify_consistency, verify_inclusion};
