//! `/v2/<name>/referrers/<digest>` (distribution-spec, "Listing Referrers").
//!
//! Never 404: a client that gets one takes this for a registry without the API and writes tags instead.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::Response;
use oci::{Digest, RepositoryName, media_type, referrers_index};

use super::query::percent_encode;
use super::{Answer, Asked, entity};
use crate::store::Referrer;

/// The most bytes of descriptors in one answer: most clients read one page and not more than this.
const MAX_PAGE: usize = 4_000_000;

/// What is attached to `subject`, oldest first; clients take the last for the newest.
pub(super) async fn list(asked: &Asked<'_>, repository: &RepositoryName, subject: &Digest) -> Answer {
    const FILTERS: HeaderName = HeaderName::from_static("oci-filters-applied");
    asked.caller.may_pull(repository)?;
    let found = asked.app.contents.referrers(repository, subject).await?;
    let types: Vec<Cow<'_, str>> = asked.query.all("artifactType").filter(|value| !value.is_empty()).collect();
    let wanted = |referrer: &&Referrer| {
        types.is_empty() || types.iter().any(|wanted| Some(wanted.as_ref()) == referrer.artifact_type.as_deref())
    };
    let all: Vec<&Referrer> = found.value.iter().filter(wanted).collect();
    let (page, next) = page(all, asked.query.first("last").as_deref());

    let body = referrers_index(page.iter().map(|referrer| &*referrer.descriptor));
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    // Clients compare it byte for byte.
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type::IMAGE_INDEX));
    if !types.is_empty() {
        headers.insert(FILTERS, HeaderValue::from_static("artifactType"));
    }
    if let Some(next) = next {
        let link = link(repository, subject, &types, next);
        headers.insert(header::LINK, HeaderValue::from_str(&link).expect("the values are encoded"));
    }
    if let Some(freshness) = found.freshness {
        entity::say(freshness, headers);
    }
    Ok(response)
}

/// What is answered with of `all`, and the last of it if there is more.
///
/// What fits is one page in its order. What does not has its signatures and attestations first, since many clients read no second
/// page; within each half the order stays, so what is added later is at the end of one of them.
fn page<'a>(mut all: Vec<&'a Referrer>, last: Option<&str>) -> (Vec<&'a Referrer>, Option<&'a Digest>) {
    let size = |referrer: &&Referrer| referrer.descriptor.len() + 1;
    if last.is_none() && all.iter().map(size).sum::<usize>() <= MAX_PAGE {
        return (all, None);
    }
    let bundle = |referrer: &&Referrer| referrer.artifact_type.as_deref() == Some(media_type::SIGSTORE_BUNDLE);
    // Stable.
    all.sort_by_key(|referrer| !bundle(referrer));
    let begin = last.and_then(|last| all.iter().position(|referrer| referrer.digest.as_str() == last)).map_or(0, |at| at + 1);
    let mut room = MAX_PAGE;
    let fits = |referrer: &&&Referrer| {
        let size = size(referrer);
        let fits = size <= room;
        room = room.saturating_sub(size);
        fits
    };
    // At least one, or nobody would ever get further.
    let count = all[begin..].iter().take_while(fits).count().max(1).min(all.len() - begin);
    let page = all[begin..begin + count].to_vec();
    let next = if begin + count < all.len() { page.last().map(|referrer| &referrer.digest) } else { None };
    (page, next)
}

fn link(repository: &RepositoryName, subject: &Digest, types: &[Cow<'_, str>], last: &Digest) -> String {
    let mut query = String::new();
    for wanted in types {
        query.push_str("artifactType=");
        query.push_str(&percent_encode(wanted));
        query.push('&');
    }
    format!("</v2/{repository}/referrers/{subject}?{query}last={}>; rel=\"next\"", percent_encode(last.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn referrer(number: usize, artifact_type: &str, bytes: usize) -> Referrer {
        let digest = Digest::of(&number.to_be_bytes());
        Referrer { digest, artifact_type: Some(artifact_type.to_owned()), descriptor: "x".repeat(bytes).into() }
    }

    #[test]
    fn what_fits_is_one_page_in_its_order() {
        let all: Vec<Referrer> =
            (0..100).map(|number| referrer(number, ["a", media_type::SIGSTORE_BUNDLE][number % 2], 500)).collect();
        let (page, next) = page(all.iter().collect(), None);
        assert_eq!((page, next), (all.iter().collect(), None));
    }

    #[test]
    fn what_does_not_fit_goes_on_where_the_link_says_and_begins_with_signatures() {
        let all: Vec<Referrer> =
            (0..30).map(|number| referrer(number, ["a", "b", media_type::SIGSTORE_BUNDLE][number % 3], 300_000)).collect();
        let (mut seen, mut last) = (Vec::new(), None);
        loop {
            let (found, next) = page(all.iter().collect(), last);
            assert!(found.len() <= 13);
            seen.extend(found);
            match next {
                Some(next) => last = Some(next.as_str()),
                None => break,
            }
        }
        assert_eq!(seen.len(), 30);
        let kinds: Vec<&str> = seen.iter().filter_map(|referrer| referrer.artifact_type.as_deref()).collect();
        assert!(kinds[..10].iter().all(|kind| *kind == media_type::SIGSTORE_BUNDLE));
        assert_eq!(kinds[10..], ["a", "b"].repeat(10));
    }

    #[test]
    fn a_descriptor_larger_than_a_page_is_a_page() {
        let all = [referrer(0, "a", MAX_PAGE + 1), referrer(1, "a", 1)];
        let (first, next) = page(all.iter().collect(), None);
        assert_eq!((first.len(), next), (1, Some(&all[0].digest)));
        let (second, next) = page(all.iter().collect(), next.map(Digest::as_str));
        assert_eq!((second.len(), next), (1, None));
    }
}
