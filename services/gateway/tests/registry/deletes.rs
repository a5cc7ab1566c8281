//! Deleting (distribution-spec, "Content Management").

use http::Method;
use serde_json::json;

use crate::support::{Registry, UNKNOWN};

#[tokio::test]
async fn a_tag_goes_alone() {
    let registry = Registry::new().await;
    let digest = registry.image("a", "1", "layer").await;
    registry.image("a", "2", "layer").await;
    let answer = registry.ask(Method::DELETE, "/v2/a/manifests/1").await;
    assert!(answer.is(202).body.is_empty());
    registry.get("/v2/a/manifests/1").await.refuses(404, "MANIFEST_UNKNOWN", "manifest_unknown");
    registry.get("/v2/a/manifests/2").await.is(200);
    registry.get(&format!("/v2/a/manifests/{digest}")).await.is(200);
    assert_eq!(registry.get("/v2/a/tags/list").await.json()["tags"], json!(["2"]));
    registry.ask(Method::DELETE, "/v2/a/manifests/1").await.refuses(404, "MANIFEST_UNKNOWN", "manifest_unknown");
}

#[tokio::test]
async fn a_manifest_goes_with_its_tags() {
    let registry = Registry::new().await;
    let digest = registry.image("a", "1", "layer").await;
    registry.image("a", "2", "layer").await;
    registry.image("a", "other", "other").await;
    let path = format!("/v2/a/manifests/{digest}");
    registry.ask(Method::DELETE, &path).await.is(202);
    for path in ["/v2/a/manifests/1", "/v2/a/manifests/2", &path] {
        registry.get(path).await.refuses(404, "MANIFEST_UNKNOWN", "manifest_unknown");
    }
    assert_eq!(registry.get("/v2/a/tags/list").await.json()["tags"], json!(["other"]));
    registry.ask(Method::DELETE, &path).await.refuses(404, "MANIFEST_UNKNOWN", "manifest_unknown");
    registry.ask(Method::DELETE, &format!("/v2/a/manifests/{UNKNOWN}")).await.refuses(
        404,
        "MANIFEST_UNKNOWN",
        "manifest_unknown",
    );
    // Pushed again, it is there again.
    assert_eq!(registry.image("a", "1", "layer").await, digest);
    registry.get(&path).await.is(200);
}

#[tokio::test]
async fn a_blob_goes_from_one_repository() {
    let registry = Registry::new().await;
    let digest = registry.blob("a", b"content").await;
    registry.blob("b", b"content").await;
    let path = format!("/v2/a/blobs/{digest}");
    let answer = registry.ask(Method::DELETE, &path).await;
    assert!(answer.is(202).body.is_empty());
    registry.get(&path).await.refuses(404, "BLOB_UNKNOWN", "blob_unknown");
    registry.get(&format!("/v2/b/blobs/{digest}")).await.is(200);
    registry.ask(Method::DELETE, &path).await.refuses(404, "BLOB_UNKNOWN", "blob_unknown");
    registry.blob("a", b"content").await;
    registry.get(&path).await.is(200);
}
