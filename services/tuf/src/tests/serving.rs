//! Over HTTP: what is there, what is not, and who may ask.

use axum::body::Body;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::BodyExt as _;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::test_runner::TestRunner;
use tower::ServiceExt as _;

use super::fixture::Fixture;
use crate::*;

async fn ask(service: &Tuf, method: Method, path: &str) -> Response<Body> {
    let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    service.router().oneshot(request).await.unwrap()
}

async fn body(response: Response<Body>) -> Vec<u8> {
    response.into_body().collect().await.unwrap().to_bytes().to_vec()
}

#[tokio::test]
async fn every_file_of_the_repository_is_served_as_it_lies_there() {
    let fixture = Fixture::created().await;
    let service = fixture.service();
    let trusted_root = fixture.read().unwrap().target_file(&TRUSTED_ROOT.parse().unwrap()).unwrap().to_string();
    for (name, cache, content) in [
        ("timestamp.json", "no-cache", "application/json"),
        ("root.json", "no-cache", "application/json"),
        ("1.root.json", "public, max-age=31536000, immutable", "application/json"),
        ("1.snapshot.json", "public, max-age=31536000, immutable", "application/json"),
        ("1.targets.json", "public, max-age=31536000, immutable", "application/json"),
        (&trusted_root, "public, max-age=31536000, immutable", "application/octet-stream"),
    ] {
        let expected = fixture.bytes(name);
        let head = ask(&service, Method::HEAD, &format!("/{name}")).await;
        assert_eq!(head.status(), StatusCode::OK);
        assert_eq!(head.headers()[header::CONTENT_LENGTH], expected.len().to_string());
        assert_eq!(body(head).await, b"");
        let got = ask(&service, Method::GET, &format!("/{name}")).await;
        assert_eq!(got.status(), StatusCode::OK, "{name}");
        assert_eq!(got.headers()[header::CACHE_CONTROL], cache, "{name}");
        assert_eq!(got.headers()[header::CONTENT_TYPE], content, "{name}");
        assert_eq!(body(got).await, expected, "{name}");
    }
}

#[tokio::test]
async fn what_is_missing_is_404_and_nothing_else() {
    let fixture = Fixture::created().await;
    std::fs::write(fixture.place.directory.join("secret.txt"), "secret").unwrap();
    std::fs::write(fixture.place.directory.join(".publishing"), "half").unwrap();
    let service = fixture.service();
    for path in [
        "/",
        "/2.root.json",
        "/99.snapshot.json",
        "/secret.txt",
        "/.publishing",
        "/targets",
        "/targets/",
        "/targets/trusted_root.json",
        "//root.json",
        "/./root.json",
        "/../tuf.json",
        "/targets/../root.json",
        "/%2e%2e/tuf.json",
        "/targets/..%2f..%2ftuf.json",
        "/%31.root.json",
        "/ROOT.json",
        "/root.json%00",
    ] {
        for method in [Method::GET, Method::HEAD] {
            let status = ask(&service, method, path).await.status();
            assert_eq!(status, StatusCode::NOT_FOUND, "{path}");
        }
    }
    // A query belongs to a proxy's cache, not to the name.
    assert_eq!(ask(&service, Method::GET, "/root.json?x=1").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn nothing_can_be_written() {
    let fixture = Fixture::created().await;
    let service = fixture.service();
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
        let refused = ask(&service, method, "/timestamp.json").await;
        assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(refused.headers()[header::ALLOW], "GET,HEAD");
    }
    fixture.read().unwrap();
}

#[tokio::test]
async fn a_failing_disk_is_not_an_absent_root() {
    let fixture = Fixture::created().await;
    std::fs::create_dir(fixture.place.directory.join("2.root.json")).unwrap();
    let answer = ask(&fixture.service(), Method::GET, "/2.root.json").await;
    assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
}

/// Whatever is asked for: a file of the layout, or 404.
#[test]
fn no_path_reaches_another_file() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let fixture = runtime.block_on(Fixture::created());
    let paths = r"/(\.\./|targets/|%2e|[a-z0-9.%/]){0,8}(root\.json|tuf\.json|timestamp\.json)?";
    let outcome = TestRunner::default().run(&paths, |path| {
        runtime.block_on(async {
            let answer = ask(&fixture.service(), Method::GET, &path).await;
            if answer.status() == StatusCode::NOT_FOUND {
                return Ok(());
            }
            prop_assert_eq!(answer.status(), StatusCode::OK);
            let name = FileName::parse(&path[1..]);
            prop_assert!(name.is_some(), "only names of the layout are served");
            prop_assert_eq!(body(answer).await, fixture.bytes(&path[1..]));
            Ok(())
        })
    });
    outcome.unwrap();
}
