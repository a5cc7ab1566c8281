//! The whole crate against a directory, a clock set by hand, and stores and keys that fail.

mod crashing;
mod fixture;
mod reading;
mod releasing;
mod running;
mod serving;
