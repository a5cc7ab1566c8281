//! Signature algorithms as certificates and requests name them.

use std::fmt;

use const_oid::ObjectIdentifier;
use const_oid::db::rfc5912::{
    ECDSA_WITH_SHA_256, ECDSA_WITH_SHA_384, ECDSA_WITH_SHA_512, SHA_256_WITH_RSA_ENCRYPTION, SHA_384_WITH_RSA_ENCRYPTION,
    SHA_512_WITH_RSA_ENCRYPTION,
};
use const_oid::db::rfc8410::ID_ED_25519;
use der::asn1::Any;
use spki::AlgorithmIdentifierOwned;

use crate::hash::HashAlgorithm;
use crate::key::{BadSignature, KeyKind, PublicKey};

/// A signature algorithm that is accepted on certificates and requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// ECDSA, whatever the curve.
    Ecdsa(HashAlgorithm),
    /// RSA PKCS #1 v1.5.
    RsaPkcs1(HashAlgorithm),
    /// Pure Ed25519.
    Ed25519,
}

/// A signature algorithm that is not accepted: SHA-1, RSA-PSS, or one that nobody here uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the signature algorithm {oid} is not supported; expected ECDSA or RSA PKCS #1 v1.5 with SHA-256, SHA-384 or SHA-512, or Ed25519"
)]
pub struct UnknownSignatureAlgorithm {
    /// The algorithm.
    pub oid: ObjectIdentifier,
}

impl SignatureAlgorithm {
    /// The algorithm a key of this kind signs with by default.
    #[must_use]
    pub const fn of(kind: KeyKind) -> Self {
        match kind {
            KeyKind::P256 | KeyKind::P384 | KeyKind::P521 => Self::Ecdsa(kind.hash()),
            KeyKind::Rsa { .. } => Self::RsaPkcs1(kind.hash()),
            KeyKind::Ed25519 => Self::Ed25519,
        }
    }

    /// The hash; `None` for Ed25519, which takes the whole message.
    #[must_use]
    pub const fn hash(self) -> Option<HashAlgorithm> {
        match self {
            Self::Ecdsa(hash) | Self::RsaPkcs1(hash) => Some(hash),
            Self::Ed25519 => None,
        }
    }

    /// Verifies `signature` over `message` with `key`.
    ///
    /// # Errors
    /// [`BadSignature`], also when the key is of another family than the algorithm.
    pub fn verify(self, key: &PublicKey, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        match (self, key.kind()) {
            (Self::Ecdsa(hash), KeyKind::P256 | KeyKind::P384 | KeyKind::P521) | (Self::RsaPkcs1(hash), KeyKind::Rsa { .. }) => {
                if hash == key.kind().hash() {
                    key.verify(message, signature)
                } else {
                    key.verify_with(hash, message, signature)
                }
            }
            (Self::Ed25519, KeyKind::Ed25519) => key.verify(message, signature),
            _ => Err(BadSignature),
        }
    }

    pub(crate) fn from_identifier(identifier: &AlgorithmIdentifierOwned) -> Result<Self, UnknownSignatureAlgorithm> {
        use HashAlgorithm::{Sha256, Sha384, Sha512};
        let algorithm = match identifier.oid {
            ECDSA_WITH_SHA_256 => Self::Ecdsa(Sha256),
            ECDSA_WITH_SHA_384 => Self::Ecdsa(Sha384),
            ECDSA_WITH_SHA_512 => Self::Ecdsa(Sha512),
            SHA_256_WITH_RSA_ENCRYPTION => Self::RsaPkcs1(Sha256),
            SHA_384_WITH_RSA_ENCRYPTION => Self::RsaPkcs1(Sha384),
            SHA_512_WITH_RSA_ENCRYPTION => Self::RsaPkcs1(Sha512),
            ID_ED_25519 => Self::Ed25519,
            oid => return Err(UnknownSignatureAlgorithm { oid }),
        };
        Ok(algorithm)
    }

    /// The AlgorithmIdentifier: no parameters for ECDSA and Ed25519, NULL for RSA (RFC 5758 §3.2, RFC 8410 §3, RFC 4055 §5).
    pub(crate) fn identifier(self) -> AlgorithmIdentifierOwned {
        use HashAlgorithm::{Sha256, Sha384, Sha512};
        let (oid, parameters) = match self {
            Self::Ecdsa(Sha256) => (ECDSA_WITH_SHA_256, None),
            Self::Ecdsa(Sha384) => (ECDSA_WITH_SHA_384, None),
            Self::Ecdsa(Sha512) => (ECDSA_WITH_SHA_512, None),
            Self::RsaPkcs1(Sha256) => (SHA_256_WITH_RSA_ENCRYPTION, Some(Any::null())),
            Self::RsaPkcs1(Sha384) => (SHA_384_WITH_RSA_ENCRYPTION, Some(Any::null())),
            Self::RsaPkcs1(Sha512) => (SHA_512_WITH_RSA_ENCRYPTION, Some(Any::null())),
            Self::Ed25519 => (ID_ED_25519, None),
        };
        AlgorithmIdentifierOwned { oid, parameters }
    }
}

impl fmt::Display for SignatureAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ecdsa(hash) => write!(f, "ECDSA with {hash}"),
            Self::RsaPkcs1(hash) => write!(f, "RSA PKCS #1 v1.5 with {hash}"),
            Self::Ed25519 => f.write_str("Ed25519"),
        }
    }
}
