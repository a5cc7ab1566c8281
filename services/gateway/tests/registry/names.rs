//! Paths, names, tags and digests (distribution-spec, "Pulling manifests").

use http::{Method, StatusCode};
use serde_json::json;

use crate::support::{Registry, UNKNOWN};

#[tokio::test]
async fn this_is_a_registry() {
    let registry = Registry::new().await;
    for path in ["/v2", "/v2/"] {
        let answer = registry.get(path).await;
        assert_eq!((answer.is(200).json(), answer.header("content-type")), (json!({}), "application/json"));
        let head = registry.ask(Method::HEAD, path).await;
        assert!(head.is(200).body.is_empty());
    }
    let answer = registry.get("/v2/_oci/ext/discover").await;
    assert_eq!(answer.is(200).json(), json!({"extensions": []}));
}

#[tokio::test]
async fn ten_bad_names() {
    let registry = Registry::new().await;
    let long = "a".repeat(256);
    for name in
        ["A", "team/App", "-a", "a-", "a//b", "a/../b", "a..b", "a%2Fb", "a%2e%2e%2fb", "a___b", "a._b", "%C3%A4", "a%", &long]
    {
        for (method, path) in [
            (Method::GET, format!("/v2/{name}/manifests/latest")),
            (Method::HEAD, format!("/v2/{name}/blobs/{UNKNOWN}")),
            (Method::POST, format!("/v2/{name}/blobs/uploads/")),
            (Method::GET, format!("/v2/{name}/tags/list")),
            (Method::GET, format!("/v2/{name}/referrers/{UNKNOWN}")),
        ] {
            let answer = registry.ask(method.clone(), &path).await;
            if method == Method::HEAD {
                assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}");
                assert!(answer.body.is_empty());
            } else {
                answer.refuses(400, "NAME_INVALID", "repository_name_invalid");
            }
        }
    }
}

/// The host is part of the name that clients build, and 255 characters are the most that many take.
#[tokio::test]
async fn a_name_must_fit_beside_the_host() {
    let registry = Registry::new().await;
    let longest = "a".repeat(255 - "localhost:5000/".len());
    registry.get(&format!("/v2/{longest}/referrers/{UNKNOWN}")).await.is(200);
    registry.get(&format!("/v2/{longest}a/referrers/{UNKNOWN}")).await.refuses(400, "NAME_INVALID", "repository_name_invalid");
}

#[tokio::test]
async fn ten_bad_digests() {
    let registry = Registry::new().await;
    let good = UNKNOWN.strip_prefix("sha256:").unwrap();
    for digest in [
        "sha256:baddigeststring".to_owned(),
        "sha256:".to_owned(),
        format!("sha256:{}", &good[1..]),
        format!("sha256:{good}0"),
        format!("sha256:{}", good.replace('0', "A")),
        format!("sha256:{}", good.replace('0', "g")),
        format!("sha512:{good}"),
        format!("SHA256:{good}"),
        format!("md5:{}", &good[..32]),
        format!("blake3:{good}"),
        format!("sha256:sha256:{good}"),
        format!("sha256+b64:{good}"),
    ] {
        for (method, path) in [
            (Method::GET, format!("/v2/a/manifests/{digest}")),
            (Method::PUT, format!("/v2/a/manifests/{digest}")),
            (Method::DELETE, format!("/v2/a/manifests/{digest}")),
            (Method::GET, format!("/v2/a/blobs/{digest}")),
            (Method::DELETE, format!("/v2/a/blobs/{digest}")),
            (Method::GET, format!("/v2/a/referrers/{digest}")),
            (Method::POST, format!("/v2/a/blobs/uploads/?digest={digest}")),
            (Method::POST, format!("/v2/a/blobs/uploads/?mount={digest}&from=b")),
        ] {
            registry.ask(method, &path).await.refuses(400, "DIGEST_INVALID", "digest_invalid");
        }
    }
    for path in ["/v2/a/blobs/latest", "/v2/a/referrers/latest"] {
        registry.get(path).await.refuses(400, "DIGEST_INVALID", "digest_invalid");
    }
}

#[tokio::test]
async fn a_bad_tag_does_not_exist_and_cannot_be_made() {
    let registry = Registry::new().await;
    for tag in [".INVALID_MANIFEST_NAME", "-a", "a+b", "a%20b", &"x".repeat(129), "%C3%A4"] {
        let path = format!("/v2/a/manifests/{tag}");
        registry.get(&path).await.refuses(404, "MANIFEST_UNKNOWN", "manifest_unknown");
        registry.ask(Method::DELETE, &path).await.refuses(404, "MANIFEST_UNKNOWN", "manifest_unknown");
        registry.put(&path, &[], "{}").await.refuses(400, "TAG_INVALID", "tag_invalid");
    }
}

#[tokio::test]
async fn other_paths_and_methods() {
    let registry = Registry::new().await;
    for path in ["/", "/v1/", "/v2/a", "/v2/a/b/c", "/v2/a/tags", "/v2/_catalog/x", "/healthz", "/v2x"] {
        registry.get(path).await.refuses(404, "UNSUPPORTED", "path_not_found");
    }
    for (method, path, methods) in [
        (Method::POST, "/v2/", "GET, HEAD"),
        (Method::DELETE, "/v2/_catalog", "GET, HEAD"),
        (Method::PUT, "/v2/a/tags/list", "GET, HEAD"),
        (Method::POST, "/v2/a/manifests/latest", "GET, HEAD, PUT, DELETE"),
        (Method::PATCH, "/v2/a/manifests/latest", "GET, HEAD, PUT, DELETE"),
        (Method::GET, "/v2/a/blobs/uploads/", "POST"),
        (Method::POST, "/v2/a/blobs/uploads/x", "GET, HEAD, PATCH, PUT, DELETE"),
    ] {
        let answer = registry.ask(method, path).await;
        answer.refuses(405, "UNSUPPORTED", "method_not_allowed");
        assert_eq!(answer.header("allow"), methods, "{path}");
    }
    registry.ask(Method::PUT, &format!("/v2/a/blobs/{UNKNOWN}")).await.refuses(405, "UNSUPPORTED", "method_not_allowed");
    registry.ask(Method::OPTIONS, &format!("/v2/a/referrers/{UNKNOWN}")).await.refuses(405, "UNSUPPORTED", "method_not_allowed");
}
