//! Who may do what, where something is locked.

use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use jiff::SignedDuration;
use oci::Digest;

use crate::support::{Answer, PUSH_SECRET, Registry, UNKNOWN, request, whole};

fn basic(password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("anybody:{password}")))
}

async fn ask(registry: &Registry, method: Method, path: &str, authorization: &str) -> Answer {
    let headers = [("authorization", authorization)];
    registry.send(request(method, path, if authorization.is_empty() { &[] } else { &headers }, Body::empty())).await
}

/// The challenge, as clients read it.
#[track_caller]
fn challenge(answer: &Answer) -> String {
    answer.refuses(401, "UNAUTHORIZED", "registry_unauthorized");
    assert_eq!(answer.headers.get_all("www-authenticate").iter().count(), 1);
    answer.header("www-authenticate").to_owned()
}

const REALM: &str = r#"Bearer realm="http://localhost:5000/token",service="localhost:5000""#;

/// Every path with the method that does something, and what it needs.
fn requests() -> Vec<(Method, String, &'static str)> {
    let blob = format!("/v2/team/app/blobs/{UNKNOWN}");
    vec![
        (Method::GET, "/v2/team/app/manifests/1".into(), "pull"),
        (Method::GET, blob.clone(), "pull"),
        (Method::GET, "/v2/team/app/tags/list".into(), "pull"),
        (Method::GET, format!("/v2/team/app/referrers/{UNKNOWN}"), "pull"),
        (Method::PUT, "/v2/team/app/manifests/1".into(), "pull,push"),
        (Method::POST, "/v2/team/app/blobs/uploads/".into(), "pull,push"),
        (Method::GET, "/v2/team/app/blobs/uploads/x".into(), "pull,push"),
        (Method::PATCH, "/v2/team/app/blobs/uploads/x".into(), "pull,push"),
        (Method::PUT, format!("/v2/team/app/blobs/uploads/x?digest={UNKNOWN}"), "pull,push"),
        (Method::DELETE, "/v2/team/app/blobs/uploads/x".into(), "pull,push"),
        (Method::DELETE, "/v2/team/app/manifests/1".into(), "pull,delete"),
        (Method::DELETE, blob, "pull,delete"),
    ]
}

