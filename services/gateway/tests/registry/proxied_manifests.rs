use jiff::SignedDuration;
use oci::{Digest, media_type};
use serde_json::json;
use testkit::Reply;

use crate::behind::Behind;
use crate::support::{UNKNOWN, descriptor};

const TAG: &str = "/v2/hub/team/app/manifests/v1";

fn by_digest(digest: &Digest) -> String {
    format!("/v2/hub/team/app/manifests/{digest}")
}

#[tokio::test]
async fn a_tag_is_asked_by_its_head_and_fetched_by_its_digest() {
    let behind = Behind::new().await;
    let digest = behind.image("team/app", "v1", "content");
    let gateway = behind.gateway().await;
    let first = gateway.get(TAG).await;
    first.is(200);
    assert_eq!(Digest::of(&first.body), digest);
    assert_eq!(
        (first.header("docker-content-digest"), first.header("content-type")),
        (digest.as_str(), media_type::IMAGE_MANIFEST)
    );
    assert_eq!(first.header("x-gateway-upstream"), "miss");
    let asked = ["HEAD /v2/team/app/manifests/v1".to_owned(), format!("GET /v2/team/app/manifests/{digest}")];
    assert_eq!(behind.asked(), asked);
    gateway.clock.advance(SignedDuration::from_secs(59));
    let second = gateway.get(TAG).await;
    assert_eq!((second.body, second.headers["x-gateway-upstream"].as_bytes()), (first.body, &b"hit; age=59"[..]));
    gateway.get(&by_digest(&digest)).await.is(200);
    assert_eq!(behind.asked().len(), 2, "believed for a minute, and a digest for ever");
}

#[tokio::test]
async fn bytes_are_kept_as_they_are() {
    let behind = Behind::new().await;
    let pretty =
        format!(" {{ \"schemaVersion\" :2,\n\"manifests\":[], \"mediaType\":\"{}\" , \"x\": 1e2 }}\n", media_type::DOCKER_LIST);
    behind.hold("team/app/manifests/v1", media_type::DOCKER_LIST, pretty.clone());
    behind.hold(&format!("team/app/manifests/{}", Digest::of(pretty.as_bytes())), media_type::DOCKER_LIST, pretty.clone());
    let answer = behind.gateway().await.get(TAG).await;
    assert_eq!((&answer.body[..], answer.header("content-type")), (pretty.as_bytes(), media_type::DOCKER_LIST));
}

#[tokio::test]
async fn when_its_time_is_over_a_tag_is_asked_again_and_fetched_only_if_it_moved() {
    let behind = Behind::new().await;
    let old = behind.image("team/app", "v1", "old");
    let gateway = behind.gateway().await;
    gateway.get(TAG).await.is(200);
    gateway.clock.advance(SignedDuration::from_secs(60));
    assert_eq!(gateway.get(TAG).await.header("x-gateway-upstream"), "hit; age=0");
    assert_eq!(behind.asked()[2..], ["HEAD /v2/team/app/manifests/v1"]);
    let new = behind.image("team/app", "v1", "new");
    gateway.clock.advance(SignedDuration::from_secs(60));
    let answer = gateway.get(TAG).await;
    assert_eq!((answer.header("docker-content-digest"), answer.header("x-gateway-upstream")), (new.as_str(), "miss"));
    gateway.get(&by_digest(&old)).await.is(200);
}

#[tokio::test]
async fn nothing_that_an_index_has_is_fetched_before_somebody_asks() {
    let behind = Behind::new().await;
    let child = behind.image("team/app", "", "content");
    let index = json!({
        "schemaVersion": 2, "mediaType": media_type::IMAGE_INDEX, "manifests": [descriptor(media_type::IMAGE_MANIFEST, &child, 1)],
    });
    behind.manifest("team/app", "v1", &index);
    let gateway = behind.gateway().await;
    gateway.get(TAG).await.is(200);
    assert_eq!(behind.asked().len(), 2);
    gateway.get(&by_digest(&child)).await.is(200);
    assert_eq!(behind.asked().len(), 3);
}

/// Nothing is served from here that the upstream would not have said: only older, and with a warning.
#[tokio::test]
async fn while_the_upstream_is_out_of_order_what_it_said_last_is_served() {
    let behind = Behind::new().await;
    let digest = behind.image("team/app", "v1", "content");
    let gateway = behind.gateway().await;
    gateway.get(TAG).await.is(200);
    for trouble in [429, 500, 502, 503, 504, 408, 0] {
        if trouble == 0 {
            behind.vanish();
        } else {
            behind.answer_all(trouble);
        }
        gateway.clock.advance(SignedDuration::from_secs(60));
        let answer = gateway.get(TAG).await;
        answer.is(200);
        assert_eq!(answer.header("docker-content-digest"), digest.as_str(), "{trouble}");
        assert_eq!(answer.header("warning"), "299 - \"stale: upstream unavailable since 2026-11-21T09:14:03Z\"", "{trouble}");
        assert!(answer.header("x-gateway-upstream").starts_with("stale; age="), "{trouble}");
        gateway.get(&by_digest(&digest)).await.is(200);
    }
    let gateway = gateway.restarted().await;
    assert_eq!(gateway.get(TAG).await.header("docker-content-digest"), digest.as_str(), "also after a restart");
    behind.behave();
    let moved = behind.image("team/app", "v1", "new");
    // It is left alone for a second after it did not answer.
    tokio::time::sleep(std::time::Duration::from_millis(1_100)).await;
    let answer = gateway.get(TAG).await;
    assert_eq!(
        (answer.header("docker-content-digest"), answer.header("warning")),
        (moved.as_str(), ""),
        "and it is believed again"
    );
}

