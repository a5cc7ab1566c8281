//! What can go wrong with the bytes of blobs, by who erred.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use chassis::Explain;
use oci::Digest;

use crate::store::StoreError;

/// A blob was not taken or not given.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BlobError {
    /// The caller names an upload that is not in progress in this repository.
    #[error("there is no such upload in this repository")]
    UnknownUpload,
    /// The caller sends another part than comes next; what arrived before is kept.
    #[error("the part does not begin at byte {offset}, where this upload stands, or is not as long as its range says")]
    OutOfOrder {
        /// Bytes that have arrived.
        offset: u64,
    },
    /// The caller's bytes are not those of the digest. The upload is over.
    #[error("the bytes are those of {found}, not of {expected}")]
    Digest {
        /// What the caller named.
        expected: Digest,
        /// What arrived, by the same algorithm.
        found: Digest,
    },
    /// The caller sends more than a blob may be.
    #[error("the blob is larger than {limit} bytes")]
    TooLarge {
        /// The most.
        limit: u64,
    },
    /// The caller has too many uploads open.
    #[error("{limit} uploads are in progress; finish or cancel some first")]
    TooManyUploads {
        /// The most.
        limit: usize,
    },
    /// The bytes stopped coming; what arrived is kept.
    #[error("the bytes stopped at {offset}")]
    Interrupted {
        /// Bytes that have arrived.
        offset: u64,
        /// What the connection said.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// A later request goes on with the upload; what arrived is kept.
    #[error("another request goes on with this upload at byte {offset}")]
    Superseded {
        /// Bytes that have arrived.
        offset: u64,
    },
    /// The disk is full, or a quota is used up.
    #[error("no space is left for blobs ({doing})")]
    Full {
        /// What was being done.
        doing: &'static str,
    },
    /// The file system failed.
    #[error("a blob's file failed ({doing})")]
    File {
        /// What was being done.
        doing: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The database has the blob, the disk has not: something outside has deleted or replaced it.
    #[error("the file of blob {digest} is not on the disk")]
    Missing {
        /// Which.
        digest: Digest,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The folder of blobs was not made or opened. Always the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum BlobFolderError {
    /// Nothing is there, and opening never makes one.
    #[error("the folder of blobs {} is missing", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// Something is there already, and creation never overwrites.
    #[error("{} is there already, where the folder of blobs is to be made", path.display())]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// The file system failed.
    #[error("the folder of blobs {} cannot be used", path.display())]
    Failed {
        /// Which folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Explain for BlobFolderError {
    fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "blobs_missing",
            Self::Exists { .. } => "blobs_exist",
            Self::Failed { .. } => "blobs_failed",
        }
    }

    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::Missing { .. } => {
                "Check the path, or restore the folder together with the database that names its files.".into()
            }
            Self::Exists { .. } => "Open it instead, or choose another path: a folder of blobs is never overwritten.".into(),
            Self::Failed { .. } => {
                "Check that the folder can be read and written by this user, and that the disk is not full.".into()
            }
        })
    }
}

/// Names what was being done when the file system failed.
pub(super) fn failed(doing: &'static str) -> impl Fn(io::Error) -> BlobError {
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => BlobError::Full { doing },
        _ => BlobError::File { doing, source },
    }
}

/// The blobs could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartingBlobs {
    /// Their folder.
    #[error(transparent)]
    Folder(#[from] BlobFolderError),
    /// The uploads that were in progress.
    #[error(transparent)]
    Store(#[from] StoreError),
}