#[tokio::test]
async fn without_credentials_nothing_or_reading() {
    for anonymous_pull in [false, true] {
        let registry = Registry::locked(anonymous_pull).await;
        assert_eq!(challenge(&registry.get("/v2/").await), REALM, "clients log in only when this is refused");
        for (method, path, actions) in requests() {
            let answer = registry.ask(method, &path).await;
            if anonymous_pull && actions == "pull" {
                assert!(answer.status == 404 || answer.status == 200, "{path}: {}", answer.text());
            } else {
                assert_eq!(challenge(&answer), format!(r#"{REALM},scope="repository:team/app:{actions}""#), "{path}");
            }
        }
        assert_eq!(challenge(&registry.get("/v2/_catalog").await), format!(r#"{REALM},scope="registry:catalog:*""#));
    }
}

#[tokio::test]
async fn wrong_credentials_are_refused_even_where_none_would_do() {
    let registry = Registry::locked(true).await;
    for authorization in [basic("wrong"), "Bearer wrong".into(), "Basic !".into(), "Negotiate x".into()] {
        for path in ["/v2/", "/v2/team/app/tags/list"] {
            let answer = ask(&registry, Method::GET, path, &authorization).await;
            assert_eq!(challenge(&answer), format!(r#"{REALM},error="invalid_token""#));
        }
    }
}

#[tokio::test]
async fn with_the_secret_everything() {
    let registry = Registry::locked(false).await;
    for authorization in [basic(PUSH_SECRET), format!("Bearer {PUSH_SECRET}")] {
        let ask = async |method, path: &str| ask(&registry, method, path, &authorization).await;
        ask(Method::GET, "/v2/").await.is(200);
        ask(Method::GET, "/v2/_catalog").await.is(200);
        for (method, path, _) in requests() {
            let answer = ask(method, &path).await;
            assert!(![401, 403].contains(&answer.status.as_u16()), "{path}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn a_session_for_the_secret() {
    let registry = Registry::locked(true).await;
    let token = async |query: &str, authorization: &str| {
        let answer = ask(&registry, Method::GET, &format!("/token?service=localhost:5000{query}"), authorization).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!((answer.header("content-type"), answer.header("cache-control")), ("application/json", "no-store"));
        let body = answer.json();
        assert_eq!((&body["token"], &body["expires_in"]), (&body["access_token"], &300.into()));
        assert_eq!(body["issued_at"], "2026-11-21T09:14:03Z");
        format!("Bearer {}", body["token"].as_str().unwrap())
    };
    let push = token("&scope=repository:team/app:pull,push&scope=repository:b:pull&account=x", &basic(PUSH_SECRET)).await;
    ask(&registry, Method::GET, "/v2/", &push).await.is(200);
    ask(&registry, Method::POST, "/v2/team/app/blobs/uploads/", &push).await.is(202);
    let spaced = token("&scope=repository:b:pull%20repository:team/app:pull,push", &basic(PUSH_SECRET)).await;
    ask(&registry, Method::POST, "/v2/team/app/blobs/uploads/", &spaced).await.is(202);
    let login = token("&client_id=docker&offline_token=true", &basic(PUSH_SECRET)).await;
    ask(&registry, Method::GET, "/v2/", &login).await.is(200);

    let anonymous = token("&scope=repository:team/app:pull,push", "").await;
    for pull in [anonymous, token("&scope=repository:team/app:pull", &basic(PUSH_SECRET)).await] {
        ask(&registry, Method::GET, "/v2/", &pull).await.is(200);
        ask(&registry, Method::GET, &format!("/v2/team/app/referrers/{UNKNOWN}"), &pull).await.is(200);
        let answer = ask(&registry, Method::POST, "/v2/team/app/blobs/uploads/", &pull).await;
        let expected = format!(r#"{REALM},scope="repository:team/app:pull,push",error="insufficient_scope""#);
        assert_eq!(challenge(&answer), expected);
    }
    registry.clock.advance(SignedDuration::from_secs(300));
    assert_eq!(challenge(&ask(&registry, Method::GET, "/v2/", &push).await), format!(r#"{REALM},error="invalid_token""#));
}

#[tokio::test]
async fn a_session_by_form() {
    let registry = Registry::locked(false).await;
    let post = async |form: String| {
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        registry.send(whole(Method::POST, "/token", &headers, form)).await
    };
    let form = |password: &str| {
        format!("grant_type=password&service=s&client_id=c&username=u&password={password}&scope=repository:a:pull,push")
    };
    let answer = post(form(&PUSH_SECRET.replace(' ', "+"))).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["scope"]), (200, &"repository:a:pull,push".into()));
    let token = format!("Bearer {}", answer.json()["access_token"].as_str().unwrap());
    ask(&registry, Method::POST, "/v2/a/blobs/uploads/", &token).await.is(202);
    for refused in [form("wrong"), "grant_type=refresh_token&refresh_token=x".into(), String::new()] {
        let answer = post(refused).await;
        assert_eq!((answer.status.as_u16(), answer.words()), (401, vec!["UNAUTHORIZED".to_owned()]));
    }
}

#[tokio::test]
async fn a_session_that_is_refused() {
    let registry = Registry::locked(false).await;
    for authorization in ["", &basic("wrong"), &format!("Bearer {PUSH_SECRET}")] {
        let answer = ask(&registry, Method::GET, "/token?service=s", authorization).await;
        assert_eq!((answer.status.as_u16(), answer.words()), (401, vec!["UNAUTHORIZED".to_owned()]), "{authorization}");
    }
    let scopes = "&scope=repository:a:pull".repeat(33);
    let answer = ask(&registry, Method::GET, &format!("/token?service=s{scopes}"), &basic(PUSH_SECRET)).await;
    assert_eq!((answer.status.as_u16(), answer.words()), (400, vec!["DENIED".to_owned()]));
    let open = Registry::new().await;
    assert_eq!(open.get("/token?service=s").await.status, 404);
}

/// A page that somebody visits can make a browser on this machine send requests to an open registry.
#[tokio::test]
async fn a_page_in_a_browser_cannot_write() {
    let registry = Registry::new().await;
    let digest = Digest::of(b"content");
    let page = [("origin", "https://elsewhere.example"), ("content-type", "text/plain")];
    let path = format!("/v2/a/blobs/uploads/?digest={digest}");
    registry.send(whole(Method::POST, &path, &page, "content")).await.refuses(403, "DENIED", "registry_browser");
    registry.get(&format!("/v2/a/blobs/{digest}")).await.refuses(404, "BLOB_UNKNOWN", "blob_unknown");
}

#[tokio::test]
async fn no_secret_and_no_token_in_any_answer() {
    let registry = Registry::locked(false).await;
    for authorization in [basic("a wrong password"), "Bearer a-wrong-token".into()] {
        let answer = ask(&registry, Method::GET, "/v2/", &authorization).await;
        let all = format!("{} {:?}", answer.text(), answer.headers);
        for secret in ["a wrong password", "a-wrong-token", PUSH_SECRET, &STANDARD.encode("anybody:a wrong password")] {
            assert!(!all.contains(secret), "{all}");
        }
    }
}
