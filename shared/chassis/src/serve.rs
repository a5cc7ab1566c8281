//! The accept loop: HTTP/1.1 and HTTP/2 (also by prior knowledge, for gRPC), plain or TLS, bounded in every direction.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::ConnectInfo;
use hyper::body::{Bytes, Frame, Incoming, SizeHint};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::listen::Listener;
use crate::peer::{ClientAddress, Network};
use crate::tls::Tls;

/// What one service grants its peers.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections being served; more wait.
    pub connections: usize,
    /// For a TLS handshake.
    pub handshake: Duration,
    /// For a request's head, and how long a connection without requests is kept; HTTP/2 up to twice as long.
    pub head: Duration,
    /// For taking more of an answer, on a connection that asks for nothing more. A download that goes on may last for ever.
    pub last_answer: Duration,
    /// Concurrent requests on one HTTP/2 connection.
    pub streams: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 8_192,
            handshake: Duration::from_secs(10),
            head: Duration::from_secs(30),
            last_answer: Duration::from_secs(600),
            streams: 256,
        }
    }
}

/// A listener that is being served.
#[derive(Debug)]
pub(crate) struct Serving {
    accepting: CancellationToken,
    connections: Arc<Connections>,
}

impl Serving {
    /// Serves `router` on every socket of `listener`.
    pub(crate) fn start(listener: Listener, router: Router, limits: Limits) -> Self {
        let service = listener.service();
        let accepting = CancellationToken::new();
        let connections = Arc::new(Connections {
            service,
            router,
            limits,
            http: builder(&limits),
            tls: listener.tls,
            trusted_proxies: listener.trusted_proxies,
            free: Arc::new(Semaphore::new(limits.connections)),
            draining: CancellationToken::new(),
            cut: CancellationToken::new(),
            cut_count: AtomicUsize::new(0),
            tasks: TaskTracker::new(),
        });
        if let Some(tls) = &connections.tls {
            tokio::spawn(tls.clone().watch(accepting.clone()));
        }
        for socket in listener.sockets {
            connections.tasks.spawn(accept(socket, connections.clone(), accepting.clone()));
        }
        Self { accepting, connections }
    }

    /// Stops accepting, lets requests in flight finish until `deadline`, then cuts what is left.
    ///
    /// Returns how many connections were cut.
    pub(crate) async fn drain(self, deadline: Instant) -> usize {
        self.accepting.cancel();
        self.connections.draining.cancel();
        self.connections.tasks.close();
        if timeout_at(deadline, self.connections.tasks.wait()).await.is_err() {
            self.connections.cut.cancel();
            self.connections.tasks.wait().await;
        }
        self.connections.cut_count.load(Ordering::Acquire)
    }
}

/// What the connections of one service share.
#[derive(Debug)]
struct Connections {
    service: &'static str,
    router: Router,
    limits: Limits,
    http: Builder<TokioExecutor>,
    tls: Option<Arc<Tls>>,
    trusted_proxies: Arc<[Network]>,
    free: Arc<Semaphore>,
    draining: CancellationToken,
    cut: CancellationToken,
    cut_count: AtomicUsize,
    tasks: TaskTracker,
}

fn builder(limits: &Limits) -> Builder<TokioExecutor> {
    const STREAM_WINDOW: u32 = 1 << 20;
    const CONNECTION_WINDOW: u32 = 4 << 20;
    const HEAD_SIZE: u32 = 64 << 10;
    const PING: Duration = Duration::from_secs(30);
    const PONG: Duration = Duration::from_secs(20);
    let mut http = Builder::new(TokioExecutor::new());
    http.http1().timer(TokioTimer::new()).header_read_timeout(limits.head);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.streams)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEAD_SIZE)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PONG);
    http
}

async fn accept(socket: TcpListener, connections: Arc<Connections>, accepting: CancellationToken) {
    while let Some((stream, peer, permit)) = accepting.run_until_cancelled(next(&socket, &connections)).await {
        connections.tasks.spawn(connections.clone().connection(stream, peer, permit));
    }
}

