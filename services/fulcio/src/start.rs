//! Why the service does not start: always the operator's to mend.

use std::path::PathBuf;

use chassis::Explain;
use pki::{KeyError, KeyKind};

use crate::authority::AuthorityError;
use crate::identity::IssuerError;
use crate::issuance::journal::JournalError;

/// The service cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Chain or key.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// An issuer's configuration.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    /// The record of certificates.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The log's key file.
    #[error("the public key of the certificate log {} cannot be read", path.display())]
    CtLogKeyUnreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Not a public key.
    #[error("the public key of the certificate log {} cannot be used", path.display())]
    CtLogKey {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: KeyError,
    },
    /// A key whose promises clients refuse.
    #[error("the key of the certificate log {} is {kind}, expected ECDSA P-256, the only kind that every client accepts", path.display())]
    CtLogKeyKind {
        /// The file.
        path: PathBuf,
        /// Its kind.
        kind: KeyKind,
    },
    /// Not a submission prefix.
    #[error("ct_log.url {url} is not an http or https URL without query")]
    CtLogUrl {
        /// As configured.
        url: String,
    },
    /// Its certificate authorities.
    #[error("ct_log.ca_cert cannot be used")]
    CtLogClient(#[source] chassis::ClientError),
}

impl Explain for StartError {
    fn code(&self) -> &'static str {
        match self {
            Self::Authority(error) => error.code(),
            Self::Issuer(error) => issuer_code(error),
            Self::Journal(error) => journal_code(error),
            Self::CtLogKeyUnreadable { .. } | Self::CtLogKey { .. } | Self::CtLogKeyKind { .. } => "ct_key_unusable",
            Self::CtLogUrl { .. } => "ct_url_invalid",
            Self::CtLogClient(error) => error.code(),
        }
    }

    fn advice(&self) -> Option<String> {
        let advice = match self.code() {
            "ca_key_mismatch" => "Configure chain and key of one certificate authority: fulcio.certificate_chain, fulcio.key.",
            "ca_not_valid" => "Check the clock, or issue a new intermediate certificate.",
            "database_missing" => "Check fulcio.database; an existing installation needs its file back.",
            _ => return if let Self::CtLogClient(error) = self { error.advice() } else { None },
        };
        Some(advice.into())
    }
}

fn issuer_code(error: &IssuerError) -> &'static str {
    match error {
        IssuerError::Url { .. }
        | IssuerError::Pattern { .. }
        | IssuerError::Twice { .. }
        | IssuerError::ClientId { .. }
        | IssuerError::Needs { .. }
        | IssuerError::Foreign { .. }
        | IssuerError::SubjectDomain { .. } => "issuer_invalid",
        IssuerError::CiProviderName { .. } | IssuerError::Builtin { .. } | IssuerError::CiProvider { .. } => {
            "ci_provider_invalid"
        }
        IssuerError::Authorities { source, .. } => source.code(),
    }
}

fn journal_code(error: &JournalError) -> &'static str {
    match error {
        JournalError::Exists { .. } => "database_exists",
        JournalError::Missing { .. } => "database_missing",
        JournalError::Io { .. } | JournalError::Database { .. } => "database_failed",
        JournalError::Foreign { .. } => "database_foreign",
        JournalError::Schema { .. } => "database_schema_unknown",
    }
}
