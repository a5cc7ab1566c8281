//! The engine on real files, one story per module.
#![allow(clippy::unwrap_used, unreachable_pub, missing_debug_implementations, reason = "these are tests, and helpers of tests")]

mod append;
mod batches;
mod common;
mod disk;
mod driver;
mod faults;
mod faulty;
mod postgres;
mod postgres_tls;
mod reads;
mod recover;
mod rollback;
mod shelf;
mod sqlite;
mod tier;
mod tier_faults;
mod tiles;
mod writers;
