//! The log engine: an append-only Merkle tree whose every answer is durable before it is given.
//!
//! One engine, several faces: a face says how an entry becomes a leaf ([`Submission`]) and how a tree head is signed
//! ([`TreeHeadSigner`]); the engine takes entries, finds duplicates, orders, commits, proves, recovers and reads.
//!
//! # Where to read
//! - [`Log`]: the handle that faces hold (`log.rs`).
//! - The life of an append, in two numbered stories: `queue.rs` (what waits, and what joins its twin) and the protocol spine,
//!   `sequencer.rs` (one batch, one transaction, one signature).
//! - `tree.rs` (what is in memory), `reader.rs` (proofs and tiles from it), `recover.rs` (start-up is a check of the right edge).
//! - [`Store`] and [`Transaction`]: the seam to a database, its contract in prose; [`sqlite`] is the driver.
//! - [`check_log`]: the whole log recomputed from its entries.
//!
//! # What is promised
//! - Whoever is told an index finds the entry there for ever: entries, tiles and signed head are one transaction, and nobody is
//!   answered before it is durable.
//! - There is one tree. A writer that finds the state row changed catches up or stops; a commit with an unknown outcome is
//!   resolved by reading the row, never by guessing.
//! - An entry is in the log once: an exact, unique index on what the face calls a duplicate.
//! - Times never go back; when the clock does, appends stop until it has caught up.

mod check;
mod error;
mod head;
mod log;
mod metric;
mod note_signer;
mod queue;
mod reader;
mod recover;
mod sequencer;
pub mod sqlite;
mod state;
mod store;
mod submission;
mod tree;

pub use check::{CheckReport, check_log};
pub use error::{AppendError, OpenError, ReadError};
pub use head::{HeadError, SignedTreeHead, TreeHead, TreeHeadSigner};
pub use log::{Limits, Log};
pub use note_signer::{NoteSigner, UnsuitableSigner};
pub use state::State;
pub use store::{FullTile, NewEntry, Store, StoreError, Stored, Transaction};
pub use submission::{Appended, Leaf, Submission};
