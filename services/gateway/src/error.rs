//! Why the gateway is not made or opened: always the operator's to mend.

use std::error::Error;
use std::path::PathBuf;

use chassis::Explain;
use sqlite::DatabaseError;

use crate::blobs::StartingBlobs;
use crate::{BlobFolderError, PolicyError, SecretError, TrustError, UpstreamSetupError};

/// The gateway cannot be made or opened.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Image names cannot begin with it.
    #[error("{url} cannot be the registry's public URL; expected http:// or https:// and a host, without a path")]
    PublicUrl {
        /// As configured.
        url: String,
    },
    /// Everybody who reaches it could write.
    #[error("the registry would let everybody at {listener} write")]
    PushToken {
        /// What reaches beyond this machine.
        listener: String,
    },
    /// A secret cannot be used.
    #[error("the registry's secret for {purpose} cannot be used: {}", path.display())]
    Secret {
        /// What it is for: pushing, or the promoter's name.
        purpose: String,
        /// The file.
        path: PathBuf,
        /// What is the matter with it.
        source: SecretError,
    },
    /// One secret is used twice.
    #[error("the registry's secrets for {} and for {} are the same", purposes[0], purposes[1])]
    SecretShared {
        /// What each is for.
        purposes: [String; 2],
    },
    /// An upstream cannot be used.
    #[error(transparent)]
    Upstream(#[from] UpstreamSetupError),
    /// A policy cannot be meant.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// There is nothing to verify with.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// The folder of blobs.
    #[error(transparent)]
    Blobs(#[from] BlobFolderError),
    /// What is in the database cannot be read.
    #[error("the registry's database was opened, and cannot be read")]
    Contents(#[source] Box<dyn Error + Send + Sync>),
}

impl From<StartingBlobs> for StartError {
    fn from(error: StartingBlobs) -> Self {
        match error {
            StartingBlobs::Folder(error) => Self::Blobs(error),
            StartingBlobs::Store(error) => Self::Contents(error.into()),
        }
    }
}

impl Explain for StartError {
    fn code(&self) -> &'static str {
        match self {
            Self::PublicUrl { .. } => "registry_public_url",
            Self::PushToken { .. } => "registry_push_token",
            Self::Secret { .. } => "registry_secret",
            Self::SecretShared { .. } => "registry_secret_shared",
            Self::Upstream(error) => error.code(),
            Self::Policy(error) => error.code(),
            Self::Trust(error) => error.code(),
            Self::Database(error) => error.code(),
            Self::Blobs(error) => error.code(),
            Self::Contents(_) => "registry_database",
        }
    }

    fn details(&self) -> Vec<String> {
        match self {
            Self::Database(error) => error.details(),
            error => std::iter::successors(error.source(), |cause| (*cause).source()).map(ToString::to_string).collect(),
        }
    }

    fn advice(&self) -> Option<String> {
        let advice = match self {
            Self::PublicUrl { .. } => {
                "Set gateway.public_url to what clients call this registry; a registry cannot lie below a path."
            }
            Self::PushToken { .. } => "Set gateway.push_token_file to a file with a secret of your own, or listen at 127.0.0.1.",
            Self::Secret { .. } => "Put a secret of at least 16 characters into the file, for example from: openssl rand -hex 32",
            Self::SecretShared { .. } => "Give each purpose a secret of its own.",
            Self::Upstream(error) => return error.advice(),
            Self::Policy(error) => error.advice(),
            Self::Database(error) => error.advice(),
            Self::Blobs(error) => return error.advice(),
            Self::Contents(_) => "Restore the database from a backup, or start the version that wrote it last.",
            Self::Trust(_) => "Name the file in gateway.trusted_root; chancery init writes trust/trusted_root.json.",
        };
        Some(advice.to_owned())
    }
}
