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
use crate::upstream::{Found, ProxiedBlob, UpstreamError, Upstreams};

/// The repositories, as they are read: a handle, cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Contents {
    store: Store,
    blobs: Blobs,
    upstreams: Upstreams,
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
    /// Behind this registry, and on their way here as soon as they are read.
    Proxied(ProxiedBlob),
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
            BlobBytes::Proxied(blob) => Ok(blob.read(range).await?),
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
    /// A registry behind this one.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
}

impl Contents {
    /// Reads from these.
    pub(crate) fn new(store: Store, blobs: Blobs, upstreams: Upstreams) -> Self {
        Self { store, blobs, upstreams }
    }

    /// Where a tag points.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) async fn resolve(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<Read<Digest>>, ReadError> {
        if let Some(proxied) = self.upstreams.of(repository) {
            return Ok(proxied.resolve(tag).await?);
        }
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
        if let Some(proxied) = self.upstreams.of(repository) {
            return Ok(proxied.manifest(digest).await?);
        }
        Ok(self.store.manifest(repository, digest).await?.map(Read::here))
    }

    /// A blob.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) async fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<Read<Blob>>, ReadError> {
        let stored = || BlobBytes::Stored { blobs: self.blobs.clone(), digest: digest.clone() };
        if let Some(proxied) = self.upstreams.of(repository) {
            let Some(Read { value, freshness }) = proxied.blob(digest).await? else { return Ok(None) };
            let value = match value {
                Found::Here(size) => Blob { size, bytes: stored() },
                Found::There(blob) => Blob { size: blob.size(), bytes: BlobBytes::Proxied(blob) },
            };
            return Ok(Some(Read { value, freshness }));
        }
        // The link decides, never the file: what another repository has is not to be seen in this one.
        let size = self.store.blob_size(repository, digest).await?;
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
        if let Some(proxied) = self.upstreams.of(repository) {
            return Ok(proxied.referrers(subject).await?);
        }
        Ok(Read::here(self.store.referrers(repository, subject).await?))
    }

    /// At most `count` tags from behind `last` on, in the order of their bytes or in that of the registry behind this one; `None` for
    /// a repository that never was.
    ///
    /// # Errors
    /// [`ReadError`].
    pub(crate) async fn tags(
        &self,
        repository: &RepositoryName,
        last: Option<&Tag>,
        count: usize,
    ) -> Result<Option<Vec<Tag>>, ReadError> {
        if let Some(proxied) = self.upstreams.of(repository) {
            return Ok(proxied.tags(last, count).await?);
        }
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
