//! Pushing blobs: every form, and every way it goes wrong (distribution-spec, "Pushing blobs").

use axum::body::Body;
use futures_util::stream;
use http::{Method, StatusCode};
use jiff::SignedDuration;
use oci::Digest;

use crate::support::{Answer, Registry, UNKNOWN, request, sha512, streamed, whole};

async fn open(registry: &Registry, repository: &str) -> String {
    let answer = registry.ask(Method::POST, &format!("/v2/{repository}/blobs/uploads/")).await;
    session(&answer, repository)
}

/// What every opened session is answered with, and where it is.
#[track_caller]
fn session(answer: &Answer, repository: &str) -> String {
    let location = answer.is(202).header("location").to_owned();
    let id = answer.header("docker-upload-uuid");
    assert_eq!(id.len(), 36);
    assert_eq!(location, format!("/v2/{repository}/blobs/uploads/{id}"), "relative, with the session in it");
    assert_eq!((answer.header("range"), answer.header("content-length")), ("0-0", "0"));
    location
}

#[track_caller]
fn created(answer: &Answer, repository: &str, digest: &Digest) {
    assert_eq!(answer.is(201).header("location"), format!("/v2/{repository}/blobs/{digest}"));
    assert_eq!(answer.header("docker-content-digest"), digest.as_str());
}

async fn pulled(registry: &Registry, repository: &str, digest: &Digest) -> Vec<u8> {
    registry.get(&format!("/v2/{repository}/blobs/{digest}")).await.is(200).body.to_vec()
}

async fn is_unknown(registry: &Registry, repository: &str, digest: &Digest) {
    registry.get(&format!("/v2/{repository}/blobs/{digest}")).await.refuses(404, "BLOB_UNKNOWN", "blob_unknown");
}

#[tokio::test]
async fn post_then_put() {
    let registry = Registry::new().await;
    for path in ["/v2/team/app/blobs/uploads/", "/v2/team/app/blobs/uploads", "/v2/team/app/blobs/uploads/?unknown=x"] {
        let location = session(&registry.ask(Method::POST, path).await, "team/app");
        let (content, digest) = (path.as_bytes(), Digest::of(path.as_bytes()));
        let headers = [("content-type", "application/octet-stream")];
        let answer = registry.put(&format!("{location}?digest={digest}"), &headers, content).await;
        created(&answer, "team/app", &digest);
        assert_eq!(pulled(&registry, "team/app", &digest).await, content);
        let over = registry.get(&location).await;
        over.refuses(404, "BLOB_UPLOAD_UNKNOWN", "upload_unknown");
    }
}

#[tokio::test]
async fn one_post() {
    let registry = Registry::new().await;
    for digest in [Digest::of(b"content"), sha512(b"content")] {
        let path = format!("/v2/a/blobs/uploads/?digest={digest}");
        created(&registry.send(whole(Method::POST, &path, &[], "content")).await, "a", &digest);
        assert_eq!(pulled(&registry, "a", &digest).await, b"content");
    }
    let digest = Digest::of(b"streamed");
    let path = format!("/v2/a/blobs/uploads/?digest={digest}");
    created(&registry.send(streamed(Method::POST, &path, &[], &["stre", "amed"])).await, "a", &digest);
    assert_eq!(pulled(&registry, "a", &digest).await, b"streamed");
}

#[tokio::test]
async fn one_post_without_bytes_opens_a_session_unless_there_are_none() {
    let registry = Registry::new().await;
    let empty = Digest::of(b"");
    let path = format!("/v2/a/blobs/uploads/?digest={empty}");
    created(&registry.send(whole(Method::POST, &path, &[], "")).await, "a", &empty);
    let digest = Digest::of(b"later");
    let path = format!("/v2/a/blobs/uploads/?digest={digest}");
    let location = session(&registry.send(whole(Method::POST, &path, &[], "")).await, "a");
    created(&registry.put(&format!("{location}?digest={digest}"), &[], "later").await, "a", &digest);
}

#[tokio::test]
async fn the_algorithm_is_known_at_the_end() {
    let registry = Registry::new().await;
    for hint in ["", "?digest-algorithm=sha512", "?digest-algorithm=sha256"] {
        let location = session(&registry.ask(Method::POST, &format!("/v2/a/blobs/uploads/{hint}")).await, "a");
        let answer = registry.send(streamed(Method::PATCH, &location, &[], &["wi", "de"])).await;
        assert_eq!(answer.is(202).header("range"), "0-3");
        let digest = sha512(b"wide");
        created(&registry.put(&format!("{location}?digest={digest}"), &[], "").await, "a", &digest);
    }
    let answer = registry.ask(Method::POST, "/v2/a/blobs/uploads/?digest-algorithm=md5").await;
    answer.refuses(400, "DIGEST_INVALID", "digest_invalid");
}

