//! Errors as registries write them (distribution-spec, "Error Codes").

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The codes of the specification, and below them those that all registries use beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorCode {
    /// No such blob in this repository.
    BlobUnknown,
    /// The upload is in no state for this.
    BlobUploadInvalid,
    /// No such upload.
    BlobUploadUnknown,
    /// A digest is malformed, or not that of the content.
    DigestInvalid,
    /// A manifest refers to what is not here.
    ManifestBlobUnknown,
    /// The manifest is malformed.
    ManifestInvalid,
    /// No such manifest in this repository.
    ManifestUnknown,
    /// The repository's name is malformed.
    NameInvalid,
    /// No such repository.
    NameUnknown,
    /// A length is not as declared, or beyond a limit.
    SizeInvalid,
    /// Who are you?
    Unauthorized,
    /// You may not.
    Denied,
    /// This registry does not do that.
    Unsupported,
    /// Later.
    TooManyRequests,
    /// A tag is malformed.
    TagInvalid,
    /// A range is not that of the upload or blob.
    RangeInvalid,
    /// `n` is no number.
    PaginationNumberInvalid,
    /// Not now: something behind this registry does not answer.
    Unavailable,
    /// Our fault.
    Unknown,
}

impl ErrorCode {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BlobUnknown => "BLOB_UNKNOWN",
            Self::BlobUploadInvalid => "BLOB_UPLOAD_INVALID",
            Self::BlobUploadUnknown => "BLOB_UPLOAD_UNKNOWN",
            Self::DigestInvalid => "DIGEST_INVALID",
            Self::ManifestBlobUnknown => "MANIFEST_BLOB_UNKNOWN",
            Self::ManifestInvalid => "MANIFEST_INVALID",
            Self::ManifestUnknown => "MANIFEST_UNKNOWN",
            Self::NameInvalid => "NAME_INVALID",
            Self::NameUnknown => "NAME_UNKNOWN",
            Self::SizeInvalid => "SIZE_INVALID",
            Self::Unauthorized => "UNAUTHORIZED",
            Self::Denied => "DENIED",
            Self::Unsupported => "UNSUPPORTED",
            Self::TooManyRequests => "TOOMANYREQUESTS",
            Self::TagInvalid => "TAG_INVALID",
            Self::RangeInvalid => "RANGE_INVALID",
            Self::PaginationNumberInvalid => "PAGINATION_NUMBER_INVALID",
            Self::Unavailable => "UNAVAILABLE",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// The HTTP status it goes with, unless something more exact is known (a size beyond a limit is 413).
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::BlobUnknown | Self::BlobUploadUnknown | Self::ManifestUnknown | Self::NameUnknown => 404,
            Self::BlobUploadInvalid
            | Self::DigestInvalid
            | Self::ManifestBlobUnknown
            | Self::ManifestInvalid
            | Self::NameInvalid
            | Self::SizeInvalid
            | Self::TagInvalid
            | Self::PaginationNumberInvalid => 400,
            Self::Unauthorized => 401,
            Self::Denied => 403,
            Self::Unsupported => 405,
            Self::RangeInvalid => 416,
            Self::TooManyRequests => 429,
            Self::Unknown => 500,
            Self::Unavailable => 503,
        }
    }
}

impl std::fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The body of every answer that refuses something.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ErrorBody {
    /// At least one when we write it; others may write none.
    #[serde(default)]
    pub errors: Vec<ErrorEntry>,
}

/// One thing that was wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorEntry {
    /// Upper-case letters and underscores; other registries use codes of their own.
    #[serde(default)]
    pub code: String,
    /// For people.
    #[serde(default)]
    pub message: String,
    /// Anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<Value>,
}

impl ErrorBody {
    /// One error.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { errors: vec![ErrorEntry::new(code, message, None)] }
    }

    /// What another registry wrote; `None` when it is no such body. Members beyond the specification are ignored.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        serde_json::from_slice(body).ok().filter(|body: &Self| !body.errors.is_empty())
    }

    /// As it is sent, with `Content-Type: application/json`.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("text and JSON values always serialise")
    }
}

impl ErrorEntry {
    /// One error with what it is about.
    #[must_use]
    pub fn new(code: ErrorCode, message: impl Into<String>, detail: Option<Value>) -> Self {
        Self { code: code.as_str().to_owned(), message: message.into(), detail }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_body_of_the_specification() {
        let body = ErrorBody::new(ErrorCode::ManifestUnknown, "no such manifest");
        assert_eq!(body.to_json(), r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"no such manifest"}]}"#);
        assert_eq!(ErrorBody::parse(body.to_json().as_bytes()), Some(body));
    }

    #[test]
    fn bodies_of_others_are_read_as_far_as_they_go() {
        let body = ErrorBody::parse(br#"{"errors":[{"code":"DENIED","detail":[1],"x":2}],"y":3}"#).unwrap();
        assert_eq!((body.errors[0].code.as_str(), body.errors[0].message.as_str()), ("DENIED", ""));
        for other in ["", "<html>", "{}", r#"{"errors":[]}"#, r#"{"errors":"x"}"#, "[]"] {
            assert_eq!(ErrorBody::parse(other.as_bytes()), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(body: Vec<u8>) {
            let _ = ErrorBody::parse(&body);
        }
    }
}
