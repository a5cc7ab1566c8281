use std::sync::Arc;

use axum::body::Body;
use futures_util::StreamExt as _;
use http::{Method, Response};
use http_body_util::BodyExt as _;
use oci::Digest;
use testkit::Reply;
use tokio::sync::Semaphore;

use crate::behind::Behind;
use crate::support::{Registry, UNKNOWN, request};

const SIZE: usize = 3 << 20;

fn content() -> Vec<u8> {
    (0..SIZE).map(|at| (at % 253) as u8).collect()
}

fn path(digest: &Digest) -> String {
    format!("/v2/hub/team/app/blobs/{digest}")
}

async fn begin(gateway: &Registry, path: &str) -> Response<Body> {
    gateway.begin(request(Method::GET, path, &[], Body::empty())).await
}

/// The bytes that came, and whether the body ended as if it were whole.
async fn body(response: Response<Body>) -> (Vec<u8>, bool) {
    let (mut received, mut stream) = (Vec::new(), response.into_body().into_data_stream());
    while let Some(piece) = stream.next().await {
        match piece {
            Ok(piece) => received.extend_from_slice(&piece),
            Err(_) => return (received, false),
        }
    }
    (received, true)
}

/// How many files of blobs there are, unfinished ones included.
fn files(gateway: &Registry) -> usize {
    fn count(folder: &std::path::Path) -> usize {
        let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| if path.is_dir() { count(&path) } else { 1 }).sum()
    }
    count(&gateway.folder.path().join("blobs"))
}

#[tokio::test]
async fn a_blob_is_fetched_once_and_then_it_is_here() {
    let behind = Behind::new().await;
    let digest = behind.blob("team/app", &content());
    let gateway = behind.gateway().await;
    let head = gateway.ask(Method::HEAD, &path(&digest)).await;
    assert_eq!((head.header("content-length"), head.header("x-gateway-upstream")), (SIZE.to_string().as_str(), "miss"));
    assert_eq!(behind.count("GET "), 0, "who asks only for its size costs nothing");
    let first = gateway.get(&path(&digest)).await;
    first.is(200);
    assert_eq!((first.body.to_vec(), first.header("docker-content-digest")), (content(), digest.as_str()));
    behind.vanish();
    let gateway = gateway.restarted().await;
    let second = gateway.get(&path(&digest)).await;
    assert_eq!((second.body, second.headers["x-gateway-upstream"].as_bytes()), (first.body, &b"hit; age=0"[..]));
    assert_eq!(behind.asked(), [format!("HEAD /v2/team/app/blobs/{digest}"), format!("GET /v2/team/app/blobs/{digest}")]);
}

#[tokio::test]
async fn sixteen_cold_clients_are_one_download() {
    let behind = Behind::new().await;
    let digest = behind.blob("team/app", &content());
    let gateway = behind.gateway().await;
    let bodies = (0..16).map(|_| async { body(begin(&gateway, &path(&digest)).await).await });
    let bodies = futures_util::future::join_all(bodies).await;
    assert!(bodies.iter().all(|body| *body == (content(), true)));
    assert_eq!((behind.count("GET "), behind.count("HEAD ")), (1, 1));
}

#[tokio::test]
async fn who_comes_later_reads_what_has_arrived_and_nobody_waits_for_the_end() {
    let behind = Behind::new().await;
    let digest = behind.blob("team/app", &content());
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    behind.twist(move |_, reply| Some(reply.held_after(SIZE / 2, &held)));
    // The head has no body to be held.
    let gateway = behind.gateway().await;
    let one = begin(&gateway, &path(&digest)).await;
    let two = begin(&gateway, &path(&digest)).await;
    let mut streams = [one, two].map(|response| response.into_body().into_data_stream());
    let mut received = [Vec::new(), Vec::new()];
    for (stream, received) in streams.iter_mut().zip(&mut received) {
        while received.len() < SIZE / 2 {
            received.extend_from_slice(&stream.next().await.unwrap().unwrap());
        }
    }
    gate.add_permits(1);
    for (stream, received) in streams.iter_mut().zip(&mut received) {
        while let Some(piece) = stream.next().await {
            received.extend_from_slice(&piece.unwrap());
        }
        assert_eq!(*received, content());
    }
    assert_eq!(behind.count("GET "), 1);
}

