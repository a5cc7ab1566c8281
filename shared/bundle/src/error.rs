//! Why a document is refused.

use std::fmt;

use crate::algorithm::{HashAlgorithm, KeyDetails};

/// A document of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Document {
    /// `trusted_root.json`.
    TrustedRoot,
    /// `signing_config.v0.2.json`.
    SigningConfig,
    /// Both in one file.
    ClientTrustConfig,
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TrustedRoot => "trusted root",
            Self::SigningConfig => "signing config",
            Self::ClientTrustConfig => "client trust config",
        })
    }
}

/// A document that was read, or is about to be published, breaks a rule that some released client enforces.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Not JSON of this shape: a member is missing, unknown or of the wrong form.
    #[error("this is not a {document} that every client can read")]
    Shape {
        /// What it was read as.
        document: Document,
        /// Where and why.
        #[source]
        source: serde_json::Error,
    },
    /// Well-formed, but some client would refuse or misread it.
    #[error("the {document} must not be published: {at} {rule}")]
    Unpublishable {
        /// Which document.
        document: Document,
        /// The place, such as `ctlogs[0]`.
        at: String,
        /// The broken rule.
        rule: Rule,
    },
}

impl DocumentError {
    /// The stable code, listed in the error reference.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Shape { document, .. } | Self::Unpublishable { document, .. } => match document {
                Document::TrustedRoot => "trusted_root_invalid",
                Document::SigningConfig => "signing_config_invalid",
                Document::ClientTrustConfig => "client_trust_config_invalid",
            },
        }
    }
}

/// A rule that keeps a document readable for every client (protocol sheet ct-tsa-tuf §3.4, clients §4.1–4.2).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rule {
    /// A list that some client needs is empty.
    #[error("is empty; sigstore-python refuses to verify without one entry")]
    Empty,
    /// A URL is not of the form that clients compare or join.
    #[error("is {found}; expected {expected}")]
    Url {
        /// What was there.
        found: String,
        /// What belongs there.
        expected: &'static str,
    },
    /// A log hashes with something else than SHA-256.
    #[error("is {0}; every client knows SHA2_256 only")]
    HashAlgorithm(HashAlgorithm),
    /// The key is not a SubjectPublicKeyInfo, DER.
    #[error("is not a DER SubjectPublicKeyInfo of a kind we know (a PEM text is a common mistake)")]
    KeyUnreadable,
    /// The named algorithm is not the key's.
    #[error("is {found}; expected {expected}, which the key is")]
    KeyDetails {
        /// What the document says.
        found: KeyDetails,
        /// What the key is.
        expected: KeyDetails,
    },
    /// The log id is not the one clients compute.
    #[error("is {found}; clients compute {expected} from the key and the origin")]
    LogId {
        /// Hex of what the document says.
        found: String,
        /// Hex of what the key gives.
        expected: String,
    },
    /// Two logs have one id: clients could not tell them apart, and an entry of one would pass for the other.
    #[error("is the log id of another log too; each log needs a key of its own")]
    LogIdShared,
    /// A member of the format that breaks a client.
    #[error("is present; {0}")]
    Unwanted(&'static str),
    /// The name of an authority is incomplete.
    #[error("needs both organization and commonName; sigstore-python refuses it otherwise")]
    Subject,
    /// The end of a validity lies before its start.
    #[error("ends before it starts")]
    ValidFor,
    /// Entries are not in the order of their start.
    #[error("is not sorted by validFor.start")]
    Unsorted,
    /// A certificate is not DER.
    #[error("is not a DER certificate (a PEM text is a common mistake)")]
    CertificateUnreadable,
    /// The chain is shorter than clients demand.
    #[error("has {found} certificates; expected {expected}")]
    ChainLength {
        /// How many there are.
        found: usize,
        /// How many belong there.
        expected: &'static str,
    },
    /// A certificate of the chain is out of place.
    #[error("{0}")]
    Chain(&'static str),
    /// A service has an API version that no client looks for.
    #[error("is {found}; clients look for {expected}")]
    ApiVersion {
        /// What the document says.
        found: u32,
        /// What clients accept.
        expected: &'static str,
    },
    /// A service names no operator.
    #[error("is empty; clients count services by operator")]
    Operator,
    /// How many services to use does not fit the selector.
    #[error("must be present with EXACT and absent with ANY and ALL")]
    Count,
}
