//! What can be read, whether it lies here or behind this registry. Everything that reads goes through here.

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use jiff::{SignedDuration, Timestamp};
use oci::{Digest, RepositoryName, Tag};

use crate::blobs::{BlobError, Blobs};
use crate::store::{Referrer, Store, StoreError, StoredManifest};

/// The repositories, as they are read: a handle, cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Contents {
    store: Store,
    blobs: Blobs,
}

/// Something that was read, and how it came here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Read<T> {
    /// What was read.
    pub(crate) value: T,
    /// How it came here, if it is from a registry behind this one.
    pub(crate) freshness: Option<Freshness>,
}

/// How an answer of a registry behind this one came here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// It was here, and is believed without asking.
    Hit {
        /// How long ago the upstream said so.
        age: SignedDuration,
    },
    /// It was fetched for this request.
    Miss,
    /// It was here, and the upstream, which should have been asked, does not answer.
    Stale {
        /// When it answered last.
        since: Timestamp,
        /// How long ago that is.
        age: SignedDuration,
    },
    /// It was here, and the upstream is never asked.
    Offline {
        /// How long ago it was fetched.
        age: SignedDuration,
    },
}

impl<T> Read<T> {
    /// Something that lies here.
    pub(crate) fn here(value: T) -> Self {
        Self { value, freshness: None }
    }
}

/// A blob that may be read. Nothing is opened or fetched until it is: who only asks for its size costs nothing.
#[derive(Debug)]
pub(crate) struct Blob {
    size: u64,
    bytes: BlobBytes,
}

/// Where its bytes are.
#[derive(Debug)]
enum BlobBytes {
    /// In a file, all of them.
    Stored { blobs: Blobs, digest: Digest },
}

/// A blob's bytes as they come.
pub(crate) type BlobStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

impl Blob {
    /// Its bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The bytes of `range`, which lies within its size.
    ///
    /// # Errors
    /// [`ReadError`]: they cannot be had. What fails later is an error of the stream, which then does not end as if it were whole.
    pub(crate) async fn read(self, range: Range<u64>) -> Result<BlobStream, ReadError> {
        match self.bytes {
            BlobBytes::Stored { blobs, digest } => {
                let file = blobs.blob(&digest).await?;
                // A file that was cut from outside is not the blob any more.
                if file.size() != self.size {
                    return Err(BlobError::Missing { digest }.into());
                }
                Ok(Box::pin(file.read(range)))
            }
        }
    }
}

/// Something could not be read. That it is not there is no error.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadError {
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The files of blobs.
    #[error(transparent)]
    Blob(#[from] BlobError),
}

impl Contents {
    /// Reads from these.
    pub(crate) fn new(store: Store, blobs: Blobs) -> Self {
        Self { store, blobs }
    }

    /// Where a tag points.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) async fn resolve(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<Read<Digest>>, ReadError> {
        Ok(self.store.tag(repository, tag).await?.map(|tagged| Read::here(tagged.digest)))
    }

    /// A manifest.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) async fn manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Read<Arc<StoredManifest>>>, ReadError> {
        Ok(self.store.manifest(repository, digest).await?.map(Read::here))
    }

    /// A blob.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) async fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<Read<Blob>>, ReadError> {
        // The link decides, never the file: what another repository has is not to be seen in this one.
        let size = self.store.blob_size(repository, digest).await?;
        let stored = || BlobBytes::Stored { blobs: self.blobs.clone(), digest: digest.clone() };
        Ok(size.map(|size| Read::here(Blob { size, bytes: stored() })))
    }

    /// What is attached to `subject`, oldest first; nothing is attached to what nobody knows.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) async fn referrers(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> Result<Read<Arc<[Referrer]>>, ReadError> {
        Ok(Read::here(self.store.referrers(repository, subject).await?))
    }

    /// At most `count` tags in the order of their bytes, from behind `last` on; `None` for a repository that never was.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) async fn tags(
        &self,
        repository: &RepositoryName,
        last: Option<&Tag>,
        count: usize,
    ) -> Result<Option<Vec<Tag>>, ReadError> {
        Ok(self.store.tags(repository, last, count).await?)
    }

    /// At most `count` repositories in the order of their bytes, from behind `last` on.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) async fn repositories(
        &self,
        last: Option<&RepositoryName>,
        count: usize,
    ) -> Result<Vec<RepositoryName>, ReadError> {
        Ok(self.store.repositories(last, count).await?)
    }
}
