//! Bundles made with throwaway authorities and logs: what is accepted, and that every change of it is refused, with its reason.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod accepted;
mod legacy;
mod refused;
mod world;
