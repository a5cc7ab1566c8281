//! The bytes of blobs: one file for each digest, whole and verified before it has its name, never changed after.
//!
//! # Where to read
//! - `folder.rs`: where the files are, and [`publish`](folder::Folder::publish), the order in which a file becomes durable.
//! - `upload.rs`: uploads by clients, which may break off and go on; `fill.rs`: blobs that come from elsewhere, read by many while
//!   one request fetches them.
//! - `source.rs` gathers what a connection brings, `sink.rs` writes and hashes it; `read.rs` gives it back, `at_once.rs` without a thread
//!   for it where the disk is not needed.
//!
//! # What is promised
//! - A repository shows a blob only after its bytes were compared with the digest, the file and its name are on the disk, and the row
//!   is committed, in this order.
//! - Bytes in memory are bounded for each request, whatever the size of the blob and the speed of disk and network.
//! - Anything left half done by a crash is invisible, and cleared away at the next start or a day later.

mod at_once;
mod buffers;
mod error;
mod fill;
mod folder;
mod read;
mod sink;
mod source;
#[cfg(test)]
mod tests;
mod upload;
mod upload_id;

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clock::Clock;
use oci::Digest;
use tokio_util::sync::CancellationToken;

use self::buffers::Buffers;
pub use self::error::BlobFolderError;
pub(crate) use self::error::{BlobError, StartingBlobs};
pub(crate) use self::fill::Growing;
use self::folder::Folder;
pub(crate) use self::upload::Part;
use self::upload::Uploads;
pub(crate) use self::upload_id::UploadId;
use crate::store::Store;

/// What a connection may fail with.
pub(crate) type BodyError = Box<dyn Error + Send + Sync>;

/// How often uploads are looked at that may have expired.
const EXPIRY_ROUND: Duration = Duration::from_secs(10 * 60);

/// The blobs of a registry: a handle, cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Blobs(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    folder: Arc<Folder>,
    store: Store,
    clock: Arc<dyn Clock>,
    limits: UploadLimits,
    uploads: Uploads,
    buffers: Buffers,
    closing: CancellationToken,
}

/// How much may be under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct UploadLimits {
    /// Uploads in progress in one repository.
    pub(crate) per_repository: usize,
    /// Uploads in progress.
    pub(crate) total: usize,
    /// Bytes of a blob.
    pub(crate) blob: u64,
}

impl Default for UploadLimits {
    fn default() -> Self {
        Self { per_repository: 4_096, total: 16_384, blob: 50 << 30 }
    }
}

/// Evidence that the bytes of a digest are on the disk under its name. Only this can be shown in a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Durable {
    digest: Digest,
    size: u64,
}

impl Durable {
    /// What the bytes are known as.
    pub(crate) fn digest(&self) -> &Digest {
        &self.digest
    }

    /// How many bytes there are.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    fn new(digest: Digest, size: u64) -> Self {
        Self { digest, size }
    }

    /// For tests of what comes after the bytes.
    #[cfg(test)]
    pub(crate) fn pretended(digest: Digest, size: u64) -> Self {
        Self::new(digest, size)
    }
}

impl Blobs {
    /// Makes the folder, empty.
    ///
    /// # Errors
    /// [`BlobFolderError`]: something is there, or it cannot be made.
    pub(crate) async fn create(root: &Path) -> Result<(), BlobFolderError> {
        let root = root.to_owned();
        blocking(move || Folder::create(&root)).await
    }

    /// Opens what [`Blobs::create`] made, finds the uploads that were in progress, and removes what a crash has left.
    ///
    /// # Errors
    /// [`StartingBlobs`]: the folder is missing or cannot be used, or the database fails.
    pub(crate) async fn open(
        root: &Path,
        store: Store,
        clock: Arc<dyn Clock>,
        limits: UploadLimits,
    ) -> Result<Self, StartingBlobs> {
        let rows = store.uploads().await?;
        let root = root.to_owned();
        let (folder, uploads) = blocking(move || {
            let folder = Folder::open(&root)?;
            let swept = folder.sweep(&Uploads::files(&rows));
            swept.map_err(|source| BlobFolderError::Failed { path: root, source })?;
            let length = |id: &UploadId| folder.upload(id).metadata().map_or(0, |file| file.len());
            let uploads = Uploads::recovered(&rows, length);
            Ok::<_, BlobFolderError>((Arc::new(folder), uploads))
        })
        .await?;
        let blobs = Self(Arc::new(Inner {
            folder,
            store,
            clock,
            limits,
            uploads,
            buffers: Buffers::default(),
            closing: CancellationToken::new(),
        }));
        tokio::spawn(blobs.clone().expire_now_and_then());
        Ok(blobs)
    }

    /// Ends the uploads that are being written to; what has arrived is kept for the next start. Then the [`Store`] may be closed.
    pub(crate) fn close(&self) {
        self.0.closing.cancel();
    }

    async fn expire_now_and_then(self) {
        let rounds = async {
            loop {
                tokio::time::sleep(EXPIRY_ROUND).await;
                let ended = self.expire().await;
                if ended > 0 {
                    tracing::info!(ended, "gave up uploads that nobody went on with for a day");
                }
            }
        };
        self.0.closing.run_until_cancelled(rounds).await;
    }

    /// Where tests make it fail.
    #[cfg(test)]
    pub(crate) fn faults(&self) -> &crate::faults::Faults {
        &self.0.folder.faults
    }
}

/// Runs what may wait for the disk on a thread that may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Cancelled: the runtime is going down, and this future with it.
            Err(_) => std::future::pending().await,
        },
    }
}