/// The next connection, once a place is free for it. A place is taken only for a connection that is there, so that an idle
/// socket cannot hold the last one. Errors of one peer are skipped; when the machine is out of file descriptors, connections
/// wait in the kernel's queue until some are closed.
async fn next(socket: &TcpListener, connections: &Connections) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
    const PAUSE: Duration = Duration::from_millis(100);
    loop {
        match socket.accept().await {
            Ok((stream, peer)) => {
                let permit = connections.free.clone().acquire_owned().await.expect("the semaphore is never closed");
                return (stream, peer, permit);
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionAborted => {}
            Err(error) => {
                tracing::warn!(service = connections.service, %error, "cannot accept a connection; trying again");
                sleep(PAUSE).await;
            }
        }
    }
}

impl Connections {
    async fn connection(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, _permit: OwnedSemaphorePermit) {
        // Answers are written whole; waiting to fill a segment only delays them. A peer that is gone shows later anyway.
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else { return self.http(stream, peer).await };
        let handshake = timeout(self.limits.handshake, tls.acceptor().accept(stream));
        match self.draining.run_until_cancelled(handshake).await {
            Some(Ok(Ok(stream))) => self.http(stream, peer).await,
            Some(Ok(Err(error))) => tracing::debug!(service = self.service, %peer, %error, "TLS handshake failed"),
            Some(Err(_)) => tracing::debug!(service = self.service, %peer, "TLS handshake took too long"),
            None => {}
        }
    }

    async fn http(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, peer: SocketAddr) {
        let activity = Arc::new(Activity::default());
        let active = activity.clone();
        let requests = hyper::service::service_fn(move |mut request: http::Request<Incoming>| {
            let handled = active.clone().request();
            let client = ClientAddress::of(peer, request.headers(), &self.trusted_proxies);
            request.extensions_mut().insert(ConnectInfo(peer));
            request.extensions_mut().insert(client);
            let answer = self.router.clone().oneshot(request.map(Body::new));
            async move {
                let response = answer.await.unwrap_or_else(|never| match never {});
                let activity = handled.0.clone();
                Ok::<_, Infallible>(response.map(|body| Taken { body, activity }))
            }
        });
        let mut connection = pin!(self.http.serve_connection(TokioIo::new(stream), requests));
        let mut look = pin!(sleep(self.limits.head));
        let (mut seen, mut idle, mut draining) = (0, false, false);
        loop {
            tokio::select! {
                // How a connection ended is the peer's affair.
                _ = connection.as_mut() => return,
                // HTTP/1 has timeouts for heads. Whoever never sends a byte is closed here, and so is HTTP/2: pings only show that
                // the peer lives, and a few thousand that do nothing else would have all places.
                () = &mut look => match activity.since(&mut seen) {
                    Since::Busy => {
                        idle = false;
                        look.as_mut().reset(Instant::now() + self.limits.head);
                    }
                    Since::Idle if seen == 0 || idle => return,
                    Since::Idle => {
                        idle = true;
                        connection.as_mut().graceful_shutdown();
                        look.as_mut().reset(Instant::now() + self.limits.last_answer);
                    }
                },
                () = self.draining.cancelled(), if !draining => {
                    draining = true;
                    connection.as_mut().graceful_shutdown();
                }
                () = self.cut.cancelled() => {
                    self.cut_count.fetch_add(1, Ordering::AcqRel);
                    return;
                }
            }
        }
    }
}

/// What happens on one connection.
#[derive(Debug, Default)]
struct Activity {
    /// Requests, and parts of answers that were taken, so far.
    steps: AtomicU64,
    /// Those whose handler runs.
    handled: AtomicUsize,
}

/// What happened on a connection since somebody looked.
enum Since {
    Busy,
    Idle,
}

/// A request whose handler runs; dropped, it does no more.
struct Handled(Arc<Activity>);

impl Activity {
    fn request(self: Arc<Self>) -> Handled {
        self.steps.fetch_add(1, Ordering::Relaxed);
        self.handled.fetch_add(1, Ordering::Relaxed);
        Handled(self)
    }

    /// Whether there was a step since `seen`, which is brought up to date, or a request is being handled.
    fn since(&self, seen: &mut u64) -> Since {
        let steps = self.steps.load(Ordering::Relaxed);
        let same = std::mem::replace(seen, steps) == steps;
        if same && self.handled.load(Ordering::Relaxed) == 0 { Since::Idle } else { Since::Busy }
    }
}

impl Drop for Handled {
    fn drop(&mut self) {
        self.0.handled.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer's body. Each part that the peer makes room for is a step of its connection.
struct Taken {
    body: Body,
    activity: Arc<Activity>,
}

impl HttpBody for Taken {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if polled.is_ready() {
            self.activity.steps.fetch_add(1, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
