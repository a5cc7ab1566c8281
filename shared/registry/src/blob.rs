//! Blobs: verified while they come, continued where they broke off.

use bytes::Bytes;
use oci::{Digest, Hasher, RepositoryName};
use reqwest::header::CONTENT_RANGE;
use reqwest::{Method, Response, StatusCode};
use tokio::sync::OwnedSemaphorePermit;

use crate::Registry;
use crate::auth::Scope;
use crate::error::{RegistryError, causes};
use crate::exchange::Call;
use crate::observe::Kind;

/// The largest blob that is read.
pub const MAX_BLOB_BYTES: u64 = 50 << 30;
/// How often one blob is continued, however much came in between: a registry that cuts every connection does not get hold of us for ever.
const RESUMPTIONS: u32 = 100;

/// A blob on its way. What was handed out may turn out wrong until [`next`](Self::next) has answered `None`.
#[derive(Debug)]
pub struct BlobStream {
    registry: Registry,
    call: Call,
    digest: Digest,
    /// `None` after the last byte: then everything was verified.
    hasher: Option<Hasher>,
    answer: Response,
    offset: u64,
    /// Bytes of this answer that we have already.
    skip: u64,
    size: Option<u64>,
    /// Since bytes came last.
    failures: u32,
    resumed: u32,
    _permit: OwnedSemaphorePermit,
}

impl Registry {
    /// The blob `digest` from its first byte.
    ///
    /// # Errors
    /// [`RegistryError`], before the first byte.
    pub async fn blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<BlobStream, RegistryError> {
        let permit = self.inner.streams.clone().acquire_owned().await.expect("it is never closed");
        let call = self.blob_call(repository, digest);
        let answer = self.streamed(&call).await?;
        let size = answer.content_length();
        if size.is_some_and(|size| size > MAX_BLOB_BYTES) {
            return Err(self.blob_too_large());
        }
        Ok(BlobStream {
            registry: self.clone(),
            call,
            digest: digest.clone(),
            hasher: Some(Hasher::new(digest.algorithm())),
            answer,
            offset: 0,
            skip: 0,
            size,
            failures: 0,
            resumed: 0,
            _permit: permit,
        })
    }

    /// The size of the blob `digest`, if the registry says it.
    ///
    /// # Errors
    /// [`RegistryError`]; of a blob that is not there [`RegistryError::NotFound`].
    pub async fn blob_size(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<u64>, RegistryError> {
        let call = Call { method: Method::HEAD, ..self.blob_call(repository, digest) };
        let answer = self.document(&call, 0).await?;
        Ok(answer.header("content-length").and_then(|text| text.parse().ok()))
    }

    fn blob_call(&self, repository: &RepositoryName, digest: &Digest) -> Call {
        let url = self.url(repository, &format!("blobs/{digest}"));
        Call::get(Kind::Blob, url, Scope::pull(repository), format!("blob {digest} of {repository}"))
    }

    fn blob_too_large(&self) -> RegistryError {
        RegistryError::TooLarge { registry: self.inner.name.clone(), limit: MAX_BLOB_BYTES }
    }
}

impl BlobStream {
    /// The whole size, if the registry said it.
    #[must_use]
    pub fn size(&self) -> Option<u64> {
        self.size
    }

    /// How often the blob was continued after its connection broke.
    #[must_use]
    pub fn resumed(&self) -> u32 {
        self.resumed
    }

    /// The next bytes; `None` behind the last one, once all of them together were found to be the blob.
    ///
    /// # Errors
    /// [`RegistryError`]: the registry is gone for longer than the attempts last, or the bytes are not the blob. Nothing follows.
    pub async fn next(&mut self) -> Result<Option<Bytes>, RegistryError> {
        while self.hasher.is_some() {
            match self.answer.chunk().await {
                Ok(Some(bytes)) => {
                    if let Some(bytes) = self.take(bytes)? {
                        return Ok(Some(bytes));
                    }
                }
                Ok(None) if self.size.is_none_or(|size| self.offset == size) => return self.finish(),
                Ok(None) => self.resume(self.registry.inner.unreachable("the blob ended early".to_owned())).await?,
                Err(error) => self.resume(self.registry.inner.unreachable(causes(error))).await?,
            }
        }
        Ok(None)
    }

