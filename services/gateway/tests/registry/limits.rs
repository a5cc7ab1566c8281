//! What nobody may do, whoever they are.

use axum::body::Body;
use http::Method;
use oci::{MAX_MANIFEST_BYTES, media_type};
use serde_json::json;

use crate::support::{Registry, UNKNOWN, descriptor, request, streamed};

#[tokio::test]
async fn a_path_and_query_of_eight_kilobytes() {
    let registry = Registry::new().await;
    let path = format!("/v2/a/referrers/{UNKNOWN}?x=");
    let fill = |length: usize| format!("{path}{}", "x".repeat(length - path.len()));
    registry.get(&fill(8_192)).await.is(200);
    registry.get(&fill(8_193)).await.refuses(414, "SIZE_INVALID", "target_too_long");
}

#[tokio::test]
async fn a_manifest_of_four_megabytes() {
    let registry = Registry::new().await;
    let mut image = registry.image_document("a", "layer").await;
    let annotations: serde_json::Map<_, _> = (0..390).map(|number| (number.to_string(), "x".repeat(10_000).into())).collect();
    image["annotations"] = annotations.into();
    registry.manifest("a", "large", &image).await.is(201);
    let fill = |length: usize| {
        let mut bytes = image.to_string().into_bytes();
        bytes.resize(length, b' ');
        bytes
    };
    let kind = [("content-type", media_type::IMAGE_MANIFEST)];
    registry.put("/v2/a/manifests/most", &kind, fill(MAX_MANIFEST_BYTES)).await.is(201);
    let answer = registry.put("/v2/a/manifests/more", &kind, fill(MAX_MANIFEST_BYTES + 1)).await;
    answer.refuses(413, "SIZE_INVALID", "body_too_large");
    let pieces = vec![bytes::Bytes::from(fill(MAX_MANIFEST_BYTES)); 2];
    let body = Body::from_stream(futures_util::stream::iter(pieces.into_iter().map(Ok::<_, std::io::Error>)));
    let answer = registry.send(request(Method::PUT, "/v2/a/manifests/more", &kind, body)).await;
    answer.refuses(413, "SIZE_INVALID", "body_too_large");
}

#[tokio::test]
async fn ten_thousand_descriptors() {
    let registry = Registry::new().await;
    let empty = registry.blob("a", b"{}").await;
    let image = |layers: usize| {
        json!({"schemaVersion": 2, "mediaType": media_type::IMAGE_MANIFEST, "config": descriptor(media_type::EMPTY, &empty, 2),
            "layers": vec![descriptor("application/x", &empty, 2); layers]})
    };
    registry.manifest("a", "many", &image(9_999)).await.is(201);
    registry.manifest("a", "more", &image(10_001)).await.refuses(400, "MANIFEST_INVALID", "manifest_invalid");
}

/// An upload is not read into memory first, so its body has no limit of its own.
#[tokio::test]
async fn an_upload_may_be_larger_than_a_manifest() {
    let registry = Registry::new().await;
    let location = registry.ask(Method::POST, "/v2/a/blobs/uploads/").await.header("location").to_owned();
    let piece: &'static str = "x".repeat(1 << 20).leak();
    let answer = registry.send(streamed(Method::PATCH, &location, &[], &[piece; 9])).await;
    assert_eq!(answer.is(202).header("range"), format!("0-{}", (9 << 20) - 1));
}