#[tokio::test]
async fn what_was_never_seen_is_unavailable_while_the_upstream_is() {
    let behind = Behind::new().await;
    behind.twist(|_, _| Some(Reply::new(429, &[("retry-after", "77")], "")));
    let gateway = behind.gateway().await;
    let answer = gateway.get(TAG).await;
    answer.refuses(503, "UNAVAILABLE", "upstream_unavailable");
    assert_eq!(answer.header("retry-after"), "77");
    assert_eq!(behind.asked().len(), 1, "a longer pause than anyone waits is not waited for");
    behind.vanish();
    gateway.get(&by_digest(&UNKNOWN.parse().unwrap())).await.refuses(503, "UNAVAILABLE", "upstream_unavailable");
}

#[tokio::test]
async fn what_is_gone_there_is_gone_here() {
    let behind = Behind::new().await;
    let digest = behind.image("team/app", "v1", "content");
    let gateway = behind.gateway().await;
    gateway.get(TAG).await.is(200);
    behind.lose("team/app/manifests/v1");
    gateway.clock.advance(SignedDuration::from_secs(60));
    gateway.get(TAG).await.refuses(404, "MANIFEST_UNKNOWN", "manifest_unknown");
    gateway.get(TAG).await.refuses(404, "MANIFEST_UNKNOWN", "manifest_unknown");
    assert_eq!(behind.count("HEAD "), 2, "for a while it is believed that it is not there");
    behind.vanish();
    let gateway = gateway.restarted().await;
    gateway.get(&by_digest(&digest)).await.is(200);
    assert_eq!(gateway.get(TAG).await.status.as_u16(), 503, "not served again because nobody says that it is gone");
}

#[tokio::test]
async fn a_refusal_of_the_upstream_is_a_refusal_whatever_is_here() {
    let behind = Behind::new().await;
    behind.image("team/app", "v1", "content");
    let gateway = behind.gateway().await;
    gateway.get(TAG).await.is(200);
    for status in [401, 403] {
        behind.answer_all(status);
        gateway.clock.advance(SignedDuration::from_secs(60));
        gateway.get(TAG).await.refuses(403, "DENIED", "upstream_denied");
    }
}

#[tokio::test]
async fn an_upstream_that_lies_is_not_believed() {
    let behind = Behind::new().await;
    let digest = behind.image("team/app", "v1", "content");
    let other = behind.image("team/app", "", "other");
    let gateway = behind.gateway().await;
    let lie = |says: Digest| {
        move |request: &testkit::ScriptedRequest, reply: Reply| {
            let body = if request.line.starts_with("GET") { "{\"schemaVersion\":2,\"config\":{},\"layers\":[]}" } else { "" };
            let says = says.to_string();
            Some(if request.line.contains("/manifests/") {
                Reply::new(200, &[("docker-content-digest", &says)], body)
            } else {
                reply
            })
        }
    };
    behind.twist(lie(digest.clone()));
    gateway.get(TAG).await.refuses(502, "UNAVAILABLE", "upstream_wrong");
    gateway.get(&by_digest(&digest)).await.refuses(502, "UNAVAILABLE", "upstream_wrong");
    behind.behave();
    gateway.get(TAG).await.is(200);
    behind.twist(lie(other));
    gateway.clock.advance(SignedDuration::from_secs(60));
    gateway.get(TAG).await.refuses(502, "UNAVAILABLE", "upstream_wrong");
}

#[tokio::test]
async fn a_tag_that_names_what_the_upstream_does_not_have_is_not_right() {
    let behind = Behind::new().await;
    let digest = behind.image("team/app", "v1", "content");
    behind.lose(&format!("team/app/manifests/{digest}"));
    behind.gateway().await.get(TAG).await.refuses(502, "UNAVAILABLE", "upstream_wrong");
}

#[tokio::test]
async fn an_upstream_that_is_not_to_be_called_is_not_called() {
    let behind = Behind::new().await;
    let digest = behind.image("team/app", "v1", "content");
    let gateway = behind.gateway().await;
    gateway.get(TAG).await.is(200);
    let asked = behind.asked().len();
    let gateway = gateway.reconfigured(|config| config["upstreams"][0]["offline"] = true.into()).await;
    gateway.clock.advance(SignedDuration::from_hours(1_000));
    assert_eq!(gateway.get(TAG).await.header("x-gateway-upstream"), "offline; age=3600000");
    gateway.get(&by_digest(&digest)).await.is(200);
    gateway.get("/v2/hub/team/app/manifests/v2").await.refuses(404, "MANIFEST_UNKNOWN", "manifest_unknown");
    gateway.get(&format!("/v2/hub/team/app/manifests/{UNKNOWN}")).await.refuses(404, "MANIFEST_UNKNOWN", "manifest_unknown");
    gateway.get(&format!("/v2/hub/team/app/blobs/{UNKNOWN}")).await.refuses(404, "BLOB_UNKNOWN", "blob_unknown");
    assert_eq!(gateway.get(&format!("/v2/hub/team/app/referrers/{digest}")).await.is(200).json()["manifests"], json!([]));
    assert_eq!(gateway.get("/v2/hub/team/app/tags/list").await.json()["tags"], json!(["v1"]));
    assert_eq!(behind.asked().len(), asked);
}

