use jiff::SignedDuration;
use oci::{Digest, fallback_tag, media_type};
use serde_json::{Value, json};
use testkit::{Reply, wait_until};

use crate::behind::Behind;
use crate::support::{Registry, descriptor};

const MINUTE: SignedDuration = SignedDuration::from_secs(60);

fn path(subject: &Digest) -> String {
    format!("/v2/hub/team/app/referrers/{subject}")
}

/// The listed digests.
async fn listed(gateway: &Registry, subject: &Digest) -> Vec<String> {
    let answer = gateway.get(&path(subject)).await;
    answer.is(200);
    assert_eq!(answer.header("content-type"), media_type::IMAGE_INDEX);
    digests(&answer.json())
}

fn digests(listing: &Value) -> Vec<String> {
    listing["manifests"].as_array().unwrap().iter().map(|entry| entry["digest"].as_str().unwrap().to_owned()).collect()
}

/// What lists them: the API, or the tag that stands in for it.
fn list(behind: &Behind, api: bool, subject: &Digest, all: &[&Digest]) {
    if api { behind.list("team/app", subject, all) } else { behind.list_by_tag("team/app", subject, all) }
}

#[tokio::test]
async fn they_are_listed_with_what_they_say_of_themselves() {
    for api in [true, false] {
        let behind = Behind::new().await;
        let subject = behind.image("team/app", "v1", "content");
        let (two, one) = (behind.artifact("team/app", &subject, "two"), behind.artifact("team/app", &subject, "one"));
        list(&behind, api, &subject, &[&two, &one]);
        let gateway = behind.gateway().await;
        let answer = gateway.get(&path(&subject)).await;
        answer.is(200);
        assert_eq!(answer.header("x-gateway-upstream"), "miss");
        let entries = answer.json()["manifests"].clone();
        assert_eq!(digests(&answer.json()), [two.as_str(), one.as_str()], "in the upstream's order");
        assert_eq!(
            (&entries[0]["artifactType"], &entries[0]["annotations"]),
            (&json!("application/signature"), &json!({"content": "two"}))
        );
        assert!(entries[0]["size"].as_u64().unwrap() > 1, "not what the listing claimed");
        let filtered = gateway.get(&format!("{}?artifactType=application/other", path(&subject))).await;
        assert_eq!((filtered.json()["manifests"].clone(), filtered.header("oci-filters-applied")), (json!([]), "artifactType"));
        assert_eq!(filtered.header("x-gateway-upstream"), "hit; age=0");
    }
}

#[tokio::test]
async fn what_does_not_refer_to_the_subject_is_not_listed() {
    for api in [true, false] {
        let behind = Behind::new().await;
        let subject = behind.image("team/app", "v1", "content");
        let good = behind.artifact("team/app", &subject, "good");
        let of_another = behind.artifact("team/app", &Digest::of(b"another"), "of another");
        let (gone, none) = (Digest::of(b"gone"), Digest::of(b"no manifest"));
        behind.hold(&format!("team/app/manifests/{none}"), media_type::IMAGE_MANIFEST, "no manifest");
        let lie = Digest::of(b"lie");
        behind.hold(&format!("team/app/manifests/{lie}"), media_type::IMAGE_MANIFEST, "another content");
        list(&behind, api, &subject, &[&of_another, &gone, &none, &lie, &subject, &good]);
        assert_eq!(listed(&behind.gateway().await, &subject).await, [good.as_str()]);
    }
}

#[tokio::test]
async fn an_api_that_says_nothing_is_not_believed_alone() {
    let behind = Behind::new().await;
    let subject = behind.image("team/app", "v1", "content");
    let good = behind.artifact("team/app", &subject, "good");
    behind.list("team/app", &subject, &[]);
    behind.list_by_tag("team/app", &subject, &[&good]);
    assert_eq!(listed(&behind.gateway().await, &subject).await, [good.as_str()]);
}

#[tokio::test]
async fn nothing_attached_is_an_empty_list_with_and_without_the_api() {
    for api in [true, false] {
        let behind = Behind::new().await;
        let subject = behind.image("team/app", "v1", "content");
        if api {
            behind.list("team/app", &subject, &[]);
        }
        let gateway = behind.gateway().await;
        assert_eq!(listed(&gateway, &subject).await, [""; 0]);
        behind.vanish();
        gateway.clock.advance(MINUTE);
        assert_eq!(listed(&gateway, &subject).await, [""; 0], "the upstream had said so");
    }
}

/// GitLab takes the tag for the digest: the subject comes back, and its members would all look attached to it.
#[tokio::test]
async fn the_subject_is_no_listing_of_what_is_attached_to_it() {
    let behind = Behind::new().await;
    let child = behind.image("team/app", "", "content");
    let index = json!({"schemaVersion": 2, "mediaType": media_type::IMAGE_INDEX, "manifests": [descriptor(media_type::IMAGE_MANIFEST, &child, 1)]});
    let subject = behind.manifest("team/app", "v1", &index);
    behind.hold(&format!("team/app/manifests/{}", fallback_tag(&subject)), media_type::IMAGE_INDEX, index.to_string());
    assert_eq!(listed(&behind.gateway().await, &subject).await, [""; 0]);
}

