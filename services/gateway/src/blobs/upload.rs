//! Uploads in progress (distribution-spec, "Pushing blobs"): begun, appended to, resumed, committed or given up.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use chassis::reason::chain;
use futures_util::Stream;
use jiff::Timestamp;
use oci::{Digest, RepositoryName};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::error::failed;
use super::sink::{Progress, Sink, State, extend};
use super::source::{End, Source};
use super::{BlobError, Blobs, BodyError, Durable, UploadId, UploadLimits, blocking};
use crate::store::UploadRow;

/// How long an upload is kept that nobody goes on with.
pub(super) const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// How exactly the database knows when an upload was used last.
const RECORDED: Duration = Duration::from_secs(60 * 60);

/// What a request says of the bytes that it brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Part {
    /// `Content-Range`: where its first byte belongs, and how many there are. Without it the bytes belong at the end.
    pub(crate) range: Option<(u64, u64)>,
    /// `Content-Length`.
    pub(crate) length: Option<u64>,
}

/// The uploads in progress.
#[derive(Debug, Default)]
pub(super) struct Uploads(Mutex<HashMap<UploadId, Arc<Upload>>>);

/// One of them.
#[derive(Debug)]
struct Upload {
    id: UploadId,
    repository: RepositoryName,
    progress: watch::Sender<Progress>,
    times: Mutex<Times>,
    /// Cancelled by the request that takes over from the one that writes.
    turn: Mutex<CancellationToken>,
    work: tokio::sync::Mutex<Work>,
}

#[derive(Debug, Clone, Copy)]
struct Times {
    used: Timestamp,
    recorded: Timestamp,
}

/// What the one request that has its turn works on.
#[derive(Debug)]
enum Work {
    /// Not looked at since the start, or lost by a request that died over it: what counts is in the file.
    InFile,
    Open(Sink),
    /// Committed or given up.
    Over,
}

impl Blobs {
    /// Begins an upload into a repository. Its bytes come with [`Blobs::append`].
    ///
    /// # Errors
    /// [`BlobError::TooManyUploads`], or the database.
    pub(crate) async fn begin(&self, repository: &RepositoryName) -> Result<UploadId, BlobError> {
        let row = UploadRow { id: UploadId::random(), repository: repository.clone(), used: self.0.clock.now() };
        let (progress, _) = watch::channel(Progress { length: 0, state: State::Growing });
        let path = self.0.folder.upload(&row.id);
        let sink = Sink::empty(Arc::clone(&self.0.folder), path, progress.clone());
        self.0.uploads.insert(Upload::new(&row, progress, Work::Open(sink)), self.0.limits)?;
        let id = row.id.clone();
        // A crash before the row leaves nothing. A crash after it is an upload that nobody knows and that expires.
        if let Err(error) = self.0.store.begin_upload(row).await {
            self.0.uploads.remove(&id);
            return Err(error.into());
        }
        Ok(id)
    }

    /// How many bytes of an upload have arrived.
    ///
    /// # Errors
    /// [`BlobError::UnknownUpload`].
    pub(crate) fn status(&self, repository: &RepositoryName, id: &UploadId) -> Result<u64, BlobError> {
        Ok(self.find(repository, id)?.progress.borrow().length)
    }

    /// Adds `body` to an upload and says how many bytes it has then. What arrived of a body that breaks off is kept, and survives a
    /// restart; only a power cut may take some of it, and then the upload stands at an earlier byte.
    ///
    /// A request that comes while another one still writes takes over: the other one belongs to a connection that is dead, or to a
    /// client that contradicts itself.
    ///
    /// # Errors
    /// [`BlobError`]; of these [`BlobError::TooLarge`] ends the upload.
    pub(crate) async fn append<S, B>(
        &self,
        repository: &RepositoryName,
        id: &UploadId,
        part: Part,
        body: S,
    ) -> Result<u64, BlobError>
    where
        S: Stream<Item = Result<Bytes, B>> + Send + Unpin + 'static,
        B: Into<BodyError> + Send + 'static,
    {
        let (blobs, upload) = (self.clone(), self.find(repository, id)?);
        // A client that goes away ends its body, not the writing of what arrived.
        self.0.store.settled(async move { blobs.append_to(&upload, part, body).await }).await
    }

    /// Makes an upload a blob of its repository, and says its size. Durable when this returns.
    ///
    /// Whatever comes of it, the upload is over: after a failure nothing of it is visible, and the client begins again.
    ///
    /// # Errors
    /// [`BlobError::Digest`] when these are other bytes; [`BlobError::UnknownUpload`]; the disk and the database.
    pub(crate) async fn commit(&self, repository: &RepositoryName, id: &UploadId, digest: &Digest) -> Result<u64, BlobError> {
        let (blobs, upload, digest) = (self.clone(), self.find(repository, id)?, digest.clone());
        self.0.store.settled(async move { blobs.commit_upload(&upload, digest).await }).await
    }

