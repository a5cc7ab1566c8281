//! What the faces of the log engine share: where a shard of a log is kept, and how it is opened, checked and frozen.
//!
//! A face says how its entries and heads look; everything that its configuration says of databases and records means the same in each.
//!
//! - [`Place`]: one shard of a log, as the configuration names it.
//! - [`SharedDatabase`]: the database that several logs of a process may be in.
//! - [`check`] and [`accept`]: looking after a shard that nothing serves; [`freeze`]: its last head.

mod database;
mod error;
mod inspect;
mod place;

pub use database::{DatabaseAnswers, SharedDatabase};
pub use error::LogError;
pub use inspect::{Frozen, accept, check, freeze};
pub use place::{Place, default_keep_entries};
