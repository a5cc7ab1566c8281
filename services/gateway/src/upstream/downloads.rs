//! One download of a blob for everybody who wants it.
//!
//! The first who asks begins it and nobody owns it: it goes on when the first goes away, and everybody reads the same growing file.
//! A connection that breaks is continued by the client of the upstream, in the same download. It is kept by digest alone, so that
//! two repositories with one layer need it once; each shows it only if the upstream has shown it there.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream;
use oci::{Digest, RepositoryName};
use registry::{BlobStream, RegistryError};
use tokio::sync::watch;

use super::{Proxied, UpstreamError, metric};
use crate::blobs::{BlobError, Durable, Growing};

/// How long a download goes on that nobody reads any more. It may be nearly done, and whoever it was for often comes again.
const ABANDONED: Duration = Duration::from_secs(300);
/// The longest download.
const LONGEST: Duration = Duration::from_secs(6 * 3_600);

/// Downloads from one upstream.
#[derive(Debug, Default)]
pub(super) struct Downloads(Mutex<HashMap<Key, UnderWay>>);

/// What is downloaded.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    digest: Digest,
    /// For this repository alone: whether the upstream shows the blob there is not known before it answers.
    alone: Option<RepositoryName>,
}

#[derive(Debug)]
struct UnderWay {
    phase: Arc<watch::Sender<Phase>>,
    /// Where the blob is to be shown when it is here.
    repositories: BTreeSet<RepositoryName>,
}

#[derive(Debug, Clone)]
enum Phase {
    /// The upstream has not answered yet.
    Asked,
    /// It arrives.
    Growing(Growing),
    /// It is here, with its row, and has so many bytes.
    Done(u64),
    /// It will not come.
    Failed(UpstreamError),
}

/// A download to read along.
#[derive(Debug)]
pub(super) enum Followed {
    /// It is here, and has so many bytes.
    Done(u64),
    /// It arrives.
    Growing(Growing, Ending),
}

/// How a download ends. Whoever holds one wants it to go on.
#[derive(Debug)]
pub(super) struct Ending(watch::Receiver<Phase>);

impl Ending {
    /// Waits until the blob is here, with its row, and says how many bytes it has.
    pub(super) async fn size(mut self) -> Result<u64, UpstreamError> {
        let ended = self.0.wait_for(|phase| matches!(phase, Phase::Done(_) | Phase::Failed(_))).await.map(|phase| phase.clone());
        match ended {
            Ok(Phase::Done(size)) => Ok(size),
            Ok(Phase::Failed(error)) => Err(error),
            // The sender says how it ended before it goes: the runtime is going down.
            Ok(Phase::Asked | Phase::Growing(_)) | Err(_) => std::future::pending().await,
        }
    }

    /// The same, for who has all bytes already.
    pub(super) async fn wait(self) -> io::Result<()> {
        self.size().await.map(drop).map_err(io::Error::other)
    }
}

impl Proxied {
    /// The download of a blob that the upstream says it has in this repository, and so many bytes of it: the one under way, or a new
    /// one. Returns when it begins to arrive.
    pub(super) async fn download(&self, digest: &Digest, size: u64) -> Result<Followed, UpstreamError> {
        followed(self.board(digest, Some(size))).await
    }

    /// The same of a blob that the upstream may or may not have.
    pub(super) async fn try_download(&self, digest: &Digest) -> Result<Followed, UpstreamError> {
        followed(self.board(digest, None)).await
    }

    fn board(&self, digest: &Digest, size: Option<u64>) -> watch::Receiver<Phase> {
        let key = |alone| Key { digest: digest.clone(), alone };
        let (own, shared) = (key(Some(self.local.clone())), key(None));
        let mut all = self.upstream.downloads.lock();
        let key = if size.is_none() || all.contains_key(&own) { own } else { shared };
        if let Some(under_way) = all.get_mut(&key) {
            metric::followed(self.upstream.prefix.as_str());
            under_way.repositories.insert(self.local.clone());
            return under_way.phase.subscribe();
        }
        let (sender, phase) = watch::channel(Phase::Asked);
        let sender = Arc::new(sender);
        let under_way = UnderWay { phase: Arc::clone(&sender), repositories: BTreeSet::from([self.local.clone()]) };
        all.insert(key.clone(), under_way);
        tokio::spawn(Leader { proxied: self.clone(), key, phase: sender, end: None }.lead(size));
        phase
    }
}

async fn followed(mut phase: watch::Receiver<Phase>) -> Result<Followed, UpstreamError> {
    let begun = phase.wait_for(|phase| !matches!(phase, Phase::Asked)).await.map(|phase| phase.clone());
    match begun {
        Ok(Phase::Growing(growing)) => Ok(Followed::Growing(growing, Ending(phase))),
        Ok(Phase::Done(size)) => Ok(Followed::Done(size)),
        Ok(Phase::Failed(error)) => Err(error),
        // The sender says how it ended before it goes: the runtime is going down.
        Ok(Phase::Asked) | Err(_) => std::future::pending().await,
    }
}

