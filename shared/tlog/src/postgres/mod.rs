//! The Postgres driver: one database, any number of processes, any number of logs in it.
//!
//! - [`Address`]: where it is, and how this process proves who it is; a line that could be read or changed on its way is refused.
//! - [`Database`]: connections with everything that durability rests on asserted, and bounds on how long anything may take.
//! - [`PostgresStore`]: one log in it, by name.

mod address;
mod connection;
mod database;
mod error;
mod rows;
mod schema;
mod store;
mod transaction;

pub use address::{Address, AddressError};
pub use database::Database;
pub use error::DatabaseError;
pub use store::PostgresStore;
pub(crate) use store::moved_of;
