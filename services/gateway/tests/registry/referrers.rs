//! Referrers (distribution-spec, "Listing Referrers").

use http::Method;
use oci::{Digest, fallback_tag, media_type};
use serde_json::{Value, json};

use crate::support::{Answer, Registry, UNKNOWN, descriptor, sha512};

fn digests(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.is(200).header("content-type"), "application/vnd.oci.image.index.v1+json");
    let listed = answer.json()["manifests"].as_array().unwrap().clone();
    listed.iter().map(|entry| entry["digest"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn nothing_is_an_empty_list_and_never_an_error() {
    let registry = Registry::new().await;
    let image = registry.image("a", "1", "layer").await;
    for path in [
        format!("/v2/a/referrers/{image}"),
        format!("/v2/a/referrers/{UNKNOWN}"),
        format!("/v2/never/pushed/referrers/{UNKNOWN}"),
    ] {
        let answer = registry.get(&path).await;
        assert!(digests(&answer).is_empty());
        let empty = json!({"schemaVersion": 2, "mediaType": media_type::IMAGE_INDEX, "manifests": []});
        assert_eq!(answer.json(), empty);
        assert_eq!(answer.header("content-length"), answer.body.len().to_string());
        let head = registry.ask(Method::HEAD, &path).await;
        assert!(head.is(200).body.is_empty());
    }
}

#[tokio::test]
async fn what_is_listed_of_each() {
    let registry = Registry::new().await;
    let image = registry.image("a", "1", "layer").await;
    let document = registry.artifact_document("a", &image, "application/x", "one").await;
    let digest = Digest::of(document.to_string().as_bytes());
    let answer = registry.manifest("a", digest.as_str(), &document).await;
    assert_eq!(answer.is(201).header("oci-subject"), image.as_str());
    let listed = registry.get(&format!("/v2/a/referrers/{image}")).await.json();
    assert_eq!(
        listed["manifests"],
        json!([{"mediaType": media_type::IMAGE_MANIFEST, "digest": digest, "size": document.to_string().len(),
            "artifactType": "application/x", "annotations": {"content": "one"}}])
    );
}

#[tokio::test]
async fn the_type_is_the_configurations_where_there_is_no_other() {
    let registry = Registry::new().await;
    let subject = Digest::of(b"never pushed");
    let mut image = registry.image_document("a", "layer").await;
    image["subject"] = descriptor(media_type::IMAGE_MANIFEST, &subject, 1);
    registry.manifest("a", "image", &image).await.is(201);
    let index = json!({"schemaVersion": 2, "mediaType": media_type::IMAGE_INDEX, "manifests": [],
        "subject": descriptor(media_type::IMAGE_MANIFEST, &subject, 1)});
    registry.manifest("a", "index", &index).await.is(201);
    let listed = registry.get(&format!("/v2/a/referrers/{subject}")).await.json();
    assert_eq!(listed["manifests"][0]["artifactType"], media_type::IMAGE_CONFIG);
    assert_eq!(
        (listed["manifests"][1]["mediaType"].as_str(), listed["manifests"][1].get("artifactType")),
        (Some(media_type::IMAGE_INDEX), None)
    );
    assert!(listed["manifests"][1].get("platform").is_none());
}

#[tokio::test]
async fn oldest_first_and_filtered() {
    let registry = Registry::new().await;
    let image = registry.image("a", "1", "layer").await;
    let mut pushed = Vec::new();
    for number in 0..9 {
        let kind = ["application/x+json", "application/y", "application/z"][number % 3];
        pushed.push(registry.artifact("a", &image, kind, &number.to_string()).await.to_string());
    }
    let path = format!("/v2/a/referrers/{image}");
    let all = registry.get(&path).await;
    assert_eq!((digests(&all), all.header("oci-filters-applied")), (pushed.clone(), ""));
    let every = |first: usize| pushed.iter().skip(first).step_by(3).cloned().collect::<Vec<_>>();
    for query in
        ["artifactType=application/x%2Bjson", "artifactType=application/x+json", "artifactType=application%2Fx%2Bjson&n=1"]
    {
        let filtered = registry.get(&format!("{path}?{query}")).await;
        assert_eq!((digests(&filtered), filtered.header("oci-filters-applied")), (every(0), "artifactType"), "{query}");
    }
    let either = registry.get(&format!("{path}?artifactType=application/z&artifactType=application/y")).await;
    assert_eq!(digests(&either).len(), 6);
    let none = registry.get(&format!("{path}?artifactType=application/none")).await;
    assert_eq!((digests(&none).len(), none.header("oci-filters-applied")), (0, "artifactType"));
    for query in ["artifactType=", "annotation=x", "x"] {
        let answer = registry.get(&format!("{path}?{query}")).await;
        assert_eq!((digests(&answer).len(), answer.header("oci-filters-applied")), (9, ""), "{query}");
    }
}

#[tokio::test]
async fn anything_can_be_a_subject() {
    let registry = Registry::new().await;
    let image = registry.image("a", "1", "layer").await;
    let signature = registry.artifact("a", &image, "application/x", "signature").await;
    let of_signature = registry.artifact("a", &signature, "application/x", "of it").await;
    assert_eq!(digests(&registry.get(&format!("/v2/a/referrers/{signature}")).await), [of_signature.to_string()]);
    let wide = sha512(b"wide");
    let of_wide = registry.artifact("a", &wide, "application/x", "of another algorithm").await;
    assert_eq!(digests(&registry.get(&format!("/v2/a/referrers/{wide}")).await), [of_wide.to_string()]);
    assert!(digests(&registry.get(&format!("/v2/b/referrers/{image}")).await).is_empty(), "another repository");
}

#[tokio::test]
async fn they_outlive_their_subject_and_not_themselves() {
    let registry = Registry::new().await;
    let image = registry.image("a", "1", "layer").await;
    let one = registry.artifact("a", &image, "application/x", "one").await;
    let two = registry.artifact("a", &image, "application/x", "two").await;
    registry.ask(Method::DELETE, &format!("/v2/a/manifests/{image}")).await.is(202);
    let path = format!("/v2/a/referrers/{image}");
    assert_eq!(digests(&registry.get(&path).await), [one.to_string(), two.to_string()]);
    registry.ask(Method::DELETE, &format!("/v2/a/manifests/{one}")).await.is(202);
    assert_eq!(digests(&registry.get(&path).await), [two.to_string()]);
}

/// Clients without the API keep a list under a tag; its members are referrers here whether they came before the list or not.
#[tokio::test]
async fn the_members_of_a_fallback_tag_are_referrers() {
    let registry = Registry::new().await;
    let image = registry.image("a", "1", "layer").await;
    let one = registry.artifact_document("a", &image, "application/x", "one").await;
    let digest = Digest::of(one.to_string().as_bytes());
    let stranger = registry.image("a", "2", "no referrer").await;
    let index = json!({"schemaVersion": 2, "mediaType": media_type::IMAGE_INDEX, "manifests": [
        descriptor(media_type::IMAGE_MANIFEST, &digest, 1), descriptor(media_type::IMAGE_MANIFEST, &stranger, 1)]});
    let tag = fallback_tag(&image);
    assert_eq!(registry.manifest("a", tag.as_str(), &index).await.is(400).words(), ["MANIFEST_BLOB_UNKNOWN"]);
    registry.manifest("a", digest.as_str(), &one).await.is(201);
    registry.manifest("a", tag.as_str(), &index).await.is(201);
    assert_eq!(registry.get(&format!("/v2/a/manifests/{tag}")).await.is(200).body, index.to_string());
    assert_eq!(digests(&registry.get(&format!("/v2/a/referrers/{image}")).await), [digest.to_string()]);
    let tags: Value = registry.get("/v2/a/tags/list").await.json();
    assert_eq!(tags["tags"], json!(["1", "2", tag]));
}

/// Most clients read no second page and about four megabytes of one.
#[tokio::test]
async fn beyond_four_megabytes_there_is_a_second_page() {
    let registry = Registry::new().await;
    let image = registry.image("a", "1", "layer").await;
    let mut pushed = Vec::new();
    for number in 0..11 {
        let mut document = registry.artifact_document("a", &image, "application/x+json", "same").await;
        document["annotations"] = json!({"number": number.to_string(), "long": "x".repeat(500_000)});
        let digest = Digest::of(document.to_string().as_bytes());
        registry.manifest("a", digest.as_str(), &document).await.is(201);
        pushed.push(digest.to_string());
    }
    let (mut found, mut path) = (Vec::new(), format!("/v2/a/referrers/{image}?artifactType=application/x%2Bjson"));
    loop {
        let answer = registry.get(&path).await;
        assert!(answer.body.len() <= 4 << 20);
        found.push(digests(&answer));
        let Some(link) = answer.header("link").strip_suffix(">; rel=\"next\"") else { break };
        path = link.strip_prefix('<').unwrap().to_owned();
    }
    assert_eq!((found.len(), found.concat()), (2, pushed));
}
