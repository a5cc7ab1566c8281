//! Manifests: pushing and pulling (distribution-spec, "Pulling manifests", "Pushing Manifests").

use http::Method;
use oci::{Digest, media_type};
use serde_json::{Value, json};

use crate::support::{Registry, UNKNOWN, descriptor, sha512};

#[tokio::test]
async fn a_manifest_is_the_bytes_that_were_pushed() {
    let registry = Registry::new().await;
    let document = registry.image_document("team/app", "layer").await;
    let bytes = format!("{}\n", serde_json::to_string_pretty(&document).unwrap());
    let digest = Digest::of(bytes.as_bytes());
    let kind = format!("{}; charset=utf-8", media_type::IMAGE_MANIFEST);
    let answer = registry.put("/v2/team/app/manifests/1.0", &[("content-type", &kind)], bytes.clone()).await;
    assert_eq!(answer.is(201).header("location"), format!("/v2/team/app/manifests/{digest}"));
    assert_eq!(answer.header("docker-content-digest"), digest.as_str());
    assert_eq!((answer.header("oci-subject"), answer.header("content-length")), ("", "0"));

    for reference in ["1.0", digest.as_str()] {
        for accept in ["*/*", "application/json", "application/vnd.docker.distribution.manifest.v2+json", ""] {
            let path = format!("/v2/team/app/manifests/{reference}");
            let answer = registry.get_with(&path, &[("accept", accept), ("accept-encoding", "gzip")]).await;
            assert_eq!(answer.is(200).body, bytes);
            let head = registry.ask(Method::HEAD, &path).await;
            assert!(head.is(200).body.is_empty());
            for answer in [&answer, &head] {
                assert_eq!(answer.header("content-type"), media_type::IMAGE_MANIFEST);
                assert_eq!(answer.header("content-length"), bytes.len().to_string());
                assert_eq!(answer.header("docker-content-digest"), digest.as_str());
                assert_eq!(answer.header("etag"), format!("\"{digest}\""));
                let cached = if reference == "1.0" { "no-cache" } else { "max-age=31536000, immutable" };
                assert_eq!(answer.header("cache-control"), cached);
            }
        }
    }
}

#[tokio::test]
async fn what_is_not_there() {
    let registry = Registry::new().await;
    let digest = registry.image("team/app", "1.0", "layer").await;
    for path in ["/v2/team/app/manifests/2.0", "/v2/other/manifests/1.0", &format!("/v2/other/manifests/{digest}")] {
        registry.get(path).await.refuses(404, "MANIFEST_UNKNOWN", "manifest_unknown");
        assert!(registry.ask(Method::HEAD, path).await.is(404).body.is_empty());
    }
    registry.get(&format!("/v2/team/app/manifests/{UNKNOWN}")).await.refuses(404, "MANIFEST_UNKNOWN", "manifest_unknown");
}

#[tokio::test]
async fn who_knows_it_is_not_sent_it_again() {
    let registry = Registry::new().await;
    let digest = registry.image("a", "1", "layer").await;
    for path in ["/v2/a/manifests/1".to_owned(), format!("/v2/a/manifests/{digest}")] {
        for known in [format!("\"{digest}\""), digest.to_string(), "*".into()] {
            let answer = registry.get_with(&path, &[("if-none-match", &known)]).await;
            assert!(answer.is(304).body.is_empty());
            assert_eq!(answer.header("etag"), format!("\"{digest}\""));
        }
        registry.get_with(&path, &[("if-none-match", "\"other\"")]).await.is(200);
    }
}

#[tokio::test]
async fn the_digest_that_the_client_names_is_the_one_it_gets() {
    let registry = Registry::new().await;
    let document = registry.image_document("a", "layer").await;
    let wide = sha512(document.to_string().as_bytes());
    let answer = registry.manifest("a", &format!("{wide}?tag=wide"), &document).await;
    assert_eq!((answer.is(201).header("docker-content-digest"), answer.header("oci-tag")), (wide.as_str(), "wide"));
    for reference in [wide.as_str(), "wide"] {
        let answer = registry.get(&format!("/v2/a/manifests/{reference}")).await;
        assert_eq!(answer.is(200).header("docker-content-digest"), wide.as_str());
    }
    let narrow = Digest::of(document.to_string().as_bytes());
    registry.get(&format!("/v2/a/manifests/{narrow}")).await.refuses(404, "MANIFEST_UNKNOWN", "manifest_unknown");
    registry.manifest("a", narrow.as_str(), &document).await.is(201);
    registry.get(&format!("/v2/a/manifests/{narrow}")).await.is(200);
}

#[tokio::test]
async fn other_bytes_than_the_digest_says() {
    let registry = Registry::new().await;
    let document = registry.image_document("a", "layer").await;
    for digest in [UNKNOWN.to_owned(), sha512(b"x").to_string()] {
        registry.manifest("a", &digest, &document).await.refuses(400, "DIGEST_INVALID", "manifest_digest");
    }
    // Bytes that are wrong are wrong before they are no manifest.
    registry.put(&format!("/v2/a/manifests/{UNKNOWN}"), &[], "{").await.refuses(400, "DIGEST_INVALID", "manifest_digest");
}

