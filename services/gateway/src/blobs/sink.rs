//! A file that grows, hashed as it is written. All of it blocks, but for [`extend`], which lets threads do it that may.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use chassis::reason::chain;
use futures_util::Stream;
use oci::{Algorithm, Digest, Hasher};
use tokio::sync::watch;

use super::error::failed;
use super::folder::Folder;
use super::source::{End, Source};
use super::{BlobError, Durable};
use crate::faults::Step;

/// How much of a file is read at once when it is hashed again.
const REREAD: usize = 1 << 20;

/// A file that grows, and the digest of what is in it. Bytes are in both or in neither.
#[derive(Debug)]
pub(super) struct Sink {
    folder: Arc<Folder>,
    path: PathBuf,
    file: Option<Arc<File>>,
    hasher: Hasher,
    length: u64,
    progress: watch::Sender<Progress>,
    /// Whether the file goes when this does.
    temporary: bool,
}

/// How far a file has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Progress {
    /// Bytes in it.
    pub(super) length: u64,
    pub(super) state: State,
}

/// What is known of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// More may come.
    Growing,
    /// They are all there, and those of their digest.
    Verified,
    /// They never will be.
    Failed,
}

impl Sink {
    /// A file at `path`, to be made with its first byte.
    pub(super) fn empty(folder: Arc<Folder>, path: PathBuf, progress: watch::Sender<Progress>) -> Self {
        Self { folder, path, file: None, hasher: Hasher::new(Algorithm::Sha256), length: 0, progress, temporary: false }
    }

    /// The same, but dropped before it is published it is gone, and its followers know.
    pub(super) fn temporary(folder: Arc<Folder>, path: PathBuf, progress: watch::Sender<Progress>) -> Self {
        let mut sink = Self::empty(folder, path, progress);
        sink.temporary = true;
        sink
    }

    /// What is in the file at `path` already, hashed again. A file that is not there is empty.
    pub(super) fn reopen(folder: Arc<Folder>, path: PathBuf, progress: watch::Sender<Progress>) -> io::Result<Self> {
        let mut sink = Self::empty(folder, path, progress);
        match File::open(&sink.path) {
            Ok(file) => sink.length = hash_file(&file, &mut sink.hasher, u64::MAX)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        sink.publish_progress(State::Growing);
        Ok(sink)
    }

    /// Bytes that are in the file.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// The file to read from while it grows.
    pub(super) fn file(&mut self) -> io::Result<Arc<File>> {
        if let Some(file) = &self.file {
            return Ok(Arc::clone(file));
        }
        let file = Arc::new(self.folder.writable(&self.path)?);
        self.file = Some(Arc::clone(&file));
        Ok(file)
    }

    /// Lets go of the file until there is more to write: thousands of uploads may be open, thousands of files may not.
    pub(super) fn rest(&mut self) {
        self.file = None;
    }

    /// Tells followers.
    pub(super) fn publish_progress(&self, state: State) {
        self.progress.send_replace(Progress { length: self.length, state });
    }

    /// Checks that these are the bytes of `digest`, and puts them under it. Blocks.
    pub(super) fn publish(&mut self, digest: &Digest) -> Result<Durable, BlobError> {
        let failed = failed("publishing a blob");
        let file = self.file().map_err(&failed)?;
        let found = match digest.algorithm() {
            Algorithm::Sha256 => self.hasher.clone().finish(),
            // Known only now, at the end: read again, from memory as a rule.
            Algorithm::Sha512 => {
                let mut hasher = Hasher::new(Algorithm::Sha512);
                hash_file(&file, &mut hasher, self.length).map_err(&failed)?;
                hasher.finish()
            }
        };
        if found != *digest {
            self.publish_progress(State::Failed);
            return Err(BlobError::Digest { expected: digest.clone(), found });
        }
        self.publish_progress(State::Verified);
        // A write that failed in the middle may have left bytes behind that were never hashed.
        file.set_len(self.length).map_err(&failed)?;
        self.folder.publish(&self.path, &file, digest).map_err(&failed)?;
        self.temporary = false;
        Ok(Durable::new(digest.clone(), self.length))
    }

    fn write(&mut self, batch: &[Bytes]) -> io::Result<()> {
        let file = self.file()?;
        for bytes in batch {
            let at = self.length;
            // Where the last whole write ended: what a failed one left there is written over.
            self.folder.faults.around(Step::Append, || file.write_all_at(bytes, at))?;
            self.hasher.update(bytes);
            self.length += bytes.len() as u64;
        }
        self.publish_progress(State::Growing);
        Ok(())
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if !self.temporary {
            return;
        }
        self.publish_progress(State::Failed);
        if let Err(error) = self.folder.remove(&self.path) {
            tracing::warn!(path = %self.path.display(), reason = chain(&error), "could not remove an unfinished blob; the next start will");
        }
    }
}

/// Writes all that comes from `source`, gathering the next batch while one is written, and says how it ended. What was written before
/// a failure stays.
pub(super) async fn extend<S, B>(mut sink: Sink, source: &mut Source<S>) -> (Sink, io::Result<End>)
where
    S: Stream<Item = Result<Bytes, B>> + Send + Unpin,
    B: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    loop {
        let batch = match source.batch().await {
            Ok(batch) => batch,
            Err(end) => return (sink, Ok(end)),
        };
        let mut writing = tokio::task::spawn_blocking(move || {
            let written = sink.write(&batch);
            (sink, written)
        });
        let written = match source.gather_during(&mut writing).await {
            Ok((back, written)) => {
                sink = back;
                written
            }
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        };
        if let Err(error) = written {
            return (sink, Err(error));
        }
    }
}

/// Hashes a file from its beginning, at most so many bytes, and says how many there were.
fn hash_file(file: &File, hasher: &mut Hasher, most: u64) -> io::Result<u64> {
    let (mut buffer, mut at) = (vec![0; REREAD], 0);
    while at < most {
        let wanted = usize::try_from(most - at).unwrap_or(usize::MAX).min(buffer.len());
        match file.read_at(&mut buffer[..wanted], at) {
            Ok(0) => break,
            Ok(read) => {
                hasher.update(&buffer[..read]);
                at += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(at)
}
