//! `/v2/<name>/blobs/uploads/`: blobs on their way in (distribution-spec, "Pushing Blobs").

use axum::body::{Body, HttpBody as _};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use oci::{Digest, RepositoryName};

use super::body::arriving;
use super::error::{ApiError, Standing};
use super::range::Chunk;
use super::{Answer, Asked, entity};
use crate::access::Actor;
use crate::blobs::{Part, UploadId};

/// `POST`: mounts a blob, takes a whole one, or opens a session.
pub(super) async fn begin(asked: &Asked<'_>, repository: &RepositoryName, body: Body) -> Answer {
    let actor = asked.caller.may_push(repository)?;
    let writes = &asked.app.writes;
    check_algorithm(asked)?;
    if let Some(digest) = asked.query.first("mount") {
        let digest: Digest = digest.parse()?;
        if mount(asked, &actor, repository, &digest).await? {
            return Ok(created(repository, &digest));
        }
    } else if let Some(digest) = asked.query.first("digest") {
        let digest: Digest = digest.parse()?;
        // Who names a digest and sends nothing wants to send the bytes later, unless there are none.
        if !body.is_end_stream() || digest == Digest::with(digest.algorithm(), b"") {
            let part = Part { range: None, length: content_length(asked.headers) };
            writes.blob(&actor, repository, &digest, part, arriving(body)).await?;
            return Ok(created(repository, &digest));
        }
    }
    let upload = writes.begin(&actor, repository).await?;
    Ok(standing(StatusCode::ACCEPTED, &Standing { repository, upload: &upload, offset: 0 }))
}

/// `PATCH`: more bytes, at the end or where `Content-Range` says.
pub(super) async fn append(asked: &Asked<'_>, repository: &RepositoryName, session: &str, body: Body) -> Answer {
    let actor = asked.caller.may_push(repository)?;
    let upload = upload(repository, session)?;
    let part = part(asked, &actor, repository, &upload)?;
    let appended = asked.app.writes.append(&actor, repository, &upload, part, arriving(body)).await;
    let offset = appended.map_err(|error| ApiError::of_upload(error, repository, &upload))?;
    Ok(standing(StatusCode::ACCEPTED, &Standing { repository, upload: &upload, offset }))
}

/// `PUT`: the last bytes, if any, and which digest all of them have.
pub(super) async fn finish(asked: &Asked<'_>, repository: &RepositoryName, session: &str, body: Body) -> Answer {
    let actor = asked.caller.may_push(repository)?;
    let upload = upload(repository, session)?;
    let digest: Digest = asked.query.first("digest").ok_or(ApiError::DigestMissing)?.parse()?;
    let writes = &asked.app.writes;
    let of_upload = |error| ApiError::of_upload(error, repository, &upload);
    if !body.is_end_stream() {
        let part = part(asked, &actor, repository, &upload)?;
        writes.append(&actor, repository, &upload, part, arriving(body)).await.map_err(of_upload)?;
    }
    writes.commit(&actor, repository, &upload, &digest).await.map_err(of_upload)?;
    Ok(created(repository, &digest))
}

/// `GET`: how far it has come.
pub(super) async fn status(asked: &Asked<'_>, repository: &RepositoryName, session: &str) -> Answer {
    let actor = asked.caller.may_push(repository)?;
    let upload = upload(repository, session)?;
    let offset = asked.app.writes.status(&actor, repository, &upload)?;
    Ok(standing(StatusCode::NO_CONTENT, &Standing { repository, upload: &upload, offset }))
}

/// `DELETE`: gives it up. Whoever may push may: some clients do it after every mount that was not possible.
pub(super) async fn cancel(asked: &Asked<'_>, repository: &RepositoryName, session: &str) -> Answer {
    let actor = asked.caller.may_push(repository)?;
    let upload = upload(repository, session)?;
    asked.app.writes.abort(&actor, repository, &upload).await?;
    let mut response = Response::default();
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// The headers that say where an upload stands.
pub(super) fn standing(status: StatusCode, standing: &Standing<'_>) -> Response {
    let mut response = Response::default();
    *response.status_mut() = status;
    say_standing(response.headers_mut(), standing);
    response
}

/// Location, range and name of an upload. The location is relative: behind whatever name and proxy the client found us, it stays there.
pub(super) fn say_standing(headers: &mut HeaderMap, standing: &Standing<'_>) {
    const UPLOAD: HeaderName = HeaderName::from_static("docker-upload-uuid");
    let Standing { repository, upload, offset } = standing;
    let value = |text: &str| HeaderValue::from_str(text).expect("names and numbers are printable ASCII");
    headers.insert(header::LOCATION, value(&format!("/v2/{repository}/blobs/uploads/{upload}")));
    // There is no way to say that nothing has arrived: clients take 0-0 for it.
    headers.insert(header::RANGE, value(&format!("0-{}", offset.saturating_sub(1))));
    headers.insert(UPLOAD, value(upload.as_str()));
}

/// Never says why not: whoever may not read the source learns as much as if the blob were not there.
async fn mount(asked: &Asked<'_>, actor: &Actor, to: &RepositoryName, digest: &Digest) -> Result<bool, ApiError> {
    let writes = &asked.app.writes;
    match asked.query.first("from") {
        // Whoever may push may read every repository.
        None => Ok(writes.mount(actor, None, to, digest).await?),
        Some(from) => match from.parse::<RepositoryName>() {
            Ok(from) if asked.caller.may_pull(&from).is_ok() => Ok(writes.mount(actor, Some(&from), to, digest).await?),
            _ => Ok(false),
        },
    }
}

/// `digest-algorithm=` says which digest will come; any that we know may come anyway.
fn check_algorithm(asked: &Asked<'_>) -> Result<(), ApiError> {
    match asked.query.first("digest-algorithm").as_deref() {
        None | Some("sha256" | "sha512") => Ok(()),
        Some(other) => Err(ApiError::Algorithm { algorithm: other.chars().take(32).collect() }),
    }
}

fn upload(repository: &RepositoryName, session: &str) -> Result<UploadId, ApiError> {
    session.parse().map_err(|_| ApiError::UploadUnknown { repository: repository.clone() })
}

/// What the request says of its bytes. A range that cannot be read is answered like one that does not fit: the client then asks where
/// the upload stands.
fn part(asked: &Asked<'_>, actor: &Actor, repository: &RepositoryName, upload: &UploadId) -> Result<Part, ApiError> {
    let length = content_length(asked.headers);
    let Some(value) = asked.headers.get(header::CONTENT_RANGE) else { return Ok(Part { range: None, length }) };
    match Chunk::of(value) {
        Some(Chunk { first, length: announced }) => Ok(Part { range: Some((first, announced)), length }),
        None => {
            let offset = asked.app.writes.status(actor, repository, upload)?;
            Err(ApiError::out_of_order(repository, upload, offset))
        }
    }
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn created(repository: &RepositoryName, digest: &Digest) -> Response {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::CREATED;
    let headers = response.headers_mut();
    let location = format!("/v2/{repository}/blobs/{digest}");
    headers.insert(header::LOCATION, HeaderValue::from_str(&location).expect("names and digests are printable ASCII"));
    entity::name(headers, digest);
    response
}
