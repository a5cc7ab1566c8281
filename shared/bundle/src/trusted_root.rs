//! `dev.sigstore.trustroot.v1.TrustedRoot`: the keys and certificates a client believes.

mod chain;
mod check;
#[cfg(test)]
mod tests;

use pki::PublicKey;
use serde::{Deserialize, Serialize};

use crate::algorithm::{HashAlgorithm, KeyDetails};
use crate::bundle::X509Certificate;
use crate::error::{Document, DocumentError};
use crate::log_entry::LogId;
use crate::media_type::media_type;
use crate::publish::Publishable;
use crate::wire::{Base64, Time, nullable};

/// The one media type that sigstore-go, sigstore-python and sigstore-java accept; the `v0.2+json` of the proto's comment is not.
pub const TRUSTED_ROOT_MEDIA_TYPE: &str = "application/vnd.dev.sigstore.trustedroot+json;version=0.1";

media_type!(MediaType, TRUSTED_ROOT_MEDIA_TYPE);

/// A trusted root, v0.1. Entries are never removed, only given an end: old signatures need them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TrustedRoot {
    media_type: MediaType,
    /// Transparency logs.
    #[serde(default, deserialize_with = "nullable")]
    pub tlogs: Vec<TransparencyLog>,
    /// Certificate authorities, chain with the issuing one first.
    #[serde(default, deserialize_with = "nullable")]
    pub certificate_authorities: Vec<CertificateAuthority>,
    /// Certificate transparency logs.
    #[serde(default, deserialize_with = "nullable")]
    pub ctlogs: Vec<TransparencyLog>,
    /// Timestamp authorities, chain with the leaf first.
    #[serde(default, deserialize_with = "nullable")]
    pub timestamp_authorities: Vec<CertificateAuthority>,
}

impl TrustedRoot {
    /// A trusted root with these entries, each list sorted by start.
    #[must_use]
    pub fn new(
        mut tlogs: Vec<TransparencyLog>,
        mut certificate_authorities: Vec<CertificateAuthority>,
        mut ctlogs: Vec<TransparencyLog>,
        mut timestamp_authorities: Vec<CertificateAuthority>,
    ) -> Self {
        for logs in [&mut tlogs, &mut ctlogs] {
            logs.sort_by_key(|log| log.public_key.valid_for.start);
        }
        for authorities in [&mut certificate_authorities, &mut timestamp_authorities] {
            authorities.sort_by_key(|authority| authority.valid_for.start);
        }
        Self { media_type: MediaType, tlogs, certificate_authorities, ctlogs, timestamp_authorities }
    }

    /// Reads a trusted root, ours or anyone's. Unknown members are refused, as sigstore-go and sigstore-python do.
    ///
    /// # Errors
    /// [`DocumentError::Shape`].
    pub fn from_json(text: &[u8]) -> Result<Self, DocumentError> {
        serde_json::from_slice(text).map_err(|source| DocumentError::Shape { document: Document::TrustedRoot, source })
    }

    /// Checks it against the strictest of every released client.
    ///
    /// # Errors
    /// [`DocumentError::Unpublishable`] with the first broken rule.
    pub fn publishable(self) -> Result<Publishable<Self>, DocumentError> {
        check::trusted_root(&self)?;
        Ok(Publishable::checked(self))
    }
}

/// `TransparencyLogInstance`: a log, of entries or of certificates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TransparencyLog {
    /// Base URL. Of a Rekor v2 log its host must be the log's origin; of a CT log it is the monitoring URL.
    pub base_url: String,
    /// Always `SHA2_256`.
    pub hash_algorithm: HashAlgorithm,
    /// The log's key.
    pub public_key: LogKey,
    /// What entries and SCTs name the log by.
    pub log_id: LogId,
    /// 4-byte hint; read in foreign roots, never published: sigstore-js mistakes it for the id of a CT log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint_key_id: Option<LogId>,
    /// Who runs it; read in foreign roots, never published: older strict readers do not know it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub operator: String,
}

impl TransparencyLog {
    /// A log with `key`, known by the 32 bytes of `id`, trusted for entries from `valid_for.start` on.
    #[must_use]
    pub fn new(base_url: impl Into<String>, key: &PublicKey, id: [u8; 32], valid_for: ValidFor) -> Self {
        Self {
            base_url: base_url.into(),
            hash_algorithm: HashAlgorithm::Sha2_256,
            public_key: LogKey { raw_bytes: key.spki_der().into(), key_details: KeyDetails::of(key.kind()), valid_for },
            log_id: LogId { key_id: id.into() },
            checkpoint_key_id: None,
            operator: String::new(),
        }
    }
}

/// `PublicKey` with a validity; start is mandatory (sigstore-go refuses the whole file without it).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LogKey {
    /// SubjectPublicKeyInfo, DER.
    pub raw_bytes: Base64,
    /// Which algorithm.
    pub key_details: KeyDetails,
    /// When the log used it.
    pub valid_for: ValidFor,
}

/// `TimeRange`, both ends inclusive, compared with the time of the event (signature, SCT, genTime).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ValidFor {
    /// From then on.
    pub start: Time,
    /// Until then; none while in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Time>,
}

impl ValidFor {
    /// From the second of `start` on, without end.
    #[must_use]
    pub fn since(start: jiff::Timestamp) -> Self {
        Self { start: Time::whole_second(start), end: None }
    }
}

/// `CertificateAuthority`: a Fulcio chain or a TSA chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CertificateAuthority {
    /// Name for people.
    pub subject: Subject,
    /// Where it is served.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub uri: String,
    /// The chain, trust anchor last.
    pub cert_chain: CertificateChain,
    /// When it issued.
    pub valid_for: ValidFor,
    /// Who runs it; read in foreign roots, never published.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub operator: String,
}

impl CertificateAuthority {
    /// An authority with a chain of DER certificates: issuing CA (or TSA leaf) first, trust anchor last.
    #[must_use]
    pub fn new<C: AsRef<[u8]>>(
        subject: Subject,
        uri: impl Into<String>,
        chain: impl IntoIterator<Item = C>,
        valid_for: ValidFor,
    ) -> Self {
        let certificates = chain.into_iter().map(|der| X509Certificate { raw_bytes: der.as_ref().into() }).collect();
        Self { subject, uri: uri.into(), cert_chain: CertificateChain { certificates }, valid_for, operator: String::new() }
    }
}

/// `DistinguishedName`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Subject {
    /// `O` of the certificates.
    #[serde(default)]
    pub organization: String,
    /// `CN` of the first certificate.
    #[serde(default)]
    pub common_name: String,
}

/// `X509CertificateChain`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateChain {
    /// Each issued by the next.
    pub certificates: Vec<X509Certificate>,
}
