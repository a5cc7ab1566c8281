//! Why a token was not issued, and what the caller is told.

use ::http::StatusCode;
use chassis::reason;
use clock::ClockStepped;
use jiff::Timestamp;
use keys::SignError;
use tsp::{FailureInfo, PolicyId, RequestError, TimeOutOfRange};

/// Why a token was not issued. The first group is the caller's error, the second ours or the operator's.
///
/// The texts begin as those of Sigstore's timestamp authority do.
#[derive(Debug, thiserror::Error)]
pub enum TimestampError {
    /// The body is announced as something that is no timestamp request.
    #[error("Error generating timestamp response: Content-Type must be application/timestamp-query or application/json")]
    ContentType,
    /// The body ended early or is too long.
    #[error("Error generating timestamp response: the body ended early or has more than {limit} bytes")]
    Body {
        /// The most that is read.
        limit: usize,
    },
    /// The body is no request that could be served.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// A policy that this authority does not issue under.
    #[error("unaccepted policy: requested TSA policy is not supported by the TSA: {0}")]
    Policy(PolicyId),
    /// Extensions, of which this authority knows none.
    #[error("unaccepted extension: requested extensions are not supported by the TSA")]
    Extension,

    /// The clock shows a time well before one that was signed.
    #[error("Error generating timestamp response: the time is not available")]
    Clock(#[from] ClockStepped),
    /// The clock shows a time that no token can carry.
    #[error("Error generating timestamp response: the time is not available")]
    TimeOutOfRange(#[source] TimeOutOfRange),
    /// A certificate of the chain has expired, or is not valid yet.
    #[error(
        "Error generating timestamp response: the certificate chain is valid from {not_before} to {not_after} only, ask the operator to renew it"
    )]
    ChainNotValid {
        /// The latest start among the certificates.
        not_before: Timestamp,
        /// The earliest end among them.
        not_after: Timestamp,
    },
    /// The key could not sign.
    #[error("Error generating timestamp response: the signing key failed; the log has the details under this request id")]
    Sign(#[source] SignError),
    /// No random serial number.
    #[error("Error generating timestamp response: no randomness; the log has the details under this request id")]
    Random,
}

/// What the caller is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) failure: FailureInfo,
    pub(crate) code: &'static str,
}

impl TimestampError {
    pub(crate) fn answer(&self) -> Answer {
        let (status, failure, code) = match self {
            Self::ContentType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, FailureInfo::BadDataFormat, "timestamp_content_type"),
            Self::Body { .. } => (StatusCode::BAD_REQUEST, FailureInfo::BadDataFormat, "timestamp_body"),
            Self::Request(error) => (StatusCode::BAD_REQUEST, error.failure(), error.code()),
            Self::Policy(_) => (StatusCode::BAD_REQUEST, FailureInfo::UnacceptedPolicy, "timestamp_policy"),
            Self::Extension => (StatusCode::BAD_REQUEST, FailureInfo::UnacceptedExtension, "timestamp_extension"),
            Self::Clock(_) => (StatusCode::SERVICE_UNAVAILABLE, FailureInfo::TimeNotAvailable, "clock_stepped"),
            Self::TimeOutOfRange(_) => (StatusCode::SERVICE_UNAVAILABLE, FailureInfo::TimeNotAvailable, "clock_out_of_range"),
            Self::ChainNotValid { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, FailureInfo::SystemFailure, "tsa_chain_not_valid_now")
            }
            Self::Sign(_) => (StatusCode::INTERNAL_SERVER_ERROR, FailureInfo::SystemFailure, "tsa_sign"),
            Self::Random => (StatusCode::INTERNAL_SERVER_ERROR, FailureInfo::SystemFailure, "tsa_random"),
        };
        Answer { status, failure, code }
    }

    /// The reason as the caller reads it: one line, the stable code first. What a key or a random source said stays in
    /// the log.
    pub(crate) fn reason(&self) -> String {
        let text = match self {
            Self::Sign(_) | Self::Random => self.to_string(),
            _ => reason::chain(self),
        };
        reason::coded(self.answer().code, &text)
    }
}
