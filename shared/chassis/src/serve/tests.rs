use std::sync::Arc;

use axum::routing::get;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;

use super::*;
use crate::client::http_client;
use crate::listen::ListenConfig;

const SOON: Duration = Duration::from_millis(100);

fn never() -> Instant {
    Instant::now() + Duration::from_secs(3_600)
}

async fn serve(router: Router, limits: Limits) -> (Serving, SocketAddr) {
    let listener = Listener::bind("test", &ListenConfig::loopback(0)).await.unwrap();
    let address = listener.addresses()[0];
    (Serving::start(listener, router, limits), address)
}

fn hello() -> Router {
    Router::new().route("/", get(async || "hello"))
}

/// What the server says to `sent` until it closes; hangs when it does not.
async fn until_closed(address: SocketAddr, sent: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(sent).await.unwrap();
    let mut answer = Vec::new();
    // A reset is a way to close.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn whoever_does_not_finish_a_head_is_closed() {
    let (_serving, address) = serve(hello(), Limits { head: SOON, ..Limits::default() }).await;
    for sent in [&b""[..], b"G", b"PRI * HT", b"GET / HTTP/1.1\r\nhost: a", b"GET / HTTP/1.1\r\nhost: a\r\n\r\nGET /"] {
        let answer = until_closed(address, sent).await;
        assert_eq!(answer.matches("hello").count(), sent.windows(4).filter(|w| *w == b"\r\n\r\n").count(), "{answer}");
    }
}

/// Settings, one request, and then nothing, not even an acknowledgement of our goodbye.
#[tokio::test]
async fn an_http2_connection_without_requests_is_closed() {
    let (_serving, address) = serve(hello(), Limits { head: SOON, last_answer: SOON, ..Limits::default() }).await;
    let mut sent = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    sent.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
    // HEADERS with END_STREAM and END_HEADERS: GET, http, /, and authority a.
    sent.extend([0, 0, 6, 1, 5, 0, 0, 0, 1, 0x82, 0x86, 0x84, 0x41, 1, b'a']);
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(&sent).await.unwrap();
    let mut answer = Vec::new();
    let closed = timeout(50 * SOON, stream.read_to_end(&mut answer)).await;
    assert!(answer.windows(5).any(|five| five == b"hello"));
    closed.expect("it is closed").unwrap();
}

/// The answer does not fit the socket's buffers, and nobody reads.
#[tokio::test]
async fn an_answer_that_nobody_takes_is_given_up() {
    let router = Router::new().route("/", get(async || vec![b'x'; 64 << 20]));
    let limits = Limits { head: SOON, last_answer: SOON, connections: 1, ..Limits::default() };
    let (_serving, address) = serve(router.merge(Router::new().route("/small", get(async || "hello"))), limits).await;
    let mut lazy = TcpStream::connect(address).await.unwrap();
    lazy.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    // The only place is taken until then.
    let request = b"GET /small HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let answer = timeout(50 * SOON, until_closed(address, request)).await.expect("the place is free again");
    assert!(answer.ends_with("hello"));
    drop(lazy);
}

/// Twenty parts with a pause before each: longer than all limits together, and never idle for as long as one.
#[tokio::test]
async fn a_download_that_goes_on_may_take_longer_than_any_limit() {
    let parts = || {
        futures_util::stream::unfold(0, |part| async move {
            tokio::time::sleep(SOON / 4).await;
            (part < 20).then_some((Ok::<_, Infallible>("part "), part + 1))
        })
    };
    let router = Router::new().route("/", get(async move || Body::from_stream(parts())));
    let (_serving, address) = serve(router, Limits { head: SOON, last_answer: SOON, ..Limits::default() }).await;
    let answer = http_client(&[]).unwrap().get(format!("http://{address}/")).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap().matches("part").count(), 20);
}

#[tokio::test]
async fn a_slow_answer_is_not_a_slow_head() {
    let router = Router::new().route(
        "/",
        get(async || {
            tokio::time::sleep(3 * SOON).await;
            "late"
        }),
    );
    let (_serving, address) = serve(router, Limits { head: SOON, ..Limits::default() }).await;
    let answer = http_client(&[]).unwrap().get(format!("http://{address}/")).send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "late");
}

#[tokio::test]
async fn http2_by_prior_knowledge_and_http1_share_a_port() {
    let (_serving, address) = serve(hello(), Limits::default()).await;
    let client = reqwest::Client::builder().tls_certs_only([]).http2_prior_knowledge().build().unwrap();
    let answer = client.get(format!("http://{address}/")).send().await.unwrap();
    assert_eq!(answer.version(), http::Version::HTTP_2);
    let answer = http_client(&[]).unwrap().get(format!("http://{address}/")).send().await.unwrap();
    assert_eq!(answer.version(), http::Version::HTTP_11);
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let (_serving, address) = serve(hello(), Limits { connections: 1, ..Limits::default() }).await;
    let held = TcpStream::connect(address).await.unwrap();
    let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    let mut waiting = std::pin::pin!(until_closed(address, request));
    assert!(timeout(SOON, waiting.as_mut()).await.is_err());
    drop(held);
    assert!(waiting.await.ends_with("hello"));
}

#[tokio::test]
async fn draining_closes_the_port_and_answers_what_was_asked() {
    let (entered, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (inside, go_on) = (entered.clone(), release.clone());
    let router = Router::new().route(
        "/",
        get(async move || {
            inside.notify_one();
            go_on.notified().await;
            "done"
        }),
    );
    let (serving, address) = serve(router, Limits::default()).await;
    let idle = TcpStream::connect(address).await.unwrap();
    let asked = tokio::spawn(http_client(&[]).unwrap().get(format!("http://{address}/")).send());
    entered.notified().await;
    let drained = tokio::spawn(serving.drain(never()));
    while TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!drained.is_finished());
    release.notify_one();
    assert_eq!(asked.await.unwrap().unwrap().text().await.unwrap(), "done");
    assert_eq!(drained.await.unwrap(), 0);
    drop(idle);
}

#[tokio::test]
async fn the_deadline_cuts_what_is_left() {
    let entered = Arc::new(Notify::new());
    let inside = entered.clone();
    let router = Router::new().route(
        "/",
        get(async move || {
            inside.notify_one();
            std::future::pending::<()>().await;
        }),
    );
    let (serving, address) = serve(router, Limits::default()).await;
    let asked = tokio::spawn(http_client(&[]).unwrap().get(format!("http://{address}/")).send());
    entered.notified().await;
    assert_eq!(serving.drain(Instant::now() + SOON).await, 1);
    assert!(asked.await.unwrap().is_err());
}