    /// Gives an upload up.
    ///
    /// # Errors
    /// [`BlobError::UnknownUpload`], or the database.
    pub(crate) async fn abort(&self, repository: &RepositoryName, id: &UploadId) -> Result<(), BlobError> {
        let (blobs, upload) = (self.clone(), self.find(repository, id)?);
        self.0
            .store
            .settled(async move {
                upload.take_turn(&blobs.0.closing);
                let mut work = upload.work.lock().await;
                blobs.give_up(&upload, &mut work).await
            })
            .await
    }

    /// Gives up every upload that nobody has gone on with for a day, and says how many there were.
    pub(crate) async fn expire(&self) -> usize {
        let (now, mut ended) = (self.0.clock.now(), 0);
        for upload in self.0.uploads.all().into_iter().filter(|upload| upload.is_old(now)) {
            // Locked: a request is at it right now.
            let Ok(mut work) = upload.work.try_lock() else { continue };
            match self.give_up(&upload, &mut work).await {
                Ok(()) => ended += 1,
                Err(error) => {
                    tracing::warn!(upload = %upload.id, reason = chain(&error), "could not end an old upload; trying again later");
                }
            }
        }
        ended
    }

    fn find(&self, repository: &RepositoryName, id: &UploadId) -> Result<Arc<Upload>, BlobError> {
        let upload = self.0.uploads.lock().get(id).cloned();
        let ours = |upload: &Arc<Upload>| upload.repository == *repository && !upload.is_old(self.0.clock.now());
        upload.filter(ours).ok_or(BlobError::UnknownUpload)
    }

    async fn append_to<S, B>(&self, upload: &Upload, part: Part, body: S) -> Result<u64, BlobError>
    where
        S: Stream<Item = Result<Bytes, B>> + Send + Unpin,
        B: Into<BodyError>,
    {
        let stop = upload.take_turn(&self.0.closing);
        let mut work = upload.work.lock().await;
        let sink = self.sink(upload, &mut work).await?;
        let (offset, most) = (sink.length(), self.0.limits.blob);
        let room = most.saturating_sub(offset);
        if !part.fits(offset) {
            *work = Work::Open(sink);
            return Err(BlobError::OutOfOrder { offset });
        }
        if part.announced().is_some_and(|announced| announced > room) {
            self.give_up(upload, &mut work).await?;
            return Err(BlobError::TooLarge { limit: most });
        }
        let announced = part.range.map_or(room, |(_, length)| length);
        let mut source = Source::new(body, announced, stop);
        let (mut sink, end) = extend(sink, &mut source).await;
        sink.rest();
        let offset = sink.length();
        *work = Work::Open(sink);
        self.record_use(upload).await;
        match end.map_err(failed("writing a blob"))? {
            End::Whole if part.range.is_some_and(|(first, length)| first + length != offset) => {
                Err(BlobError::OutOfOrder { offset })
            }
            End::Whole => Ok(offset),
            End::Interrupted(source) => Err(BlobError::Interrupted { offset, source }),
            End::Stopped => Err(BlobError::Superseded { offset }),
            End::TooLong if announced < room => Err(BlobError::OutOfOrder { offset }),
            End::TooLong => {
                self.give_up(upload, &mut work).await?;
                Err(BlobError::TooLarge { limit: most })
            }
        }
    }

    async fn commit_upload(&self, upload: &Upload, digest: Digest) -> Result<u64, BlobError> {
        upload.take_turn(&self.0.closing);
        let mut work = upload.work.lock().await;
        let mut sink = self.sink(upload, &mut work).await?;
        // 1. The bytes are compared with the digest, and are durable under it: `Sink::publish`. A crash before that is an upload that
        //    may be gone on with, or begun again; a crash after it is a blob that no repository shows.
        let published = blocking(move || {
            let published = sink.publish(&digest);
            sink.rest();
            published
        });
        // 2. One transaction shows it in the repository and ends the upload.
        let done = async {
            let durable = published.await?;
            self.0.store.link_blob(&upload.repository, &durable, Some(&upload.id)).await?;
            Ok::<Durable, BlobError>(durable)
        };
        match done.await {
            Ok(durable) => {
                *work = Work::Over;
                self.0.uploads.remove(&upload.id);
                Ok(durable.size())
            }
            Err(error) => {
                if let Err(error) = self.give_up(upload, &mut work).await {
                    tracing::warn!(upload = %upload.id, reason = chain(&error), "could not clear away a failed upload; it expires");
                }
                Err(error)
            }
        }
    }

