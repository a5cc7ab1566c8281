//! Bytes as they come from a connection, gathered into batches that are worth a write.

use std::error::Error;
use std::future::Future;

use bytes::Bytes;
use futures_util::{FutureExt as _, Stream, StreamExt as _};
use tokio_util::sync::CancellationToken;

/// What is gathered for one write at most, give or take one piece. What is waiting and what is being written make twice this: all the
/// memory that a blob needs on its way in, however large it is and however slow the disk.
const BATCH: usize = 1 << 20;
/// Pieces of one batch at most: a client that sends single bytes makes each of them cost as much as a thousand.
const PIECES: usize = 256;

/// A body, and what has arrived of it and is not written yet.
pub(super) struct Source<S> {
    body: S,
    waiting: Vec<Bytes>,
    gathered: usize,
    end: Option<End>,
    /// Bytes that may still come.
    room: u64,
    stop: CancellationToken,
}

/// How a body ended.
#[derive(Debug)]
pub(super) enum End {
    /// All of it came.
    Whole,
    /// The connection failed.
    Interrupted(Box<dyn Error + Send + Sync>),
    /// Someone else goes on.
    Stopped,
    /// More came than there was room for. What fitted was taken.
    TooLong,
}

impl<S, B> Source<S>
where
    S: Stream<Item = Result<Bytes, B>> + Send + Unpin,
    B: Into<Box<dyn Error + Send + Sync>>,
{
    /// At most `room` bytes of `body`, until `stop`.
    pub(super) fn new(body: S, room: u64, stop: CancellationToken) -> Self {
        Self { body, waiting: Vec::new(), gathered: 0, end: None, room, stop }
    }

    /// What has arrived, at least something; or how it ended, once everything that arrived was taken.
    pub(super) async fn batch(&mut self) -> Result<Vec<Bytes>, End> {
        while self.waiting.is_empty() {
            if let Some(end) = self.end.take() {
                return Err(end);
            }
            tokio::select! {
                biased;
                () = self.stop.cancelled() => self.end = Some(End::Stopped),
                next = self.body.next() => self.take(next),
            }
            // What is here already comes along: on a fast connection this fills the batch.
            while self.wants_more()
                && let Some(next) = self.body.next().now_or_never()
            {
                self.take(next);
            }
        }
        self.gathered = 0;
        Ok(std::mem::take(&mut self.waiting))
    }

    /// Gathers the next batch until `writing` is done.
    pub(super) async fn gather_during<W>(&mut self, mut writing: impl Future<Output = W> + Unpin) -> W {
        loop {
            tokio::select! {
                biased;
                written = &mut writing => return written,
                next = self.body.next(), if self.wants_more() => self.take(next),
            }
        }
    }

    fn wants_more(&self) -> bool {
        self.end.is_none() && self.gathered < BATCH && self.waiting.len() < PIECES && !self.stop.is_cancelled()
    }

    fn take(&mut self, next: Option<Result<Bytes, B>>) {
        match next {
            None => self.end = Some(End::Whole),
            Some(Err(error)) => self.end = Some(End::Interrupted(error.into())),
            Some(Ok(mut bytes)) => {
                if bytes.len() as u64 > self.room {
                    self.end = Some(End::TooLong);
                    bytes.truncate(usize::try_from(self.room).unwrap_or(usize::MAX));
                }
                self.room -= bytes.len() as u64;
                self.gathered += bytes.len();
                if !bytes.is_empty() {
                    self.waiting.push(bytes);
                }
            }
        }
    }
}