#[tokio::test]
async fn several_tags_at_once() {
    let registry = Registry::new().await;
    let document = registry.image_document("a", "layer").await;
    let digest = Digest::of(document.to_string().as_bytes());
    let answer = registry.manifest("a", &format!("{digest}?tag=b&tag=a&tag=b&x=y"), &document).await;
    let tags: Vec<_> = answer.is(201).headers.get_all("oci-tag").iter().collect();
    assert_eq!(tags, ["a", "b"]);
    assert_eq!(registry.get("/v2/a/tags/list").await.json()["tags"], json!(["a", "b"]));

    // With a tag in the path it is no parameter, and nothing but that tag is made.
    let answer = registry.manifest("a", "c?tag=d", &document).await;
    assert_eq!(answer.is(201).header("oci-tag"), "c");
    registry.get("/v2/a/manifests/d").await.refuses(404, "MANIFEST_UNKNOWN", "manifest_unknown");

    let query = |count: usize| (0..count).map(|number| format!("tag=t{number}")).collect::<Vec<_>>().join("&");
    registry.manifest("a", &format!("{digest}?{}", query(46)), &document).await.is(201);
    let answer = registry.manifest("a", &format!("{digest}?{}", query(47)), &document).await;
    answer.refuses(414, "TAG_INVALID", "too_many_tags");
    registry.manifest("a", &format!("{digest}?tag=-x"), &document).await.refuses(400, "TAG_INVALID", "tag_invalid");
}

#[tokio::test]
async fn every_missing_reference_is_named() {
    let registry = Registry::new().await;
    let mut document = registry.image_document("a", "layer").await;
    let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));
    for digest in [&one, &two, &one] {
        document["layers"].as_array_mut().unwrap().push(descriptor("application/x", digest, 3));
    }
    let answer = registry.manifest("a", "1", &document).await;
    assert_eq!(answer.is(400).words(), ["MANIFEST_BLOB_UNKNOWN"; 2]);
    let mut expected = [one.to_string(), two.to_string()];
    expected.sort();
    let details: Vec<_> = answer.json()["errors"].as_array().unwrap().iter().map(|error| error["detail"].clone()).collect();
    assert_eq!(details, expected);
    registry.get("/v2/a/manifests/1").await.refuses(404, "MANIFEST_UNKNOWN", "manifest_unknown");

    let index = json!({"schemaVersion": 2, "mediaType": media_type::IMAGE_INDEX,
        "manifests": [descriptor(media_type::IMAGE_MANIFEST, &one, 3)]});
    let answer = registry.manifest("a", "1", &index).await;
    assert_eq!(
        (answer.is(400).words(), &answer.json()["errors"][0]["detail"]),
        (vec!["MANIFEST_BLOB_UNKNOWN".to_owned()], &json!(one))
    );
    // What another repository has does not count.
    registry.blob("b", b"one").await;
    assert_eq!(registry.manifest("a", "1", &document).await.is(400).words().len(), 2);
}

#[tokio::test]
async fn what_must_be_accepted() {
    let registry = Registry::new().await;
    let image = registry.image_document("a", "layer").await;
    let image_digest = Digest::of(image.to_string().as_bytes());
    registry.manifest("a", "image", &image).await.is(201);
    let with = |change: fn(&mut Value)| {
        let mut document = image.clone();
        change(&mut document);
        document
    };
    let index = json!({"schemaVersion": 2, "mediaType": media_type::IMAGE_INDEX,
        "manifests": [descriptor(media_type::IMAGE_MANIFEST, &image_digest, 1)]});
    let nested = json!({"schemaVersion": 2, "mediaType": media_type::IMAGE_INDEX, "artifactType": "application/x",
        "manifests": [descriptor(media_type::IMAGE_INDEX, &Digest::of(index.to_string().as_bytes()), 1)]});
    for document in [
        with(|image| image["unknown"] = json!({"deep": [1]})),
        with(|image| image["layers"] = json!([])),
        with(|image| image["artifactType"] = "application/x".into()),
        with(|image| image["config"]["data"] = "e30=".into()),
        with(|image| image["subject"] = json!({"mediaType": media_type::IMAGE_MANIFEST, "digest": UNKNOWN, "size": 1})),
        with(|image| {
            let layer = json!({"mediaType": "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", "digest": UNKNOWN,
                "size": 1, "urls": ["https://elsewhere.example/layer"]});
            image["layers"].as_array_mut().unwrap().push(layer);
        }),
        json!({"schemaVersion": 2, "mediaType": media_type::IMAGE_INDEX, "manifests": []}),
        index,
        nested,
        json!({"schemaVersion": 2, "mediaType": media_type::IMAGE_INDEX, "manifests": [],
            "subject": descriptor(media_type::IMAGE_MANIFEST, &image_digest, 1)}),
    ] {
        let answer = registry.manifest("a", "accepted", &document).await;
        assert_eq!(answer.status, 201, "{document}: {}", answer.text());
        assert_eq!(registry.get("/v2/a/manifests/accepted").await.body, document.to_string());
    }
}

