//! One call: attempts, redirects, and what a status means.

use std::future::Future;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use reqwest::header::{ACCEPT, CONTENT_TYPE, DATE, HeaderMap, LOCATION, RANGE, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use tokio::time::Instant;

use crate::auth::Scope;
use crate::error::{RegistryError, causes, words};
use crate::observe::Kind;
use crate::{Inner, Registry};

/// The most redirects in a row.
const REDIRECTS: usize = 10;
/// The longest error body that is read.
const ERROR_BODY: usize = 64 << 10;

/// A request that can be made again.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub kind: Kind,
    pub method: Method,
    pub url: Url,
    pub scope: Scope,
    /// For messages: `manifest sha256:… of library/alpine`.
    pub what: String,
    pub accept: Option<&'static str>,
    /// The first byte that is wanted.
    pub from: u64,
    /// A body and its type.
    pub content: Option<(String, Bytes)>,
}

impl Call {
    pub(crate) fn get(kind: Kind, url: Url, scope: Scope, what: String) -> Self {
        Self { kind, method: Method::GET, url, scope, what, accept: None, from: 0, content: None }
    }

    pub(crate) fn request(&self, http: &reqwest::Client, url: &Url) -> RequestBuilder {
        let mut request = http.request(self.method.clone(), url.clone());
        if let Some(accept) = self.accept {
            request = request.header(ACCEPT, accept);
        }
        if self.from > 0 {
            request = request.header(RANGE, format!("bytes={}-", self.from));
        }
        match &self.content {
            // An empty body is still said to be one: some registries want a length with every POST.
            None if self.method == Method::POST => request.header("content-length", "0"),
            None => request,
            Some((media_type, content)) => request.header(CONTENT_TYPE, media_type).body(content.clone()),
        }
    }
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    pub url: Url,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

impl Registry {
    /// A call whose answer is at most `limit` bytes long, with as many attempts as the caller has patience for.
    pub(crate) async fn document(&self, call: &Call, limit: usize) -> Result<Answer, RegistryError> {
        let inner = &*self.inner;
        self.attempts(|| async move {
            let _permit = inner.documents.acquire().await;
            let answer = inner.answer(call).await?;
            let (status, url, headers) = (answer.status().as_u16(), answer.url().clone(), answer.headers().clone());
            Ok(Answer { status, url, headers, body: read(inner, answer, limit).await? })
        })
        .await
    }

    /// A call whose answer is read as it comes.
    pub(crate) async fn streamed(&self, call: &Call) -> Result<Response, RegistryError> {
        self.attempts(|| self.inner.answer(call)).await
    }

    async fn attempts<T, F>(&self, attempt: impl Fn() -> F) -> Result<T, RegistryError>
    where
        F: Future<Output = Result<T, RegistryError>>,
    {
        let mut failures = 0;
        loop {
            self.inner.breaker.check(&self.inner.name, &self.patience)?;
            let begun = Instant::now();
            let outcome = match tokio::time::timeout(self.patience.deadline, attempt()).await {
                Ok(outcome) => outcome,
                Err(_) => Err(self.inner.unreachable(format!("no whole answer within {} s", self.patience.deadline.as_secs()))),
            };
            self.inner.breaker.record(&outcome, begun.elapsed());
            let Err(error) = outcome else { return outcome };
            failures += 1;
            let Some(pause) = self.patience.pause(failures, &error) else { return Err(error) };
            tracing::debug!(registry = self.inner.name, %error, "trying again in {} ms", pause.as_millis());
            tokio::time::sleep(pause).await;
        }
    }
}

impl Inner {
    /// One attempt: the answer if it is a success, its body unread.
    async fn answer(&self, call: &Call) -> Result<Response, RegistryError> {
        let answer = self.authorised(call).await?;
        let answer = self.redirected(call, answer).await?;
        if answer.status().is_success() { Ok(answer) } else { Err(self.failure(call, answer).await) }
    }

