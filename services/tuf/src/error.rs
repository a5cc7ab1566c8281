//! Why the trust root could not be created, published or served: always the operator's or our own fault, never a client's.

use std::io;
use std::path::PathBuf;

use chassis::Explain;
use keys::KeyFileError;

use crate::marks::MarksError;
use crate::metadata::{Role, SigningFailed};
use crate::names::FileName;
use crate::repository::Invalid;
use crate::target::TargetError;

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum TufError {
    /// The configuration names a life that cannot be kept.
    #[error("{field} is {found}; expected between {} and {}", crate::config::SHORTEST_LIFE, crate::config::LONGEST_LIFE)]
    Life {
        /// The member.
        field: &'static str,
        /// What it is.
        found: chassis::config::Duration,
    },
    /// A private key cannot be read.
    #[error("the TUF {role} key cannot be used")]
    KeyFile {
        /// Whose.
        role: Role,
        /// Which file, and why.
        source: KeyFileError,
    },
    /// A key is not the one that the root names.
    #[error("the TUF {role} key is {found}, but the root names {expected}")]
    KeyMismatch {
        /// Whose.
        role: Role,
        /// The first 12 hex digits of its fingerprint.
        found: String,
        /// Those of the keys that the root names.
        expected: String,
    },
    /// Two roles of a new repository have one key.
    #[error("the {0} and {1} roles have one key; each needs a key of its own")]
    KeyShared(Role, Role),
    /// A target breaks some client.
    #[error("a target of the trust root must not be published")]
    Target(#[from] TargetError),
    /// There is a repository already.
    #[error("{} is not empty; a trust root is created once and never over another", .0.display())]
    Exists(PathBuf),
    /// The high-water marks cannot be relied on.
    #[error("the record of used TUF versions cannot be relied on")]
    Marks(#[from] MarksError),
    /// What is served is older than what was published: a backup was restored.
    #[error("the trust root was restored from a backup: its {role} metadata has version {found}, but {published} was published")]
    RolledBack {
        /// Whose metadata.
        role: Role,
        /// The version there is.
        found: u32,
        /// The version clients may have.
        published: u32,
    },
    /// The repository, as it is, would be refused by clients.
    #[error("the trust root is damaged")]
    Damaged(#[source] Box<Invalid>),
    /// What was about to be published would be refused by clients; nothing was published.
    #[error("the new metadata would be refused by clients, so it was not published")]
    Unpublishable(#[source] Box<Invalid>),
    /// A signature was not made.
    #[error("the {role} metadata could not be signed")]
    Signing {
        /// Whose.
        role: Role,
        /// Why.
        source: SigningFailed,
    },
    /// The file system refused. What was there before is still valid.
    #[error("{name} could not be published")]
    Publish {
        /// Which file.
        name: FileName,
        /// What the system said.
        source: io::Error,
    },
    /// The file system refused.
    #[error("{} cannot be used", path.display())]
    Directory {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl Explain for TufError {
    fn code(&self) -> &'static str {
        match self {
            Self::Life { .. } => "tuf_life",
            Self::KeyFile { .. } => "tuf_key_unreadable",
            Self::KeyMismatch { .. } => "tuf_key_mismatch",
            Self::KeyShared(..) => "tuf_key_shared",
            Self::Target(_) => "tuf_target_refused",
            Self::Exists(_) => "tuf_exists",
            Self::Marks(MarksError::Missing(_)) => "tuf_marks_missing",
            Self::Marks(MarksError::Exists(_)) => "tuf_exists",
            Self::Marks(MarksError::Damaged { .. } | MarksError::Io { .. }) => "tuf_marks_unreadable",
            Self::Marks(MarksError::Exhausted(_)) => "tuf_versions_exhausted",
            Self::RolledBack { .. } => "tuf_rolled_back",
            Self::Damaged(_) => "tuf_damaged",
            Self::Unpublishable(_) => "tuf_unpublishable",
            Self::Signing { .. } => "tuf_signing",
            Self::Publish { .. } | Self::Directory { .. } => "tuf_storage",
        }
    }

    fn advice(&self) -> Option<String> {
        let advice = match self {
            Self::Life { .. } => "Change it in the configuration; 7d is usual.",
            Self::KeyFile { .. } => "Restore the key from its backup. It is never made anew.",
            Self::KeyMismatch { .. } => "Restore the key that the root names, or publish a root that names the new one.",
            Self::KeyShared(..) => "Make a key for each role.",
            Self::Target(_) => "Correct the document; nothing was signed.",
            Self::Exists(_) | Self::Marks(MarksError::Exists(_)) => {
                "Publish to the repository that is there; clients refuse one that starts over."
            }
            Self::Marks(MarksError::Missing(_) | MarksError::Damaged { .. } | MarksError::Io { .. }) => {
                "Restore the file from the newest backup; versions lost since are skipped, not used again."
            }
            Self::Marks(MarksError::Exhausted(_)) => "Start a repository under another URL.",
            Self::RolledBack { .. } => {
                "Restore the newest copy of the repository, or a mirror of it: clients refuse older metadata."
            }
            Self::Damaged(_) => "Restore the repository from its newest copy, or from a mirror of it.",
            Self::Unpublishable(_) => "Renew what has expired, or report this with the file that is named.",
            Self::Signing { .. } => "See what the key's driver said; what was published before is still served.",
            Self::Publish { .. } | Self::Directory { .. } => {
                "Make room or mend permissions; what was published before is still served."
            }
        };
        Some(advice.into())
    }
}
