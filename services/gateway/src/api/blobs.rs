//! `/v2/<name>/blobs/<digest>`.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::Response;
use oci::{Digest, RepositoryName};

use super::entity::{Entity, names};
use super::error::ApiError;
use super::range::Asked as Part;
use super::{Answer, Asked};

const ACCEPT_RANGES: HeaderValue = HeaderValue::from_static("bytes");

/// `GET` and `HEAD`, whole or a part.
pub(super) async fn read(asked: &Asked<'_>, repository: &RepositoryName, digest: &Digest) -> Answer {
    asked.caller.may_pull(repository)?;
    let unknown = || ApiError::BlobUnknown { repository: repository.clone(), digest: digest.clone() };
    let found = asked.app.contents.blob(repository, digest).await?.ok_or_else(unknown)?;
    let (size, blob) = (found.value.size(), found.value);
    let entity = Entity { digest, media_type: "application/octet-stream", size, immutable: true, freshness: found.freshness };
    if let Some(answer) = entity.unless_known(asked.headers) {
        return Ok(answer);
    }
    let mut response = match part(asked.method, asked.headers, digest, size) {
        Part::Whole if asked.method == Method::HEAD => entity.whole(Body::empty()),
        Part::Whole => entity.whole(Body::from_stream(blob.read(0..size).await?)),
        Part::Nothing => return Err(ApiError::BlobRange { size }),
        Part::Part(range) => {
            let (first, length) = (range.start, range.end - range.start);
            let mut response = entity.answer(StatusCode::PARTIAL_CONTENT, Body::from_stream(blob.read(range).await?));
            let text = format!("bytes {first}-{}/{size}", first + length - 1);
            let headers = response.headers_mut();
            headers.insert(header::CONTENT_RANGE, HeaderValue::from_str(&text).expect("digits and signs"));
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            response
        }
    };
    response.headers_mut().insert(header::ACCEPT_RANGES, ACCEPT_RANGES);
    Ok(response)
}

/// `DELETE`: from this repository only.
pub(super) async fn delete(asked: &Asked<'_>, repository: &RepositoryName, digest: &Digest) -> Answer {
    let actor = asked.caller.may_delete(repository)?;
    if !asked.app.writes.delete_blob(&actor, repository, digest).await? {
        return Err(ApiError::BlobUnknown { repository: repository.clone(), digest: digest.clone() });
    }
    let mut response = Response::default();
    *response.status_mut() = StatusCode::ACCEPTED;
    Ok(response)
}

/// Ranges are for GET only, and for who has the beginning of the same content (RFC 9110 §13.1.5, §14.2).
fn part(method: &Method, headers: &HeaderMap, digest: &Digest, size: u64) -> Part {
    let same = headers.get(header::IF_RANGE).is_none_or(|value| names([value], digest));
    match (method, same) {
        (&Method::GET, true) => Part::of(headers.get(header::RANGE), size),
        _ => Part::Whole,
    }
}
