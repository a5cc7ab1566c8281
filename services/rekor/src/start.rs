//! Why a log cannot be made or opened.

use std::error::Error;

use chassis::Explain;
use chassis::reason::causes;
use face::LogError;
use keys::KeyFileError;
use objects::ObjectError;
use tlog::{OpenError, UnsuitableSigner};

use crate::host::OriginError;
use crate::v2::FolderError;
use crate::witness::WitnessesError;

/// The log cannot be made or opened: the operator's concern.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The public URL cannot name a log.
    #[error("the transparency log cannot have this public URL")]
    PublicUrl(#[from] OriginError),
    /// The key cannot be read.
    #[error("the transparency log has no key")]
    KeyFile(#[from] KeyFileError),
    /// The key cannot sign for a log.
    #[error("the transparency log cannot be signed with this key")]
    Signer(#[from] UnsuitableSigner),
    /// The database, what is in it, or what was published of it.
    #[error(transparent)]
    Log(#[from] LogError),
    /// Its witnesses cannot be asked.
    #[error("the transparency log cannot have these witnesses")]
    Witnesses(#[from] WitnessesError),
    /// The folder it is exported to cannot be used.
    #[error(transparent)]
    Export(#[from] FolderError),
    /// The bucket it is exported to, or what its folder is on, cannot be used.
    #[error("the transparency log cannot be exported there")]
    ExportObjects(#[from] ObjectError),
    /// The first entries could not be written.
    #[error("the transparency log was made, and its entry {number} could not be written")]
    Seed {
        /// Which of them.
        number: u64,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl From<OpenError> for StartError {
    fn from(error: OpenError) -> Self {
        Self::Log(error.into())
    }
}

impl Explain for StartError {
    fn code(&self) -> &'static str {
        match self {
            Self::PublicUrl(_) => "log_public_url",
            Self::KeyFile(_) => "log_key_file",
            Self::Signer(_) => "log_key_unsuitable",
            Self::Log(error) => error.code(),
            Self::Witnesses(error) => error.code(),
            Self::Export(error) => error.code(),
            Self::ExportObjects(error) => error.code(),
            Self::Seed { .. } => "log_seed",
        }
    }

    fn details(&self) -> Vec<String> {
        match self {
            Self::Log(error) => error.details(),
            Self::PublicUrl(_)
            | Self::KeyFile(_)
            | Self::Signer(_)
            | Self::Witnesses(_)
            | Self::Export(_)
            | Self::ExportObjects(_)
            | Self::Seed { .. } => causes(self.source()),
        }
    }

    fn advice(&self) -> Option<String> {
        let advice = match self {
            Self::Log(error) => return error.advice(),
            Self::Witnesses(error) => return error.advice(),
            Self::Export(error) => return error.advice(),
            Self::ExportObjects(error) => return error.advice(),
            Self::PublicUrl(_) => "Set the public_url of the log to the one it was created with.",
            Self::KeyFile(_) => "Restore the key file from a backup; the key of a log is never made anew.",
            Self::Signer(_) => "Use the key that the log was created with.",
            Self::Seed { .. } => "Mend the cause and run the command again; `chancery init` starts over by itself.",
        };
        Some(advice.to_owned())
    }
}
