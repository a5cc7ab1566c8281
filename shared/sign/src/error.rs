//! Why a signature could not be made.

use std::fmt;

/// The service that a step talks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// The certificate authority.
    Fulcio,
    /// The timestamp authority.
    Tsa,
    /// The transparency log.
    Rekor,
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fulcio => "the certificate authority",
            Self::Tsa => "the timestamp authority",
            Self::Rekor => "the transparency log",
        })
    }
}

/// A step of keyless signing failed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The token is not one that a certificate could be asked for with.
    #[error("the identity token cannot be used: {0}")]
    Token(&'static str),
    /// The signing config lists no service that this client knows.
    #[error("the signing config lists no {what} that is valid now and of version {versions}")]
    NoService {
        /// Kind of service.
        what: &'static str,
        /// Versions this client speaks.
        versions: &'static str,
    },
    /// The private key failed.
    #[error("the ephemeral key could not be used")]
    Key(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// No answer.
    #[error("{service} at {url} did not answer")]
    Unreachable {
        /// Which one.
        service: Service,
        /// Where.
        url: String,
        /// What the transport said.
        #[source]
        source: reqwest::Error,
    },
    /// The service said no; `reason` is its own text.
    #[error("{service} refused with status {status}: {reason}")]
    Refused {
        /// Which one.
        service: Service,
        /// HTTP status.
        status: u16,
        /// What it said, one line.
        reason: String,
    },
    /// The answer is not what the protocol promises.
    #[error("{service} sent an answer that cannot be used: {reason}")]
    Answer {
        /// Which one.
        service: Service,
        /// What does not fit.
        reason: String,
    },
}