#[tokio::test]
async fn without_a_type_the_document_says_what_it_is() {
    let registry = Registry::new().await;
    let mut image = registry.image_document("a", "layer").await;
    image.as_object_mut().unwrap().remove("mediaType");
    for (tag, document, kind) in [
        ("image", image, media_type::IMAGE_MANIFEST),
        ("index", json!({"schemaVersion": 2, "manifests": []}), media_type::IMAGE_INDEX),
    ] {
        registry.put(&format!("/v2/a/manifests/{tag}"), &[], document.to_string()).await.is(201);
        assert_eq!(registry.get(&format!("/v2/a/manifests/{tag}")).await.header("content-type"), kind);
    }
}

#[tokio::test]
async fn ten_bad_manifests() {
    let registry = Registry::new().await;
    let image = registry.image_document("a", "layer").await;
    let with = |change: fn(&mut Value)| {
        let mut document = image.clone();
        change(&mut document);
        document.to_string()
    };
    let deep = format!(r#"{{"schemaVersion":2,"manifests":[],"x":{}{}}}"#, "[".repeat(100), "]".repeat(100));
    for document in [
        String::new(),
        "{".to_owned(),
        "[]".to_owned(),
        "null".to_owned(),
        "{}".to_owned(),
        with(|image| image["manifests"] = json!([])),
        with(|image| image["mediaType"] = "application/x".into()),
        with(|image| image["mediaType"] = "application/vnd.docker.distribution.manifest.v1+prettyjws".into()),
        with(|image| image["schemaVersion"] = 1.into()),
        with(|image| drop(image.as_object_mut().unwrap().remove("config"))),
        with(|image| image["layers"] = json!({})),
        with(|image| image["layers"][0]["digest"] = "sha256:x".into()),
        with(|image| image["layers"][0]["size"] = json!(-1)),
        with(|image| image["subject"] = json!("x")),
        r#"{"schemaVersion":2,"manifests":[],"schemaVersion":2}"#.to_owned(),
        deep,
    ] {
        let answer = registry.put("/v2/a/manifests/bad", &[], document.clone()).await;
        assert_eq!(answer.status, 400, "{document}");
        answer.refuses(400, "MANIFEST_INVALID", "manifest_invalid");
    }
    let two = [("content-type", media_type::IMAGE_INDEX)];
    registry.put("/v2/a/manifests/bad", &two, image.to_string()).await.refuses(400, "MANIFEST_INVALID", "manifest_invalid");
    registry.get("/v2/a/manifests/bad").await.refuses(404, "MANIFEST_UNKNOWN", "manifest_unknown");
}

#[tokio::test]
async fn two_writers_of_one_tag() {
    let registry = Registry::new().await;
    let (one, two) = (registry.image_document("a", "one").await, registry.image_document("a", "two").await);
    let digest = |document: &Value| Digest::of(document.to_string().as_bytes());
    let put = async |document: &Value, header: &str, value: String| {
        let headers = [("content-type", media_type::IMAGE_MANIFEST), (header, value.as_str())];
        registry.put("/v2/a/manifests/t", &headers, document.to_string()).await
    };
    put(&one, "if-match", format!("\"{}\"", digest(&one))).await.refuses(412, "DENIED", "tag_moved");
    put(&one, "if-none-match", "*".into()).await.is(201);
    put(&two, "if-none-match", "*".into()).await.refuses(412, "DENIED", "tag_moved");
    put(&two, "if-match", digest(&two).to_string()).await.refuses(412, "DENIED", "tag_moved");
    assert_eq!(registry.get("/v2/a/manifests/t").await.header("docker-content-digest"), digest(&one).as_str());
    put(&two, "if-match", format!("\"{}\"", digest(&one))).await.is(201);
    assert_eq!(registry.get("/v2/a/manifests/t").await.header("docker-content-digest"), digest(&two).as_str());
    for (header, value) in [("if-match", "x"), ("if-match", "\"a\", \"b\""), ("if-none-match", "\"x\"")] {
        put(&one, header, value.into()).await.refuses(400, "UNSUPPORTED", "precondition_invalid");
    }
}

#[tokio::test]
async fn the_same_again_changes_nothing() {
    let registry = Registry::new().await;
    let first = registry.image("a", "1", "layer").await;
    assert_eq!(registry.image("a", "1", "layer").await, first);
    assert_eq!(registry.get("/v2/a/tags/list").await.json()["tags"], json!(["1"]));
}

#[tokio::test]
async fn a_restart_forgets_nothing() {
    let registry = Registry::new().await;
    let image = registry.image("team/app", "1.0", "layer").await;
    let attached = registry.artifact("team/app", &image, "application/x", "attached").await;
    let before = registry.get(&format!("/v2/team/app/referrers/{image}")).await.body;
    let registry = registry.restarted().await;
    assert_eq!(registry.get("/v2/team/app/manifests/1.0").await.is(200).header("docker-content-digest"), image.as_str());
    registry.get(&format!("/v2/team/app/manifests/{attached}")).await.is(200);
    assert_eq!(registry.get(&format!("/v2/team/app/referrers/{image}")).await.body, before);
}
