//! What is refused or fails, as the distribution specification wants it said: `{"errors":[{"code","message","detail"}]}`.

use axum::body::Body;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chassis::layers::{Failure, Refusal};
use chassis::reason::{chain, coded};
use oci::{Digest, DigestError, ErrorBody, ErrorCode, ErrorEntry, RepositoryName, TagError, Target};
use serde_json::json;

use super::body::BodyEnd;
use super::path::PathError;
use super::uploads::say_standing;
use crate::access::AccessError;
use crate::blobs::{BlobError, UploadId};
use crate::contents::ReadError;
use crate::store::{DeleteError, PutError, StoreError};
use crate::upstream::UpstreamError;
use crate::writes::WriteError;

/// A request was not done.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// The path names nothing.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The path and query are too long.
    #[error("path and query are longer than {limit} bytes, the most accepted here")]
    TargetTooLong { limit: usize },
    /// The name does not fit beside the host.
    #[error("the repository's name is too long; at most {limit} characters go with this registry's host")]
    NameTooLong { limit: usize },
    /// The path has no such method.
    #[error("{method} is not a method of this path; it has {methods}")]
    Method { method: Method, methods: &'static str },
    /// The caller may not.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// What is to be read cannot be a tag's name.
    #[error("there is no such manifest")]
    TagUnknown(#[source] TagError),
    /// No such manifest.
    #[error("{repository} has no manifest {target}")]
    ManifestUnknown { repository: RepositoryName, target: Target },
    /// No such blob.
    #[error("{repository} has no blob {digest}")]
    BlobUnknown { repository: RepositoryName, digest: Digest },
    /// No such repository.
    #[error("there is no repository {repository}; pushing to it makes it")]
    RepositoryUnknown { repository: RepositoryName },
    /// No such upload.
    #[error("{repository} has no such upload; it was finished or given up, or nobody went on with it for a day: begin again")]
    UploadUnknown { repository: RepositoryName },
    /// The range lies beyond the blob.
    #[error("the range is not within the blob's {size} bytes")]
    BlobRange { size: u64 },
    /// The chunk is not the one that comes next.
    #[error("the bytes do not go on where this upload stands, at byte {offset}, or are not as many as Content-Range says")]
    OutOfOrder { repository: RepositoryName, upload: UploadId, offset: u64 },
    /// The end of an upload without its digest.
    #[error("an upload ends with ?digest=, the digest of all its bytes, and this request has none")]
    DigestMissing,
    /// A digest in the query.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// An algorithm in the query.
    #[error("digest algorithm {algorithm} is not known; expected sha256 or sha512")]
    Algorithm { algorithm: String },
    /// A condition that cannot be read.
    #[error("{header} cannot be understood here; expected one digest for If-Match, or * for If-None-Match")]
    Precondition { header: &'static str },
    /// More tags than a request may have.
    #[error("more than {limit} tags in one request; push the manifest again for the others")]
    TooManyTags { limit: usize },
    /// The body could not be read.
    #[error("the body ended early")]
    CutShort,
    /// Not a page.
    #[error("n={n} is no number of entries; expected digits")]
    Page { n: String },
    /// Sessions where nobody needs one.
    #[error("this registry needs no credentials, and gives no sessions")]
    NoSessions,
    /// More scopes than a request may have.
    #[error("more than {limit} scopes in one request; ask for fewer at a time")]
    TooManyScopes { limit: usize },
    /// What never reached a handler, or did not survive one.
    #[error(transparent)]
    Refused(Refusal),
    /// Something was not read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Something was not written.
    #[error(transparent)]
    Write(#[from] WriteError),
}

/// Where an upload stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing<'a> {
    pub(super) repository: &'a RepositoryName,
    pub(super) upload: &'a UploadId,
    /// Bytes that have arrived.
    pub(super) offset: u64,
}

/// How a failure is answered.
struct Verdict {
    status: StatusCode,
    /// The specification's word for it.
    word: ErrorCode,
    /// Ours, which is more exact.
    code: &'static str,
}

impl ApiError {
    /// A failure of a write to an upload: one out of order says where the upload stands.
    pub(super) fn of_upload(error: WriteError, repository: &RepositoryName, upload: &UploadId) -> Self {
        match error {
            WriteError::Blob(BlobError::OutOfOrder { offset }) => Self::out_of_order(repository, upload, offset),
            error => Self::Write(error),
        }
    }

    /// Bytes that are not the next.
    pub(super) fn out_of_order(repository: &RepositoryName, upload: &UploadId, offset: u64) -> Self {
        Self::OutOfOrder { repository: repository.clone(), upload: upload.clone(), offset }
    }

    /// The one table from failure to answer; each with its stable code.
    fn verdict(&self) -> Verdict {
        use ErrorCode as Word;
        let usual = |word: Word, code| Verdict {
            status: StatusCode::from_u16(word.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            word,
            code,
        };
        let with = |status, word, code| Verdict { status, word, code };
        match self {
            Self::Path(error) => match error {
                PathError::Unknown => with(StatusCode::NOT_FOUND, Word::Unsupported, "path_not_found"),
                PathError::Encoding => usual(Word::NameInvalid, "repository_name_invalid"),
                PathError::Name(_) => usual(Word::NameInvalid, "repository_name_invalid"),
                PathError::Tag(_) => usual(Word::TagInvalid, "tag_invalid"),
                PathError::Digest(_) => usual(Word::DigestInvalid, "digest_invalid"),
            },
            Self::TargetTooLong { .. } => with(StatusCode::URI_TOO_LONG, Word::SizeInvalid, "target_too_long"),
            Self::NameTooLong { .. } => usual(Word::NameInvalid, "repository_name_invalid"),
            Self::Method { .. } => usual(Word::Unsupported, "method_not_allowed"),
            Self::Access(error) => match error {
                AccessError::Unauthorized { .. } => usual(Word::Unauthorized, "registry_unauthorized"),
                AccessError::Browser => usual(Word::Denied, "registry_browser"),
                AccessError::Promoter => usual(Word::Unauthorized, "promoter_unauthorized"),
            },
            Self::TagUnknown(_) | Self::ManifestUnknown { .. } => usual(Word::ManifestUnknown, "manifest_unknown"),
            Self::BlobUnknown { .. } => usual(Word::BlobUnknown, "blob_unknown"),
            Self::RepositoryUnknown { .. } => usual(Word::NameUnknown, "repository_unknown"),
            Self::UploadUnknown { .. } => usual(Word::BlobUploadUnknown, "upload_unknown"),
            Self::BlobRange { .. } => usual(Word::RangeInvalid, "blob_range"),
            Self::OutOfOrder { .. } => usual(Word::RangeInvalid, "upload_out_of_order"),
            Self::DigestMissing | Self::Digest(_) | Self::Algorithm { .. } => usual(Word::DigestInvalid, "digest_invalid"),
            Self::Precondition { .. } => with(StatusCode::BAD_REQUEST, Word::Unsupported, "precondition_invalid"),
            Self::TooManyTags { .. } => with(StatusCode::URI_TOO_LONG, Word::TagInvalid, "too_many_tags"),
            Self::CutShort => usual(Word::SizeInvalid, "body_cut_short"),
            Self::Page { .. } => usual(Word::PaginationNumberInvalid, "page_invalid"),
            Self::NoSessions => with(StatusCode::NOT_FOUND, Word::Unsupported, "no_sessions"),
            Self::TooManyScopes { .. } => with(StatusCode::BAD_REQUEST, Word::Denied, "too_many_scopes"),
            Self::Refused(refusal) => {
                let word = match refusal {
                    Refusal::Panicked => Word::Unknown,
                    Refusal::TimedOut { .. } => Word::Unavailable,
                    Refusal::TooLarge { .. } | Refusal::CutShort => Word::SizeInvalid,
                };
                with(refusal.status(), word, refusal.code())
            }
            Self::Read(error) => match error {
                ReadError::Store(error) => usual(Word::Unknown, store_code(error)),
                ReadError::Blob(error) => of_blob(error),
                ReadError::Upstream(error) => of_upstream(error),
            },
            Self::Write(error) => match error {
                WriteError::Digest { .. } => usual(Word::DigestInvalid, "manifest_digest"),
                WriteError::Manifest(error) => match error.error_code() {
                    Word::SizeInvalid => with(StatusCode::PAYLOAD_TOO_LARGE, Word::SizeInvalid, "manifest_invalid"),
                    word => usual(word, "manifest_invalid"),
                },
                WriteError::Guard(refusal) => usual(Word::Denied, refusal.code()),
                WriteError::Proxied { .. } => usual(Word::Denied, "repository_proxied"),
                WriteError::BlobNeeded { .. } => with(StatusCode::METHOD_NOT_ALLOWED, Word::Unsupported, "blob_needed"),
                WriteError::Put(error) => of_put(error),
                WriteError::Delete(error) => match error {
                    DeleteError::Unmet(_) => with(StatusCode::CONFLICT, Word::Denied, "write_condition"),
                    DeleteError::Store(error) => usual(Word::Unknown, store_code(error)),
                },
                WriteError::Blob(error) => of_blob(error),
                WriteError::Store(error) => usual(Word::Unknown, store_code(error)),
            },
        }
    }

    fn entries(&self, word: ErrorCode, code: &str, told: &str) -> Vec<ErrorEntry> {
        let entry = |text: &str, detail| ErrorEntry::new(word, coded(code, text), detail);
        match self {
            Self::Write(WriteError::Put(PutError::Missing(digests))) => {
                let missing = |digest: &Digest| {
                    entry(
                        &format!("the repository has no {digest}, which the manifest refers to; push it first"),
                        Some(json!(digest)),
                    )
                };
                digests.iter().map(missing).collect()
            }
            _ => vec![entry(told, None)],
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let Verdict { status, word, code } = self.verdict();
        // The causes of our own failures name files and databases: they go to the log, the caller gets the first layer.
        let told = if status.is_server_error() { self.to_string() } else { chain(&self) };
        let body = ErrorBody { errors: self.entries(word, code, &told) };
        let mut response = Response::new(Body::from(body.to_json()));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        match &self {
            Self::Method { methods, .. } => drop(headers.insert(header::ALLOW, HeaderValue::from_static(methods))),
            Self::Write(WriteError::BlobNeeded { .. }) => {
                drop(headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD")));
            }
            Self::Access(AccessError::Unauthorized { challenge, .. }) => {
                if let Ok(challenge) = HeaderValue::from_str(challenge) {
                    headers.insert(header::WWW_AUTHENTICATE, challenge);
                }
            }
            Self::BlobRange { size } => {
                let text = format!("bytes */{size}");
                headers.insert(header::CONTENT_RANGE, HeaderValue::from_str(&text).expect("digits and signs"));
            }
            Self::OutOfOrder { repository, upload, offset } => {
                say_standing(headers, &Standing { repository, upload, offset: *offset });
            }
            _ => {}
        }
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(retry_after(&self)));
        }
        Failure::new(code, &self).attach(response)
    }
}

/// How a failed read is answered, whatever the shape of the answer.
pub(crate) fn of_read(error: &ReadError) -> (StatusCode, &'static str) {
    match error {
        ReadError::Store(error) => of_store(error),
        ReadError::Blob(error) => {
            let Verdict { status, code, .. } = of_blob(error);
            (status, code)
        }
        ReadError::Upstream(error) => {
            let Verdict { status, code, .. } = of_upstream(error);
            (status, code)
        }
    }
}

/// How a failure of the database is answered.
pub(crate) fn of_store(error: &StoreError) -> (StatusCode, &'static str) {
    (StatusCode::INTERNAL_SERVER_ERROR, store_code(error))
}

fn of_put(error: &PutError) -> Verdict {
    use ErrorCode as Word;
    let (status, word, code) = match error {
        PutError::Missing(_) => (StatusCode::BAD_REQUEST, Word::ManifestBlobUnknown, "manifest_references"),
        PutError::TooManyReferrers { .. } => (StatusCode::FORBIDDEN, Word::Denied, "too_many_referrers"),
        PutError::Moved(_) => (StatusCode::PRECONDITION_FAILED, Word::Denied, "tag_moved"),
        PutError::Unmet(_) => (StatusCode::CONFLICT, Word::Denied, "write_condition"),
        PutError::Store(error) => (StatusCode::INTERNAL_SERVER_ERROR, Word::Unknown, store_code(error)),
    };
    Verdict { status, word, code }
}

/// A limit of the upstream is not handed on as 429: docker takes that for final from a mirror, and goes round it.
fn of_upstream(error: &UpstreamError) -> Verdict {
    use ErrorCode as Word;
    let (status, word, code) = match error {
        UpstreamError::Unavailable { .. } => (StatusCode::SERVICE_UNAVAILABLE, Word::Unavailable, "upstream_unavailable"),
        UpstreamError::Denied { .. } => (StatusCode::FORBIDDEN, Word::Denied, "upstream_denied"),
        UpstreamError::Wrong { .. } => (StatusCode::BAD_GATEWAY, Word::Unavailable, "upstream_wrong"),
        UpstreamError::Put(error) => return of_put(error),
        UpstreamError::Store(error) => (StatusCode::INTERNAL_SERVER_ERROR, Word::Unknown, store_code(error)),
        UpstreamError::Blob(error) => return of_blob(error),
    };
    Verdict { status, word, code }
}

/// When to ask again what could not be answered for now.
fn retry_after(error: &ApiError) -> u64 {
    const USUAL: u64 = 10;
    match error {
        ApiError::Read(ReadError::Upstream(UpstreamError::Unavailable { retry_after: Some(wanted), .. })) => {
            wanted.as_secs().max(1)
        }
        _ => USUAL,
    }
}

fn of_blob(error: &BlobError) -> Verdict {
    use ErrorCode as Word;
    let (status, word, code) = match error {
        BlobError::UnknownUpload => (StatusCode::NOT_FOUND, Word::BlobUploadUnknown, "upload_unknown"),
        BlobError::OutOfOrder { .. } => (StatusCode::RANGE_NOT_SATISFIABLE, Word::RangeInvalid, "upload_out_of_order"),
        BlobError::Digest { .. } => (StatusCode::BAD_REQUEST, Word::DigestInvalid, "blob_digest"),
        BlobError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, Word::SizeInvalid, "blob_too_large"),
        BlobError::TooManyUploads { .. } => (StatusCode::TOO_MANY_REQUESTS, Word::TooManyRequests, "too_many_uploads"),
        BlobError::Interrupted { source, .. } => match source.downcast_ref::<BodyEnd>() {
            Some(BodyEnd::Stalled) => (StatusCode::REQUEST_TIMEOUT, Word::BlobUploadInvalid, "upload_stalled"),
            Some(BodyEnd::Broken(_)) | None => (StatusCode::BAD_REQUEST, Word::BlobUploadInvalid, "body_cut_short"),
        },
        BlobError::Superseded { .. } => (StatusCode::BAD_REQUEST, Word::BlobUploadInvalid, "upload_superseded"),
        BlobError::Full { .. } => (StatusCode::INTERNAL_SERVER_ERROR, Word::Unknown, "registry_full"),
        BlobError::File { .. } | BlobError::Missing { .. } => {
            (StatusCode::INTERNAL_SERVER_ERROR, Word::Unknown, "registry_blobs")
        }
        BlobError::Store(error) => (StatusCode::INTERNAL_SERVER_ERROR, Word::Unknown, store_code(error)),
    };
    Verdict { status, word, code }
}

fn store_code(error: &StoreError) -> &'static str {
    match error {
        StoreError::Full { .. } => "registry_full",
        StoreError::Failed { .. } | StoreError::Corrupt { .. } => "registry_database",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_stalls_is_a_408_and_one_that_breaks_a_400() {
        let answered = |source: Box<dyn std::error::Error + Send + Sync>| {
            let response = ApiError::Write(BlobError::Interrupted { offset: 4, source }.into()).into_response();
            response.status()
        };
        assert_eq!(answered(BodyEnd::Stalled.into()), StatusCode::REQUEST_TIMEOUT);
        assert_eq!(answered(BodyEnd::Broken(axum::Error::new(std::io::Error::other("reset"))).into()), StatusCode::BAD_REQUEST);
        assert_eq!(answered("another".into()), StatusCode::BAD_REQUEST);
    }

    #[test]
    fn too_many_uploads_are_to_be_tried_later() {
        let response = ApiError::Write(BlobError::TooManyUploads { limit: 4_096 }.into()).into_response();
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert!(response.headers().contains_key(header::RETRY_AFTER));
    }

    #[tokio::test]
    async fn causes_of_our_own_failures_stay_here() {
        let source = std::io::Error::other("/var/lib/blobs/sha256/44");
        let error = ApiError::Read(BlobError::File { doing: "reading a blob", source }.into());
        let response = error.into_response();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = axum::body::to_bytes(response.into_body(), 1 << 16).await.unwrap();
        let text = String::from_utf8(body.to_vec()).unwrap();
        assert!(text.contains("UNKNOWN") && text.contains("[registry_blobs]") && !text.contains("/var"), "{text}");
    }
}
