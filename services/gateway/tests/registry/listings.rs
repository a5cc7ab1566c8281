//! Lists of tags and repositories (distribution-spec, "Listing Tags").

use serde_json::json;

use crate::support::Registry;

async fn tagged(tags: &[&str]) -> Registry {
    let registry = Registry::new().await;
    for tag in tags {
        registry.image("team/app", tag, "layer").await;
    }
    registry
}

#[tokio::test]
async fn tags_in_the_order_of_their_bytes() {
    let registry = tagged(&["b", "a", "B", "1.10", "1.9", "_x"]).await;
    let answer = registry.get("/v2/team/app/tags/list").await;
    assert_eq!(answer.is(200).json(), json!({"name": "team/app", "tags": ["1.10", "1.9", "B", "_x", "a", "b"]}));
    assert_eq!((answer.header("link"), answer.header("content-type")), ("", "application/json"));
}

#[tokio::test]
async fn pages() {
    let registry = tagged(&["a", "b", "c", "d", "e"]).await;
    let page = async |query: &str| {
        let answer = registry.get(&format!("/v2/team/app/tags/list?{query}")).await;
        (answer.is(200).json()["tags"].clone(), answer.header("link").to_owned())
    };
    let next = |last: &str, n: usize| format!("</v2/team/app/tags/list?n={n}&last={last}>; rel=\"next\"");
    assert_eq!(page("n=2").await, (json!(["a", "b"]), next("b", 2)));
    assert_eq!(page("n=2&last=b").await, (json!(["c", "d"]), next("d", 2)));
    assert_eq!(page("n=2&last=d").await, (json!(["e"]), String::new()));
    assert_eq!(page("n=5").await, (json!(["a", "b", "c", "d", "e"]), String::new()));
    assert_eq!(page("n=100000").await, (json!(["a", "b", "c", "d", "e"]), String::new()));
    assert_eq!(page("n=0").await, (json!([]), String::new()));
    assert_eq!(page("last=c").await, (json!(["d", "e"]), String::new()));
    assert_eq!(page("last=bb").await, (json!(["c", "d", "e"]), String::new()), "it need not exist");
    assert_eq!(page("last=z").await, (json!([]), String::new()));
}

#[tokio::test]
async fn a_thousand_are_a_page() {
    let registry = Registry::new().await;
    let document = registry.image_document("a", "layer").await;
    let digest = oci::Digest::of(document.to_string().as_bytes());
    for first in (0..1_012).step_by(46) {
        let tags: Vec<String> = (first..first + 46).map(|number| format!("tag=t{number:04}")).collect();
        registry.manifest("a", &format!("{digest}?{}", tags.join("&")), &document).await.is(201);
    }
    for query in ["", "?n=5000"] {
        let answer = registry.get(&format!("/v2/a/tags/list{query}")).await;
        assert_eq!(answer.json()["tags"].as_array().unwrap().len(), 1_000);
        assert_eq!(answer.header("link"), "</v2/a/tags/list?n=1000&last=t0999>; rel=\"next\"");
    }
    let rest = registry.get("/v2/a/tags/list?n=1000&last=t0999").await;
    assert_eq!((rest.json()["tags"].as_array().unwrap().len(), rest.header("link")), (12, ""));
}

#[tokio::test]
async fn a_repository_that_never_was_and_one_without_tags() {
    let registry = Registry::new().await;
    registry.get("/v2/never/tags/list").await.refuses(404, "NAME_UNKNOWN", "repository_unknown");
    registry.blob("a", b"content").await;
    assert_eq!(registry.get("/v2/a/tags/list").await.is(200).json(), json!({"name": "a", "tags": []}));
}

#[tokio::test]
async fn what_is_no_number() {
    let registry = tagged(&["a"]).await;
    for path in ["/v2/team/app/tags/list", "/v2/_catalog"] {
        for n in ["-1", "x", "1.5", "+1", "%31x", "1e3"] {
            let answer = registry.get(&format!("{path}?n={n}")).await;
            answer.refuses(400, "PAGINATION_NUMBER_INVALID", "page_invalid");
        }
    }
    registry.get("/v2/team/app/tags/list?last=%00").await.refuses(400, "TAG_INVALID", "tag_invalid");
}

#[tokio::test]
async fn repositories() {
    let registry = Registry::new().await;
    assert_eq!(registry.get("/v2/_catalog").await.is(200).json(), json!({"repositories": []}));
    for name in ["b", "a/b", "a"] {
        registry.image(name, "1", "layer").await;
    }
    assert_eq!(registry.get("/v2/_catalog").await.json(), json!({"repositories": ["a", "a/b", "b"]}));
    let page = registry.get("/v2/_catalog?n=2").await;
    assert_eq!(page.json(), json!({"repositories": ["a", "a/b"]}));
    assert_eq!(page.header("link"), "</v2/_catalog?n=2&last=a%2Fb>; rel=\"next\"");
    let rest = registry.get("/v2/_catalog?n=2&last=a%2Fb").await;
    assert_eq!((rest.json(), rest.header("link")), (json!({"repositories": ["b"]}), ""));
}
