//! Blobs: from here, or from the upstream while they arrive here.

use std::ops::Range;

use futures_util::{StreamExt as _, future, stream};
use oci::Digest;
use registry::RegistryError;

use super::downloads::Followed;
use super::{Absent, Proxied, UpstreamError};
use crate::contents::{BlobStream, Freshness, Read};

/// A blob that the upstream has, of a size that it said. Nothing is fetched before it is read.
#[derive(Debug)]
pub(crate) struct ProxiedBlob {
    proxied: Proxied,
    digest: Digest,
    size: u64,
}

/// What a proxied repository has of a blob.
#[derive(Debug)]
pub(crate) enum Found {
    /// Its file, of this size.
    Here(u64),
    /// The upstream has it.
    There(ProxiedBlob),
}

impl ProxiedBlob {
    /// In bytes, by the upstream's word.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// These bytes of it as they arrive. The stream ends when all of the blob was verified, is on the disk and has its row, if the
    /// range goes to its end; whatever goes wrong before that is an error of the stream, its last byte not yet given out.
    ///
    /// # Errors
    /// [`UpstreamError`]: it does not begin to arrive.
    pub(crate) async fn read(self, range: Range<u64>) -> Result<BlobStream, UpstreamError> {
        let Self { proxied, digest, size } = self;
        let followed = match proxied.download(&digest, size).await? {
            // Without a size it cannot be said which byte is the last, to be held back until all are verified.
            Followed::Growing(growing, ending) if growing.size().is_none() => Followed::Done(ending.size().await?),
            followed => followed,
        };
        match followed {
            Followed::Done(found) => {
                proxied.check_size(size, found)?;
                let file = proxied.upstream.blobs.blob(&digest).await?;
                Ok(Box::pin(file.read(range)))
            }
            Followed::Growing(growing, ending) => {
                proxied.check_size(size, growing.size().unwrap_or(size))?;
                let to_the_end = range.end == size;
                let bytes = growing.read(Some(range));
                // It holds the download's ending until it is dropped: one that nobody reads is given up after a while.
                let end = async move {
                    if to_the_end {
                        ending.wait().await
                    } else {
                        drop(ending);
                        Ok(())
                    }
                };
                let end = stream::once(end).filter_map(|ended| future::ready(ended.err().map(Err)));
                Ok(Box::pin(bytes.chain(end)))
            }
        }
    }
}

impl Proxied {
    /// A blob. What is here is the same for ever, and nobody is asked.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub(crate) async fn blob(&self, digest: &Digest) -> Result<Option<Read<Found>>, UpstreamError> {
        let read = |value, freshness| Read { value, freshness: Some(self.count(freshness)) };
        if let Some(size) = self.upstream.store.blob_size(&self.local, digest).await? {
            return Ok(Some(read(Found::Here(size), self.kept())));
        }
        if self.upstream.offline || self.upstream.absent.contains_key(&Absent::Blob(self.named(digest.clone()))) {
            return Ok(None);
        }
        let (proxied, wanted) = (self.clone(), digest.clone());
        let ask = || async move { proxied.ask_size(&wanted).await };
        let size = match self.upstream.sizes.get(&self.named(digest.clone())) {
            Some(size) => Some(size),
            None => self.upstream.asking.sizes.join(self.named(digest.clone()), ask).await?,
        };
        let Some(size) = size else { return Ok(None) };
        if self.upstream.store.blob_size(&self.local, digest).await?.is_some() {
            return Ok(Some(read(Found::Here(size), Freshness::Miss)));
        }
        let blob = ProxiedBlob { proxied: self.clone(), digest: digest.clone(), size };
        Ok(Some(read(Found::There(blob), Freshness::Miss)))
    }

    /// Brings a blob here, if it is not: then it is verified, on the disk and has its row. False when the upstream does not have it.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub(super) async fn bring(&self, digest: &Digest) -> Result<bool, UpstreamError> {
        match self.blob(digest).await?.map(|found| found.value) {
            None => Ok(false),
            Some(Found::Here(_)) => Ok(true),
            Some(Found::There(blob)) => match self.download(digest, blob.size).await? {
                Followed::Done(_) => Ok(true),
                Followed::Growing(_, ending) => ending.size().await.map(|_| true),
            },
        }
    }

    /// Whether the upstream has the blob in this repository, and how large it is.
    async fn ask_size(&self, digest: &Digest) -> Result<Option<u64>, UpstreamError> {
        let size = match self.upstream.registry.blob_size(&self.remote, digest).await {
            Ok(Some(size)) => match self.taken_from_another(digest).await? {
                Some(size) => return Ok(Some(size)),
                None => Some(size),
            },
            // Heads without a length, or none at all: fetching it tells.
            Ok(None) | Err(RegistryError::Refused { status: 400 | 405 | 501, .. }) => self.size_by_download(digest).await?,
            Err(RegistryError::NotFound { .. }) => None,
            Err(error) => return Err(self.failed(error)),
        };
        match size {
            Some(size) => self.upstream.sizes.insert(self.named(digest.clone()), size),
            None => self.upstream.absent.insert(Absent::Blob(self.named(digest.clone())), ()),
        }
        Ok(size)
    }

    /// The size of a blob that the upstream shows in this repository, if its bytes came to another one before: they need not come
    /// again.
    async fn taken_from_another(&self, digest: &Digest) -> Result<Option<u64>, UpstreamError> {
        let (store, blobs) = (&self.upstream.store, &self.upstream.blobs);
        if blobs.blob(digest).await.is_err() || !store.mount_blob(None, &self.local, digest).await? {
            return Ok(None);
        }
        Ok(store.blob_size(&self.local, digest).await?)
    }

    async fn size_by_download(&self, digest: &Digest) -> Result<Option<u64>, UpstreamError> {
        match self.try_download(digest).await {
            Ok(Followed::Done(size)) => Ok(Some(size)),
            Ok(Followed::Growing(growing, ending)) => match growing.size() {
                Some(size) => Ok(Some(size)),
                None => ending.size().await.map(Some),
            },
            Err(UpstreamError::Wrong { source: RegistryError::NotFound { .. }, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Who follows a download was told a size before it began, perhaps in another repository.
    fn check_size(&self, said: u64, found: u64) -> Result<(), UpstreamError> {
        if said == found {
            return Ok(());
        }
        let registry = self.upstream.registry.name().to_owned();
        let reason = format!("it was said to have {said} bytes and has {found}");
        Err(self.failed(RegistryError::Malformed { registry, expected: "the blob", reason }))
    }
}
