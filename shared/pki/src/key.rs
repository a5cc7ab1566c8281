//! Public keys: every value of [`PublicKey`] is one that Fulcio, the logs and their clients can use.

mod ed25519ph;
mod error;
mod rsa;
mod spki;
mod verify;

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::signature::ParsedPublicKey;

use crate::hash::{HashAlgorithm, sha256, short};
use crate::pem_text;

pub use error::{KeyError, KeyFault};
pub use verify::BadSignature;

/// What kind of key it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// ECDSA on NIST P-256.
    P256,
    /// ECDSA on NIST P-384.
    P384,
    /// ECDSA on NIST P-521.
    P521,
    /// RSA.
    Rsa {
        /// Length of the modulus: 2048, 3072 or 4096.
        bits: u32,
    },
    /// Ed25519.
    Ed25519,
}

impl KeyKind {
    /// The hash that signatures of this key use unless something says otherwise. For Ed25519 it is the hash of
    /// Ed25519ph; pure Ed25519 takes the whole message.
    #[must_use]
    pub const fn hash(self) -> HashAlgorithm {
        match self {
            Self::P256 | Self::Rsa { .. } => HashAlgorithm::Sha256,
            Self::P384 => HashAlgorithm::Sha384,
            Self::P521 | Self::Ed25519 => HashAlgorithm::Sha512,
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::P256 => f.write_str("ECDSA P-256"),
            Self::P384 => f.write_str("ECDSA P-384"),
            Self::P521 => f.write_str("ECDSA P-521"),
            Self::Rsa { bits } => write!(f, "RSA {bits}"),
            Self::Ed25519 => f.write_str("Ed25519"),
        }
    }
}

/// A public key that passed every check: a canonical SubjectPublicKeyInfo, a supported kind and size, a point on its curve, no
/// known weakness. Cloning is cheap.
#[derive(Clone)]
pub struct PublicKey(Arc<Inner>);

struct Inner {
    kind: KeyKind,
    spki: Vec<u8>,
    /// The bits of the SPKI's BIT STRING: EC point, `RSAPublicKey`, or the 32 bytes of Ed25519.
    bits: Vec<u8>,
    fingerprint: [u8; 32],
    /// Decoded once, for the key's own hash.
    verifier: ParsedPublicKey,
}

impl PublicKey {
    /// Parses a DER SubjectPublicKeyInfo.
    ///
    /// Only the canonical encoding is taken, because the bytes go into certificates and log entries as they are: uncompressed
    /// points, named curves, RSA with NULL parameters.
    ///
    /// # Errors
    /// [`KeyError`]: malformed, unsupported, or insecure; see [`KeyError::fault`].
    pub fn from_spki_der(der: &[u8]) -> Result<Self, KeyError> {
        spki::parse(der)
    }

    /// Parses the first PEM block of `text`: `PUBLIC KEY` (SubjectPublicKeyInfo) or `RSA PUBLIC KEY` (PKCS #1).
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_pem(text: &str) -> Result<Self, KeyError> {
        let (label, der) = pem_text::first_block(text)?;
        match label.as_str() {
            "PUBLIC KEY" => spki::parse(&der),
            "RSA PUBLIC KEY" => spki::parse_pkcs1(&der),
            _ => Err(KeyError::Label { found: label }),
        }
    }

    /// Parses PEM, or a DER SubjectPublicKeyInfo: what Fulcio's v1 API takes.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn from_pem_or_der(bytes: &[u8]) -> Result<Self, KeyError> {
        match std::str::from_utf8(bytes) {
            Ok(text) if text.contains("-----BEGIN ") => Self::from_pem(text),
            _ => spki::parse(bytes),
        }
    }

    /// What kind of key it is.
    #[must_use]
    pub fn kind(&self) -> KeyKind {
        self.0.kind
    }

    /// The SubjectPublicKeyInfo, DER.
    #[must_use]
    pub fn spki_der(&self) -> &[u8] {
        &self.0.spki
    }

    /// What the SubjectPublicKeyInfo's BIT STRING holds: the uncompressed EC point, the `RSAPublicKey`, or the 32 bytes of an
    /// Ed25519 key.
    #[must_use]
    pub fn key_bytes(&self) -> &[u8] {
        &self.0.bits
    }

    /// Modulus and exponent of an RSA key, big-endian without leading zeros; `None` for any other key.
    #[must_use]
    pub fn rsa_numbers(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        match self.0.kind {
            KeyKind::Rsa { .. } => spki::rsa_numbers(&self.0.bits).ok(),
            _ => None,
        }
    }

    /// PEM `PUBLIC KEY`, with a final newline.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem_text::encode("PUBLIC KEY", &self.0.spki)
    }

    /// SHA-256 of the SubjectPublicKeyInfo: a CT log's id, and how keys are told apart everywhere here.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        self.0.fingerprint
    }

    /// The first 12 hex digits of the [`fingerprint`](Self::fingerprint), for screens and errors.
    #[must_use]
    pub fn short(&self) -> String {
        short(&self.0.fingerprint)
    }

    fn new(kind: KeyKind, spki: &[u8], bits: &[u8], verifier: ParsedPublicKey) -> Self {
        Self(Arc::new(Inner { kind, spki: spki.to_vec(), bits: bits.to_vec(), fingerprint: sha256(spki), verifier }))
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.spki == other.0.spki
    }
}

impl Eq for PublicKey {}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({} {})", self.0.kind, self.short())
    }
}

#[cfg(test)]
mod tests;
