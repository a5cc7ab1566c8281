//! Why a chain is refused.

use jiff::Timestamp;

use crate::certificate::{Certificate, CertificateSignatureError};

/// A chain that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// Nothing.
    #[error("the chain is empty")]
    Empty,
    /// One certificate cannot stand where it stands.
    #[error("certificate {position} of the chain ({short} {subject}) {problem}")]
    Certificate {
        /// From 1, the certificate in use.
        position: usize,
        /// The first 12 hex digits of its SHA-256.
        short: String,
        /// Its subject.
        subject: String,
        /// What is wrong with it.
        problem: Problem,
    },
    /// The key belongs to another certificate.
    #[error("the first certificate is for the key {certified}, but the configured key is {configured}")]
    OtherKey {
        /// Fingerprint of the key in the certificate.
        certified: String,
        /// Fingerprint of the configured key.
        configured: String,
    },
}

/// What is wrong with a certificate in its place of a chain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Names do not match.
    #[error("was not issued by the next one: its issuer is not that one's subject; expected the root last")]
    Order,
    /// The signature.
    #[error("does not carry a valid signature of the next one: {0}")]
    Signature(CertificateSignatureError),
    /// Not a CA.
    #[error("is not a certificate authority; expected BasicConstraints CA:TRUE")]
    NotAuthority,
    /// A CA that only signs something else.
    #[error("may not sign certificates; expected keyCertSign in its KeyUsage")]
    MayNotSign,
    /// Too many certificates below it.
    #[error("allows {allowed} certificate authorities below it, and there are {found}")]
    PathLength {
        /// pathLenConstraint.
        allowed: u8,
        /// Intermediates below it.
        found: usize,
    },
    /// The end of the chain is not one.
    #[error("is the last and not self-signed; expected the root")]
    NotSelfSigned,
    /// Outside of its validity.
    #[error("is valid from {not_before} to {not_after}, and it is {now}")]
    NotValidNow {
        /// First second.
        not_before: Timestamp,
        /// Last second.
        not_after: Timestamp,
        /// Our time.
        now: Timestamp,
    },
    /// An extension that some verifier insists on.
    #[error("has no {0}, which some clients require")]
    Missing(&'static str),
    /// An extension that some verifier wants critical.
    #[error("has a {0} that is not critical, which some clients require")]
    NotCritical(&'static str),
    /// Not for this purpose.
    #[error("is not for {expected}: its ExtendedKeyUsage lacks it or is missing")]
    Purpose {
        /// What it should be for.
        expected: &'static str,
    },
    /// Ed25519.
    #[error("has an Ed25519 key, which several clients refuse in a chain; expected ECDSA P-384, ECDSA P-256 or RSA")]
    Ed25519,
}

impl ChainError {
    pub(super) fn at(index: usize, certificate: &Certificate, problem: Problem) -> Self {
        Self::Certificate { position: index + 1, short: certificate.short(), subject: certificate.subject(), problem }
    }
}
