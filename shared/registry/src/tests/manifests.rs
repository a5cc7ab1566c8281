use std::time::Duration;

use super::*;

#[tokio::test]
async fn a_tag_is_resolved_by_its_head_alone() {
    let fake = Scripted::start(|_, _| Some(manifest_reply(&image()))).await;
    let resolved = registry(&fake).resolve(&repository(), &tag("v1")).await.unwrap();
    assert_eq!(resolved.digest, Digest::of(image().as_bytes()));
    assert_eq!(fake.lines(), ["HEAD /v2/team/app/manifests/v1"]);
    let accept = fake.requests()[0].header("accept").unwrap().to_owned();
    assert!(media_type::MANIFESTS.iter().all(|expected| accept.contains(expected)), "{accept}");
}

#[tokio::test]
async fn a_registry_without_heads_or_digests_is_asked_for_the_manifest() {
    for status in [405, 200] {
        let fake = Scripted::start(move |request, _| match request.line.as_str() {
            "HEAD /v2/team/app/manifests/v1" => Some(Reply::new(status, &[], "")),
            _ => Some(Reply::new(200, &[], image())),
        })
        .await;
        let resolved = registry(&fake).resolve(&repository(), &tag("v1")).await.unwrap();
        assert_eq!(resolved.digest, Digest::of(image().as_bytes()));
    }
}

#[tokio::test]
async fn bytes_and_types_are_kept_and_verified() {
    let pretty = image().replace(',', ",\n ");
    let served = pretty.clone();
    let fake =
        Scripted::start(move |_, _| Some(Reply::new(200, &[("content-type", "application/octet-stream")], served.clone()))).await;
    let digest = Digest::of(pretty.as_bytes());
    let fetched = registry(&fake).manifest(&repository(), &Target::Digest(digest.clone())).await.unwrap();
    assert_eq!((fetched.digest, &fetched.manifest.bytes()[..]), (digest, pretty.as_bytes()));
    assert_eq!(fetched.manifest.media_type(), media_type::IMAGE_MANIFEST);
}

#[tokio::test]
async fn a_manifest_may_be_known_by_its_sha512() {
    let wide = Digest::with(oci::Algorithm::Sha512, image().as_bytes());
    let said = wide.to_string();
    let fake = Scripted::start(move |_, _| Some(Reply::new(200, &[("docker-content-digest", &said)], image()))).await;
    assert_eq!(registry(&fake).manifest(&repository(), &tag("v1")).await.unwrap().digest, wide);
}

#[tokio::test]
async fn other_bytes_than_asked_for_or_said_are_refused() {
    let other = Digest::of(b"other");
    let said = other.to_string();
    let fake = Scripted::start(move |_, _| Some(Reply::new(200, &[("docker-content-digest", &said)], image()))).await;
    let registry = registry(&fake);
    for target in [Target::Digest(other.clone()), tag("v1")] {
        let error = registry.manifest(&repository(), &target).await.unwrap_err();
        assert!(matches!(&error, RegistryError::DigestMismatch { expected, .. } if *expected == other), "{error}");
        assert!(!error.is_outage(), "a lie is no outage: nothing older is served in its place");
    }
    assert_eq!(fake.lines().len(), 2, "a lie is not asked for again");
}

#[tokio::test]
async fn what_is_no_manifest_is_refused() {
    let fake = Scripted::start(|_, _| Some(Reply::new(200, &[("content-type", "text/html")], "<html>welcome"))).await;
    let error = registry(&fake).manifest(&repository(), &tag("v1")).await.unwrap_err();
    assert!(error.to_string().contains("not a manifest: the document is not JSON"), "{error}");
}

#[tokio::test]
async fn answers_are_bounded_said_or_not() {
    let fake = Scripted::start(|request, _| {
        let reply = Reply::new(200, &[], vec![b' '; oci::MAX_MANIFEST_BYTES + 1]);
        Some(if request.line.ends_with("/said") { reply.cut_after(0) } else { reply })
    })
    .await;
    for name in ["said", "sent"] {
        let error = registry(&fake).manifest(&repository(), &tag(name)).await.unwrap_err();
        assert!(matches!(error, RegistryError::TooLarge { .. }), "{name}: {error}");
    }
}

