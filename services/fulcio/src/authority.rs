//! The issuing key and its chain: checked when the service starts, and their validity again for every certificate.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use keys::{SignError, Signer};
use pki::chain::{ChainError, IssuingChain, Problem};
use pki::leaf::{Issuer, IssuerError};
use pki::{Certificate, CertificateError};

/// How long a certificate lives.
const LIFETIME: SignedDuration = SignedDuration::from_mins(10);
/// The most that a certificate may begin before now.
const MAX_SKEW: SignedDuration = SignedDuration::from_secs(60);
/// From here on the log says that the chain ends soon.
const WARN_BEFORE_END: SignedDuration = SignedDuration::from_hours(24 * 30);

/// The certificate authority's identity.
#[derive(Debug)]
pub(crate) struct Authority {
    chain: IssuingChain,
    issuer: Issuer,
    /// The chain as answers carry it: PEM without final newlines.
    chain_pems: Arc<[String]>,
    signer: Arc<dyn Signer>,
    skew: SignedDuration,
}

/// First and last second of a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

/// The authority cannot issue now: the operator's to mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the issuing chain is valid from {not_before} to {not_after}, and it is {now}")]
pub struct NotValidNow {
    /// When the whole chain begins to be valid.
    pub not_before: Timestamp,
    /// When its first certificate ends.
    pub not_after: Timestamp,
    /// Our time.
    pub now: Timestamp,
}

/// Chain and key cannot be used: the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The chain's file.
    #[error("the certificate chain {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Not certificates.
    #[error("the certificate chain {} does not hold certificates", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: CertificateError,
    },
    /// Certificates that verifiers would refuse, or another key's.
    #[error("the certificate chain {} cannot issue", path.display())]
    Chain {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: Box<ChainError>,
    },
    /// The issuing certificate cannot lend its name.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    /// Too much.
    #[error("not_before_skew is {} s, expected at most {} s", found.as_secs(), MAX_SKEW.as_secs())]
    Skew {
        /// As configured.
        found: SignedDuration,
    },
}

impl AuthorityError {
    /// The stable code.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } | Self::Malformed { .. } => "ca_chain_unusable",
            Self::Chain { source, .. } => match **source {
                ChainError::OtherKey { .. } => "ca_key_mismatch",
                ChainError::Certificate { problem: Problem::NotValidNow { .. }, .. } => "ca_not_valid",
                ChainError::Empty | ChainError::Certificate { .. } => "ca_chain_invalid",
            },
            Self::Issuer(_) => "ca_chain_invalid",
            Self::Skew { .. } => "not_before_skew",
        }
    }
}

impl Authority {
    /// Reads the chain at `path` and checks that `signer` may issue with it at `now`.
    pub(crate) fn open(
        path: &Path,
        signer: Arc<dyn Signer>,
        skew: SignedDuration,
        now: Timestamp,
    ) -> Result<Self, AuthorityError> {
        if skew > MAX_SKEW {
            return Err(AuthorityError::Skew { found: skew });
        }
        let text = std::fs::read_to_string(path).map_err(|source| AuthorityError::Unreadable { path: path.into(), source })?;
        let chain =
            Certificate::chain_from_pem(&text).map_err(|source| AuthorityError::Malformed { path: path.into(), source })?;
        let chain = IssuingChain::check(chain, signer.public_key(), now)
            .map_err(|source| AuthorityError::Chain { path: path.into(), source: Box::new(source) })?;
        let issuer = Issuer::new(chain.issuing())?;
        let ends = chain.not_after();
        if ends.duration_since(now) < WARN_BEFORE_END {
            tracing::warn!(until = %ends, "the issuing chain ends soon; no certificate is valid beyond it");
        }
        let chain_pems = chain.certificates().iter().map(|certificate| certificate.to_pem().trim_end().to_owned()).collect();
        Ok(Self { chain, issuer, chain_pems, signer, skew })
    }

    /// The validity of a certificate issued at `now`: from this second, less the configured skew, for ten minutes; cut where
    /// the chain begins and ends.
    pub(crate) fn validity_at(&self, now: Timestamp) -> Result<Validity, NotValidNow> {
        let (not_before, not_after) = (self.chain.not_before(), self.chain.not_after());
        let refused = NotValidNow { not_before, not_after, now };
        if now < not_before || now > not_after {
            return Err(refused);
        }
        let second = Timestamp::from_second(now.as_second()).map_err(|_| refused.clone())?;
        let begin = second.checked_sub(self.skew).map_err(|_| refused.clone())?;
        let end = second.checked_add(LIFETIME).map_err(|_| refused)?;
        Ok(Validity { not_before: begin.max(not_before), not_after: end.min(not_after) })
    }

    /// Signs with the issuing key.
    pub(crate) async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.signer.sign(message).await
    }

    /// What certificates take from the issuing one.
    pub(crate) fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// From the issuing certificate to the root.
    pub(crate) fn chain(&self) -> &[Certificate] {
        self.chain.certificates()
    }

    /// The same as PEM, without final newlines.
    pub(crate) fn chain_pems(&self) -> &Arc<[String]> {
        &self.chain_pems
    }
}
