//! The transparency log: the Rekor faces of the log engine.
//!
//! A face is a log of its own: its own key, origin and tree, because no released client can verify one tree under both
//! contracts. What the faces share is this process and its database.
//!
//! - [`v2`]: `POST /api/v2/log/entries`, checkpoint, tiles and entry bundles.
//! - [`v1`]: `POST /api/v1/log/entries` with a promise, entries by index and id, proofs, the search index.

mod host;
mod start;
pub mod v1;
pub mod v2;
mod witness;

pub use start::StartError;
pub use witness::{WithoutQuorum, WitnessesConfig, WitnessesError};
