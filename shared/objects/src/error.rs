//! What can go wrong with objects.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use chassis::{ClientError, Explain};

/// Objects cannot be opened, kept or read. No text holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    /// Our mistake: names are ours to build.
    #[error("`{0}` is no name of an object")]
    Name(String),
    /// Another is there under a name that says what it must be. Somebody's mistake that must be looked into; nothing was changed.
    #[error("{object} is there already, with other content")]
    Differs {
        /// Place and name.
        object: String,
    },
    /// The place's fault, or a second writer's.
    #[error("{object} was not read back as it was written")]
    NotReadBack {
        /// Place and name.
        object: String,
    },
    /// More than the caller takes.
    #[error("{object} has more than {most} bytes")]
    TooLarge {
        /// Place and name.
        object: String,
        /// What the caller takes.
        most: usize,
    },
    /// No answer in time.
    #[error("{object}: no answer within {} s", limit.as_secs_f64())]
    TimedOut {
        /// Place and name.
        object: String,
        /// The time that was given.
        limit: Duration,
    },
    /// The operator's: a folder that is not there, is none, or cannot be written.
    #[error("the folder of objects {} cannot be used", path.display())]
    Folder {
        /// As configured.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A disk failed once to sync what it had taken: that it syncs the next time proves nothing.
    #[error("the disk below {location} has failed to keep what it was given; nothing more is written to it by this process")]
    Doubted {
        /// The folder.
        location: String,
    },
    /// The operator's: the configuration of a bucket.
    #[error("the bucket for objects is configured wrongly: {0}")]
    Setting(String),
    /// The operator's: the file with the secret.
    #[error("the secret access key in {} cannot be read", path.display())]
    Secret {
        /// As configured.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The operator's: the file with the authorities.
    #[error("there is no client for the bucket")]
    Client(#[from] ClientError),
    /// There is no such bucket.
    #[error("{location}: there is no such bucket")]
    Bucket {
        /// The bucket.
        location: String,
    },
    /// The account is unknown, its secret wrong, or it may not do this.
    #[error("{location}: the service refuses the account")]
    Refused {
        /// The bucket.
        location: String,
        /// What the service said.
        source: Said,
    },
    /// The clocks differ by more than the service accepts.
    #[error("{location}: the service's clock and this machine's differ")]
    Clock {
        /// The bucket.
        location: String,
        /// What the service said.
        source: Said,
    },
    /// The service's certificate is not one to believe.
    #[error("{location}: the service's certificate is not trusted")]
    Untrusted {
        /// The bucket.
        location: String,
        /// What is wrong with it.
        source: Said,
    },
    /// No connection.
    #[error("{location}: the service cannot be reached")]
    Unreachable {
        /// The bucket.
        location: String,
        /// What the system said.
        source: Said,
    },
    /// A service without conditional writes.
    #[error("{location}: the service writes over an object that it was asked only to create (If-None-Match: *)")]
    Unconditional {
        /// The bucket.
        location: String,
    },
    /// Anything else.
    #[error("{object} cannot be written or read")]
    Failed {
        /// Place and name.
        object: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What somebody else said, in one line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Said(String);

impl Said {
    pub(crate) fn new(text: &str) -> Self {
        Self(chassis::reason::one_line(text))
    }
}

impl Explain for ObjectError {
    fn code(&self) -> &'static str {
        match self {
            Self::Name(_) => "internal",
            Self::Differs { .. } => "objects_differ",
            Self::NotReadBack { .. } => "objects_read_back",
            Self::TooLarge { .. } => "objects_too_large",
            Self::TimedOut { .. } => "objects_slow",
            Self::Folder { .. } => "objects_folder",
            Self::Doubted { .. } => "objects_doubted",
            Self::Setting(_) => "objects_setting",
            Self::Secret { .. } => "objects_secret",
            Self::Client(error) => error.code(),
            Self::Bucket { .. } => "objects_bucket",
            Self::Refused { .. } => "objects_refused",
            Self::Clock { .. } => "objects_clock",
            Self::Untrusted { .. } => "objects_untrusted",
            Self::Unreachable { .. } => "objects_unreachable",
            Self::Unconditional { .. } => "objects_unconditional",
            Self::Failed { .. } => "objects_failed",
        }
    }

    fn advice(&self) -> Option<String> {
        let advice = match self {
            Self::Name(_) => return None,
            Self::Client(error) => return error.advice(),
            Self::Differs { .. } => {
                "Keep one log, or one installation, to one folder or prefix; look at who wrote it before you remove it."
            }
            Self::NotReadBack { .. } => "Check the service or the disk, and that no other process writes there.",
            Self::TooLarge { .. } => "It was not written by Chancery: look at who wrote it.",
            Self::TimedOut { .. } => "Check the service, the network and the disk.",
            Self::Folder { .. } => "Make the folder, on a file system with hard links, and let this process write to it.",
            Self::Doubted { .. } => "Check the disk and the system's log; then restart.",
            Self::Setting(_) => "See docs/configuration.md for what each setting takes.",
            Self::Secret { .. } => "Put the secret access key into the file, on one line, and let this process read it.",
            Self::Bucket { .. } => "Create the bucket, or correct its name, the region and the endpoint.",
            Self::Refused { .. } => {
                "Check key id and secret, and that the account may list the bucket and get, put and delete below the prefix."
            }
            Self::Clock { .. } => "Set the clocks; run an NTP client on both machines.",
            Self::Untrusted { .. } => "Name the authority's certificate as ca_file, and the host as its certificate does.",
            Self::Unreachable { .. } => "Check the endpoint, the name service and the network.",
            Self::Unconditional { .. } => "Use a service with conditional writes: AWS S3, MinIO, Ceph from Squid on, versitygw.",
            Self::Failed { .. } => "The reason is above; a call that failed is made again.",
        };
        Some(advice.to_owned())
    }
}