#[tokio::test]
async fn a_download_survives_the_client_that_began_it() {
    let behind = Behind::new().await;
    let digest = behind.blob("team/app", &content());
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    behind.twist(move |_, reply| Some(reply.held_after(SIZE / 2, &held)));
    let gateway = behind.gateway().await;
    let mut first = begin(&gateway, &path(&digest)).await.into_body().into_data_stream();
    assert!(first.next().await.unwrap().is_ok());
    drop(first);
    let second = tokio::spawn(body(begin(&gateway, &path(&digest)).await));
    gate.add_permits(1);
    assert_eq!(second.await.unwrap(), (content(), true));
    assert_eq!(behind.count("GET "), 1, "the second read on where the first had left");
}

#[tokio::test]
async fn a_connection_that_is_cut_is_continued_by_range() {
    let behind = Behind::new().await;
    let digest = behind.blob("team/app", &content());
    behind.twist(|request, reply| Some(if request.header("range").is_some() { reply } else { reply.cut_after(SIZE / 2) }));
    let gateway = behind.gateway().await;
    let bodies = (0..16).map(|_| async { body(begin(&gateway, &path(&digest)).await).await });
    assert!(futures_util::future::join_all(bodies).await.iter().all(|body| *body == (content(), true)));
    assert_eq!(behind.count("GET "), 2, "one download and one resumption for everybody");
}

#[tokio::test]
async fn an_upstream_that_knows_no_ranges_sends_all_again() {
    let behind = Behind::new().await;
    let digest = behind.blob("team/app", &content());
    let cut = Semaphore::new(1);
    behind.twist(move |request, _| {
        let whole = Reply::new(200, &[], content());
        let first = request.line.starts_with("GET") && cut.try_acquire().map(|permit| permit.forget()).is_ok();
        Some(if first { whole.cut_after(SIZE / 2) } else { whole })
    });
    let gateway = behind.gateway().await;
    assert_eq!(body(begin(&gateway, &path(&digest)).await).await, (content(), true));
    assert_eq!(behind.count("GET "), 2);
}

/// A client that is told how many bytes come must never get as many of the wrong ones.
#[tokio::test]
async fn wrong_bytes_are_an_aborted_connection_and_leave_nothing() {
    let behind = Behind::new().await;
    let digest = behind.blob("team/app", &content());
    let mut wrong = content();
    wrong[SIZE - 1] ^= 1;
    behind.twist(move |_, _| Some(Reply::new(200, &[], wrong.clone())));
    let gateway = behind.gateway().await;
    let response = begin(&gateway, &path(&digest)).await;
    assert_eq!(response.headers()["content-length"], SIZE.to_string().as_str());
    let (received, whole) = body(response).await;
    assert!(!whole && received.len() < SIZE, "{}", received.len());
    assert_eq!(files(&gateway), 0);
    behind.behave();
    assert_eq!(body(begin(&gateway, &path(&digest)).await).await, (content(), true), "what is right later is taken");
}

#[tokio::test]
async fn an_upstream_that_vanishes_half_way_is_an_aborted_connection_and_leaves_nothing() {
    let behind = Behind::new().await;
    let digest = behind.blob("team/app", &content());
    behind.twist(|request, reply| request.header("range").is_none().then(|| reply.cut_after(SIZE / 2)));
    let gateway = behind.gateway().await;
    let (received, whole) = body(begin(&gateway, &path(&digest)).await).await;
    assert!(!whole && received.len() <= SIZE / 2);
    assert_eq!(files(&gateway), 0);
}

#[tokio::test]
async fn half_a_blob_that_claims_to_be_whole_is_refused_before_its_first_byte() {
    let behind = Behind::new().await;
    let digest = behind.blob("team/app", &content());
    behind.twist(|request, reply| {
        let half = Reply::new(200, &[], &content()[..SIZE / 2]);
        Some(if request.line.starts_with("GET") { half } else { reply })
    });
    behind.gateway().await.get(&path(&digest)).await.refuses(502, "UNAVAILABLE", "upstream_wrong");
}

#[tokio::test]
async fn a_range_of_a_cold_blob() {
    let behind = Behind::new().await;
    let digest = behind.blob("team/app", &content());
    let gateway = behind.gateway().await;
    let part = gateway.get_with(&path(&digest), &[("range", "bytes=1000000-1000099")]).await;
    part.is(206);
    assert_eq!(
        (&part.body[..], part.header("content-range")),
        (&content()[1_000_000..1_000_100], "bytes 1000000-1000099/3145728")
    );
    let end = gateway.get_with(&path(&digest), &[("range", "bytes=-10")]).await;
    assert_eq!(&end.body[..], &content()[SIZE - 10..]);
    assert_eq!(behind.count("GET "), 1);
}

