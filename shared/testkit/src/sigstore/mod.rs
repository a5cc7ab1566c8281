//! A whole Sigstore with keys that live as long as a test: certificate authority, CT log, Rekor v2 and v1 logs, timestamp
//! authority, and the trusted root that names them. Its clock stands still at [`SIGNED`].
//!
//! [`World::sign`] makes a bundle of whatever an [`Order`] says, so that a test can have everything right but one thing;
//! [`World::sign_legacy`] what cosign 2 attaches to an image instead.

#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

mod authority;
mod key;
pub mod legacy;
mod log;
mod order;
mod world;

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};

pub use key::Key;
pub use legacy::{LegacyLayer, simple_signing};
pub use order::{Leaf, Logged, Order, SIGN, SctOf, Signer, V01, V02, V03, What, statement, statement_about};
pub use world::World;

/// When everything is signed. Not now: sigstore-verify refuses what lies in the machine's future.
pub static SIGNED: LazyLock<Timestamp> = LazyLock::new(|| "2025-06-01T12:00:00Z".parse().unwrap());
/// What is signed unless an order says otherwise.
pub const ARTIFACT: &[u8] = b"an artifact";
/// Who signs unless an order says otherwise.
pub const IDENTITY: &str = "https://ghe.example/platform/app/.github/workflows/build.yml@refs/heads/main";
/// Who vouches for them.
pub const ISSUER: &str = "https://ghe.example/_services/token";
/// What an attestation says unless an order says otherwise.
pub const PREDICATE: &str = "https://slsa.dev/provenance/v1";

/// So many seconds from [`SIGNED`].
#[must_use]
pub fn at(seconds: i64) -> Timestamp {
    *SIGNED + SignedDuration::from_secs(seconds)
}

/// Standard base64, as bundles have it.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}
