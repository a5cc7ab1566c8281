//! Blobs as they are given out.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, stream};
use oci::Digest;
use tokio::task::JoinHandle;

use super::at_once;
use super::buffers::{Buffers, PIECE};
use super::error::failed;
use super::{BlobError, Blobs};

/// A blob that is open. Its bytes cannot change any more, even when the blob is replaced or removed.
#[derive(Debug)]
pub(crate) struct BlobFile {
    file: Arc<File>,
    size: u64,
    buffers: Buffers,
}

impl Blobs {
    /// Opens a blob. Whether the caller may see it is for [`Store::blob_size`](crate::store::Store::blob_size) to say.
    ///
    /// # Errors
    /// [`BlobError::Missing`], or the file system.
    pub(crate) async fn blob(&self, digest: &Digest) -> Result<BlobFile, BlobError> {
        let (path, buffers) = (self.0.folder.blob(digest), self.0.buffers.clone());
        let opened = async move {
            let file = match at_once::open(&path) {
                Some(file) => file,
                None => super::blocking(move || File::open(path)).await?,
            };
            // What is open has its size in memory.
            let size = file.metadata()?.len();
            Ok(BlobFile { file: Arc::new(file), size, buffers })
        };
        opened.await.map_err(|error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => BlobError::Missing { digest: digest.clone() },
            _ => failed("opening a blob")(error),
        })
    }
}

impl BlobFile {
    /// In bytes.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// These bytes of it. Where the disk has to be waited for, the next piece is read while one is sent. A file that is shorter than it
    /// was ends in an error, never as if all had been there.
    pub(crate) fn read(self, range: Range<u64>) -> impl Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static {
        let reading = Reading { file: self.file, buffers: self.buffers, range, ahead: None };
        Box::pin(stream::try_unfold(reading, Reading::next))
    }
}

/// What is still to be read.
struct Reading {
    file: Arc<File>,
    buffers: Buffers,
    range: Range<u64>,
    /// The piece before the range, on its way from the disk.
    ahead: Option<JoinHandle<io::Result<Bytes>>>,
}

impl Reading {
    async fn next(mut self) -> io::Result<Option<(Bytes, Self)>> {
        if self.ahead.is_none() {
            let Some((at, length)) = self.advance() else { return Ok(None) };
            match self.buffers.read_at_once(&self.file, at, length) {
                Some(piece) => return Ok(Some((piece, self))),
                None => self.read_ahead(at, length),
            }
        }
        let Some(ahead) = self.ahead.take() else { return Ok(None) };
        let piece = ahead.await.map_err(io::Error::other)??;
        if let Some((at, length)) = self.advance() {
            self.read_ahead(at, length);
        }
        Ok(Some((piece, self)))
    }

    /// Takes the next piece out of the range; nothing at the end.
    fn advance(&mut self) -> Option<(u64, usize)> {
        let at = self.range.start;
        let length = usize::try_from(self.range.end.saturating_sub(at)).map_or(PIECE, |rest| rest.min(PIECE));
        self.range.start += length as u64;
        (length > 0).then_some((at, length))
    }

    fn read_ahead(&mut self, at: u64, length: usize) {
        let (file, buffers) = (Arc::clone(&self.file), self.buffers.clone());
        self.ahead = Some(tokio::task::spawn_blocking(move || buffers.read(&file, at, length)));
    }
}