/// The exchange that the specification describes: two chunks, a mistake, and the way out of it.
#[tokio::test]
async fn chunks_with_a_mistake_and_its_recovery() {
    let registry = Registry::new().await;
    let content: Vec<u8> = (0..2_067_u32).map(|number| u8::try_from(number % 256).unwrap()).collect();
    let digest = Digest::of(&content);
    let location = open(&registry, "a/b").await;
    let chunk = |range: &'static str, bytes: &[u8]| whole(Method::PATCH, &location, &[("content-range", range)], bytes.to_vec());

    let answer = registry.send(chunk("0-1023", &content[..1_024])).await;
    assert_eq!((answer.is(202).header("range"), answer.header("location")), ("0-1023", location.as_str()));

    let answer = registry.send(chunk("2048-3071", &[0; 1_024])).await;
    answer.refuses(416, "RANGE_INVALID", "upload_out_of_order");
    assert_eq!((answer.header("range"), answer.header("location")), ("0-1023", location.as_str()));

    let answer = registry.get(&location).await;
    assert_eq!((answer.is(204).header("range"), answer.header("location")), ("0-1023", location.as_str()));
    assert!(answer.body.is_empty());

    let last = [("content-range", "1024-2066")];
    let answer = registry.put(&format!("{location}?digest={digest}"), &last, content[1_024..].to_vec()).await;
    created(&answer, "a/b", &digest);
    assert_eq!(pulled(&registry, "a/b", &digest).await, content);
}

#[tokio::test]
async fn ten_bad_chunks() {
    let registry = Registry::new().await;
    let location = open(&registry, "a").await;
    registry.send(whole(Method::PATCH, &location, &[], "0123")).await.is(202);
    for (method, range, bytes) in [
        (Method::PATCH, "0-3", "0123"),
        (Method::PATCH, "3-6", "3456"),
        (Method::PATCH, "5-8", "5678"),
        (Method::PATCH, "4-6", "4567"),
        (Method::PATCH, "4-8", "4567"),
        (Method::PATCH, "7-4", "4567"),
        (Method::PATCH, "4-", "4567"),
        (Method::PATCH, "x", "4567"),
        (Method::PATCH, "bytes=4-7", "4567"),
        (Method::PATCH, "-4", "4567"),
        (Method::PATCH, "4-18446744073709551615", "4567"),
        (Method::PUT, "5-8", "5678"),
        (Method::PUT, "4-8", "4567"),
    ] {
        let path = if method == Method::PUT { format!("{location}?digest={UNKNOWN}") } else { location.clone() };
        let answer = registry.send(whole(method, &path, &[("content-range", range)], bytes)).await;
        answer.refuses(416, "RANGE_INVALID", "upload_out_of_order");
        assert_eq!((answer.header("range"), answer.header("location")), ("0-3", location.as_str()), "{range}");
    }
    let digest = Digest::of(b"01234567");
    let answer = registry.put(&format!("{location}?digest={digest}"), &[("content-range", "4-7")], "4567").await;
    created(&answer, "a", &digest);
}

/// A chunk without a length is counted as it comes, and what came is kept.
#[tokio::test]
async fn a_chunk_that_is_shorter_or_longer_than_it_says() {
    let registry = Registry::new().await;
    let location = open(&registry, "a").await;
    let chunk =
        |range: &'static str, pieces: &[&'static str]| streamed(Method::PATCH, &location, &[("content-range", range)], pieces);
    let answer = registry.send(chunk("0-3", &["01"])).await;
    answer.refuses(416, "RANGE_INVALID", "upload_out_of_order");
    assert_eq!(answer.header("range"), "0-1");
    let answer = registry.send(chunk("2-3", &["23", "45"])).await;
    answer.refuses(416, "RANGE_INVALID", "upload_out_of_order");
    assert_eq!(answer.header("range"), "0-3");
    let digest = Digest::of(b"012345");
    created(&registry.put(&format!("{location}?digest={digest}"), &[], "45").await, "a", &digest);
}

#[tokio::test]
async fn a_stream_that_breaks_off_is_gone_on_with_after_a_restart() {
    let registry = Registry::new().await;
    let location = open(&registry, "a").await;
    let broken = Body::from_stream(stream::iter([Ok("0123"), Err(std::io::Error::other("reset"))]));
    let answer = registry.send(request(Method::PATCH, &location, &[], broken)).await;
    answer.refuses(400, "BLOB_UPLOAD_INVALID", "body_cut_short");

    let registry = registry.restarted().await;
    assert_eq!(registry.get(&location).await.is(204).header("range"), "0-3");
    let digest = Digest::of(b"01234567");
    created(&registry.put(&format!("{location}?digest={digest}"), &[], "4567").await, "a", &digest);
    assert_eq!(pulled(&registry, "a", &digest).await, b"01234567");
}

