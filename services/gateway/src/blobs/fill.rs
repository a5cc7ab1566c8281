//! Blobs that come from elsewhere: fetched by one, read by any number while they arrive.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{Stream, stream};
use oci::{Digest, RepositoryName};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::buffers::{Buffers, PIECE};
use super::error::failed;
use super::sink::{Progress, Sink, State, extend};
use super::source::{End, Source};
use super::{BlobError, Blobs, BodyError, Durable, blocking};

/// A blob on its way in: for the one who fetches it. Dropped before [`Fill::finish`] it is given up, and its readers end in an error.
///
/// Cancelling [`Fill::extend`] gives it up too: a connection that is too slow must end the body, not the future that reads it.
#[derive(Debug)]
pub(crate) struct Fill {
    digest: Digest,
    /// Gone once a write to it was cancelled.
    sink: Option<Sink>,
    most: u64,
    growing: Growing,
    stop: CancellationToken,
}

/// A blob on its way in: for those who want to read it. A handle, cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Growing {
    file: Arc<File>,
    buffers: Buffers,
    size: Option<u64>,
    progress: watch::Receiver<Progress>,
}

impl Blobs {
    /// Begins to take in a blob of this digest, of `size` bytes where that is known before.
    ///
    /// # Errors
    /// [`BlobError::TooLarge`], or the file system.
    pub(crate) async fn fill(&self, digest: &Digest, size: Option<u64>) -> Result<Fill, BlobError> {
        let limit = self.0.limits.blob;
        if size.is_some_and(|size| size > limit) {
            return Err(BlobError::TooLarge { limit });
        }
        let (sender, progress) = watch::channel(Progress { length: 0, state: State::Growing });
        let (folder, path) = (Arc::clone(&self.0.folder), self.0.folder.incoming());
        let mut sink = Sink::temporary(folder, path, sender);
        let made = blocking(move || sink.file().map(|file| (sink, file)));
        let (sink, file) = made.await.map_err(failed("making a blob's file"))?;
        let growing = Growing { file, buffers: self.0.buffers.clone(), size, progress };
        let stop = self.0.closing.child_token();
        Ok(Fill { digest: digest.clone(), sink: Some(sink), most: size.unwrap_or(limit), growing, stop })
    }

    /// Takes in all of a blob and compares it with its digest. Durable when this returns, and shown nowhere yet:
    /// [`Store::link_blob`](crate::store::Store::link_blob) does that.
    ///
    /// # Errors
    /// [`BlobError::Digest`], [`BlobError::Interrupted`], or the file system. Nothing is left of it.
    pub(crate) async fn write_verified<S, B>(&self, digest: &Digest, size: Option<u64>, body: S) -> Result<Durable, BlobError>
    where
        S: Stream<Item = Result<Bytes, B>> + Send + Unpin,
        B: Into<BodyError>,
    {
        let mut fill = self.fill(digest, size).await?;
        fill.extend(body).await?;
        fill.finish().await
    }

    /// As [`Blobs::write_verified`], by a client, and shown in a repository. A client that goes away does not stop it.
    ///
    /// # Errors
    /// As [`Blobs::write_verified`], or the database.
    pub(crate) async fn put<S, B>(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        size: Option<u64>,
        body: S,
    ) -> Result<u64, BlobError>
    where
        S: Stream<Item = Result<Bytes, B>> + Send + Unpin + 'static,
        B: Into<BodyError> + Send + 'static,
    {
        let (blobs, repository, digest) = (self.clone(), repository.clone(), digest.clone());
        let put = async move {
            let durable = blobs.write_verified(&digest, size, body).await?;
            blobs.0.store.link_blob(&repository, &durable, None).await?;
            Ok(durable.size())
        };
        self.0.store.settled(put).await
    }
}

impl Fill {
    /// For who wants to read along.
    pub(crate) fn growing(&self) -> Growing {
        self.growing.clone()
    }

    /// How many bytes have arrived.
    #[cfg(test)]
    pub(crate) fn length(&self) -> u64 {
        self.sink.as_ref().map_or(0, Sink::length)
    }

