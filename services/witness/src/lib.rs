//! The witness: sees other people's logs grow, and signs that they only grew (C2SP `tlog-witness`, `tlog-cosignature`). What its
//! compromise would cost is in the README.
//!
//! - [`create`] makes the database, once; [`open`] opens it and reads key and logs, and makes nothing.
//! - `add.rs` is the life of a request, one numbered story; `records.rs` what is remembered, and the seam that tests break.

mod add;
mod config;
mod error;
mod http;
mod metric;
mod records;
mod start;

pub use config::{Config, LogConfig};
pub use start::{Identity, StartError, Witness, check, create, identify, open};
