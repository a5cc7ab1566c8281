use super::*;
use crate::Source;

const INDEX: (&str, &str) = ("content-type", media_type::IMAGE_INDEX);

fn subject() -> Digest {
    Digest::of(image().as_bytes())
}

/// A manifest that refers to `subject`, made different by `name`.
fn referrer(subject: &Digest, name: &str) -> String {
    let subject = format!(r#""subject":{{"mediaType":"m","digest":"{subject}","size":1}},"annotations":{{"n":"{name}"}}"#);
    image().replace(r#""layers":[]"#, &format!(r#""layers":[],{subject}"#))
}

fn index(manifests: &[&str]) -> String {
    let entry = |manifest: &&str| {
        format!(r#"{{"mediaType":"{}","digest":"{}","size":1}}"#, media_type::EMPTY, Digest::of(manifest.as_bytes()))
    };
    oci_index(&manifests.iter().map(entry).collect::<Vec<_>>())
}

fn oci_index(entries: &[String]) -> String {
    format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[{}]}}"#, media_type::IMAGE_INDEX, entries.join(","))
}

fn digests(referrers: &crate::Referrers) -> Vec<Digest> {
    referrers.entries.iter().map(|entry| entry.digest.clone()).collect()
}

fn is_api(request: &Request) -> bool {
    request.line.starts_with(&format!("GET /v2/team/app/referrers/{}", subject()))
}

fn is_tag(request: &Request) -> bool {
    request.line == format!("GET /v2/team/app/manifests/{}", oci::fallback_tag(&subject()))
}

#[tokio::test]
async fn the_api_is_read_to_its_last_page() {
    let fake = Scripted::start(|request, _| {
        let (one, two) = (referrer(&subject(), "1"), referrer(&subject(), "2"));
        let next = format!("</v2/team/app/referrers/{}?page=2>; rel=\"next\"", subject());
        is_api(request).then(|| match request.line.ends_with("page=2") {
            false => Reply::new(200, &[INDEX, ("link", &next)], index(&[&one])),
            true => Reply::new(200, &[INDEX], index(&[&one, &two])),
        })
    })
    .await;
    let found = registry(&fake).referrers(&repository(), &subject()).await.unwrap();
    let expected = [referrer(&subject(), "1"), referrer(&subject(), "2")].map(|manifest| Digest::of(manifest.as_bytes()));
    assert_eq!((digests(&found), found.source), (expected.to_vec(), Source::Api), "each once, in order");
}

#[tokio::test]
async fn without_the_api_the_tag_is_read_and_the_api_not_tried_again() {
    for (status, headers) in
        [(404, &[][..]), (405, &[]), (400, &[]), (501, &[]), (200, &[("content-type", "text/html")]), (200, &[INDEX])]
    {
        let fake = Scripted::start(move |request, _| {
            Some(match request {
                request if is_api(request) => Reply::new(status, headers, "<html>"),
                request if is_tag(request) => Reply::new(200, &[INDEX], index(&[&referrer(&subject(), "1")])),
                _ => Reply::new(404, &[], ""),
            })
        })
        .await;
        let registry = registry(&fake);
        let found = registry.referrers(&repository(), &subject()).await.unwrap();
        assert_eq!((found.entries.len(), found.source), (1, Source::FallbackTag), "{status}");
        registry.referrers(&repository(), &subject()).await.unwrap();
        assert_eq!(fake.lines().iter().filter(|line| line.contains("/referrers/")).count(), 1, "{status}");
    }
}

#[tokio::test]
async fn a_repository_that_had_the_api_once_has_it() {
    let fake = Scripted::start(|request, _| {
        Some(if is_api(request) {
            Reply::new(200, &[INDEX], index(&[&referrer(&subject(), "1")]))
        } else {
            Reply::new(404, &[], "")
        })
    })
    .await;
    let registry = registry(&fake);
    for (subject, expected) in [(subject(), 1), (Digest::of(b"another"), 0), (subject(), 1)] {
        assert_eq!(registry.referrers(&repository(), &subject).await.unwrap().entries.len(), expected);
    }
    assert_eq!(fake.lines().iter().filter(|line| line.contains("/referrers/")).count(), 3);
}

#[tokio::test]
async fn an_api_that_knows_of_nothing_is_not_believed_alone() {
    for (under_tag, source) in [(true, Source::FallbackTag), (false, Source::Api)] {
        let fake = Scripted::start(move |request, _| {
            Some(match request {
                request if is_api(request) => Reply::new(200, &[INDEX], index(&[])),
                request if is_tag(request) && under_tag => Reply::new(200, &[INDEX], index(&[&referrer(&subject(), "1")])),
                _ => Reply::new(404, &[], ""),
            })
        })
        .await;
        let found = registry(&fake).referrers(&repository(), &subject()).await.unwrap();
        assert_eq!((found.entries.len(), found.source, found.ignored), (usize::from(under_tag), source, None));
    }
}

/// An outage or a refusal is an error, at whichever step: an empty list would say that nothing is signed.
#[tokio::test]
async fn trouble_is_never_an_empty_list() {
    for status in [401, 403, 429, 500, 502, 503] {
        for of_api in [true, false] {
            let fake = Scripted::start(move |request, _| {
                let trouble = is_api(request) == of_api;
                Some(Reply::new(if trouble { status } else { 404 }, &[("retry-after", "3600")], ""))
            })
            .await;
            let error = registry(&fake).hasty().referrers(&repository(), &subject()).await.unwrap_err();
            assert!(!matches!(error, RegistryError::NotFound { .. }), "{status}: {error}");
        }
    }
}

#[tokio::test]
async fn what_lies_under_the_tag_and_is_no_listing_is_named_and_ignored() {
    let with_subject = index(&[]).replace("\"manifests\"", &format!(r#""subject":{{"digest":"{}"}},"manifests""#, subject()));
    for (content_type, body) in [
        (media_type::IMAGE_MANIFEST, image()),
        (media_type::IMAGE_INDEX, with_subject),
        (media_type::IMAGE_INDEX, "{}".to_owned()),
        ("text/html", "<html>".to_owned()),
    ] {
        let fake = Scripted::start(move |request, _| {
            Some(if is_tag(request) {
                Reply::new(200, &[("content-type", content_type)], body.clone())
            } else {
                Reply::new(404, &[], "")
            })
        })
        .await;
        let found = registry(&fake).referrers(&repository(), &subject()).await.unwrap();
        assert!(found.entries.is_empty() && found.ignored.is_some());
    }
}

/// GitLab takes the fallback tag for the digest and answers with the subject itself, here an index whose members are no referrers.
#[tokio::test]
async fn the_subject_itself_is_no_listing_of_its_referrers() {
    let subject_index = index(&["a platform"]);
    let subject = Digest::of(subject_index.as_bytes());
    let body = subject_index.clone();
    let fake = Scripted::start(move |request, _| {
        Some(if request.line.contains("/manifests/sha256-") {
            Reply::new(200, &[INDEX], body.clone())
        } else {
            Reply::new(404, &[], "")
        })
    })
    .await;
    let found = registry(&fake).referrers(&repository(), &subject).await.unwrap();
    assert_eq!((found.entries, found.ignored), (vec![], Some(oci::ReferrersError::TheSubject)));
}

#[tokio::test]
async fn only_manifests_that_refer_to_the_subject_are_referrers() {
    let good = referrer(&subject(), "1");
    let of_another = referrer(&Digest::of(b"another"), "2");
    let manifests = [good.clone(), of_another, image(), "no manifest".to_owned()];
    let listing = index(&[&manifests[0], &manifests[1], &manifests[2], &manifests[3], "gone"]);
    let fake = Scripted::start(move |request, _| {
        let asked = manifests.iter().find(|manifest| request.line.ends_with(Digest::of(manifest.as_bytes()).as_str()));
        Some(match asked {
            _ if is_api(request) => Reply::new(200, &[INDEX], listing.clone()),
            Some(manifest) => Reply::new(200, &[("content-type", media_type::IMAGE_MANIFEST)], manifest.clone()),
            None => Reply::new(404, &[], ""),
        })
    })
    .await;
    let found = registry(&fake).verified_referrers(&repository(), &subject()).await.unwrap();
    assert_eq!(found.iter().map(|found| &found.digest).collect::<Vec<_>>(), [&Digest::of(good.as_bytes())]);
}

#[tokio::test]
async fn a_listed_manifest_that_cannot_be_had_for_now_is_trouble() {
    let fake = Scripted::start(|request, _| {
        Some(if is_api(request) {
            Reply::new(200, &[INDEX], index(&[&referrer(&subject(), "1")]))
        } else {
            Reply::new(503, &[], "")
        })
    })
    .await;
    assert!(registry(&fake).hasty().verified_referrers(&repository(), &subject()).await.unwrap_err().is_outage());
}

#[tokio::test]
async fn a_listing_that_never_ends_is_refused() {
    let fake = Scripted::start(|request, before| {
        let next = format!("</v2/team/app/referrers/{}?page={before}>; rel=next", subject());
        is_api(request).then(|| Reply::new(200, &[INDEX, ("link", &next)], index(&[])))
    })
    .await;
    let error = registry(&fake).referrers(&repository(), &subject()).await.unwrap_err();
    assert!(error.to_string().contains("more than 100 pages"), "{error}");
}