    /// Takes in `body`, and says how many bytes have arrived then. When it breaks off, what came is kept, and another body may go on
    /// where it stopped.
    ///
    /// # Errors
    /// [`BlobError::Interrupted`] to be gone on with; [`BlobError::TooLarge`] when more comes than was said; the file system.
    pub(crate) async fn extend<S, B>(&mut self, body: S) -> Result<u64, BlobError>
    where
        S: Stream<Item = Result<Bytes, B>> + Send + Unpin,
        B: Into<BodyError>,
    {
        let Some(sink) = self.sink.take() else { return Err(BlobError::UnknownUpload) };
        let mut source = Source::new(body, self.most - sink.length(), self.stop.clone());
        let (sink, end) = extend(sink, &mut source).await;
        let offset = self.sink.insert(sink).length();
        match end.map_err(failed("writing a blob"))? {
            End::Whole => Ok(offset),
            End::Interrupted(source) => Err(BlobError::Interrupted { offset, source }),
            End::Stopped => Err(BlobError::Superseded { offset }),
            End::TooLong => Err(BlobError::TooLarge { limit: self.most }),
        }
    }

    /// Compares the bytes with the digest and makes them durable under it. Readers have their end as soon as the bytes are known to be
    /// right; those of wrong bytes end in an error.
    ///
    /// # Errors
    /// [`BlobError::Digest`], or the file system. Nothing is left of it.
    pub(crate) async fn finish(mut self) -> Result<Durable, BlobError> {
        let Some(mut sink) = self.sink.take() else { return Err(BlobError::UnknownUpload) };
        let digest = self.digest.clone();
        blocking(move || sink.publish(&digest)).await
    }
}

impl Growing {
    /// How many bytes it will have, where that is known.
    pub(crate) fn size(&self) -> Option<u64> {
        self.size
    }

    /// These bytes of it as they arrive, or all from its beginning.
    ///
    /// The last byte is held back until all of them are known to be those of the digest: a client that has been told how many there
    /// are would take its answer for complete.
    pub(crate) fn read(&self, range: Option<Range<u64>>) -> impl Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static {
        let (at, end) = range.map_or((0, self.size), |range| (range.start, Some(range.end)));
        Box::pin(stream::try_unfold((self.clone(), at), move |(mut growing, at)| async move {
            let Some(until) = growing.wait(at, end).await? else { return Ok(None) };
            let (file, buffers) = (Arc::clone(&growing.file), growing.buffers.clone());
            let wanted = usize::try_from(until - at).map_or(PIECE, |rest| rest.min(PIECE));
            // What has just arrived is in memory.
            let piece = match buffers.read_at_once(&file, at, wanted) {
                Some(piece) => piece,
                None => blocking(move || buffers.read(&file, at, wanted)).await?,
            };
            Ok(Some((piece, (growing, at + wanted as u64))))
        }))
    }

    /// Waits for a byte at `at` that may be given out, and says up to where there are any; nothing at the end.
    async fn wait(&mut self, at: u64, end: Option<u64>) -> io::Result<Option<u64>> {
        loop {
            let Progress { length, state } = *self.progress.borrow_and_update();
            let known = match state {
                State::Verified => length,
                State::Growing => self.size.map_or(length, |size| length.min(size.saturating_sub(1))),
                State::Failed => 0,
            };
            let until = end.map_or(known, |end| known.min(end));
            if until > at {
                return Ok(Some(until));
            }
            match (state, end) {
                (_, Some(end)) if at >= end => return Ok(None),
                (State::Verified, None) => return Ok(None),
                (State::Verified, Some(_)) => return Err(io::ErrorKind::UnexpectedEof.into()),
                (State::Failed, _) => return Err(io::Error::other("the blob did not arrive whole")),
                // Who writes says `Failed` when it gives up; without that it went down with its runtime.
                (State::Growing, _) => self.progress.changed().await.map_err(io::Error::other)?,
            }
        }
    }
}
