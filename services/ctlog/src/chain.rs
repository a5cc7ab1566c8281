//! What may be logged: a certificate for code signing that chains to an accepted root.
//!
//! Validity dates and name constraints are not looked at: that is the authority's and the client's work, the log records.

use std::path::{Path, PathBuf};

use ct::{AddChainRequest, ChainError, Malformed, SignedEntry, extra_data};
use merkle::Hash;
use pki::splice::{self, SpliceError};
use pki::{Certificate, CertificateError, oid};

/// The roots that submissions may chain to.
#[derive(Debug, Clone)]
pub struct Roots(Vec<Certificate>);

/// The roots cannot be used: always the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The file.
    #[error("cannot read the accepted roots {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Its content.
    #[error("the accepted roots {} are not certificates", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: CertificateError,
    },
    /// Nothing in it.
    #[error("the accepted roots {} hold no certificate", .0.display())]
    Empty(PathBuf),
}

impl Roots {
    /// Reads PEM.
    ///
    /// # Errors
    /// [`RootsError`].
    pub fn load(path: &Path) -> Result<Self, RootsError> {
        let unreadable = |source| RootsError::Unreadable { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        let roots =
            Certificate::chain_from_pem(&text).map_err(|source| RootsError::Parse { path: path.to_owned(), source })?;
        if roots.is_empty() { Err(RootsError::Empty(path.to_owned())) } else { Ok(Self(roots)) }
    }

    /// The certificates.
    #[must_use]
    pub fn certificates(&self) -> &[Certificate] {
        &self.0
    }

    /// The root that `last` is, or that issued it; the second when it is absent from the chain.
    fn anchor(&self, last: &Certificate) -> Option<Anchor<'_>> {
        if self.0.iter().any(|root| root.der() == last.der()) {
            return Some(Anchor::Present);
        }
        self.0.iter().find(|root| issued(last, root)).map(Anchor::Absent)
    }
}

enum Anchor<'a> {
    Present,
    Absent(&'a Certificate),
}

/// Which endpoint a submission came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `add-chain`.
    Certificate,
    /// `add-pre-chain`.
    Precertificate,
}

/// A submission that may be logged.
#[derive(Debug, Clone)]
pub(crate) struct Accepted {
    /// What the leaf is about.
    pub(crate) entry: SignedEntry,
    /// What is kept beside the leaf.
    pub(crate) extra: Vec<u8>,
    /// SHA-256 of the submitted certificate.
    pub(crate) identity: Hash,
}

/// A submission that is not logged: the caller's doing.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// Not a submission.
    #[error(transparent)]
    Request(#[from] ChainError),
    /// Not a certificate.
    #[error("certificate {position} of the chain cannot be read: {source}")]
    Certificate {
        /// Counted from 0.
        position: usize,
        /// What is wrong with it.
        source: CertificateError,
    },
    /// Not a chain.
    #[error("certificate {position} of the chain was not issued by certificate {}", position + 1)]
    Link {
        /// Counted from 0.
        position: usize,
    },
    /// Issued by somebody else.
    #[error("the chain does not lead to an accepted root; its last certificate is {last}, issued by nobody in get-roots")]
    UnknownRoot {
        /// Subject of the last certificate.
        last: String,
    },
    /// A chain of one certificate that is itself a root.
    #[error("the certificate to log is itself an accepted root; expected one that a root or intermediate issued")]
    IsRoot,
    /// Another purpose.
    #[error("the certificate to log is not for code signing; expected the extended key usage codeSigning")]
    Purpose,
    /// A precertificate at `add-chain`.
    #[error("this is a precertificate; send it to /ct/v1/add-pre-chain")]
    IsPrecertificate,
    /// A certificate at `add-pre-chain`.
    #[error("this is no precertificate, it has no poison extension; send it to /ct/v1/add-chain")]
    NoPoison,
    /// A poison that is not RFC 6962's.
    #[error("the poison extension must be critical and hold ASN.1 NULL (05 00)")]
    Poison,
    /// Signed by a certificate made for nothing else: allowed by RFC 6962, not needed by any of our authorities.
    #[error("precertificates must be signed by the issuing authority itself, not by a precertificate signing certificate")]
    PrecertificateSigner,
    /// The poison cannot be cut out.
    #[error(transparent)]
    Tbs(#[from] SpliceError),
    /// Too large for its own format.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// Reads and checks a submission.
pub(crate) fn accept(kind: Kind, request: &AddChainRequest, roots: &Roots) -> Result<Accepted, Refusal> {
    let parse = |(position, der): (usize, &Vec<u8>)| {
        Certificate::from_der(der).map_err(|source| Refusal::Certificate { position, source })
    };
    let chain: Vec<Certificate> = request.chain.iter().enumerate().map(parse).collect::<Result<_, _>>()?;
    for (position, pair) in chain.windows(2).enumerate() {
        if !issued(&pair[0], &pair[1]) {
            return Err(Refusal::Link { position });
        }
    }
    let [leaf, issuers @ ..] = chain.as_slice() else { return Err(ChainError::Empty.into()) };
    let last = issuers.last().unwrap_or(leaf);
    let absent = match roots.anchor(last).ok_or_else(|| Refusal::UnknownRoot { last: last.subject() })? {
        Anchor::Present if issuers.is_empty() => return Err(Refusal::IsRoot),
        Anchor::Present => None,
        Anchor::Absent(root) => Some(root),
    };
    if leaf.extensions().ext_key_usage() != Some(&[oid::CODE_SIGNING]) {
        return Err(Refusal::Purpose);
    }
    let issuer = issuers.first().or(absent).ok_or(Refusal::IsRoot)?;
    let whole: Vec<&[u8]> = issuers.iter().chain(absent).map(Certificate::der).collect();
    let precertificate = (kind == Kind::Precertificate).then(|| leaf.der());
    Ok(Accepted {
        entry: entry(kind, leaf, issuer)?,
        extra: extra_data(precertificate, &whole)?,
        identity: merkle::sha256(leaf.der()),
    })
}

fn entry(kind: Kind, leaf: &Certificate, issuer: &Certificate) -> Result<SignedEntry, Refusal> {
    const NULL: &[u8] = &[5, 0];
    match (kind, leaf.extensions().get(oid::CT_POISON)) {
        (Kind::Certificate, None) => Ok(SignedEntry::X509(leaf.der().to_vec())),
        (Kind::Certificate, Some(_)) => Err(Refusal::IsPrecertificate),
        (Kind::Precertificate, None) => Err(Refusal::NoPoison),
        (Kind::Precertificate, Some(poison)) if !poison.critical || poison.value != NULL => Err(Refusal::Poison),
        (Kind::Precertificate, Some(_)) => {
            if issuer.extensions().ext_key_usage().is_some_and(|usages| usages.contains(&oid::CT_PRECERTIFICATE_SIGNING)) {
                return Err(Refusal::PrecertificateSigner);
            }
            let tbs = splice::remove_extension(leaf.tbs_der(), oid::CT_POISON)?;
            Ok(SignedEntry::Precert { issuer_key_hash: issuer.public_key().fingerprint(), tbs })
        }
    }
}

/// Whether `issuer` signed `certificate`.
fn issued(certificate: &Certificate, issuer: &Certificate) -> bool {
    certificate.issuer_der() == issuer.subject_der() && certificate.verify_signature(issuer.public_key()).is_ok()
}
