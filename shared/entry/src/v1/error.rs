//! Why a proposed entry is refused. It is always the caller who erred.

use pki::{HashAlgorithm, KeyKind};

use super::lenient::MAX_ITEMS;
use super::verifier::VerifierError;

/// A proposed entry is not one that a log takes.
///
/// `Display` is one line: the words that people who know Rekor look for, then what was expected.
#[derive(Debug, thiserror::Error)]
pub enum ProposalError {
    /// Not JSON, or a member occurs twice.
    #[error("the proposed entry is not JSON")]
    Json(#[source] serde_json::Error),
    /// A member without which nothing can be said of the rest.
    #[error("{member} in body is required")]
    Required {
        /// `kind`, `apiVersion` or `spec`.
        member: &'static str,
    },
    /// A kind that Rekor does not have.
    #[error("invalid kind value: {kind:?}")]
    UnknownKind {
        /// As it was sent, cut where it gets long.
        kind: String,
    },
    /// No semantic version.
    #[error("apiVersion in body should match MAJOR.MINOR.PATCH, for example 0.0.1")]
    VersionForm,
    /// A kind of Rekor that this log does not take.
    #[error(
        "entry kind '{kind}' is not enabled for submission on this server; expected hashedrekord 0.0.1, dsse 0.0.1, or intoto 0.0.1 or 0.0.2"
    )]
    KindDisabled {
        /// Which.
        kind: &'static str,
    },
    /// A version that the kind does not have.
    #[error("unable to locate entry for version {version} of kind {kind}; expected {expected}")]
    UnknownVersion {
        /// The kind.
        kind: &'static str,
        /// As it was sent, cut where it gets long.
        version: String,
        /// What there is.
        expected: &'static str,
    },
    /// A member that must be there is absent, empty or of another type.
    #[error("{member} in body is required")]
    Missing {
        /// Its path below `spec`.
        member: &'static str,
    },
    /// A member that is no base64.
    #[error("failed parsing base64 data for {member}; expected the standard alphabet with padding")]
    Base64 {
        /// Its path below `spec`.
        member: &'static str,
    },
    /// More than is looked at.
    #[error("{member} has {found} items, the most accepted is {MAX_ITEMS}")]
    TooMany {
        /// Its path below `spec`.
        member: &'static str,
        /// How many there are.
        found: usize,
    },
    /// What is stored of an entry, without what it was made of: good to look it up, not to log it.
    #[error(
        "entry not insertable into log: {missing} is missing; it is in the proposed form of the entry, not in the stored one"
    )]
    NotInsertable {
        /// The member that proposals have.
        missing: &'static str,
    },
    /// A hash algorithm that the kind does not have.
    #[error("{member}.algorithm in body should be one of {expected}")]
    HashAlgorithm {
        /// The hash.
        member: &'static str,
        /// What it can be.
        expected: &'static str,
    },
    /// No hex, or not of this hash.
    #[error("invalid value for hash: expected {expected} hex digits in {member}.value")]
    HashValue {
        /// The hash.
        member: &'static str,
        /// Twice the hash's length.
        expected: usize,
    },
    /// Key or certificate.
    #[error(transparent)]
    Verifier(#[from] VerifierError),
    /// A hash that the key does not sign with.
    #[error("entry algorithms are not allowed: {key} with {hash}, expected {expected}{note}")]
    Algorithms {
        /// The kind of the key.
        key: KeyKind,
        /// The hash in the proposal.
        hash: HashAlgorithm,
        /// The hash of this kind of key.
        expected: HashAlgorithm,
        /// What else is to be known.
        note: &'static str,
    },
    /// The signature does not fit.
    #[error("verifying signature: it does not verify over data.hash with the given {key} key")]
    Signature {
        /// The kind of the key.
        key: KeyKind,
    },
    /// Not a DSSE envelope.
    #[error("the envelope is not a DSSE envelope in JSON")]
    Envelope(#[source] serde_json::Error),
    /// An envelope without signatures.
    #[error("DSSE envelope must contain 1 or more signatures")]
    Unsigned,
    /// A payload or signature that is no base64.
    #[error("could not verify envelope: its {part} is not base64")]
    EnvelopeBase64 {
        /// `payload` or `signatures`.
        part: &'static str,
    },
    /// A key that signed nothing.
    #[error("could not verify envelope: key {number} verifies none of its signatures")]
    KeyWithoutSignature {
        /// From 1, in the order of the proposal.
        number: usize,
    },
    /// A signature without its key.
    #[error(
        "all signatures must have a key that verifies it: {uncovered} of {signatures} have none; each key counts for the first \
         signature it verifies, so two signatures by one key are never accepted"
    )]
    SignatureWithoutKey {
        /// How many have none.
        uncovered: usize,
        /// How many there are.
        signatures: usize,
    },
    /// A dsse entry that is proposal and stored form at once.
    #[error("either proposedContent or envelopeHash, payloadHash, and signatures must be present but not both")]
    BothForms,
    /// A dsse entry that is neither.
    #[error("either proposedContent or envelopeHash, payloadHash, and signatures must be present")]
    NeitherForm,
}

/// How much of what was sent is shown in a refusal, in characters.
pub(super) const MAX_SHOWN: usize = 64;

/// The beginning of `text`, for a refusal.
pub(super) fn shown(text: &str) -> String {
    text.chars().take(MAX_SHOWN).collect()
}

impl ProposalError {
    /// The stable code: metric label and anchor of the error reference.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Json(_) => "entry_json",
            Self::Required { .. } | Self::UnknownKind { .. } => "entry_type",
            Self::VersionForm | Self::UnknownVersion { .. } => "entry_version",
            Self::KindDisabled { .. } => "entry_kind_disabled",
            Self::Missing { .. } => "entry_member_missing",
            Self::Base64 { .. } => "entry_base64",
            Self::TooMany { .. } => "entry_too_many",
            Self::NotInsertable { .. } => "entry_not_insertable",
            Self::HashAlgorithm { .. } | Self::HashValue { .. } => "entry_hash",
            Self::Verifier(error) => error.code(),
            Self::Algorithms { .. } => "entry_algorithm",
            Self::Signature { .. } => "entry_signature",
            Self::Envelope(_) | Self::EnvelopeBase64 { .. } => "entry_envelope",
            Self::Unsigned | Self::KeyWithoutSignature { .. } | Self::SignatureWithoutKey { .. } => "entry_envelope_signature",
            Self::BothForms | Self::NeitherForm => "entry_oneof",
        }
    }
}