    /// Follows redirects of reads. Signed URLs live for minutes: they are used at once and never kept.
    async fn redirected(&self, call: &Call, mut answer: Response) -> Result<Response, RegistryError> {
        let reads = matches!(call.method, Method::GET | Method::HEAD);
        for _ in 0..REDIRECTS {
            if !reads || !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(answer);
            }
            let location = answer.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            let target = location.and_then(|location| answer.url().join(location).ok());
            let target = target.ok_or_else(|| self.malformed("a redirect", "its Location is not a URL"))?;
            self.reach.check_redirect(&target).map_err(|reason| self.elsewhere(&target, reason))?;
            answer = self.request_elsewhere(call, &target).await?;
        }
        Err(self.malformed("a redirect", "there are too many in a row"))
    }

    async fn failure(&self, call: &Call, answer: Response) -> RegistryError {
        let registry = self.name.clone();
        let elsewhere = answer.url().origin() != self.base.origin();
        match answer.status() {
            StatusCode::NOT_FOUND if !elsewhere || call.method != Method::HEAD => {
                RegistryError::NotFound { registry, what: call.what.clone() }
            }
            StatusCode::TOO_MANY_REQUESTS => RegistryError::Limited { registry, retry_after: retry_after(answer.headers()) },
            // Signed URLs are for one method: that there is one says that it is there, and fetching it tells the rest.
            status if elsewhere && call.method == Method::HEAD && status.is_client_error() => {
                let message = "the storage that it redirects to answers no heads".to_owned();
                RegistryError::Refused { registry, status: StatusCode::METHOD_NOT_ALLOWED.as_u16(), code: None, message }
            }
            // A signed URL that ended between the redirect and our request: the registry makes a new one when asked again.
            StatusCode::FORBIDDEN if elsewhere => self.unreachable("the storage that it redirects to answered 403".to_owned()),
            _ => self.refused(answer).await,
        }
    }

    pub(crate) async fn refused(&self, answer: Response) -> RegistryError {
        let status = answer.status().as_u16();
        let (code, message) = words(&read(self, answer, ERROR_BODY).await.unwrap_or_default());
        RegistryError::Refused { registry: self.name.clone(), status, code, message }
    }

    pub(crate) fn unreachable(&self, reason: String) -> RegistryError {
        RegistryError::Unreachable { registry: self.name.clone(), reason }
    }

    pub(crate) fn malformed(&self, expected: &'static str, reason: impl Into<String>) -> RegistryError {
        RegistryError::Malformed { registry: self.name.clone(), expected, reason: reason.into() }
    }

    /// Names the target without path and query, which may be signed.
    pub(crate) fn elsewhere(&self, target: &Url, reason: &'static str) -> RegistryError {
        let target = target.origin().ascii_serialization();
        RegistryError::Elsewhere { registry: self.name.clone(), target, reason }
    }
}

/// The whole body of an answer, at most `limit` bytes.
pub(crate) async fn read(registry: &Inner, mut answer: Response, limit: usize) -> Result<Bytes, RegistryError> {
    let too_large = || RegistryError::TooLarge { registry: registry.name.clone(), limit: limit as u64 };
    if answer.content_length().is_some_and(|length| length > limit as u64) {
        return Err(too_large());
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = answer.chunk().await.map_err(|error| registry.unreachable(causes(error)))? {
        if body.len() + chunk.len() > limit {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// `Retry-After` in seconds or as a date; a date counts from the answer's own `Date`, so that no two clocks are compared.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let moment = |text: &str| jiff::fmt::rfc2822::parse(text).ok().map(|moment| moment.timestamp());
    let now: Timestamp = moment(headers.get(DATE)?.to_str().ok()?)?;
    Some(Duration::try_from(moment(text)?.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_in_seconds_and_as_dates() {
        let after = |pairs: &[(&'static str, &str)]| {
            retry_after(&pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect())
        };
        let date = ("date", "Fri, 21 Nov 2025 17:00:00 GMT");
        assert_eq!(after(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        assert_eq!(after(&[("retry-after", "Fri, 21 Nov 2025 17:01:30 GMT"), date]), Some(Duration::from_secs(90)));
        assert_eq!(after(&[("retry-after", "Fri, 21 Nov 2025 16:00:00 GMT"), date]), Some(Duration::ZERO), "already past");
        assert_eq!(after(&[("retry-after", "Fri, 21 Nov 2025 17:01:30 GMT")]), None, "nothing to count from");
        assert_eq!(after(&[("retry-after", "soon"), date]), None);
        assert_eq!(after(&[]), None);
    }
}
