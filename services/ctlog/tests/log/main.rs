//! The log over HTTP, in process: every case that needs no client of others.

#![allow(clippy::unwrap_used, reason = "tests")]

mod common;
mod embedded;
mod reads;
mod refusals;
mod restart;
mod roots;
mod start;
mod submissions;
