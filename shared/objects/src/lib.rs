//! Durable objects by name: a folder, or a bucket of an S3 service.
//!
//! What is kept here has a name that says what it must be, by position or by content: tiles and bundles of a log, blobs. So most objects
//! are written once ([`Objects::put_new`]), by whoever comes first, and everybody else finds the same bytes; the few that move on, a
//! checkpoint and what is partial, are replaced as a whole ([`Objects::put_latest`]) by one writer.
//!
//! [`Driver`] is the seam: its contract in prose, two drivers, one suite of tests that runs on both (`tests/contract.rs`), and room for a
//! third that fails on purpose.

mod config;
mod driver;
mod error;
mod folder;
mod name;
mod objects;
mod s3;

pub use config::{ObjectsConfig, S3Config};
pub use driver::{Created, Driver};
pub use error::{ObjectError, Said};
pub use objects::{MOST_BYTES, Objects};
