//! `/v2/<name>/manifests/<tag or digest>`.

use axum::body::{Body, to_bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use oci::{Digest, MAX_MANIFEST_BYTES, RepositoryName, Tag, Target};

use super::entity::{self, Entity};
use super::error::ApiError;
use super::{Answer, Asked};
use crate::store::TagExpectation;
use crate::writes::{Push, Pushed};

/// The most tags in one request: what fits into [`super::MAX_TARGET`] bytes.
const MAX_TAGS: usize = 46;
/// How many referrers of one manifest make verification slow: every one of them is fetched by every verifier.
const MANY_REFERRERS: u64 = 5_000;

/// `GET` and `HEAD`. What the tag points at is what is answered, whatever the client accepts: another manifest would have another
/// digest.
pub(super) async fn read(asked: &Asked<'_>, repository: &RepositoryName, target: &Target) -> Answer {
    asked.caller.may_pull(repository)?;
    let contents = &asked.app.contents;
    let unknown = || ApiError::ManifestUnknown { repository: repository.clone(), target: target.clone() };
    let (digest, resolved) = match target {
        Target::Digest(digest) => (digest.clone(), None),
        Target::Tag(tag) => {
            let tagged = contents.resolve(repository, tag).await?.ok_or_else(unknown)?;
            (tagged.value, tagged.freshness)
        }
    };
    let found = contents.manifest(repository, &digest).await?.ok_or_else(unknown)?;
    let manifest = found.value;
    let entity = Entity {
        digest: &manifest.digest,
        media_type: &manifest.media_type,
        size: manifest.bytes.len() as u64,
        immutable: matches!(target, Target::Digest(_)),
        freshness: resolved.or(found.freshness),
    };
    // For HEAD the layers take the body away, and keep its length.
    Ok(entity.unless_known(asked.headers).unwrap_or_else(|| entity.whole(Body::from(manifest.bytes.clone()))))
}

/// `PUT`.
pub(super) async fn put(asked: &Asked<'_>, repository: RepositoryName, target: Target, body: Body) -> Answer {
    let actor = asked.caller.may_push(&repository)?;
    let expect = expectation(asked, &target)?;
    let tags = tags(asked, &target)?;
    let content_type = asked.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
    // Read and bounded by the layers before this.
    let bytes = to_bytes(body, MAX_MANIFEST_BYTES).await.map_err(|_| ApiError::CutShort)?;
    let push = Push { repository: repository.clone(), target, tags, expect, content_type, bytes };
    let pushed = asked.app.writes.push(&actor, push).await?;
    Ok(created(&repository, &pushed))
}

/// `DELETE`.
pub(super) async fn delete(asked: &Asked<'_>, repository: &RepositoryName, target: &Target) -> Answer {
    let actor = asked.caller.may_delete(repository)?;
    let deleted = asked.app.writes.delete(&actor, repository, target).await?;
    if !deleted {
        return Err(ApiError::ManifestUnknown { repository: repository.clone(), target: target.clone() });
    }
    let mut response = Response::default();
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}

/// The tags of `?tag=`, which go with a digest only.
fn tags(asked: &Asked<'_>, target: &Target) -> Result<Vec<Tag>, ApiError> {
    if matches!(target, Target::Tag(_)) {
        return Ok(Vec::new());
    }
    if asked.query.all("tag").count() > MAX_TAGS {
        return Err(ApiError::TooManyTags { limit: MAX_TAGS });
    }
    let tags = asked.query.all("tag").map(|tag| tag.parse::<Tag>());
    tags.collect::<Result<_, _>>().map_err(|error| ApiError::Path(error.into()))
}

/// `If-Match` and `If-None-Match: *` say where the tag must point, so that two writers do not undo each other's work unseen.
fn expectation(asked: &Asked<'_>, target: &Target) -> Result<TagExpectation, ApiError> {
    if matches!(target, Target::Digest(_)) {
        return Ok(TagExpectation::Any);
    }
    let unreadable = |header: &'static str| ApiError::Precondition { header };
    if let Some(value) = asked.headers.get(header::IF_MATCH) {
        let mut tags = entity::tags([value]);
        return match (tags.next(), tags.next()) {
            (Some(one), None) => Ok(TagExpectation::Digest(one.parse().map_err(|_| unreadable("If-Match"))?)),
            _ => Err(unreadable("If-Match")),
        };
    }
    match asked.headers.get(header::IF_NONE_MATCH) {
        None => Ok(TagExpectation::Any),
        Some(value) if value == "*" => Ok(TagExpectation::Absent),
        Some(_) => Err(unreadable("If-None-Match")),
    }
}

fn created(repository: &RepositoryName, pushed: &Pushed) -> Response {
    const SUBJECT: HeaderName = HeaderName::from_static("oci-subject");
    const TAG: HeaderName = HeaderName::from_static("oci-tag");
    let mut response = Response::default();
    *response.status_mut() = StatusCode::CREATED;
    let headers = response.headers_mut();
    headers.insert(header::LOCATION, location(repository, &pushed.digest));
    entity::name(headers, &pushed.digest);
    if let Some(subject) = &pushed.subject {
        headers.insert(SUBJECT, entity::digest_value(subject));
    }
    for change in &pushed.put.tags {
        headers.append(TAG, HeaderValue::from_str(change.tag.as_str()).expect("a tag is printable ASCII"));
    }
    if pushed.put.referrers >= MANY_REFERRERS {
        let text =
            format!("299 - \"{} manifests are attached to the subject; every verifier fetches all\"", pushed.put.referrers);
        headers.append(header::WARNING, HeaderValue::from_str(&text).expect("words and digits"));
    }
    response
}

fn location(repository: &RepositoryName, digest: &Digest) -> HeaderValue {
    HeaderValue::from_str(&format!("/v2/{repository}/manifests/{digest}")).expect("names and digests are printable ASCII")
}