#[tokio::test]
async fn many_who_ask_at_once_are_one_question() {
    let behind = Behind::new().await;
    behind.image("team/app", "v1", "content");
    let gateway = behind.gateway().await;
    let answers = futures_util::future::join_all((0..16).map(|_| gateway.get(TAG))).await;
    assert!(answers.iter().all(|answer| answer.status == 200));
    assert_eq!(behind.asked().len(), 2);
}

#[tokio::test]
async fn tags_are_listed_as_the_upstream_lists_them() {
    let behind = Behind::new().await;
    behind.image("team/app", "v1", "content");
    behind.hold("team/app/tags/list?n=1000", "application/json", r#"{"tags":["b","a","v1"]}"#);
    behind.hold("team/app/tags/list?n=3", "application/json", r#"{"tags":["b","a","v1"]}"#);
    let gateway = behind.gateway().await;
    gateway.get(TAG).await.is(200);
    assert_eq!(gateway.get("/v2/hub/team/app/tags/list").await.json(), json!({"name": "hub/team/app", "tags": ["b", "a", "v1"]}));
    let page = gateway.get("/v2/hub/team/app/tags/list?n=2").await;
    assert_eq!(
        (page.json()["tags"].clone(), page.header("link")),
        (json!(["b", "a"]), "</v2/hub/team/app/tags/list?n=2&last=a>; rel=\"next\"")
    );
    gateway.get("/v2/hub/team/other/tags/list").await.refuses(404, "NAME_UNKNOWN", "repository_unknown");
    behind.answer_all(503);
    assert_eq!(gateway.get("/v2/hub/team/app/tags/list").await.json()["tags"], json!(["v1"]), "those that were asked for");
}

#[tokio::test]
async fn the_longest_prefix_wins_and_what_is_beside_it_is_ours() {
    let (wide, narrow) = (Behind::new().await, Behind::new().await);
    let (one, two) = (wide.image("team/app", "v1", "wide"), narrow.image("app", "v1", "narrow"));
    let gateway = crate::support::Registry::with(|config| {
        config["upstreams"] = json!([{"prefix": "hub", "url": wide.url()}, {"prefix": "hub/narrow", "url": narrow.url()}]);
    })
    .await;
    assert_eq!(gateway.get(TAG).await.header("docker-content-digest"), one.as_str());
    assert_eq!(gateway.get("/v2/hub/narrow/app/manifests/v1").await.header("docker-content-digest"), two.as_str());
    gateway.get("/v2/hubs/app/manifests/v1").await.refuses(404, "MANIFEST_UNKNOWN", "manifest_unknown");
    assert_eq!((wide.count("HEAD"), narrow.count("HEAD")), (1, 1));
}

#[tokio::test]
async fn nothing_is_written_to_what_is_seen_through() {
    let behind = Behind::new().await;
    behind.image("team/app", "v1", "content");
    let gateway = behind.gateway().await;
    gateway.get(TAG).await.is(200);
    let put = gateway.put(TAG, &[("content-type", media_type::IMAGE_INDEX)], r#"{"schemaVersion":2,"manifests":[]}"#).await;
    put.refuses(403, "DENIED", "repository_proxied");
    gateway.ask(http::Method::DELETE, TAG).await.refuses(403, "DENIED", "repository_proxied");
    gateway.ask(http::Method::POST, "/v2/hub/team/app/blobs/uploads/").await.refuses(403, "DENIED", "repository_proxied");
    assert_eq!(behind.asked().len(), 2);
}

#[tokio::test]
async fn a_prefix_that_another_registry_has_now_shows_nothing_that_the_first_said() {
    let behind = Behind::new().await;
    let digest = behind.image("team/app", "v1", "content");
    let gateway = behind.gateway().await;
    gateway.get(TAG).await.is(200);
    let other = Behind::new().await;
    let gateway = gateway.reconfigured(|config| config["upstreams"][0]["url"] = other.url().into()).await;
    gateway.get(TAG).await.refuses(404, "MANIFEST_UNKNOWN", "manifest_unknown");
    let moved = other.image("team/app", "v2", "content of the other");
    other.answer_all(403);
    gateway.get("/v2/hub/team/app/manifests/v2").await.refuses(403, "DENIED", "upstream_denied");
    other.behave();
    assert_eq!(gateway.get("/v2/hub/team/app/manifests/v2").await.header("docker-content-digest"), moved.as_str());
    assert_ne!(digest, moved);
}
