//! The trusted root, made ready once: every key and certificate of it parsed.

use jiff::Timestamp;
use pki::{Certificate, CertificateError, PublicKey};
use sigstore_verify::trust_root::TrustedRoot;
use sigstore_verify::types::bundle::LogId;
use sigstore_verify::types::{DerCertificate, TimeRange, TsaAuthority};

/// The longest certificate chain of an authority.
const MAX_CHAIN: usize = 10;

/// Whom to believe.
pub(crate) struct Trust {
    pub(crate) core: sigstore_verify::Verifier,
    pub(crate) logs: Vec<Log>,
    pub(crate) certificate_authorities: Vec<Authority>,
    pub(crate) timestamp_authorities: Vec<TimestampAuthority>,
}

/// A transparency log.
pub(crate) struct Log {
    pub(crate) id: Vec<u8>,
    pub(crate) base_url: String,
    /// `None`: a key of a kind that is not known here, so nothing by it can be verified.
    pub(crate) key: Option<PublicKey>,
    pub(crate) valid_for: Option<TimeRange>,
}

/// A certificate authority: its certificates, the root last.
pub(crate) struct Authority {
    pub(crate) chain: Vec<Certificate>,
    pub(crate) valid_for: Option<TimeRange>,
}

/// A timestamp authority: its certificates as sigstore-verify takes them, and ours.
pub(crate) struct TimestampAuthority {
    pub(crate) name: String,
    pub(crate) chain: Vec<Certificate>,
    pub(crate) authority: TsaAuthority,
}

impl Trust {
    pub(crate) fn from_json(json: &str) -> Result<Self, TrustRootError> {
        let root = TrustedRoot::from_json(json).map_err(|error| TrustRootError::Malformed(error.into()))?;
        if !root.media_type.starts_with("application/vnd.dev.sigstore.trustedroot") {
            return Err(TrustRootError::MediaType(crate::refusal::shown(&root.media_type)));
        }
        let core = sigstore_verify::Verifier::new(&root).map_err(|error| TrustRootError::Unusable(error.into()))?;
        let logs = root.tlogs.iter().map(|log| Log {
            id: log.log_id.key_id.as_bytes().to_vec(),
            base_url: log.base_url.clone(),
            key: PublicKey::from_spki_der(log.public_key.raw_bytes.as_bytes()).ok(),
            valid_for: log.public_key.valid_for,
        });
        let certificate_authorities = root.certificate_authorities.iter().map(|authority| {
            let chain = chain(authority.cert_chain.certificates.iter().map(|entry| &entry.raw_bytes), 1)?;
            Ok(Authority { chain, valid_for: authority.valid_for })
        });
        let timestamp_authorities = root.timestamp_authorities.iter().map(|authority| {
            let certificates: Vec<_> = authority.cert_chain.certificates.iter().map(|entry| &entry.raw_bytes).collect();
            let chain = chain(certificates.iter().copied(), 2)?;
            let [leaf, intermediates @ .., root] = &certificates[..] else {
                return Err(TrustRootError::Chain(certificates.len()));
            };
            let intermediates = intermediates.iter().map(|certificate| (*certificate).clone()).collect();
            let name = authority.uri.clone().unwrap_or_else(|| chain[0].subject());
            let authority = TsaAuthority::new((*leaf).clone(), intermediates, (*root).clone(), authority.valid_for);
            Ok(TimestampAuthority { name, chain, authority })
        });
        Ok(Self {
            core,
            logs: logs.collect(),
            certificate_authorities: certificate_authorities.collect::<Result<_, _>>()?,
            timestamp_authorities: timestamp_authorities.collect::<Result<_, _>>()?,
        })
    }

    pub(crate) fn log(&self, id: &LogId) -> Option<&Log> {
        self.logs.iter().find(|log| log.id == id.key_id.as_bytes())
    }
}

/// Whether `time` lies in a validity of the trusted root, both ends included.
pub(crate) fn covers(valid_for: Option<TimeRange>, time: Timestamp) -> bool {
    valid_for.is_none_or(|range| range.contains(time))
}

fn chain<'a>(
    certificates: impl ExactSizeIterator<Item = &'a DerCertificate>,
    least: usize,
) -> Result<Vec<Certificate>, TrustRootError> {
    if !(least..=MAX_CHAIN).contains(&certificates.len()) {
        return Err(TrustRootError::Chain(certificates.len()));
    }
    certificates.map(|der| Certificate::from_der(der.as_bytes())).collect::<Result<_, _>>().map_err(TrustRootError::Certificate)
}

/// A trusted root that cannot be used. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum TrustRootError {
    /// Not a trusted root in JSON.
    #[error("not a Sigstore trusted root in JSON")]
    Malformed(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// JSON of something else.
    #[error("the trusted root's media type is {0}, expected application/vnd.dev.sigstore.trustedroot+json;version=0.1")]
    MediaType(String),
    /// Keys, ids or validities that contradict each other.
    #[error("the trusted root cannot be used")]
    Unusable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A chain of no certificates, of too many, or a timestamp authority without a signing certificate.
    #[error("a chain of the trusted root has {0} certificates, expected 1 to 10, and at least 2 for a timestamp authority")]
    Chain(usize),
    /// A certificate.
    #[error("a certificate of the trusted root cannot be read")]
    Certificate(#[source] CertificateError),
}

impl TrustRootError {
    /// A stable name for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) | Self::MediaType(_) => "trusted_root_malformed",
            Self::Unusable(_) | Self::Chain(_) | Self::Certificate(_) => "trusted_root_unusable",
        }
    }
}
