//! The SQLite driver: one file, one process, any number of logs in it.
//!
//! - [`Database`]: the file, opened with everything that durability rests on asserted, and locked against a second process.
//! - [`SqliteStore`]: one log in it, by name.

mod database;
mod rows;
mod store;
mod transaction;

pub use ::sqlite::DatabaseError;
pub use database::Database;
pub use store::SqliteStore;