/// An outage at whatever step is no empty list, and no list without the one that could not be had.
#[tokio::test]
async fn trouble_is_never_an_empty_list() {
    for (of, status, expected) in
        [("/referrers/", 503, 503), ("/manifests/sha256-", 503, 503), ("/manifests/sha256:", 503, 503), ("/referrers/", 403, 403)]
    {
        let behind = Behind::new().await;
        let subject = behind.image("team/app", "v1", "content");
        let good = behind.artifact("team/app", &subject, "good");
        list(&behind, of != "/manifests/sha256-", &subject, &[&good]);
        behind.twist(move |request, reply| {
            let trouble = request.line.contains(of);
            // A pause that nobody waits for: the test does not either.
            let status = if status == 503 { 429 } else { status };
            Some(if trouble { Reply::new(status, &[("retry-after", "3600")], "") } else { reply })
        });
        let answer = behind.gateway().await.get(&path(&subject)).await;
        assert_eq!(answer.status.as_u16(), expected, "{of}: {}", answer.text());
        assert_eq!(answer.words(), [if expected == 503 { "UNAVAILABLE" } else { "DENIED" }]);
    }
}

#[tokio::test]
async fn while_the_upstream_is_out_of_order_its_last_list_is_served() {
    for api in [true, false] {
        let behind = Behind::new().await;
        let subject = behind.image("team/app", "v1", "content");
        let good = behind.artifact("team/app", &subject, "good");
        list(&behind, api, &subject, &[&good]);
        let gateway = behind.gateway().await;
        assert_eq!(listed(&gateway, &subject).await, [good.as_str()]);
        behind.answer_all(500);
        gateway.clock.advance(MINUTE);
        let answer = gateway.get(&path(&subject)).await;
        assert_eq!((digests(&answer.json()), answer.header("x-gateway-upstream")), (vec![good.to_string()], "stale; age=60"));
        assert!(answer.header("warning").starts_with("299 - \"stale: "));
        behind.answer_all(401);
        gateway.get(&path(&subject)).await.refuses(403, "DENIED", "upstream_denied");
        behind.vanish();
        let gateway = gateway.restarted().await;
        assert_eq!(listed(&gateway, &subject).await, [good.as_str()]);
    }
}

#[tokio::test]
async fn what_is_attached_later_and_taken_away_again() {
    let behind = Behind::new().await;
    let subject = behind.image("team/app", "v1", "content");
    let (one, two) = (behind.artifact("team/app", &subject, "one"), behind.artifact("team/app", &subject, "two"));
    behind.list("team/app", &subject, &[&one]);
    let gateway = behind.gateway().await;
    assert_eq!(listed(&gateway, &subject).await, [one.as_str()]);
    behind.list("team/app", &subject, &[&one, &two]);
    assert_eq!(listed(&gateway, &subject).await, [one.as_str()], "believed for a minute");
    gateway.clock.advance(MINUTE);
    assert_eq!(listed(&gateway, &subject).await, [one.as_str(), two.as_str()]);
    behind.list("team/app", &subject, &[&two]);
    gateway.clock.advance(MINUTE);
    assert_eq!(listed(&gateway, &subject).await, [two.as_str()]);
}

/// Who looked at an image once can verify it when the upstream is gone.
#[tokio::test]
async fn the_contents_of_what_is_attached_come_along() {
    let behind = Behind::new().await;
    let subject = behind.image("team/app", "v1", "content");
    let good = behind.artifact("team/app", &subject, "the signature");
    behind.list("team/app", &subject, &[&good]);
    let gateway = behind.gateway().await;
    listed(&gateway, &subject).await;
    let blobs = [Digest::of(b"{}"), Digest::of(b"the signature")].map(|digest| format!("/v2/hub/team/app/blobs/{digest}"));
    wait_until("the contents are here", std::time::Duration::from_secs(20), async || {
        let answers = [gateway.get(&blobs[0]).await, gateway.get(&blobs[1]).await];
        answers.iter().all(|answer| answer.header("x-gateway-upstream").starts_with("hit"))
    })
    .await;
    behind.vanish();
    gateway.get(&blobs[1]).await.is(200);
    gateway.get(&format!("/v2/hub/team/app/manifests/{good}")).await.is(200);
}

#[tokio::test]
async fn many_who_ask_at_once_are_one_question() {
    let behind = Behind::new().await;
    let subject = behind.image("team/app", "v1", "content");
    let good = behind.artifact("team/app", &subject, "good");
    behind.list("team/app", &subject, &[&good]);
    let gateway = behind.gateway().await;
    let answers = futures_util::future::join_all((0..16).map(|_| listed(&gateway, &subject))).await;
    assert!(answers.iter().all(|answer| *answer == [good.as_str()]));
    assert_eq!((behind.count("/referrers/"), behind.count("/manifests/")), (1, 1));
}

/// Clients ask about a digest that nobody has, to learn whether there is an API at all.
#[tokio::test]
async fn a_subject_that_nobody_knows_has_nothing_attached() {
    let behind = Behind::new().await;
    assert_eq!(listed(&behind.gateway().await, &crate::support::UNKNOWN.parse().unwrap()).await, [""; 0]);
}
