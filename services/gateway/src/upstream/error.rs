//! What can go wrong with a registry behind this one, by who erred.

use std::sync::Arc;
use std::time::Duration;

use chassis::{ClientError, Explain};
use registry::{RegistryError, SetupError};

use crate::blobs::BlobError;
use crate::store::{PutError, StoreError};

/// Something of an upstream could not be had. That it is not there is no error. Cloned for everybody who waits for the same.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// The upstream is out of order, and nothing older is here.
    #[error("{prefix} is a view of another registry, which does not answer now, and what was asked for is not here")]
    Unavailable {
        /// First components of its repositories here.
        prefix: String,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
        /// What it said.
        source: RegistryError,
    },
    /// The upstream refuses, whoever asks: the account it is read with is the operator's, not the caller's.
    #[error("{prefix} is a view of another registry, which does not let this one read that")]
    Denied {
        /// First components of its repositories here.
        prefix: String,
        /// What it said.
        source: RegistryError,
    },
    /// The upstream answers what cannot be right. Nothing of it is kept, and nothing older is given out in its place.
    #[error("{prefix} is a view of another registry, whose answer is not right")]
    Wrong {
        /// First components of its repositories here.
        prefix: String,
        /// What is wrong with it.
        source: RegistryError,
    },
    /// A manifest could not be kept.
    #[error(transparent)]
    Put(Arc<PutError>),
    /// The database.
    #[error(transparent)]
    Store(Arc<StoreError>),
    /// The files of blobs.
    #[error(transparent)]
    Blob(Arc<BlobError>),
}

impl UpstreamError {
    /// What the upstream's failure means to who asked. Not that something is not there: that is no failure.
    pub(super) fn of(prefix: &str, source: RegistryError) -> Self {
        let prefix = prefix.to_owned();
        if let RegistryError::Limited { retry_after, .. } = &source {
            return Self::Unavailable { prefix, retry_after: *retry_after, source };
        }
        match &source {
            RegistryError::Unauthorised { .. } | RegistryError::Refused { status: 401 | 403 | 412 | 451, .. } => {
                Self::Denied { prefix, source }
            }
            source_ if source_.is_outage() => Self::Unavailable { prefix, retry_after: None, source },
            _ => Self::Wrong { prefix, source },
        }
    }

    /// Whether who has something older may give that.
    pub(super) fn is_outage(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }
}

impl From<StoreError> for UpstreamError {
    fn from(error: StoreError) -> Self {
        Self::Store(Arc::new(error))
    }
}

impl From<PutError> for UpstreamError {
    fn from(error: PutError) -> Self {
        Self::Put(Arc::new(error))
    }
}

impl From<BlobError> for UpstreamError {
    fn from(error: BlobError) -> Self {
        Self::Blob(Arc::new(error))
    }
}

/// An upstream cannot be set up: always the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamSetupError {
    /// The prefix is no name of a repository.
    #[error("upstream prefix `{prefix}` cannot be the beginning of a repository's name")]
    Prefix {
        /// As configured.
        prefix: String,
        /// What is wrong with it.
        source: oci::NameError,
    },
    /// One prefix for two registries.
    #[error("two upstreams have the prefix {prefix}")]
    PrefixTwice {
        /// As configured.
        prefix: String,
    },
    /// The URL, or the client as a whole.
    #[error("the upstream of {prefix} cannot be used")]
    Registry {
        /// As configured.
        prefix: String,
        /// What is wrong with it.
        source: SetupError,
    },
    /// The certificate authorities.
    #[error("the upstream of {prefix} cannot be used")]
    Authorities {
        /// As configured.
        prefix: String,
        /// What is wrong with them.
        source: ClientError,
    },
    /// Half an account.
    #[error("the upstream of {prefix} has a user name or a password, but not both")]
    HalfAnAccount {
        /// As configured.
        prefix: String,
    },
    /// A password in the clear.
    #[error("the password for the upstream of {prefix} would go over the network unencrypted")]
    Unencrypted {
        /// As configured.
        prefix: String,
    },
    /// The file of the password.
    #[error("the password for the upstream of {prefix} cannot be read from {}", path.display())]
    Password {
        /// As configured.
        prefix: String,
        /// The file.
        path: std::path::PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

impl Explain for UpstreamSetupError {
    fn code(&self) -> &'static str {
        match self {
            Self::Prefix { .. } | Self::PrefixTwice { .. } => "upstream_prefix",
            Self::Registry { .. } => "upstream_url",
            Self::Authorities { source, .. } => source.code(),
            Self::HalfAnAccount { .. } | Self::Unencrypted { .. } | Self::Password { .. } => "upstream_account",
        }
    }

    fn advice(&self) -> Option<String> {
        let advice = match self {
            Self::Prefix { .. } => "Write it in lower case, for example hub or ghcr.io/team.",
            Self::PrefixTwice { .. } => "Give each upstream a prefix of its own.",
            Self::Registry { .. } => "Write the base URL without /v2, for example https://registry-1.docker.io.",
            Self::Authorities { source, .. } => return source.advice(),
            Self::HalfAnAccount { .. } => "Set both username and password_file, or neither.",
            Self::Unencrypted { .. } => "Use an https:// URL, or no account.",
            Self::Password { .. } => "Check the path and who may read it.",
        };
        Some(advice.to_owned())
    }
}