    fn take(&mut self, mut bytes: Bytes) -> Result<Option<Bytes>, RegistryError> {
        self.registry.inner.observer.received(bytes.len() as u64);
        let had = usize::try_from(self.skip).unwrap_or(usize::MAX).min(bytes.len());
        let new = bytes.split_off(had);
        self.skip -= had as u64;
        if new.is_empty() {
            return Ok(None);
        }
        self.failures = 0;
        self.offset += new.len() as u64;
        if self.offset > self.size.unwrap_or(MAX_BLOB_BYTES) {
            self.hasher = None;
            return Err(self.registry.inner.malformed("a blob", "there are more bytes than it said"));
        }
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&new);
        }
        Ok(Some(new))
    }

    fn finish(&mut self) -> Result<Option<Bytes>, RegistryError> {
        let Some(hasher) = self.hasher.take() else { return Ok(None) };
        let found = hasher.finish();
        if found == self.digest {
            return Ok(None);
        }
        Err(RegistryError::DigestMismatch { registry: self.registry.inner.name.clone(), expected: self.digest.clone(), found })
    }

    /// Asks for the rest. A registry that knows no ranges sends all of it again: then what we have is skipped. Whether both halves
    /// are of one blob is for the digest to say.
    async fn resume(&mut self, mut error: RegistryError) -> Result<(), RegistryError> {
        loop {
            self.failures += 1;
            let pause = self.registry.patience.pause(self.failures, &error).filter(|_| self.resumed < RESUMPTIONS);
            let Some(pause) = pause else {
                self.hasher = None;
                return Err(error);
            };
            // The first time at once: most connections that break were merely closed by something in between.
            if self.failures > 1 {
                tokio::time::sleep(pause).await;
            }
            self.resumed += 1;
            tracing::debug!(registry = self.registry.name(), blob = %self.digest, offset = self.offset, %error, "continuing a blob");
            match self.rest().await {
                Ok(()) => return Ok(()),
                Err(next) => error = next,
            }
        }
    }

    async fn rest(&mut self) -> Result<(), RegistryError> {
        self.call.from = self.offset;
        let once = Registry { patience: self.registry.patience.once(), ..self.registry.clone() };
        let answer = once.streamed(&self.call).await?;
        let inner = &self.registry.inner;
        self.skip = match (answer.status(), content_range(&answer)) {
            (StatusCode::PARTIAL_CONTENT, Some((start, total))) if start == self.offset => {
                check_size(&mut self.size, total).map_err(|reason| inner.malformed("the rest of a blob", reason))?;
                0
            }
            (StatusCode::PARTIAL_CONTENT, _) => {
                return Err(inner.malformed("the rest of a blob", "it is another range than asked for"));
            }
            _ => {
                check_size(&mut self.size, answer.content_length()).map_err(|reason| inner.malformed("a blob", reason))?;
                self.offset
            }
        };
        self.answer = answer;
        Ok(())
    }
}

fn check_size(known: &mut Option<u64>, said: Option<u64>) -> Result<(), &'static str> {
    match (*known, said) {
        (Some(known), Some(said)) if known != said => Err("its size is not what it was"),
        (None, Some(said)) => {
            *known = Some(said);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// First byte and total of `Content-Range: bytes FIRST-LAST/TOTAL`; the total may be `*`.
fn content_range(answer: &Response) -> Option<(u64, Option<u64>)> {
    let text = answer.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = text.trim().strip_prefix("bytes")?.trim_start().split_once('/')?;
    let (first, _last) = range.split_once('-')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    Some((first.parse().ok()?, total))
}
