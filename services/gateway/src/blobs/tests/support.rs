use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use clock::ManualClock;
use futures_util::{Stream, StreamExt as _, stream};
use jiff::Timestamp;
use oci::{Algorithm, Digest, RepositoryName};

use crate::blobs::{BlobError, Blobs, Part, UploadId, UploadLimits};
use crate::store::Store;

/// A registry's bytes in a folder of their own.
pub(super) struct World {
    pub(super) folder: tempfile::TempDir,
    pub(super) clock: Arc<ManualClock>,
    pub(super) store: Store,
    pub(super) blobs: Blobs,
    limits: UploadLimits,
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(UploadLimits::default()).await
    }

    pub(super) async fn with(limits: UploadLimits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_second(1_800_000_000).unwrap()));
        Store::create(&database(folder.path())).await.unwrap();
        Blobs::create(&root(folder.path())).await.unwrap();
        let store = Store::open(&database(folder.path()), clock.clone()).await.unwrap();
        let blobs = Blobs::open(&root(folder.path()), store.clone(), clock.clone(), limits).await.unwrap();
        Self { folder, clock, store, blobs, limits }
    }

    /// As after a restart, orderly or not: only what is on the disk is left.
    pub(super) async fn reopened(self) -> Self {
        let Self { folder, clock, store, blobs, limits } = self;
        blobs.close();
        store.close().await;
        drop((store, blobs));
        // The round that ends old uploads holds the last handle until it has seen that it is over.
        let store = loop {
            match Store::open(&database(folder.path()), clock.clone()).await {
                Ok(store) => break store,
                Err(sqlite::DatabaseError::InUse { .. }) => tokio::task::yield_now().await,
                Err(error) => panic!("{error}"),
            }
        };
        let blobs = Blobs::open(&root(folder.path()), store.clone(), clock.clone(), limits).await.unwrap();
        Self { folder, clock, store, blobs, limits }
    }

    pub(super) async fn begin(&self) -> UploadId {
        self.blobs.begin(&name()).await.unwrap()
    }

    pub(super) async fn append(&self, id: &UploadId, content: &[u8]) -> Result<u64, BlobError> {
        self.blobs.append(&name(), id, Part::default(), whole(content)).await
    }

    pub(super) async fn commit(&self, id: &UploadId, digest: &Digest) -> Result<u64, BlobError> {
        self.blobs.commit(&name(), id, digest).await
    }

    pub(super) fn status(&self, id: &UploadId) -> Result<u64, BlobError> {
        self.blobs.status(&name(), id)
    }

    /// All of it in one go.
    pub(super) async fn upload(&self, content: &[u8]) -> Result<Digest, BlobError> {
        let id = self.blobs.begin(&name()).await?;
        self.append(&id, content).await?;
        self.commit(&id, &Digest::of(content)).await?;
        Ok(Digest::of(content))
    }

    /// What the repository gives out for this digest; nothing when it shows none.
    pub(super) async fn content(&self, digest: &Digest) -> Option<Vec<u8>> {
        let size = self.store.blob_size(&name(), digest).await.unwrap()?;
        let file = self.blobs.blob(digest).await.unwrap();
        assert_eq!(file.size(), size);
        Some(collect(file.read(0..size)).await.unwrap())
    }

    pub(super) fn path(&self, of: &str) -> PathBuf {
        root(self.folder.path()).join(of)
    }

    pub(super) fn blob_path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.path(digest.algorithm().name()).join(&hex[..2]).join(hex)
    }

    /// Files that are no blobs.
    pub(super) fn leftovers(&self) -> usize {
        ["uploads", "incoming"].iter().map(|folder| std::fs::read_dir(self.path(folder)).unwrap().count()).sum()
    }
}

pub(super) fn name() -> RepositoryName {
    "team/app".parse().unwrap()
}

pub(super) fn sha512(content: &[u8]) -> Digest {
    Digest::with(Algorithm::Sha512, content)
}

/// Bytes that are different everywhere.
pub(super) fn content(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// A body in pieces as they come from a network.
pub(super) fn whole(content: &[u8]) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + Unpin + 'static {
    let pieces: Vec<_> = content.chunks(60_000).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    stream::iter(pieces)
}

/// A body that breaks off.
pub(super) fn broken(content: &[u8]) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + Unpin + 'static {
    whole(content).chain(stream::iter([Err(std::io::ErrorKind::ConnectionReset.into())]))
}

pub(super) async fn collect(body: impl Stream<Item = std::io::Result<Bytes>>) -> std::io::Result<Vec<u8>> {
    let mut all = Vec::new();
    let mut body = std::pin::pin!(body);
    while let Some(piece) = body.next().await {
        all.extend_from_slice(&piece?);
    }
    Ok(all)
}

fn database(folder: &Path) -> PathBuf {
    folder.join("gateway.db")
}

fn root(folder: &Path) -> PathBuf {
    folder.join("blobs")
}
