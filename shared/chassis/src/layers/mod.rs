//! What every request passes on its way to a handler and back.
//!
//! One [`Stack`] per router, told as one story in `Stack::pass`: request id, time limit, whole and bounded body, panic
//! caught, answer counted and logged. What the stack itself must answer (a panic, a time-out, a body too large) is a
//! [`Refusal`], whose shape the service decides.
//!
//! What a handler refuses or fails at is put into the answer as a [`Failure`]: converting an error to an answer stays a pure
//! function, and here is the one place that logs and counts it.

mod counted;
mod drain;
mod failure;
mod refusal;
mod request_id;

use std::fmt::{Debug, Formatter};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use bytes::BytesMut;
use futures_util::FutureExt as _;
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use http_body_util::BodyExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::Instrument as _;

use self::counted::Counted;

pub use self::failure::Failure;
pub use self::refusal::Refusal;
pub use self::request_id::RequestId;

/// The layers of one router.
#[derive(Clone)]
pub struct Stack {
    service: &'static str,
    time_limit: Duration,
    body_limit: Option<usize>,
    body_memory: Option<usize>,
    exception: fn(&Request) -> Option<Grant>,
    refuse: fn(&Refusal) -> Response,
    names: MetricNames,
    /// Memory for large bodies, in pieces of [`SMALL_BODY`], and how many there are: known when it is applied.
    large: (Arc<Semaphore>, u32),
    counted: Arc<Counted>,
}

/// What a request is granted that is not like the others of its router: an upload, or a call that works for long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// How long it may take, its body included.
    pub time_limit: Duration,
    /// How many bytes its body may have, read whole; without a limit the handler gets the body as it arrives, and counts.
    pub body_limit: Option<usize>,
}

/// How much of a body any request may have in memory. Requests of released clients are a tenth of it.
const SMALL_BODY: usize = 64 << 10;

/// How many of the largest bodies the requests of one stack may have in memory together, unless it says how many bytes; others wait,
/// within their time limit. Without this, one connection of 256 streams could make us hold 256 of the largest bodies before anyone
/// has looked at a token.
const LARGE_BODIES: usize = 16;

/// Metrics under names of upstream, besides our own; each labelled `code` and `method`.
#[derive(Debug, Clone, Copy, Default)]
pub struct MetricNames {
    /// A counter of answers.
    pub requests: Option<&'static str>,
    /// A histogram of seconds.
    pub latency: Option<&'static str>,
    /// A histogram of body bytes.
    pub request_size: Option<&'static str>,
}

impl Stack {
    /// A stack with 20 s per request, bodies of at most 1 MiB, and refusals as plain text.
    #[must_use]
    pub fn new(service: &'static str) -> Self {
        let names = MetricNames::default();
        let large = (Arc::new(Semaphore::new(0)), 0);
        Self {
            service,
            time_limit: Duration::from_secs(20),
            body_limit: Some(1 << 20),
            body_memory: None,
            exception: |_| None,
            refuse: Refusal::plain_text,
            names,
            large,
            counted: Arc::default(),
        }
    }

    /// How long a request may take, its body included.
    #[must_use]
    pub fn time_limit(self, time_limit: Duration) -> Self {
        Self { time_limit, ..self }
    }

    /// How many bytes a body may have. It is read whole before the handler runs.
    #[must_use]
    pub fn body_limit(self, bytes: usize) -> Self {
        Self { body_limit: Some(bytes), ..self }
    }

    /// How many bytes bodies may have in memory together; those of up to 64 KiB do not count. By default 16 of the largest. A body
    /// takes what it says it will have, or the limit when it does not say, and waits until that is free.
    #[must_use]
    pub fn body_memory(self, bytes: usize) -> Self {
        Self { body_memory: Some(bytes), ..self }
    }

    /// Hands bodies to handlers as they arrive, unbounded: for uploads that count for themselves.
    #[must_use]
    pub fn streaming(self) -> Self {
        Self { body_limit: None, ..self }
    }

    /// What some requests are granted instead, decided by their head.
    #[must_use]
    pub fn except(self, exception: fn(&Request) -> Option<Grant>) -> Self {
        Self { exception, ..self }
    }

    /// The shape of what the stack itself answers.
    #[must_use]
    pub fn refuse_with(self, refuse: fn(&Refusal) -> Response) -> Self {
        Self { refuse, ..self }
    }

    /// Also counts under these names.
    #[must_use]
    pub fn count_as(self, names: MetricNames) -> Self {
        Self { names, ..self }
    }

