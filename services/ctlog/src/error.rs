//! Why a request was not answered, and how that is said: plain text, as CT logs do.

use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chassis::layers::Failure;
use chassis::reason::{chain, coded};
use tlog::{AppendError, ReadError, StoreError};

use crate::chain::Refusal;
use crate::sct::SctFailed;

/// A request failed: by the caller's doing, or ours.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// The submission may not be logged.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// A parameter is missing or not what it should be.
    #[error("{0}")]
    Parameter(String),
    /// Nothing there.
    #[error("{0}")]
    NotFound(String),
    /// The log did not take it.
    #[error(transparent)]
    Append(#[from] AppendError),
    /// The log took it and has no SCT for it.
    #[error(transparent)]
    Sct(#[from] SctFailed),
    /// No proof.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is stored is not what the log wrote.
    #[error("the log's own data cannot be read")]
    Damaged,
}

enum Verdict {
    /// The caller has to change something.
    Refused(StatusCode, &'static str),
    /// The same request will be answered later.
    Later(&'static str, Duration),
    /// The operator has to change something.
    Failed(&'static str),
}

impl RequestError {
    /// The one table from failure to answer; each with its stable code.
    fn verdict(&self) -> Verdict {
        const SOON: Duration = Duration::from_secs(1);
        let bad = |code| Verdict::Refused(StatusCode::BAD_REQUEST, code);
        match self {
            Self::Refused(refusal) => bad(refusal.code()),
            Self::Parameter(_) => bad("ct_parameter"),
            Self::NotFound(_) => Verdict::Refused(StatusCode::NOT_FOUND, "ct_not_found"),
            Self::Append(AppendError::TooLarge { .. }) => bad("ct_entry_too_large"),
            // A frozen log must not say 503: submitters would retry for ever.
            Self::Append(AppendError::Frozen) => bad("log_frozen"),
            Self::Append(AppendError::Overloaded { retry_after }) => Verdict::Later("log_overloaded", *retry_after),
            Self::Append(AppendError::ClockStepped(_)) => Verdict::Later("log_clock_stepped", SOON),
            Self::Append(AppendError::Closed) => Verdict::Later("log_closing", SOON),
            Self::Append(AppendError::Sign(_)) | Self::Sct(_) => Verdict::Failed("log_signer"),
            Self::Read(ReadError::OutOfRange(_) | ReadError::Beyond { .. }) => bad("ct_parameter"),
            Self::Append(AppendError::Store(_)) | Self::Read(ReadError::Store(_)) | Self::Store(_) => Verdict::Failed("log_store"),
            Self::Damaged => Verdict::Failed("log_damaged"),
        }
    }
}

impl IntoResponse for RequestError {
    fn into_response(self) -> Response {
        match self.verdict() {
            Verdict::Refused(status, code) => {
                let text = coded(code, &self.to_string());
                Failure::new(code, &self).attach((status, text).into_response())
            }
            Verdict::Later(code, wait) => {
                let seconds = HeaderValue::from(wait.as_secs().max(1));
                let headers = [(header::RETRY_AFTER, seconds)];
                let text = coded(code, &chain(&self));
                Failure::new(code, &self).attach((StatusCode::SERVICE_UNAVAILABLE, headers, text).into_response())
            }
            // The causes of our own failures name files and databases: they go to the log, the caller gets the first layer.
            Verdict::Failed(code) => {
                let text = coded(code, &self.to_string());
                Failure::new(code, &self).attach((StatusCode::INTERNAL_SERVER_ERROR, text).into_response())
            }
        }
    }
}

impl Refusal {
    /// The stable code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Request(_) => "ct_request",
            Self::Certificate { .. } | Self::Tbs(_) | Self::Malformed(_) => "ct_certificate",
            Self::Link { .. } => "ct_chain",
            Self::UnknownRoot { .. } | Self::IsRoot => "ct_root",
            Self::Purpose => "ct_purpose",
            Self::IsPrecertificate | Self::NoPoison => "ct_endpoint",
            Self::Poison | Self::PrecertificateSigner => "ct_poison",
        }
    }
}

/// Every code of this service, for the error reference.
pub const CODES: &[&str] = &[
    "ct_request",
    "ct_certificate",
    "ct_chain",
    "ct_root",
    "ct_purpose",
    "ct_endpoint",
    "ct_poison",
    "ct_parameter",
    "ct_not_found",
    "ct_entry_too_large",
    "log_frozen",
    "log_overloaded",
    "log_clock_stepped",
    "log_closing",
    "log_signer",
    "log_store",
    "log_damaged",
];
