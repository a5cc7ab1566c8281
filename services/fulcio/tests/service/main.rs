//! The service in one process with a real issuer and a real log.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod discovery;
mod issuing;
mod keys_and_proofs;
mod log_faults;
mod own_faults;
mod routes;
mod start;
mod support;
mod tokens;