    /// `router` with these layers around its routes and its fallback. What is merged later stays outside.
    pub fn apply<S: Clone + Send + Sync + 'static>(mut self, router: Router<S>) -> Router<S> {
        let limit = self.body_limit.unwrap_or(1 << 20);
        let memory = self.body_memory.unwrap_or(LARGE_BODIES * limit).max(limit);
        let pieces = u32::try_from(memory.div_ceil(SMALL_BODY)).unwrap_or(u32::MAX);
        self.large = (Arc::new(Semaphore::new(pieces as usize)), pieces);
        // Bodies are bounded here; axum's own limit of 2 MiB would answer in a shape of its own.
        router
            .layer(axum::extract::DefaultBodyLimit::disable())
            .layer(from_fn_with_state(self, async |State(stack): State<Self>, request: Request, next: Next| {
                stack.pass(request, next).await
            }))
    }

    async fn pass(self, mut request: Request, next: Next) -> Response {
        let begun = Instant::now();
        let id = RequestId::of(request.headers());
        request.extensions_mut().insert(id.clone());
        let seen = Seen { method: method(request.method()), uri: request.uri().clone() };
        let span = tracing::info_span!("request", service = self.service, id = id.as_str());

        let usual = Grant { time_limit: self.time_limit, body_limit: self.body_limit };
        let Grant { time_limit, body_limit } = (self.exception)(&request).unwrap_or(usual);
        let answered = AssertUnwindSafe(self.answer(request, body_limit, next)).catch_unwind();
        let outcome = tokio::time::timeout(time_limit, answered).instrument(span.clone()).await;
        let mut response = match outcome {
            Ok(Ok(Ok(response))) => response,
            Ok(Ok(Err(refusal))) => (self.refuse)(&refusal),
            Ok(Err(panic)) => span.in_scope(|| self.panicked(panic.as_ref())),
            Err(_) => (self.refuse)(&Refusal::TimedOut { after: time_limit }),
        };
        if let Ok(value) = HeaderValue::from_str(id.as_str()) {
            response.headers_mut().insert(RequestId::HEADER, value);
        }
        span.in_scope(|| self.record(&seen, &response, begun.elapsed()));
        response
    }

    /// The handler's answer, or why it was not asked.
    async fn answer(&self, request: Request, body_limit: Option<usize>, next: Next) -> Result<Response, Refusal> {
        // Held until the handler is done with the body.
        let (request, _place) = match body_limit {
            Some(limit) => whole(request, limit, self).await?,
            None => (request, None),
        };
        if let Some(name) = self.names.request_size {
            self.counted.size(name, method(request.method()), request.body().size_hint().lower());
        }
        Ok(next.run(request).await)
    }

    /// Waits until there is room for a body of this many bytes.
    async fn share(&self, bytes: usize) -> OwnedSemaphorePermit {
        let (memory, all) = &self.large;
        // A request that was granted more than all of it waits to be alone.
        let pieces = u32::try_from(bytes.div_ceil(SMALL_BODY)).unwrap_or(u32::MAX).min(*all);
        memory.clone().acquire_many_owned(pieces).await.expect("the semaphore is never closed")
    }

    fn panicked(&self, panic: &(dyn std::any::Any + Send)) -> Response {
        let message = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let message = message.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        metrics::counter!("panics_total", "service" => self.service).increment(1);
        tracing::error!(panic = message, "a request handler panicked; this is a bug");
        (self.refuse)(&Refusal::Panicked)
    }

    fn record(&self, seen: &Seen, response: &Response, took: Duration) {
        let (service, status, method) = (self.service, response.status(), seen.method);
        self.counted.answer(service, self.names, status, method, took);
        let took_ms = took.as_secs_f64() * 1_000.0;
        let path = seen.uri.path();
        match response.extensions().get::<Failure>() {
            Some(failure) => failure.record(service, status, method, path, took_ms),
            None if status.is_server_error() => {
                tracing::warn!(status = status.as_u16(), method, path, took_ms, "answered with a server error");
            }
            None => tracing::debug!(status = status.as_u16(), method, path, took_ms, "answered"),
        }
    }
}

impl Debug for Stack {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stack").field("service", &self.service).finish_non_exhaustive()
    }
}

/// What is said about a request after it is gone. Never its query or headers: they may carry tokens.
struct Seen {
    method: &'static str,
    uri: Uri,
}

/// The request with its body in memory, and its share of the memory for large ones if it is one.
async fn whole(request: Request, limit: usize, stack: &Stack) -> Result<(Request, Option<OwnedSemaphorePermit>), Refusal> {
    if request.body().is_end_stream() {
        return Ok((request, None));
    }
    let declared = request.headers().get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let (parts, mut body) = request.into_parts();
    if declared.is_some_and(|length: usize| length > limit) {
        drain::drain(&parts.headers, body);
        return Err(Refusal::TooLarge { limit });
    }
    let (mut read, mut share) = (BytesMut::new(), None);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Refusal::CutShort)?.into_data() else { continue };
        let length = read.len() + data.len();
        if length > limit {
            drain::drain(&HeaderMap::new(), body);
            return Err(Refusal::TooLarge { limit });
        }
        if length > SMALL_BODY && share.is_none() {
            // All of it at once: two that take piece by piece could each hold what the other waits for.
            let expected = declared.unwrap_or(limit).max(length);
            share = Some(stack.share(expected).await);
            read.reserve(declared.unwrap_or(length).saturating_sub(read.len()));
        }
        read.extend_from_slice(&data);
    }
    Ok((Request::from_parts(parts, Body::from(read.freeze())), share))
}

/// A method as a label: a peer can invent methods without end, and each would be a time series.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests;