    /// What is to be worked on: from memory, or from the file.
    async fn sink(&self, upload: &Upload, work: &mut Work) -> Result<Sink, BlobError> {
        match std::mem::replace(work, Work::InFile) {
            Work::Open(sink) => Ok(sink),
            Work::Over => {
                *work = Work::Over;
                Err(BlobError::UnknownUpload)
            }
            Work::InFile => {
                let (folder, progress) = (Arc::clone(&self.0.folder), upload.progress.clone());
                let path = folder.upload(&upload.id);
                blocking(move || Sink::reopen(folder, path, progress)).await.map_err(failed("resuming an upload"))
            }
        }
    }

    /// Ends an upload without a blob. The file goes first: a row without a file is an upload that stands at its beginning.
    async fn give_up(&self, upload: &Upload, work: &mut Work) -> Result<(), BlobError> {
        *work = Work::Over;
        self.0.uploads.remove(&upload.id);
        let (folder, path) = (Arc::clone(&self.0.folder), self.0.folder.upload(&upload.id));
        let removed = blocking(move || folder.remove(&path)).await;
        self.0.store.end_upload(&upload.id).await?;
        removed.map_err(failed("removing an upload"))
    }

    async fn record_use(&self, upload: &Upload) {
        let now = self.0.clock.now();
        if upload.is_to_be_recorded(now)
            && let Err(error) = self.0.store.use_upload(&upload.id, now).await
        {
            tracing::warn!(upload = %upload.id, reason = chain(&error), "could not record that an upload goes on; a restart may take it for older");
        }
    }
}

impl Uploads {
    /// Those that a process before this one knew, and how far their files have come.
    pub(super) fn recovered(rows: &[UploadRow], length: impl Fn(&UploadId) -> u64) -> Self {
        let upload = |row: &UploadRow| {
            let (progress, _) = watch::channel(Progress { length: length(&row.id), state: State::Growing });
            (row.id.clone(), Arc::new(Upload::new(row, progress, Work::InFile)))
        };
        Self(Mutex::new(rows.iter().map(upload).collect()))
    }

    /// The names of their files.
    pub(super) fn files(rows: &[UploadRow]) -> HashSet<OsString> {
        rows.iter().map(|row| row.id.as_str().into()).collect()
    }

    fn insert(&self, upload: Upload, limits: UploadLimits) -> Result<(), BlobError> {
        let mut all = self.lock();
        let beside = all.values().filter(|other| other.repository == upload.repository).count();
        for (open, limit) in [(beside, limits.per_repository), (all.len(), limits.total)] {
            if open >= limit {
                return Err(BlobError::TooManyUploads { limit });
            }
        }
        all.insert(upload.id.clone(), Arc::new(upload));
        Ok(())
    }

    fn remove(&self, id: &UploadId) {
        self.lock().remove(id);
    }

    fn all(&self) -> Vec<Arc<Upload>> {
        self.lock().values().cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<UploadId, Arc<Upload>>> {
        self.0.lock().expect("no panic while the lock is held")
    }
}

impl Upload {
    fn new(row: &UploadRow, progress: watch::Sender<Progress>, work: Work) -> Self {
        Self {
            id: row.id.clone(),
            repository: row.repository.clone(),
            progress,
            times: Mutex::new(Times { used: row.used, recorded: row.used }),
            turn: Mutex::default(),
            work: tokio::sync::Mutex::new(work),
        }
    }

    /// Stops the request that writes, if there is one. This one waits for it to put away what it has, then may write until it is
    /// stopped itself.
    fn take_turn(&self, closing: &CancellationToken) -> CancellationToken {
        let mut turn = self.turn.lock().expect("no panic while the lock is held");
        turn.cancel();
        *turn = closing.child_token();
        turn.clone()
    }

    fn is_old(&self, now: Timestamp) -> bool {
        older_than(self.times().used, now, KEPT)
    }

    /// Notes that it is in use, and whether the database should know.
    fn is_to_be_recorded(&self, now: Timestamp) -> bool {
        let mut times = self.times();
        times.used = now;
        let due = older_than(times.recorded, now, RECORDED);
        if due {
            times.recorded = now;
        }
        due
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().expect("no panic while the lock is held")
    }
}

impl Part {
    /// How many bytes come, as far as the request says.
    fn announced(self) -> Option<u64> {
        self.range.map(|(_, length)| length).or(self.length)
    }

    /// Whether these bytes belong at `offset` and are as many as their range says.
    fn fits(self, offset: u64) -> bool {
        self.range.is_none_or(|(first, length)| {
            first == offset && first.checked_add(length).is_some() && self.length.is_none_or(|declared| declared == length)
        })
    }
}

/// A clock that steps back makes nothing old.
fn older_than(time: Timestamp, now: Timestamp, age: Duration) -> bool {
    now.duration_since(time).unsigned_abs() >= age && now > time
}
