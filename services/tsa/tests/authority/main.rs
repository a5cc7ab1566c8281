//! The timestamp authority as its operators and callers meet it.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod common;
mod http;
mod openssl;
mod start;
