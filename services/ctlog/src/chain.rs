//! Whether a submitted chain may be logged.
//!
//! A log records; it does not judge. Validity dates and name constraints are the authority's and the client's business. What is checked
//! keeps the log from being filled by strangers: a whole, ordered chain of valid signatures to a root of ours, for code
//! signing, and for a precertificate a poison that every client will recognise.

use ct::{AddChainRequest, ExtraData, SignedEntry};
use pki::splice::{SpliceError, remove_extension};
use pki::{Certificate, CertificateError, oid};

use crate::roots::Accepted;
use crate::submission::CtSubmission;

/// Which of the two endpoints a chain was sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `add-chain`.
    Certificate,
    /// `add-pre-chain`.
    Precertificate,
}

/// A chain that is not logged: the caller's doing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ChainRefusal {
    #[error(transparent)]
    Request(ct::ChainError),
    #[error("certificate {position} of the chain cannot be read")]
    Certificate {
        position: usize,
        #[source]
        source: CertificateError,
    },
    #[error("the certificate has no poison extension (1.3.6.1.4.1.11129.2.4.3); send final certificates to add-chain")]
    NotPrecertificate,
    #[error("the certificate has a poison extension (1.3.6.1.4.1.11129.2.4.3); send precertificates to add-pre-chain")]
    Precertificate,
    #[error("the poison extension is not critical, expected a critical one with the value 05 00")]
    PoisonNotCritical,
    #[error("the poison extension has a wrong value, expected 05 00")]
    PoisonValue,
    #[error("the certificate is not for code signing, expected codeSigning in its ExtendedKeyUsage")]
    Purpose,
    #[error(
        "precertificates that are signed by a dedicated certificate are not accepted; expected the issuing certificate itself"
    )]
    PrecertificateSigning,
    #[error("the precertificate cannot be logged")]
    Splice(#[source] SpliceError),
    #[error("no accepted root issued certificate {position}, the last of the chain ({last}); accepted roots: {accepted}")]
    UnknownRoot { position: usize, last: String, accepted: String },
    #[error(
        "certificate {position} follows the root; expected the certificate, its issuers in order, and the root last or absent"
    )]
    AfterRoot { position: usize },
    #[error("the chain does not hold")]
    Link(#[source] pki::chain::ChainError),
}

impl ChainRefusal {
    /// The stable code.
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Request(ct::ChainError::Json(_)) => "chain_json",
            Self::Request(ct::ChainError::Empty) => "chain_empty",
            Self::Request(ct::ChainError::TooLong(_)) => "chain_too_long",
            Self::Request(ct::ChainError::Base64(_)) => "chain_base64",
            Self::Certificate { .. } => "chain_certificate",
            Self::NotPrecertificate => "chain_not_precertificate",
            Self::Precertificate => "chain_precertificate",
            Self::PoisonNotCritical | Self::PoisonValue => "chain_poison",
            Self::Purpose => "chain_purpose",
            Self::PrecertificateSigning => "chain_precertificate_signing",
            Self::Splice(_) => "chain_not_der",
            Self::UnknownRoot { .. } => "chain_root_unknown",
            Self::AfterRoot { .. } => "chain_after_root",
            Self::Link(_) => "chain_broken",
        }
    }
}

/// Accepts a chain for logging.
///
/// 1. the certificate itself: readable, of the endpoint's kind, for code signing;
/// 2. its issuers: whole and in order, verified, up to an accepted root;
/// 3. what will be logged of it.
///
/// CPU-bound, one or two signature verifications: no lock is held.
pub(crate) fn accept(
    kind: Kind,
    request: &AddChainRequest,
    accepted: &Accepted,
    leaf_index: bool,
) -> Result<CtSubmission, ChainRefusal> {
    let [first, rest @ ..] = request.chain.as_slice() else { return Err(ChainRefusal::Request(ct::ChainError::Empty)) };
    let leaf = Certificate::from_der(first).map_err(|source| ChainRefusal::Certificate { position: 1, source })?;
    check_kind(kind, &leaf)?;
    check_purpose(&leaf)?;

    let issuers = accepted.issuers(&leaf, rest)?;
    let entry = match kind {
        Kind::Certificate => SignedEntry::X509(leaf.der().to_vec()),
        Kind::Precertificate => precertificate(&leaf, issuers.issuer())?,
    };

    let extra = ExtraData {
        precertificate: (kind == Kind::Precertificate).then(|| leaf.der()),
        chain: issuers.certificates().iter().map(Certificate::der).collect(),
    };
    let extra = extra.to_bytes().expect("a request of at most 64 KiB holds no part of 16 MiB");
    Ok(CtSubmission { identity: merkle::sha256(leaf.der()), entry, extra, leaf_index })
}

fn check_kind(kind: Kind, leaf: &Certificate) -> Result<(), ChainRefusal> {
    match (kind, leaf.extensions().get(oid::CT_POISON)) {
        (Kind::Certificate, None) => Ok(()),
        (Kind::Certificate, Some(_)) => Err(ChainRefusal::Precertificate),
        (Kind::Precertificate, None) => Err(ChainRefusal::NotPrecertificate),
        (Kind::Precertificate, Some(poison)) if !poison.critical => Err(ChainRefusal::PoisonNotCritical),
        (Kind::Precertificate, Some(poison)) if poison.value != [0x05, 0x00] => Err(ChainRefusal::PoisonValue),
        (Kind::Precertificate, Some(_)) => Ok(()),
    }
}

fn check_purpose(leaf: &Certificate) -> Result<(), ChainRefusal> {
    match leaf.extensions().ext_key_usage() {
        Some(purposes) if purposes.contains(&oid::CODE_SIGNING) => Ok(()),
        _ => Err(ChainRefusal::Purpose),
    }
}

fn precertificate(leaf: &Certificate, issuer: &Certificate) -> Result<SignedEntry, ChainRefusal> {
    let purposes = issuer.extensions().ext_key_usage().unwrap_or_default();
    if purposes.contains(&oid::CT_PRECERTIFICATE_SIGNING) {
        return Err(ChainRefusal::PrecertificateSigning);
    }
    let tbs = remove_extension(leaf.tbs_der(), oid::CT_POISON).map_err(ChainRefusal::Splice)?;
    Ok(SignedEntry::Precert { issuer_key_hash: issuer.public_key().fingerprint(), tbs })
}
