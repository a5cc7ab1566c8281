//! Pulling blobs: whole, in parts, conditionally (distribution-spec, "Pulling blobs").

use http::Method;

use crate::support::{Registry, UNKNOWN, request, sha512};

/// The content whose ranges everybody tests with.
fn content() -> Vec<u8> {
    (0..2_048_u32).map(|number| u8::try_from(number % 251).unwrap()).collect()
}

#[tokio::test]
async fn a_blob_and_its_headers() {
    let registry = Registry::new().await;
    let digest = registry.blob("team/app", &content()).await;
    let path = format!("/v2/team/app/blobs/{digest}");
    let accepting = [("accept-encoding", "zstd;q=1.0, gzip;q=0.8, deflate;q=0.5"), ("accept", "application/json")];
    let answer = registry.get_with(&path, &accepting).await;
    assert_eq!(answer.is(200).body, content());
    let head = registry.ask(Method::HEAD, &path).await;
    assert!(head.is(200).body.is_empty());
    for answer in [&answer, &head] {
        assert_eq!(answer.header("content-length"), "2048");
        assert_eq!(answer.header("content-type"), "application/octet-stream");
        assert_eq!(answer.header("docker-content-digest"), digest.as_str());
        assert_eq!(answer.header("etag"), format!("\"{digest}\""));
        assert_eq!(answer.header("accept-ranges"), "bytes");
        assert_eq!(answer.header("cache-control"), "max-age=31536000, immutable");
    }
}

#[tokio::test]
async fn what_is_not_in_this_repository_is_not_there() {
    let registry = Registry::new().await;
    let digest = registry.blob("team/app", b"content").await;
    for path in [format!("/v2/team/app/blobs/{UNKNOWN}"), format!("/v2/other/blobs/{digest}")] {
        registry.get(&path).await.refuses(404, "BLOB_UNKNOWN", "blob_unknown");
        let head = registry.ask(Method::HEAD, &path).await;
        assert!(head.is(404).body.is_empty());
    }
}

#[tokio::test]
async fn a_blob_of_nothing_and_one_of_another_algorithm() {
    let registry = Registry::new().await;
    let empty = registry.blob("a", b"").await;
    let answer = registry.get(&format!("/v2/a/blobs/{empty}")).await;
    assert_eq!((answer.is(200).header("content-length"), answer.body.len()), ("0", 0));
    let range = [("range", "bytes=0-")];
    registry.get_with(&format!("/v2/a/blobs/{empty}"), &range).await.refuses(416, "RANGE_INVALID", "blob_range");

    let wide = sha512(b"wide");
    registry.blob_as("a", &wide, b"wide").await;
    let answer = registry.get(&format!("/v2/a/blobs/{wide}")).await;
    assert_eq!((answer.is(200).header("docker-content-digest"), &answer.body[..]), (wide.as_str(), &b"wide"[..]));
    let narrow = oci::Digest::of(b"wide");
    registry.get(&format!("/v2/a/blobs/{narrow}")).await.refuses(404, "BLOB_UNKNOWN", "blob_unknown");
}

#[tokio::test]
async fn ranges() {
    let registry = Registry::new().await;
    let digest = registry.blob("a", &content()).await;
    let path = format!("/v2/a/blobs/{digest}");
    for (range, first, last) in [
        ("bytes=500-1499", 500, 1_499),
        ("bytes=500-", 500, 2_047),
        ("bytes=-500", 1_548, 2_047),
        ("bytes=2000-5000", 2_000, 2_047),
        ("bytes=-5000", 0, 2_047),
        ("bytes=0-0", 0, 0),
        ("bytes=2047-2047", 2_047, 2_047),
    ] {
        let answer = registry.get_with(&path, &[("range", range)]).await;
        assert_eq!(answer.is(206).body, content()[first..=last], "{range}");
        assert_eq!(answer.header("content-range"), format!("bytes {first}-{last}/2048"));
        assert_eq!(answer.header("content-length"), (last - first + 1).to_string());
        assert_eq!(answer.header("docker-content-digest"), digest.as_str());
        assert_eq!(answer.header("etag"), format!("\"{digest}\""));
        assert_eq!(answer.header("accept-ranges"), "bytes");
    }
}

#[tokio::test]
async fn ten_bad_ranges() {
    let registry = Registry::new().await;
    let path = format!("/v2/a/blobs/{}", registry.blob("a", &content()).await);
    for range in [
        "bytes=500-0",
        "bytes=5000-10000",
        "bytes=2048-",
        "bytes=2048-2048",
        "bytes=-0",
        "bytes=-",
        "bytes=",
        "bytes=x-y",
        "bytes=+1-2",
        "bytes=1",
        "bytes=99999999999999999999-",
    ] {
        let answer = registry.get_with(&path, &[("range", range)]).await;
        answer.refuses(416, "RANGE_INVALID", "blob_range");
        assert_eq!(answer.header("content-range"), "bytes */2048", "{range}");
    }
    for range in ["bytes=0-1,5-6", "items=0-1", "0-1", ""] {
        let answer = registry.get_with(&path, &[("range", range)]).await;
        assert_eq!(answer.is(200).body.len(), 2_048, "{range}");
    }
    let head = registry.send(request(Method::HEAD, &path, &[("range", "bytes=0-1")], axum::body::Body::empty())).await;
    assert_eq!(head.is(200).header("content-length"), "2048");
}

#[tokio::test]
async fn conditions() {
    let registry = Registry::new().await;
    let digest = registry.blob("a", &content()).await;
    let path = format!("/v2/a/blobs/{digest}");
    let quoted = format!("\"{digest}\"");
    for known in [quoted.as_str(), digest.as_str(), &format!("\"x\", W/{quoted}"), "*"] {
        let answer = registry.get_with(&path, &[("if-none-match", known)]).await;
        assert!(answer.is(304).body.is_empty(), "{known}");
        assert_eq!((answer.header("etag"), answer.header("docker-content-digest")), (quoted.as_str(), digest.as_str()));
    }
    registry.get_with(&path, &[("if-none-match", "\"sha256:00\"")]).await.is(200);
    for (tag, status, length) in [(quoted.as_str(), 206, 2), ("\"other\"", 200, 2_048)] {
        let answer = registry.get_with(&path, &[("range", "bytes=0-1"), ("if-range", tag)]).await;
        assert_eq!(answer.is(status).body.len(), length);
    }
}
