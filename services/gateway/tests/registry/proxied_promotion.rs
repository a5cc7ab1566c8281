use http::Method;
use oci::media_type;
use serde_json::json;
use testkit::Reply;

use crate::behind::Behind;
use crate::support::{Answer, Registry, descriptor, whole};

const TOKEN: &str = "the promoter's token";

async fn gateway(behind: &Behind) -> (Registry, tempfile::TempDir) {
    let files = tempfile::tempdir().unwrap();
    let token = files.path().join("token");
    std::fs::write(&token, TOKEN).unwrap();
    let registry = Registry::with(|config| {
        config["upstreams"] = json!([{"prefix": "hub", "url": behind.url()}]);
        config["promoters"] = json!([{"name": "ops", "token_file": token}]);
    })
    .await;
    (registry, files)
}

async fn promote(gateway: &Registry) -> Answer {
    let body = json!({"source": "hub/team/app:v1", "target": "ours/app:v1"}).to_string();
    gateway.send(whole(Method::POST, "/api/v1/promotions", &[("authorization", &format!("Bearer {TOKEN}"))], body)).await
}

/// Everything is fetched, verified and kept: nothing of the copy needs the upstream again.
#[tokio::test]
async fn an_image_is_promoted_with_everything_attached_and_outlives_its_upstream() {
    let behind = Behind::new().await;
    let child = behind.image("team/app", "", "content");
    let index = json!({
        "schemaVersion": 2, "mediaType": media_type::IMAGE_INDEX, "manifests": [descriptor(media_type::IMAGE_MANIFEST, &child, 1)],
    });
    let root = behind.manifest("team/app", "v1", &index);
    let of_root = behind.artifact("team/app", &root, "of the index");
    let of_child = behind.artifact("team/app", &child, "of the platform");
    let of_that = behind.artifact("team/app", &of_child, "of what is attached");
    behind.list("team/app", &root, &[&of_root]);
    behind.list_by_tag("team/app", &child, &[&of_child]);
    behind.list("team/app", &of_child, &[&of_that]);
    let (gateway, _files) = gateway(&behind).await;
    let answer = promote(&gateway).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.json()["digest"], json!(root));
    behind.vanish();
    let there = gateway.get("/v2/ours/app/manifests/v1").await;
    assert_eq!(there.header("docker-content-digest"), root.as_str());
    for (subject, attached) in [(&root, &of_root), (&child, &of_child), (&of_child, &of_that)] {
        let listed = gateway.get(&format!("/v2/ours/app/referrers/{subject}")).await.json();
        assert_eq!(listed["manifests"][0]["digest"], json!(attached));
        let manifest = gateway.get(&format!("/v2/ours/app/manifests/{attached}")).await;
        for blob in [&manifest.json()["config"]["digest"], &manifest.json()["layers"][0]["digest"]] {
            gateway.get(&format!("/v2/ours/app/blobs/{}", blob.as_str().unwrap())).await.is(200);
        }
    }
}

#[tokio::test]
async fn an_upstream_that_lies_about_a_blob_is_not_promoted() {
    let behind = Behind::new().await;
    behind.image("team/app", "v1", "content");
    behind.twist(|request, reply| {
        let blob = request.line.starts_with("GET /v2/team/app/blobs/");
        Some(if blob { Reply::new(200, &[], "CONTENT") } else { reply })
    });
    let (gateway, _files) = gateway(&behind).await;
    let answer = promote(&gateway).await;
    assert!(answer.status.is_server_error(), "{}", answer.text());
    gateway.get("/v2/ours/app/manifests/v1").await.is(404);
    behind.behave();
    assert_eq!(promote(&gateway).await.status, 200);
}