#[tokio::test]
async fn what_is_here_is_seen_only_where_the_upstream_shows_it() {
    let behind = Behind::new().await;
    let digest = behind.blob("team/app", &content());
    let gateway = behind.gateway().await;
    gateway.get(&path(&digest)).await.is(200);
    gateway.get(&format!("/v2/hub/team/other/blobs/{digest}")).await.refuses(404, "BLOB_UNKNOWN", "blob_unknown");
    gateway.get(&format!("/v2/ours/blobs/{digest}")).await.refuses(404, "BLOB_UNKNOWN", "blob_unknown");
    behind.blob("team/third", &content());
    assert_eq!(gateway.get(&format!("/v2/hub/team/third/blobs/{digest}")).await.body.to_vec(), content());
    assert_eq!(behind.count("GET "), 1, "its bytes need not come again");
}

#[tokio::test]
async fn two_repositories_with_one_layer_need_it_once() {
    let behind = Behind::new().await;
    let digest = behind.blob("team/app", &content());
    behind.blob("team/other", &content());
    let gate = Arc::new(Semaphore::new(0));
    let held = Arc::clone(&gate);
    behind.twist(move |_, reply| Some(reply.held_after(SIZE / 2, &held)));
    let gateway = behind.gateway().await;
    let other = format!("/v2/hub/team/other/blobs/{digest}");
    let responses = [begin(&gateway, &path(&digest)).await, begin(&gateway, &other).await];
    gate.add_permits(1);
    for response in responses {
        assert_eq!(body(response).await, (content(), true));
    }
    behind.vanish();
    for path in [path(&digest), other] {
        gateway.get(&path).await.is(200);
    }
    assert_eq!(behind.count("GET "), 1);
}

#[tokio::test]
async fn an_upstream_without_heads_is_asked_for_the_blob() {
    let behind = Behind::new().await;
    let digest = behind.blob("team/app", &content());
    behind.twist(|request, reply| Some(if request.line.starts_with("HEAD") { Reply::new(405, &[], "") } else { reply }));
    let gateway = behind.gateway().await;
    assert_eq!(gateway.get(&path(&digest)).await.body.to_vec(), content());
    gateway.get(&path(&UNKNOWN.parse().unwrap())).await.refuses(404, "BLOB_UNKNOWN", "blob_unknown");
}

#[tokio::test]
async fn what_the_upstream_does_not_have_or_give() {
    let behind = Behind::new().await;
    let digest = behind.blob("team/app", &content());
    let gateway = behind.gateway().await;
    let unknown = path(&UNKNOWN.parse().unwrap());
    gateway.get(&unknown).await.refuses(404, "BLOB_UNKNOWN", "blob_unknown");
    gateway.get(&unknown).await.refuses(404, "BLOB_UNKNOWN", "blob_unknown");
    assert_eq!(behind.asked().len(), 1, "for a while it is believed that it is not there");
    behind.answer_all(403);
    gateway.get(&path(&digest)).await.refuses(403, "DENIED", "upstream_denied");
    behind.twist(|_, _| Some(Reply::new(429, &[("retry-after", "90")], "")));
    let limited = gateway.get(&path(&digest)).await;
    limited.refuses(503, "UNAVAILABLE", "upstream_unavailable");
    assert_eq!(limited.header("retry-after"), "90");
    // The head was answered, the blob is not.
    behind.twist(|request, reply| Some(if request.line.starts_with("HEAD") { reply } else { Reply::new(403, &[], "") }));
    gateway.get(&path(&digest)).await.refuses(403, "DENIED", "upstream_denied");
    behind.behave();
    assert_eq!(gateway.get(&path(&digest)).await.body.to_vec(), content());
}

#[tokio::test]
async fn an_empty_blob_is_a_blob() {
    let behind = Behind::new().await;
    let digest = behind.blob("team/app", b"");
    let gateway = behind.gateway().await;
    let response = begin(&gateway, &path(&digest)).await;
    assert_eq!(response.headers()["content-length"], "0");
    assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
}
