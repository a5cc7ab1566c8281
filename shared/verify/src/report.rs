//! What was proven.

use jiff::Timestamp;
use pki::Certificate;
use serde::Serialize;

/// What an accepted bundle proves. Serialises to the document that `--output json` prints.
#[derive(Debug, Clone, Serialize)]
pub struct Verified {
    /// Who signed.
    pub signer: SignerReport,
    /// When, at the latest: every verified time.
    pub times: Vec<VerifiedTime>,
    /// Where it was logged.
    pub log_entries: Vec<LoggedEntry>,
    /// The in-toto statement, if the bundle carries one; otherwise the signature is over the artifact itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statement: Option<StatementReport>,
    /// The signing certificate, with all its claims.
    #[serde(skip)]
    pub certificate: Option<Certificate>,
}

/// Who signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum SignerReport {
    /// Whoever held an identity.
    Identity {
        /// E-mail address, URI or username.
        identity: String,
        /// `email`, `uri` or `username`.
        identity_kind: &'static str,
        /// The OIDC issuer that vouched for it.
        issuer: Option<String>,
        /// SHA-256 of the certificate, hex.
        certificate_sha256: String,
    },
    /// Whoever holds the policy's key.
    Key {
        /// SHA-256 of the SubjectPublicKeyInfo, hex.
        key_sha256: String,
    },
}

/// A time at which the signature existed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct VerifiedTime {
    /// The time, whole seconds in most cases.
    pub time: Timestamp,
    /// What kind of witness.
    pub source: TimeSource,
    /// The authority's or log's URL, or the authority's name.
    pub by: String,
}

/// What kind of witness a time has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeSource {
    /// An RFC 3161 timestamp authority.
    TimestampAuthority,
    /// A Rekor v1 log, by its inclusion promise.
    TransparencyLog,
}

/// An entry that a trusted log vouches for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoggedEntry {
    /// The log's base URL.
    pub log: String,
    /// The entry's index.
    pub index: u64,
    /// Its kind and version: `hashedrekord 0.0.2`.
    pub kind: String,
    /// Whether it was proven to be in the tree; otherwise the log promised to take it in (bundles v0.1).
    pub included: bool,
}

/// A statement about the artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StatementReport {
    /// What kind of statement.
    pub predicate_type: String,
    /// Its subjects' names, as the signer wrote them.
    pub subjects: Vec<String>,
    /// The statement's JSON, as it was signed.
    #[serde(skip)]
    pub payload: Vec<u8>,
}
