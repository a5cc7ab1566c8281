//! Why a public key is refused.

use const_oid::ObjectIdentifier;

use crate::pem_text::PemError;

/// The public key cannot be used. It is always the one who sent it who erred.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not PEM.
    #[error("the key is not PEM")]
    Pem(#[from] PemError),
    /// A PEM block of another type.
    #[error("the PEM block is {found}, expected PUBLIC KEY or RSA PUBLIC KEY")]
    Label {
        /// The block's label.
        found: String,
    },
    /// Not a SubjectPublicKeyInfo in DER, or bytes after it.
    #[error("the key is not a DER SubjectPublicKeyInfo")]
    Der,
    /// A PKCS #1 block that is not an `RSAPublicKey`.
    #[error("the key is not a DER RSAPublicKey (PKCS #1)")]
    Pkcs1,
    /// The algorithm parameters are not the canonical ones.
    #[error(
        "the key's algorithm parameters are not in canonical form: expected a named curve for EC, NULL for RSA, none for Ed25519"
    )]
    Parameters,
    /// An algorithm nobody here uses.
    #[error("keys of the algorithm {oid} are not supported; expected ECDSA P-256, P-384 or P-521, RSA, or Ed25519")]
    Algorithm {
        /// The algorithm.
        oid: ObjectIdentifier,
    },
    /// A compressed or malformed point.
    #[error("the elliptic curve point is not in uncompressed form")]
    PointForm,
    /// A point that is not on its curve.
    #[error("the point is not on its curve")]
    NotOnCurve,
    /// A curve nobody here uses.
    #[error("the curve {oid} is not supported; expected P-256, P-384 or P-521")]
    Curve {
        /// The curve.
        oid: ObjectIdentifier,
    },
    /// An Ed25519 key that verifies signatures nobody made.
    #[error("the Ed25519 key is a point of small order")]
    SmallOrder,
    /// A modulus of another length.
    #[error("the RSA modulus has {bits} bits, expected 2048, 3072 or 4096")]
    RsaSize {
        /// Its length.
        bits: u64,
    },
    /// An exponent that invites attacks, or that clients cannot represent.
    #[error("the RSA exponent must be odd, at least 65537 and below 2^32")]
    RsaExponent,
    /// A modulus that trial division factors.
    #[error("the RSA modulus is divisible by {prime}")]
    RsaSmallFactor {
        /// The factor.
        prime: u32,
    },
    /// A modulus that Fermat's method factors.
    #[error("the RSA primes are too close to each other")]
    RsaClosePrimes,
    /// A key of a defective smart card or TPM, which can be factored.
    #[error("the RSA key was made by a chip with a known defect (ROCA, CVE-2017-15361); make one elsewhere")]
    RsaRoca,
}

/// Which of Fulcio's two sentences a [`KeyError`] belongs under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyFault {
    /// The bytes are not a key.
    Unparsable,
    /// They are a key, but not one to trust.
    Insecure,
}

impl KeyError {
    /// Whether the key could not be read, or was read and is insecure.
    #[must_use]
    pub const fn fault(&self) -> KeyFault {
        match self {
            Self::Pem(_)
            | Self::Label { .. }
            | Self::Der
            | Self::Pkcs1
            | Self::Parameters
            | Self::Algorithm { .. }
            | Self::PointForm
            | Self::NotOnCurve => KeyFault::Unparsable,
            Self::Curve { .. }
            | Self::SmallOrder
            | Self::RsaSize { .. }
            | Self::RsaExponent
            | Self::RsaSmallFactor { .. }
            | Self::RsaClosePrimes
            | Self::RsaRoca => KeyFault::Insecure,
        }
    }
}
