//! What is timestamped: a digest and the algorithm that made it.

use der::asn1::ObjectIdentifier;

use crate::encode::{NULL, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, tlv};

const SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.2");
const SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.3");

/// The hash algorithms that are timestamped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum HashAlgorithm {
    /// SHA-256.
    Sha256,
    /// SHA-384.
    Sha384,
    /// SHA-512.
    Sha512,
}

impl HashAlgorithm {
    /// All of them, in ascending order of length.
    pub const ALL: [Self; 3] = [Self::Sha256, Self::Sha384, Self::Sha512];

    /// Length of a digest in bytes.
    #[must_use]
    pub const fn digest_length(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }

    /// The name as the JSON request writes it: `sha256`, `sha384`, `sha512`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha384 => "sha384",
            Self::Sha512 => "sha512",
        }
    }

    /// The digest of `data`.
    #[must_use]
    pub fn digest(self, data: &[u8]) -> MessageImprint {
        let algorithm = match self {
            Self::Sha256 => &aws_lc_rs::digest::SHA256,
            Self::Sha384 => &aws_lc_rs::digest::SHA384,
            Self::Sha512 => &aws_lc_rs::digest::SHA512,
        };
        MessageImprint { algorithm: self, digest: aws_lc_rs::digest::digest(algorithm, data).as_ref().to_vec() }
    }

    pub(crate) const fn oid(self) -> ObjectIdentifier {
        match self {
            Self::Sha256 => SHA256,
            Self::Sha384 => SHA384,
            Self::Sha512 => SHA512,
        }
    }

    pub(crate) fn from_oid(oid: ObjectIdentifier) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.oid() == oid)
    }

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| name.eq_ignore_ascii_case(algorithm.name()))
    }

    /// `OBJECT IDENTIFIER`, DER.
    pub(crate) fn oid_der(self) -> Vec<u8> {
        tlv(OBJECT_IDENTIFIER, &[self.oid().as_bytes()])
    }
}

/// A digest that is as long as its algorithm says (RFC 3161 §2.4.1 `MessageImprint`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MessageImprint {
    algorithm: HashAlgorithm,
    digest: Vec<u8>,
}

impl MessageImprint {
    /// Takes a digest that was made elsewhere.
    ///
    /// # Errors
    /// [`DigestLengthError`] when it is not as long as the algorithm's digests are.
    pub fn new(algorithm: HashAlgorithm, digest: &[u8]) -> Result<Self, DigestLengthError> {
        if digest.len() == algorithm.digest_length() {
            Ok(Self { algorithm, digest: digest.to_vec() })
        } else {
            Err(DigestLengthError { algorithm, length: digest.len() })
        }
    }

    /// The algorithm.
    #[must_use]
    pub fn algorithm(&self) -> HashAlgorithm {
        self.algorithm
    }

    /// The digest.
    #[must_use]
    pub fn digest(&self) -> &[u8] {
        &self.digest
    }

    /// DER, the algorithm's parameters being NULL, as every released client and server writes them.
    pub(crate) fn to_der(&self) -> Vec<u8> {
        let algorithm = tlv(SEQUENCE, &[&self.algorithm.oid_der(), NULL]);
        tlv(SEQUENCE, &[&algorithm, &tlv(OCTET_STRING, &[&self.digest])])
    }
}

/// A digest is not as long as its algorithm's digests are.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the digest has {length} bytes, {} digests have {}", .algorithm.name(), .algorithm.digest_length())]
pub struct DigestLengthError {
    /// The algorithm that was named.
    pub algorithm: HashAlgorithm,
    /// Length of the digest in bytes.
    pub length: usize,
}
