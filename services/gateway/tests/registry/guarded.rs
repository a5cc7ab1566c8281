//! Repositories that clients may not write to as they like: under policy, or another registry's.

use http::Method;
use oci::{Digest, fallback_tag, media_type};
use serde_json::json;
use testkit::sigstore::World;

use crate::support::{Registry, descriptor, whole};

async fn registry() -> Registry {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("trusted_root.json");
    std::fs::write(&root, World::new().trusted_root.to_string()).unwrap();
    Registry::with(|config| {
        config["trusted_root"] = root.to_str().unwrap().into();
        config["policies"] = json!([{"name": "prod-images", "repositories": "prod/*", "mode": "enforce",
            "identities": [{"issuer": "https://issuer.example", "subject": "https://ci.example/app"}]}]);
        config["upstreams"] = json!([{"prefix": "hub", "url": "https://registry.example", "offline": true}]);
    })
    .await
}

#[tokio::test]
async fn under_policy_no_image_comes_in_by_a_push() {
    let registry = registry().await;
    let image = registry.image_document("prod/app", "layer").await;
    let digest = Digest::of(image.to_string().as_bytes());
    for reference in ["1.0".to_owned(), digest.to_string(), format!("{digest}?tag=1.0"), fallback_tag(&digest).to_string()] {
        let answer = registry.manifest("prod/app", &reference, &image).await;
        answer.refuses(403, "DENIED", "repository_under_policy");
        assert!(answer.text().contains("prod-images") && answer.text().contains("chancery promote"), "{}", answer.text());
    }
    // Attached to something it would be an image all the same.
    let mut attached = image.clone();
    attached["subject"] = descriptor(media_type::IMAGE_MANIFEST, &digest, 1);
    let reference = Digest::of(attached.to_string().as_bytes());
    registry.manifest("prod/app", reference.as_str(), &attached).await.refuses(403, "DENIED", "repository_under_policy");
    assert_eq!(registry.get("/v2/prod/app/tags/list").await.json()["tags"], json!([]));
    registry.get(&format!("/v2/prod/app/manifests/{digest}")).await.refuses(404, "MANIFEST_UNKNOWN", "manifest_unknown");
    // `prod` itself is not below `prod/`.
    registry.image("prod", "1.0", "layer").await;
}

#[tokio::test]
async fn under_policy_what_is_attached_may_come_and_nothing_may_go_that_images_need() {
    let registry = registry().await;
    let subject = Digest::of(b"an image that was promoted");
    let attached = registry.artifact("prod/app", &subject, "application/x", "a scan").await;
    let path = format!("/v2/prod/app/manifests/{attached}");
    registry.get(&path).await.is(200);
    let blob = registry.blob("prod/app", b"a layer").await;
    let delete = async |path: &str| registry.ask(Method::DELETE, path).await;
    delete(&format!("/v2/prod/app/blobs/{blob}")).await.refuses(403, "DENIED", "repository_under_policy");
    delete("/v2/prod/app/manifests/1.0").await.refuses(403, "DENIED", "repository_under_policy");
    // No tag reaches it.
    delete(&path).await.is(202);
}

#[tokio::test]
async fn without_a_policy_a_blob_goes_when_no_manifest_needs_it() {
    let registry = registry().await;
    let image = registry.image("team/app", "1.0", "layer").await;
    let blob = format!("/v2/team/app/blobs/{}", Digest::of(b"layer"));
    let delete = async |path: &str| registry.ask(Method::DELETE, path).await;
    let answer = delete(&blob).await;
    answer.refuses(405, "UNSUPPORTED", "blob_needed");
    assert!(answer.text().contains(image.as_str()), "{}", answer.text());
    registry.get(&blob).await.is(200);
    delete(&format!("/v2/team/app/manifests/{image}")).await.is(202);
    delete(&blob).await.is(202);
    registry.get(&blob).await.refuses(404, "BLOB_UNKNOWN", "blob_unknown");
}

#[tokio::test]
async fn a_view_of_another_registry_is_not_written_to() {
    let registry = registry().await;
    let digest = Digest::of(b"content");
    for (method, path) in [
        (Method::POST, "/v2/hub/library/alpine/blobs/uploads/".to_owned()),
        (Method::POST, format!("/v2/hub/library/alpine/blobs/uploads/?digest={digest}")),
        (Method::POST, format!("/v2/hub/library/alpine/blobs/uploads/?mount={digest}")),
        (Method::PUT, "/v2/hub/library/alpine/manifests/3".to_owned()),
        (Method::DELETE, "/v2/hub/library/alpine/manifests/3".to_owned()),
        (Method::DELETE, format!("/v2/hub/library/alpine/blobs/{digest}")),
        (Method::PUT, "/v2/hub/manifests/3".to_owned()),
    ] {
        let answer = registry.send(whole(method, &path, &[], "content")).await;
        answer.refuses(403, "DENIED", "repository_proxied");
    }
    registry.image("hubs/mine", "1", "layer").await;
}
