//! The log engine: an append-only Merkle tree whose every answer is durable before it is given.
//!
//! One engine, several faces: a face says how an entry becomes a leaf ([`Submission`]) and how a tree head is signed
//! ([`TreeHeadSigner`]); the engine takes entries, finds duplicates, orders, commits, proves, recovers and reads.
//!
//! # Where to read
//! - [`Log`]: the handle that faces hold (`log.rs`).
//! - The life of an append, in three stories: `admission.rs` (who may come in), `queue.rs` (what waits, and what joins its twin) and the
//!   protocol spine, `sequencer.rs` (one batch, one transaction, one signature).
//! - `follow.rs` (what other processes append shows here too), `tree.rs` (what is in memory), `reader.rs` (proofs and tiles from it), `recover.rs`
//!   (start-up is a check of the right edge).
//! - [`Store`] and [`Transaction`]: the seam to a database, its contract in prose; [`sqlite`] and [`postgres`] are the drivers, and
//!   [`Database`] is either.
//! - [`Tier`] and [`tiered`]: complete bundles move to an object store, `mover.rs` tells how; reads are the same from either.
//! - `record.rs`: the newest published head, kept outside the database; a database that was rolled back is found out by it.
//! - [`check_log`]: the whole log recomputed from its entries; [`check_tiles`]: the same of any log that is published as tiles.
//!
//! # What is promised
//! - Whoever is told an index finds the entry there for ever: entries, tiles and signed head are one transaction, and nobody is
//!   answered before it is durable.
//! - There is one tree. A writer that finds the state row changed catches up or stops; a commit with an unknown outcome is
//!   resolved by reading the row, never by guessing.
//! - An entry is in the log once: an exact, unique index on what the face calls a duplicate.
//! - Times never go back; when the clock does, appends stop until it has caught up.

mod admission;
mod check;
mod database;
mod error;
mod follow;
mod glance;
mod head;
mod log;
mod metric;
mod mover;
mod note_signer;
mod note_verifier;
pub mod postgres;
mod queue;
mod reader;
mod record;
mod recover;
mod rollback;
mod sequencer;
mod sql;
pub mod sqlite;
mod state;
mod store;
mod submission;
mod tier;
mod tiered;
mod tiles;
mod tree;

pub use admission::Place;
pub use check::{CheckReport, Depth, check_log, check_log_to};
pub use database::{Database, DatabaseAddress, DatabaseError};
pub use error::{AppendError, OpenError, ReadError};
pub use glance::moved_of;
pub use head::{HeadError, SignedTreeHead, TreeHead, TreeHeadSigner};
pub use log::{Limits, Log, Published};
pub use note_signer::{NoteSigner, UnsuitableSigner};
pub use note_verifier::NoteVerifier;
pub use record::RecordError;
pub use rollback::{GivenUp, RollbackError, accept_rollback, check_record};
pub use state::State;
pub use store::{Content, FullTile, NewEntry, Row, Store, StoreError, Stored, Transaction};
pub use submission::{Appended, Leaf, Submission};
pub use tier::{Form, Tier};
pub use tiered::tiered;
pub use tiles::{TileFault, TileSource, check_tiles, parse_bundle};
