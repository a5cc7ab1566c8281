//! The certificate transparency log: the CT face of the log engine.
//!
//! Life of a submission: [`chain`](mod@chain) checks that it chains to an accepted root and reads what is to be logged, outside any
//! lock → the engine drops a duplicate or makes the entry durable together with a signed tree head → the SCT is signed from the stored
//! time and index, after the commit and never before. Life of a read: [`api`] answers RFC 6962 from what the engine has published.

mod api;
mod chain;
mod config;
mod error;
mod head;
mod sct;
mod start;

pub use chain::{Refusal, Roots, RootsError};
pub use config::Config;
pub use error::CODES;
pub use start::{CtLog, StartError, create, open, origin_of};
