//! Why an entry was not logged, and how that is said.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chassis::layers::Failure;
use chassis::reason::{chain, coded};
use entry::RequestError;
use tlog::{AppendError, ReadError};

use super::gateway::{Code, problem};
use crate::witness::NotCosigned;

/// A request to log an entry failed: by the caller's doing, or ours.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    /// The entry is not one that this log takes.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The log did not take it.
    #[error(transparent)]
    Log(#[from] AppendError),
    /// The log took it, and its witnesses have not seen that.
    #[error(transparent)]
    NotCosigned(#[from] NotCosigned),
    /// The log took it, and the proof to the checkpoint that its witnesses have seen could not be read.
    #[error("the inclusion proof could not be read")]
    Reprove(#[source] ReadError),
    /// The log took it and made a proof that does not hold.
    #[error("the inclusion proof of entry {index} does not lead to the published root")]
    Proof {
        /// Where the entry is.
        index: u64,
    },
}

/// How a failure is answered.
enum Verdict {
    /// 400: the caller has to change something.
    Refused(&'static str),
    /// 503: the same request will be taken later.
    Later(&'static str, Duration),
    /// 405, plain text: never again in this log.
    Frozen(&'static str),
    /// 503: a service that we need does not answer; the operator finds the causes in the log.
    Unanswered(&'static str),
    /// 500: the operator has to change something.
    Failed(&'static str),
}

impl WriteError {
    /// The one table from failure to answer; each with its stable code.
    fn verdict(&self) -> Verdict {
        const SOON: Duration = Duration::from_secs(1);
        match self {
            Self::Request(error) => Verdict::Refused(error.code()),
            Self::Log(error) => match error {
                AppendError::TooLarge { .. } => Verdict::Refused(error.code()),
                AppendError::Overloaded { retry_after } => Verdict::Later(error.code(), *retry_after),
                AppendError::ClockStepped(_) | AppendError::Closed => Verdict::Later(error.code(), SOON),
                AppendError::Frozen => Verdict::Frozen(error.code()),
                AppendError::Store(source) if source.is_passing() => Verdict::Unanswered(source.code()),
                AppendError::Sign(_) | AppendError::Store(_) => Verdict::Failed(error.code()),
            },
            Self::NotCosigned(_) => Verdict::Later("log_not_cosigned", SOON),
            Self::Reprove(ReadError::Store(error)) if error.is_passing() => Verdict::Unanswered(error.code()),
            Self::Reprove(_) => Verdict::Failed("log_store_failed"),
            Self::Proof { .. } => Verdict::Failed("log_proof"),
        }
    }
}

impl IntoResponse for WriteError {
    fn into_response(self) -> Response {
        match self.verdict() {
            Verdict::Refused(code) => {
                let message = format!("invalid hashedrekord request: {}", coded(code, &chain(&self)));
                Failure::new(code, &self).attach(problem(StatusCode::BAD_REQUEST, Code::InvalidArgument, &message))
            }
            Verdict::Later(code, wait) => {
                let message = format!("reached max pushback; retry: {}", coded(code, &chain(&self)));
                let mut response = problem(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, &message);
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
                Failure::new(code, &self).attach(response)
            }
            Verdict::Frozen(code) => {
                const TEXT: &str = "This log has been frozen, please switch to the latest log.\n";
                Failure::new(code, &self).attach((StatusCode::METHOD_NOT_ALLOWED, TEXT).into_response())
            }
            Verdict::Unanswered(code) => {
                let message = format!("reached max pushback; retry: {}", coded(code, &self.to_string()));
                let mut response = problem(StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable, &message);
                response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
                Failure::new(code, &self).attach(response)
            }
            // The causes of our own failures name files and databases: they go to the log, the caller gets the first layer.
            Verdict::Failed(code) => {
                let message = format!("failed to integrate entry: {}", coded(code, &self.to_string()));
                Failure::new(code, &self).attach(problem(StatusCode::INTERNAL_SERVER_ERROR, Code::Unknown, &message))
            }
        }
    }
}
