//! Why a request was not done, and how that is said: `{"code":…,"message":"…"}`, the stable code last in the message.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chassis::layers::{Failure, Refusal};
use chassis::reason::{chain, one_line};
use entry::v1::{ProposalError, VerifierError};
use keys::SignError;
use serde_json::json;
use tlog::{AppendError, ReadError, StoreError};

use super::answer::json_answer;
use super::entry_id::EntryId;
use super::schema::SchemaError;

/// A request was not done: by the caller's doing, or ours.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// The schema does not allow it.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// A proposal to log that is not one this log takes.
    #[error(transparent)]
    Proposal(ProposalError),
    /// A proposal to look for that cannot be read or verified.
    #[error(transparent)]
    Sought(ProposalError),
    /// A query that is no JSON of its form.
    #[error("parsing {what} body from \"\" failed, because the JSON is not of its form")]
    Query {
        /// What the body should be.
        what: &'static str,
        /// Where it is not.
        #[source]
        source: serde_json::Error,
    },
    /// More than one request may ask for.
    #[error("more than max allowed {MAX_RETRIEVED} entries in request")]
    TooMany,
    /// A body of another type.
    #[error("unsupported media type \"{}\", only [application/json] are allowed", one_line(.found))]
    MediaType {
        /// Its type.
        found: String,
    },
    /// The caller takes nothing that there is.
    #[error("unsupported media type requested, only [{offered}] are available")]
    NotAcceptable {
        /// What there is.
        offered: &'static str,
    },
    /// An id whose first part can be no tree.
    #[error("validation error: {tree} is not a valid TreeID")]
    NoTree {
        /// Its 16 digits.
        tree: String,
    },
    /// No such entry.
    #[error("no such entry")]
    NotFound,
    /// The entry is there already.
    #[error("an equivalent entry already exists in the transparency log with UUID {id}")]
    Exists {
        /// Its name.
        id: EntryId,
        /// Where it is read.
        location: String,
    },
    /// A tree that this log does not have.
    #[error("{phrase}no log range found for tree ID {tree}; this log has the tree {ours}")]
    UnknownTree {
        /// What upstream's server says, if anything.
        phrase: &'static str,
        /// As it was sent.
        tree: String,
        /// The one that takes entries.
        ours: super::TreeId,
    },
    /// A proof from a larger to a smaller tree.
    #[error("firstSize({first}) must be less than lastSize({last})")]
    Sizes {
        /// From.
        first: u64,
        /// To.
        last: u64,
    },
    /// A proof to a tree that is not there yet.
    #[error("the tree size requested({asked}) was greater than what is currently observable({published})")]
    Beyond {
        /// Size asked for.
        asked: u64,
        /// Size of the tree.
        published: u64,
    },
    /// Keys of a kind that no entry here has.
    #[error("the PKI format requested is not supported by this server; expected x509")]
    KeyFormat,
    /// A key to search for that is none.
    #[error("public key provided could not be parsed")]
    Key(#[source] VerifierError),
    /// The log did not take it.
    #[error(transparent)]
    Log(#[from] AppendError),
    /// A proof was not made.
    #[error("unexpected error communicating with transparency log")]
    Read(#[source] ReadError),
    /// The database failed.
    #[error("unexpected error communicating with transparency log")]
    Store(#[from] StoreError),
    /// The entry is logged, and the promise for it could not be signed.
    #[error("error signing")]
    Sign(#[from] SignError),
    /// A proof was made that does not hold.
    #[error("unexpected result from transparency log: the inclusion proof of entry {index} does not lead to the published root")]
    Proof {
        /// Where the entry is.
        index: u64,
    },
}

/// Entries that one request may ask for.
pub(super) const MAX_RETRIEVED: usize = 10;

/// How a failure is answered.
enum Verdict {
    /// The caller has to change something, and is told everything.
    Refused(StatusCode, &'static str),
    /// As that, under a number that is not the status.
    Numbered(u16, &'static str),
    /// 404 without a body.
    NotThere(&'static str),
    /// 409, and where the entry is.
    Exists(&'static str),
    /// 503: the same request will be taken later.
    Later(&'static str, Duration),
    /// 503: a service that we need does not answer; the operator finds the causes in the log.
    Unanswered(&'static str),
    /// The operator has to change something, and finds the causes in the log.
    Failed(&'static str),
}

impl ApiError {
    /// The one table from failure to answer; each with its stable code.
    fn verdict(&self) -> Verdict {
        const BAD: StatusCode = StatusCode::BAD_REQUEST;
        const UNPROCESSABLE: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;
        match self {
            Self::Schema(error) => Verdict::Numbered(error.code, "request_schema"),
            Self::Proposal(error) | Self::Sought(error) => match error {
                ProposalError::Required { .. } => Verdict::Numbered(602, error.code()),
                ProposalError::VersionForm => Verdict::Numbered(605, error.code()),
                ProposalError::UnknownKind { .. } => Verdict::Refused(UNPROCESSABLE, error.code()),
                _ => Verdict::Refused(BAD, error.code()),
            },
            Self::Query { .. } => Verdict::Refused(BAD, "search_malformed"),
            Self::TooMany => Verdict::Refused(UNPROCESSABLE, "search_limit"),
            Self::MediaType { .. } => Verdict::Refused(StatusCode::UNSUPPORTED_MEDIA_TYPE, "media_type"),
            Self::NotAcceptable { .. } => Verdict::Refused(StatusCode::NOT_ACCEPTABLE, "not_acceptable"),
            Self::NoTree { .. } | Self::UnknownTree { .. } => Verdict::Refused(BAD, "tree_unknown"),
            Self::NotFound => Verdict::NotThere("entry_not_found"),
            Self::Exists { .. } => Verdict::Exists("entry_exists"),
            Self::Sizes { .. } | Self::Beyond { .. } => Verdict::Refused(BAD, "query_range"),
            Self::KeyFormat | Self::Key(_) => Verdict::Refused(BAD, "search_key"),
            Self::Log(error) => append_verdict(error),
            // What is out of range was so when it was asked: sizes are checked against the published tree first.
            Self::Read(ReadError::Store(error)) | Self::Store(error) if error.is_passing() => Verdict::Unanswered(error.code()),
            Self::Read(ReadError::Store(error)) | Self::Store(error) => Verdict::Failed(error.code()),
            Self::Read(ReadError::OutOfRange(_) | ReadError::Beyond { .. }) => Verdict::Failed("log_store_failed"),
            Self::Sign(_) => Verdict::Failed("log_sign_failed"),
            Self::Proof { .. } => Verdict::Failed("log_proof"),
        }
    }

    /// What the caller is told.
    fn message(&self) -> String {
        match self {
            Self::Proposal(
                error @ (ProposalError::Required { .. } | ProposalError::VersionForm | ProposalError::UnknownKind { .. }),
            ) => chain(error),
            Self::Proposal(ProposalError::Json(source)) => {
                format!("parsing proposedEntry body from \"\" failed, because {source}")
            }
            Self::Proposal(error) => format!("error processing entry: {}", chain(error)),
            _ => chain(self),
        }
    }
}

fn append_verdict(error: &AppendError) -> Verdict {
    const SOON: Duration = Duration::from_secs(1);
    match error {
        AppendError::TooLarge { .. } => Verdict::Refused(StatusCode::PAYLOAD_TOO_LARGE, error.code()),
        AppendError::Overloaded { retry_after } => Verdict::Later(error.code(), *retry_after),
        AppendError::ClockStepped(_) | AppendError::Closed => Verdict::Later(error.code(), SOON),
        // No status that clients try again on: it will never be otherwise.
        AppendError::Frozen => Verdict::Refused(StatusCode::BAD_REQUEST, error.code()),
        AppendError::Store(source) if source.is_passing() => Verdict::Unanswered(source.code()),
        AppendError::Sign(_) | AppendError::Store(_) => Verdict::Failed(error.code()),
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (code, response) = match self.verdict() {
            Verdict::Refused(status, code) => (code, problem(status, status.as_u16(), code, &self.message())),
            Verdict::Numbered(number, code) => (code, problem(StatusCode::UNPROCESSABLE_ENTITY, number, code, &self.message())),
            Verdict::NotThere(code) => (code, StatusCode::NOT_FOUND.into_response()),
            Verdict::Exists(code) => (code, self.conflict()),
            Verdict::Later(code, wait) => {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                let mut response = problem(status, status.as_u16(), code, &self.message());
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
                (code, response)
            }
            Verdict::Unanswered(code) => {
                let status = StatusCode::SERVICE_UNAVAILABLE;
                let mut response = problem(status, status.as_u16(), code, &self.to_string());
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
                (code, response)
            }
            // The causes of our own failures name files and databases: the caller gets the first layer.
            Verdict::Failed(code) => {
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                (code, problem(status, status.as_u16(), code, &self.to_string()))
            }
        };
        Failure::new(code, &self).attach(response)
    }
}

impl ApiError {
    /// Clients take the last segment of `Location` for the id; some look for it at the end of the message, so no code follows.
    fn conflict(&self) -> Response {
        let body = json!({"code": StatusCode::CONFLICT.as_u16(), "message": self.to_string()});
        let mut response = json_answer(StatusCode::CONFLICT, body.to_string());
        if let Self::Exists { location, .. } = self
            && let Ok(location) = HeaderValue::from_str(location)
        {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }
}

/// An error body. Double quotes are those of this contract's own phrases, and stay.
pub(super) fn problem(status: StatusCode, number: u16, code: &str, message: &str) -> Response {
    let lines: Vec<_> = message.split('"').map(one_line_kept).collect();
    let message = format!("{} [{code}]", lines.join("\""));
    json_answer(status, json!({"code": number, "message": message}).to_string())
}

/// As [`one_line`], with the spaces at both ends.
fn one_line_kept(part: &str) -> String {
    let pad = |there: bool| if there { " " } else { "" };
    let line = one_line(part);
    match line.is_empty() {
        true => pad(!part.is_empty()).to_owned(),
        false => format!("{}{line}{}", pad(part.starts_with(' ')), pad(part.ends_with(' '))),
    }
}

/// What never reached a handler, or did not survive one.
pub(super) fn refused(refusal: &Refusal) -> Response {
    let status = refusal.status();
    let message = match refusal {
        Refusal::TooLarge { limit } => format!("Request Entity Too Large. Limit set to {limit}"),
        Refusal::Panicked | Refusal::TimedOut { .. } | Refusal::CutShort => refusal.to_string(),
    };
    problem(status, status.as_u16(), refusal.code(), &message)
}
