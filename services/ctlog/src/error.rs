//! Why a request was not done or the log not opened, and how that is said.
//!
//! Bodies are text/plain, one line, the stable code first: Fulcio's CT client logs the body, and people read it there.

use std::error::Error;
use std::time::Duration;

use axum::response::{IntoResponse, Response};
use chassis::Explain;
use chassis::layers::Failure;
use chassis::reason::{causes, chain, coded};
use ct::Malformed;
use face::LogError;
use http::{HeaderValue, StatusCode, header};
use keys::{KeyFileError, SignError};
use pki::KeyKind;
use tlog::{AppendError, OpenError, ReadError, StoreError};

use crate::chain::ChainRefusal;
use crate::head::UnreadableHead;
use crate::origin::OriginError;
use crate::parameters::ParameterError;
use crate::roots::RootsError;

/// A chain was not logged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SubmitError {
    #[error(transparent)]
    Chain(#[from] ChainRefusal),
    #[error(transparent)]
    Log(#[from] AppendError),
    #[error("the entry was logged, but its timestamp could not be signed")]
    Sign(#[from] SignError),
    #[error("the stored entry cannot be read")]
    Stored(#[source] Malformed),
}

/// A `get-` request was not answered.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QueryError {
    #[error(transparent)]
    Parameter(#[from] ParameterError),
    #[error("first is {first}, second is {second}, and the tree has {published} entries; expected first <= second <= tree size")]
    Sizes { first: u64, second: u64, published: u64 },
    #[error("tree_size is 0, expected at least 1")]
    NoTree,
    #[error("the tree has {published} entries and has not reached {asked} yet")]
    NotReached { asked: u64, published: u64 },
    #[error("no entry among the first {size} has this leaf hash")]
    UnknownHash { size: u64 },
    #[error("start is {start}, end is {end}, and the tree has {published} entries; expected start <= end and start < tree size")]
    Range { start: u64, end: u64, published: u64 },
    #[error(
        "leaf_index is {index}, tree_size is {size}, and the tree has {published} entries; expected leaf_index < tree_size <= tree size"
    )]
    NoEntry { index: u64, size: u64, published: u64 },
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Head(#[from] UnreadableHead),
    #[error("the stored tree head cannot be encoded")]
    Encode(#[from] Malformed),
}

impl From<StoreError> for QueryError {
    fn from(error: StoreError) -> Self {
        Self::Read(ReadError::Store(error))
    }
}

/// How a failure is answered.
enum Verdict {
    /// The caller has to change something, and is told everything.
    Refused(StatusCode, &'static str),
    /// 503: the same request will be taken soon.
    Later(&'static str, Duration),
    /// 503: a service that we need does not answer; the operator finds the causes in the log.
    Unanswered(&'static str),
    /// 500: the operator has to change something, and finds the causes in the log.
    Failed(&'static str),
}

impl SubmitError {
    /// 503 only for what passes by itself: Fulcio waits for the log then, and reports any other status at once.
    fn verdict(&self) -> Verdict {
        const SOON: Duration = Duration::from_secs(1);
        const LATEST: Duration = Duration::from_secs(5);
        match self {
            Self::Chain(refusal) => Verdict::Refused(StatusCode::BAD_REQUEST, refusal.code()),
            Self::Log(error) => match error {
                AppendError::TooLarge { .. } => Verdict::Refused(StatusCode::PAYLOAD_TOO_LARGE, error.code()),
                AppendError::Overloaded { retry_after } => Verdict::Later(error.code(), (*retry_after).clamp(SOON, LATEST)),
                AppendError::ClockStepped(_) | AppendError::Closed => Verdict::Later(error.code(), SOON),
                // A 503 would be waited for, and it will never be otherwise.
                AppendError::Frozen => Verdict::Refused(StatusCode::BAD_REQUEST, error.code()),
                AppendError::Store(source) if source.is_passing() => Verdict::Unanswered(source.code()),
                AppendError::Sign(_) | AppendError::Store(_) => Verdict::Failed(error.code()),
            },
            Self::Sign(_) => Verdict::Failed("log_sign_failed"),
            Self::Stored(_) => Verdict::Failed("log_entry_damaged"),
        }
    }
}

impl QueryError {
    fn verdict(&self) -> Verdict {
        const BAD: StatusCode = StatusCode::BAD_REQUEST;
        match self {
            Self::Parameter(_) => Verdict::Refused(BAD, "query_parameter"),
            Self::Sizes { .. } | Self::NoTree | Self::Range { .. } | Self::NoEntry { .. } => Verdict::Refused(BAD, "query_range"),
            Self::NotReached { .. } => Verdict::Refused(StatusCode::NOT_FOUND, "query_tree_size"),
            Self::UnknownHash { .. } => Verdict::Refused(StatusCode::NOT_FOUND, "query_hash_unknown"),
            // A smaller tree than a moment ago cannot be: whatever is out of range was so when it was asked.
            Self::Read(ReadError::OutOfRange(_) | ReadError::Beyond { .. }) => Verdict::Refused(BAD, "query_range"),
            Self::Read(ReadError::Store(error)) if error.is_passing() => Verdict::Unanswered(error.code()),
            Self::Read(ReadError::Store(error)) => Verdict::Failed(error.code()),
            Self::Head(_) | Self::Encode(_) => Verdict::Failed("log_state_damaged"),
        }
    }
}

impl IntoResponse for SubmitError {
    fn into_response(self) -> Response {
        respond(&self.verdict(), &self)
    }
}

impl IntoResponse for QueryError {
    fn into_response(self) -> Response {
        respond(&self.verdict(), &self)
    }
}

fn respond(verdict: &Verdict, error: &dyn Error) -> Response {
    let (code, response) = match verdict {
        Verdict::Refused(status, code) => (*code, plain(*status, code, &chain(error))),
        Verdict::Later(code, wait) => {
            let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, code, &chain(error));
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
            (*code, response)
        }
        Verdict::Unanswered(code) => {
            let mut response = plain(StatusCode::SERVICE_UNAVAILABLE, code, &error.to_string());
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            (*code, response)
        }
        // The causes name files: the caller gets the first layer.
        Verdict::Failed(code) => (*code, plain(StatusCode::INTERNAL_SERVER_ERROR, code, &error.to_string())),
    };
    Failure::new(code, error).attach(response)
}

/// An error body.
pub(crate) fn plain(status: StatusCode, code: &str, text: &str) -> Response {
    let content_type = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    (status, content_type, coded(code, text) + "\n").into_response()
}

/// The log cannot be made or opened: the operator's concern.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The public URL cannot name a log.
    #[error("the certificate log cannot have this public URL")]
    PublicUrl(#[from] OriginError),
    /// The key cannot be read.
    #[error("the certificate log has no key")]
    KeyFile(#[from] KeyFileError),
    /// The key cannot sign for a CT log.
    #[error("the certificate log cannot be signed with a key of the kind {kind}")]
    KeyKind {
        /// Its kind.
        kind: KeyKind,
    },
    /// The accepted roots cannot be read.
    #[error("the certificate log has no accepted roots")]
    Roots(#[from] RootsError),
    /// The database, what is in it, or what was published of it.
    #[error(transparent)]
    Log(#[from] LogError),
}

impl From<OpenError> for StartError {
    fn from(error: OpenError) -> Self {
        Self::Log(error.into())
    }
}

impl Explain for StartError {
    fn code(&self) -> &'static str {
        match self {
            Self::PublicUrl(_) => "log_public_url",
            Self::KeyFile(_) => "log_key_file",
            Self::KeyKind { .. } => "log_key_unsuitable",
            Self::Roots(_) => "ctlog_roots",
            Self::Log(error) => error.code(),
        }
    }

    fn details(&self) -> Vec<String> {
        match self {
            Self::Log(error) => error.details(),
            Self::KeyKind { kind } => vec![format!("key       {kind}"), "expected  ECDSA P-256".to_owned()],
            Self::PublicUrl(_) | Self::KeyFile(_) | Self::Roots(_) => causes(self.source()),
        }
    }

    fn advice(&self) -> Option<String> {
        let advice = match self {
            Self::Log(error) => return error.advice(),
            Self::PublicUrl(_) => "Set ctlog.public_url to the URL the log was created with.",
            Self::KeyFile(_) => "Restore the key file from a backup; the key of a log is never made anew.",
            Self::KeyKind { .. } => {
                "Use the key that the log was created with; sigstore-go and sigstore-python accept no other kind."
            }
            Self::Roots(_) => "Name a PEM file with the root of every authority that submits, or has submitted.",
        };
        Some(advice.to_owned())
    }
}
