//! Why an entry was not logged, or the log not opened, and how that is said.

use std::error::Error;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chassis::Explain;
use chassis::layers::Failure;
use chassis::reason::{chain, coded};
use entry::RequestError;
use keys::KeyFileError;
use tlog::sqlite::DatabaseError;
use tlog::{AppendError, OpenError, UnsuitableSigner};

use super::gateway::{Code, problem};
use super::origin::OriginError;

/// A request to log an entry failed: by the caller's doing, or ours.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    /// The entry is not one that this log takes.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The log did not take it.
    #[error(transparent)]
    Log(#[from] AppendError),
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
                AppendError::Sign(_) | AppendError::Store(_) => Verdict::Failed(error.code()),
            },
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
            // The causes of our own failures name files and databases: they go to the log, the caller gets the first layer.
            Verdict::Failed(code) => {
                let message = format!("failed to integrate entry: {}", coded(code, &self.to_string()));
                Failure::new(code, &self).attach(problem(StatusCode::INTERNAL_SERVER_ERROR, Code::Unknown, &message))
            }
        }
    }
}

/// The log cannot be made or opened: the operator's concern.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The public URL cannot name a log.
    #[error("the transparency log cannot have this public URL")]
    PublicUrl(#[from] OriginError),
    /// The key cannot be read.
    #[error("the transparency log has no key")]
    KeyFile(#[from] KeyFileError),
    /// The key cannot sign for a log.
    #[error("the transparency log cannot be signed with this key")]
    Signer(#[from] UnsuitableSigner),
    /// The database cannot be used.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// What is in the database does not fit the rest, or itself.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// The first entries could not be written.
    #[error("the transparency log was made, and its entry {number} could not be written")]
    Seed {
        /// Which of them.
        number: u64,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl Explain for StartError {
    fn code(&self) -> &'static str {
        match self {
            Self::PublicUrl(_) => "log_public_url",
            Self::KeyFile(_) => "log_key_file",
            Self::Signer(_) => "log_key_unsuitable",
            Self::Database(error) => error.code(),
            Self::Log(error) => error.code(),
            Self::Seed { .. } => "log_seed",
        }
    }

    fn details(&self) -> Vec<String> {
        match self {
            Self::Database(error) => error.details(),
            Self::Log(error) => error.details().into_iter().chain(causes(error)).collect(),
            Self::PublicUrl(_) | Self::KeyFile(_) | Self::Signer(_) | Self::Seed { .. } => causes(self),
        }
    }

    fn advice(&self) -> Option<String> {
        let advice = match self {
            Self::Database(error) => error.advice(),
            Self::Log(error) => return Some(error.advice()),
            Self::PublicUrl(_) => "Set rekor_v2.public_url to the name the log was created with.",
            Self::KeyFile(_) => "Restore the key file from a backup; the key of a log is never made anew.",
            Self::Signer(_) => "Use the key that the log was created with.",
            Self::Seed { .. } => "Remove what init left behind and run it again.",
        };
        Some(advice.to_owned())
    }
}

fn causes(error: &dyn Error) -> Vec<String> {
    std::iter::successors(error.source(), |cause| (*cause).source()).map(ToString::to_string).collect()
}