#[tokio::test]
async fn transient_failures_are_tried_again_and_final_ones_are_not() {
    for (status, expected) in [(500, 5), (502, 5), (503, 5), (504, 5), (408, 5), (429, 5), (400, 1), (403, 1), (404, 1), (501, 1)]
    {
        let fake =
            Scripted::start(move |_, _| Some(Reply::new(status, &[], r#"{"errors":[{"code":"X","message":"why"}]}"#))).await;
        let error = registry(&fake).manifest(&repository(), &tag("v1")).await.unwrap_err();
        assert_eq!(fake.lines().len(), expected, "{status}: {error}");
        assert_eq!(error.is_outage(), expected == 5 || status == 501, "{status}");
        let hasty = registry(&fake).hasty().manifest(&repository(), &tag("v1")).await.unwrap_err();
        assert_eq!((fake.lines().len(), hasty), (expected + 1, error), "in haste once");
    }
}

#[tokio::test]
async fn a_registry_that_recovers_is_believed() {
    let fake = Scripted::start(|_, before| match before {
        0 => None,
        1 => Some(Reply::new(503, &[("retry-after", "0")], "")),
        2 => Some(manifest_reply(&image()).cut_after(10)),
        _ => Some(manifest_reply(&image())),
    })
    .await;
    assert!(registry(&fake).manifest(&repository(), &tag("v1")).await.is_ok());
    assert_eq!(fake.lines().len(), 4);
}

#[tokio::test]
async fn a_long_pause_is_the_callers_to_wait() {
    let fake = Scripted::start(|_, _| Some(Reply::new(429, &[("retry-after", "3600")], ""))).await;
    let error = registry(&fake).manifest(&repository(), &tag("v1")).await.unwrap_err();
    let registry = fake.address().to_owned();
    assert_eq!(error, RegistryError::Limited { registry, retry_after: Some(Duration::from_secs(3600)) });
    assert_eq!(fake.lines().len(), 1);
}

#[tokio::test]
async fn a_registry_that_is_gone_is_named_and_then_left_alone() {
    let fake = Scripted::start(|_, _| None).await;
    let registry = registry(&fake);
    let error = registry.manifest(&repository(), &tag("v1")).await.unwrap_err();
    assert!(
        error.is_outage() && error.to_string().starts_with(&format!("registry {} did not answer: ", fake.address())),
        "{error}"
    );
    assert!(!error.to_string().contains("/v2/"), "no URL: it could be signed");
    let asked = fake.lines().len();
    assert!(registry.hasty().resolve(&repository(), &tag("v1")).await.unwrap_err().is_outage());
    assert_eq!(fake.lines().len(), asked, "who has something else is not kept waiting");
}

#[tokio::test]
async fn redirects_are_followed_without_the_account() {
    let storage = Scripted::start(|_, _| Some(manifest_reply(&image()))).await;
    let target = format!("http://{}/signed?X-Signature=s", storage.address());
    let fake = Scripted::start(move |request, _| match request.header("authorization") {
        None => Some(Reply::new(401, &[("www-authenticate", "Basic realm=\"r\"")], "")),
        Some(_) => Some(Reply::new(307, &[("location", &target)], "")),
    })
    .await;
    with_account(&fake).manifest(&repository(), &tag("v1")).await.unwrap();
    assert_eq!(storage.lines(), ["GET /signed?X-Signature=s"]);
    assert_eq!(storage.requests()[0].header("authorization"), None);
}

#[tokio::test]
async fn redirects_that_are_not_followed() {
    let refused = async |location: &'static str| {
        let fake = Scripted::start(move |_, _| Some(Reply::new(302, &[("location", location)], ""))).await;
        (registry(&fake).manifest(&repository(), &tag("v1")).await.unwrap_err(), fake.lines().len())
    };
    let (error, _) = refused("http://169.254.169.254/latest/?secret=1").await;
    assert!(matches!(&error, RegistryError::Elsewhere { target, .. } if target == "http://169.254.169.254"), "{error}");
    let (error, _) = refused("file:///etc/passwd").await;
    assert!(matches!(error, RegistryError::Elsewhere { .. }), "{error}");
    let (error, asked) = refused("/v2/team/app/manifests/v1").await;
    assert!(error.to_string().contains("too many in a row"), "{error}");
    assert_eq!(asked, 11);
}

#[tokio::test]
async fn a_signed_url_that_ended_is_asked_for_anew() {
    let storage =
        Scripted::start(|_, before| Some(if before == 0 { Reply::new(403, &[], "expired") } else { manifest_reply(&image()) }))
            .await;
    let target = format!("http://{}/signed", storage.address());
    let fake = Scripted::start(move |_, _| Some(Reply::new(307, &[("location", &target)], ""))).await;
    registry(&fake).manifest(&repository(), &tag("v1")).await.unwrap();
    assert_eq!((fake.lines().len(), storage.lines().len()), (2, 2));
}

#[tokio::test]
async fn a_signed_url_that_is_for_reading_only_tells_no_size() {
    let storage = Scripted::start(|request, _| {
        Some(if request.line.starts_with("HEAD") { Reply::new(403, &[], "") } else { manifest_reply(&image()) })
    })
    .await;
    let target = format!("http://{}/signed", storage.address());
    let fake = Scripted::start(move |_, _| Some(Reply::new(307, &[("location", &target)], ""))).await;
    let size = registry(&fake).blob_size(&repository(), &Digest::of(b"")).await;
    assert!(matches!(size, Err(RegistryError::Refused { status: 405, .. })), "{size:?}");
    assert!(registry(&fake).resolve(&repository(), &tag("v1")).await.is_ok(), "the manifest is fetched instead");
}

#[tokio::test]
async fn tags_come_in_pages() {
    let fake = Scripted::start(|request, _| {
        let last = request.line.contains("last=b");
        let (body, link) = if last {
            (r#"{"tags":["c"]}"#, "")
        } else {
            (r#"{"tags":["a","not a tag","b"]}"#, "</v2/team/app/tags/list?n=3&last=b>; rel=next")
        };
        Some(Reply::new(200, &[("link", link)], body))
    })
    .await;
    let client = registry(&fake);
    let page = client.tags(&repository(), None, 3).await.unwrap();
    let names = |page: &crate::TagPage| page.tags.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!((names(&page), page.more), (vec!["a".to_owned(), "b".to_owned()], true));
    let page = client.tags(&repository(), page.tags.last(), 5_000).await.unwrap();
    assert_eq!((names(&page), page.more), (vec!["c".to_owned()], false));
    assert_eq!(fake.lines(), ["GET /v2/team/app/tags/list?n=3", "GET /v2/team/app/tags/list?n=1000&last=b"]);
    let fake = Scripted::start(|_, _| Some(Reply::new(200, &[], r#"{"name":"x","tags":null}"#))).await;
    assert_eq!(registry(&fake).tags(&repository(), None, 3).await.unwrap().tags, []);
}
