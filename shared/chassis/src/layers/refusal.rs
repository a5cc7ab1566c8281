//! What the stack itself answers.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};

use crate::reason::coded;

/// A request that the handler never saw, or did not survive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The handler panicked: our bug.
    #[error("internal error; the log has the details under this request id")]
    Panicked,
    /// The request took too long.
    #[error("no answer within {} s; try again later", after.as_secs_f64())]
    TimedOut {
        /// The limit.
        after: Duration,
    },
    /// The body exceeds the limit.
    #[error("the body is larger than {limit} bytes, the most accepted here")]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
    },
    /// The peer closed, or broke the encoding, in the middle of the body.
    #[error("the body ended early")]
    CutShort,
}

impl Refusal {
    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Panicked => StatusCode::INTERNAL_SERVER_ERROR,
            Self::TimedOut { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::CutShort => StatusCode::BAD_REQUEST,
        }
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Panicked => "internal",
            Self::TimedOut { .. } => "timed_out",
            Self::TooLarge { .. } => "body_too_large",
            Self::CutShort => "body_cut_short",
        }
    }

    /// One line with the code in front, for any body shape.
    #[must_use]
    pub fn reason(&self) -> String {
        coded(self.code(), &self.to_string())
    }

    /// The shape of services that have none of their own.
    #[must_use]
    pub fn plain_text(&self) -> Response {
        let mut response = Response::new(Body::from(self.reason() + "\n"));
        *response.status_mut() = self.status();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        response
    }
}
