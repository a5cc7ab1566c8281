//! The only code that holds a private key.
//!
//! [`Signer`] is the seam: whole messages in, signatures in the field's usual encoding out. Drivers: [`FileKey`] (PKCS#8 PEM
//! on disk, signed with aws-lc-rs). Later drivers (PKCS#11, KMS) fit behind the same trait.

mod file;

use async_trait::async_trait;
use pki::PublicKey;

pub use file::{FileKey, GenerateError, KeyFileError, ParseError};

/// Signs messages with one private key.
///
/// Contract: `sign` may be called concurrently; it hashes the message itself with the hash that belongs to the key (P-256 and RSA
/// SHA-256, P-384 SHA-384, Ed25519 none) and returns DER ECDSA, PKCS#1 v1.5, or raw Ed25519. A driver proves that its private key
/// belongs to [`Signer::public_key`] before it signs the first message: a log or a certificate authority must never publish
/// what nobody can verify.
#[async_trait]
pub trait Signer: Send + Sync + std::fmt::Debug {
    /// The public half.
    fn public_key(&self) -> &PublicKey;
    /// Signs `message`.
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError>;
}

/// The key could not sign: always our or the operator's fault, never the caller's.
#[derive(Debug, thiserror::Error)]
#[error("the key {fingerprint} could not sign")]
pub struct SignError {
    /// First 12 hex digits of SHA-256 over the SPKI.
    pub fingerprint: String,
    /// What the driver said.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}
