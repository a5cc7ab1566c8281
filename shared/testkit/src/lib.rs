//! Doubles and fixtures for tests: a throwaway PKI, an identity provider, the built binary as a process, and released clients.
//!
//! A dev-dependency only: what goes wrong here panics with the reason, because a test is the only caller.
//!
//! - [`TestCa`] signs server certificates for loopback names.
//! - [`TokenKey`] and [`FakeIssuer`] mint and vouch for identity tokens.
//! - [`sigstore::World`] is a whole Sigstore that makes bundles, right and wrong ones.
//! - [`Chancery`] is the binary under test; [`Client`] runs a released client against it, in an environment of its own, and fails
//!   the test when the client tries to reach any other machine.
//! - [`Postgres`] is a database server in a scratch folder, [`S3`] an object store; [`FaultyObjects`] is one that fails when it is told to.
//! - [`Peer`] is another registry; [`Relay`] is a bad line to one; [`Scripted`] is a server that does as it is told.

mod chancery;
mod client;
mod environment;
mod issuer;
mod objects;
mod outside;
mod peer;
mod pki;
mod postgres;
mod relay;
mod s3;
mod scripted;
pub mod sigstore;
mod token;
mod wait;

pub use self::objects::{Faults, FaultyObjects, ObjectFault};
pub use self::pki::{ServerCertificate, TestCa};
pub use chancery::{Chancery, Ended, Launch};
pub use client::{Client, Ran, Running, on_path, pinned};
pub use environment::Environment;
pub use issuer::FakeIssuer;
pub use outside::Outside;
pub use peer::{Peer, free_port};
pub use postgres::Postgres;
pub use relay::Relay;
pub use s3::S3;
pub use scripted::{Reply, Scripted, ScriptedRequest};
pub use token::TokenKey;
pub use wait::{http, wait_until};