impl Downloads {
    /// A repository that is to show the blob. When there is none any more, nobody joins this download any more either.
    fn next_repository(&self, key: &Key) -> Option<RepositoryName> {
        let mut all = self.lock();
        let next = all.get_mut(key).and_then(|under_way| under_way.repositories.pop_first());
        if next.is_none() {
            all.remove(key);
        }
        next
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, UnderWay>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How a blob came here.
enum Arrived {
    /// By this download.
    Now(Durable),
    /// By one that had ended when this began; it has so many bytes.
    Before(u64),
}

/// Who fetches. Dropped, however that comes about, it says how it ended, and nobody follows it any more.
struct Leader {
    proxied: Proxied,
    key: Key,
    phase: Arc<watch::Sender<Phase>>,
    end: Option<Phase>,
}

impl Leader {
    async fn lead(mut self, size: Option<u64>) {
        let arrived = tokio::select! {
            arrived = self.arrive(size) => arrived,
            () = abandoned(&self.phase) => Err(self.given_up("nobody waits for the blob any more")),
            () = tokio::time::sleep(LONGEST) => Err(self.given_up("the blob takes too long")),
        };
        let shown = match arrived {
            Ok(arrived) => self.show(&arrived).await,
            Err(error) => Err(error),
        };
        self.end = Some(match shown {
            Ok(size) => Phase::Done(size),
            Err(error) => Phase::Failed(error),
        });
    }

    /// Nothing is fetched that came just before this download began.
    async fn arrive(&self, size: Option<u64>) -> Result<Arrived, UpstreamError> {
        match self.proxied.upstream.store.blob_size(&self.proxied.local, &self.key.digest).await? {
            Some(size) => Ok(Arrived::Before(size)),
            None => self.fetch(size).await.map(Arrived::Now),
        }
    }

    /// 1. The upstream begins to answer.
    /// 2. A file that grows, which everybody may read from here on.
    /// 3. The bytes, as they come.
    /// 4. They are those of the digest, and on the disk. A crash before leaves a file that the next start removes.
    async fn fetch(&self, size: Option<u64>) -> Result<Durable, UpstreamError> {
        let (upstream, proxied) = (&self.proxied.upstream, &self.proxied);
        let blob = upstream.registry.blob(&proxied.remote, &self.key.digest).await.map_err(|error| proxied.failed(error))?;
        if let (Some(said), Some(says)) = (size, blob.size())
            && said != says
        {
            let reason = format!("it was said to have {said} bytes and now {says}");
            return Err(proxied.failed(self.malformed(reason)));
        }
        let mut fill = upstream.blobs.fill(&self.key.digest, blob.size().or(size)).await?;
        self.phase.send_replace(Phase::Growing(fill.growing()));
        fill.extend(bytes(blob)).await.map_err(|error| self.broken(error))?;
        Ok(fill.finish().await?)
    }

    /// Shows the blob where it was asked for, those repositories included that ask meanwhile.
    async fn show(&self, arrived: &Arrived) -> Result<u64, UpstreamError> {
        let upstream = &self.proxied.upstream;
        while let Some(repository) = upstream.downloads.next_repository(&self.key) {
            match arrived {
                Arrived::Now(durable) => upstream.store.link_blob(&repository, durable, None).await?,
                Arrived::Before(_) => {
                    upstream.store.mount_blob(Some(&self.proxied.local), &repository, &self.key.digest).await?;
                }
            }
        }
        Ok(match arrived {
            Arrived::Now(durable) => durable.size(),
            Arrived::Before(size) => *size,
        })
    }

    fn broken(&self, error: BlobError) -> UpstreamError {
        match error {
            BlobError::Interrupted { source, offset } => match source.downcast::<RegistryError>() {
                Ok(error) => self.proxied.failed(*error),
                Err(source) => BlobError::Interrupted { source, offset }.into(),
            },
            error => error.into(),
        }
    }

    fn given_up(&self, reason: &str) -> UpstreamError {
        let registry = self.proxied.upstream.registry.name().to_owned();
        self.proxied.failed(RegistryError::Unreachable { registry, reason: reason.to_owned() })
    }

    fn malformed(&self, reason: String) -> RegistryError {
        let registry = self.proxied.upstream.registry.name().to_owned();
        RegistryError::Malformed { registry, expected: "the blob", reason }
    }
}

impl Drop for Leader {
    fn drop(&mut self) {
        // First nobody joins any more: who comes now begins anew.
        let mut all = self.proxied.upstream.downloads.lock();
        if all.get(&self.key).is_some_and(|under_way| Arc::ptr_eq(&under_way.phase, &self.phase)) {
            all.remove(&self.key);
        }
        drop(all);
        let end = self.end.take().unwrap_or_else(|| Phase::Failed(self.given_up("the download came to an unexpected end")));
        self.phase.send_replace(end);
    }
}

async fn abandoned(phase: &watch::Sender<Phase>) {
    loop {
        phase.closed().await;
        tokio::time::sleep(ABANDONED).await;
        if phase.is_closed() {
            return;
        }
    }
}

fn bytes(blob: BlobStream) -> impl stream::Stream<Item = Result<bytes::Bytes, RegistryError>> + Send + Unpin {
    Box::pin(stream::try_unfold(blob, |mut blob| async move { Ok(blob.next().await?.map(|bytes| (bytes, blob))) }))
}
