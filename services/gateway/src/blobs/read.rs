//! Blobs as they are given out.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::ops::Range;

use bytes::Bytes;
use futures_util::{Stream, stream};
use oci::Digest;
use tokio::task::JoinHandle;

use super::error::failed;
use super::{BlobError, Blobs};

/// What is read at once: few turns for a blob, little memory for a client that is slow.
pub(super) const PIECE: u64 = 256 << 10;

/// A blob that is open. Its bytes cannot change any more, even when the blob is replaced or removed.
#[derive(Debug)]
pub(crate) struct BlobFile {
    file: File,
    size: u64,
}

impl Blobs {
    /// Opens a blob. Whether the caller may see it is for [`Store::blob_size`](crate::store::Store::blob_size) to say.
    ///
    /// # Errors
    /// [`BlobError::Missing`], or the file system.
    pub(crate) async fn blob(&self, digest: &Digest) -> Result<BlobFile, BlobError> {
        let path = self.0.folder.blob(digest);
        let opened = super::blocking(move || {
            let file = File::open(path)?;
            let size = file.metadata()?.len();
            Ok(BlobFile { file, size })
        });
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

    /// These bytes of it, the next piece being read while one is sent. A file that is shorter than it was ends in an error, never as
    /// if all had been there.
    pub(crate) fn read(self, range: Range<u64>) -> impl Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static {
        let (first, rest) = (range.start, range.end.saturating_sub(range.start));
        Box::pin(stream::try_unfold(Reading::Begin(self.file, first, rest), next))
    }
}

/// Between two pieces.
enum Reading {
    Begin(File, u64, u64),
    Ahead(JoinHandle<io::Result<(File, Bytes)>>, u64),
    End,
}

async fn next(reading: Reading) -> io::Result<Option<(Bytes, Reading)>> {
    let (ahead, rest) = match reading {
        Reading::Begin(_, _, 0) | Reading::End => return Ok(None),
        Reading::Begin(file, first, rest) => (ahead(file, Some(first), rest), rest),
        Reading::Ahead(ahead, rest) => (ahead, rest),
    };
    let (file, piece) = ahead.await.map_err(io::Error::other)??;
    match rest - piece.len() as u64 {
        0 => Ok(Some((piece, Reading::End))),
        rest => Ok(Some((piece, Reading::Ahead(self::ahead(file, None, rest), rest)))),
    }
}

fn ahead(mut file: File, seek: Option<u64>, rest: u64) -> JoinHandle<io::Result<(File, Bytes)>> {
    tokio::task::spawn_blocking(move || {
        if let Some(first) = seek.filter(|first| *first > 0) {
            file.seek(SeekFrom::Start(first))?;
        }
        let wanted = rest.min(PIECE);
        let mut piece = Vec::with_capacity(usize::try_from(wanted).unwrap_or_default());
        (&file).take(wanted).read_to_end(&mut piece)?;
        if (piece.len() as u64) < wanted {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok((file, piece.into()))
    })
}