#[tokio::test]
async fn wrong_bytes_are_never_visible() {
    let registry = Registry::new().await;
    for digest in [Digest::of(b"right"), sha512(b"right")] {
        let location = open(&registry, "a").await;
        registry.put(&format!("{location}?digest={digest}"), &[], "wrong").await.refuses(400, "DIGEST_INVALID", "blob_digest");
        registry.get(&location).await.refuses(404, "BLOB_UPLOAD_UNKNOWN", "upload_unknown");
        let path = format!("/v2/a/blobs/uploads/?digest={digest}");
        registry.send(whole(Method::POST, &path, &[], "wrong")).await.refuses(400, "DIGEST_INVALID", "blob_digest");
        is_unknown(&registry, "a", &digest).await;
    }
    is_unknown(&registry, "a", &Digest::of(b"wrong")).await;
}

#[tokio::test]
async fn the_end_without_a_digest() {
    let registry = Registry::new().await;
    let location = open(&registry, "a").await;
    for query in ["", "?digest=", "?digest=sha256:x"] {
        registry.put(&format!("{location}{query}"), &[], "x").await.refuses(400, "DIGEST_INVALID", "digest_invalid");
    }
    let digest = Digest::of(b"x");
    created(&registry.put(&format!("{location}?digest={digest}"), &[], "x").await, "a", &digest);
}

#[tokio::test]
async fn giving_up() {
    let registry = Registry::new().await;
    let location = open(&registry, "a").await;
    registry.send(whole(Method::PATCH, &location, &[], "0123")).await.is(202);
    let answer = registry.ask(Method::DELETE, &location).await;
    assert!(answer.is(204).body.is_empty());
    for (method, path) in [
        (Method::GET, location.clone()),
        (Method::PATCH, location.clone()),
        (Method::DELETE, location.clone()),
        (Method::PUT, format!("{location}?digest={}", Digest::of(b"0123"))),
    ] {
        registry.ask(method, &path).await.refuses(404, "BLOB_UPLOAD_UNKNOWN", "upload_unknown");
    }
}

#[tokio::test]
async fn a_session_belongs_to_its_repository_and_to_nobody_else() {
    let registry = Registry::new().await;
    let location = open(&registry, "team/app").await;
    let other = location.replace("team/app", "other");
    for path in [other.as_str(), "/v2/team/app/blobs/uploads/7f", "/v2/team/app/blobs/uploads/%2e%2e"] {
        for method in [Method::GET, Method::PATCH, Method::DELETE] {
            registry.ask(method, path).await.refuses(404, "BLOB_UPLOAD_UNKNOWN", "upload_unknown");
        }
    }
    registry.get(&location).await.is(204);
}

#[tokio::test]
async fn nobody_went_on_with_it_for_a_day() {
    let registry = Registry::new().await;
    let location = open(&registry, "a").await;
    registry.clock.advance(SignedDuration::from_hours(25));
    registry.get(&location).await.refuses(404, "BLOB_UPLOAD_UNKNOWN", "upload_unknown");
}

#[tokio::test]
async fn mounting() {
    let registry = Registry::new().await;
    let digest = registry.blob("from/here", b"shared").await;
    let mount = async |to: &str, query: &str| registry.ask(Method::POST, &format!("/v2/{to}/blobs/uploads/?{query}")).await;
    created(&mount("to/there", &format!("mount={digest}&from=from/here")).await, "to/there", &digest);
    created(&mount("to/third", &format!("mount={digest}&from=from%2Fhere&origin=x")).await, "to/third", &digest);
    created(&mount("to/fourth", &format!("mount={digest}")).await, "to/fourth", &digest);
    assert_eq!(pulled(&registry, "to/fourth", &digest).await, b"shared");
    for query in [
        format!("mount={UNKNOWN}&from=from/here"),
        format!("mount={UNKNOWN}"),
        format!("mount={digest}&from=nobody"),
        format!("mount={digest}&from=NO/NAME"),
        format!("mount={}&from=from/here", sha512(b"shared")),
    ] {
        session(&mount("to/fifth", &query).await, "to/fifth");
    }
    is_unknown(&registry, "to/fifth", &digest).await;
}

#[tokio::test]
async fn two_who_push_the_same_both_succeed() {
    let registry = Registry::new().await;
    let digest = Digest::of(b"same");
    let (one, two) = (open(&registry, "a").await, open(&registry, "a").await);
    let put = async |location: String| registry.put(&format!("{location}?digest={digest}"), &[], "same").await;
    let (one, two) = futures_util::join!(put(one), put(two));
    created(&one, "a", &digest);
    created(&two, "a", &digest);
    assert_eq!(registry.get(&format!("/v2/a/blobs/{digest}")).await.status, StatusCode::OK);
}
