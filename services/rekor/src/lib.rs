//! The transparency log: the Rekor faces of the log engine.
//!
//! A face is a log of its own: its own key, origin and tree, because no released client can verify one tree under both
//! contracts. What the faces share is this process and its database.
//!
//! - [`v2`]: `POST /api/v2/log/entries`, checkpoint, tiles and entry bundles.

pub mod v2;
