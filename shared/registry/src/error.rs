//! What can go wrong with another registry.

use std::time::Duration;

use oci::{Digest, ErrorBody};

/// The client cannot be made: the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// Not the URL of a registry.
    #[error("`{url}` is not the URL of a registry: {reason}")]
    Url {
        /// As configured, without an account.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The HTTP library refused.
    #[error("cannot build the client of the registry")]
    Client(#[source] reqwest::Error),
}

/// A registry did not do what it was asked. Every text is one line, and none holds a secret or a signed URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// No answer, or half of one.
    #[error("registry {registry} did not answer: {reason}")]
    Unreachable {
        /// Its host and port.
        registry: String,
        /// The whole chain of causes.
        reason: String,
    },
    /// The account is missing, wrong, or may not do this.
    #[error("registry {registry} wants another account: {reason}")]
    Unauthorised {
        /// Its host and port.
        registry: String,
        /// What it said.
        reason: String,
    },
    /// It has no such thing, or does not show it.
    #[error("registry {registry} has no {what}")]
    NotFound {
        /// Its host and port.
        registry: String,
        /// What was asked for.
        what: String,
    },
    /// Too many requests.
    #[error("registry {registry} limits how often it may be asked")]
    Limited {
        /// Its host and port.
        registry: String,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// Any other status.
    #[error("registry {registry} answered {status}{}", said(.code.as_deref(), .message))]
    Refused {
        /// Its host and port.
        registry: String,
        /// The HTTP status.
        status: u16,
        /// Its error code.
        code: Option<String>,
        /// Its words.
        message: String,
    },
    /// An answer that makes no sense.
    #[error("registry {registry} answered something that is not {expected}: {reason}")]
    Malformed {
        /// Its host and port.
        registry: String,
        /// What was expected.
        expected: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Other bytes than asked for.
    #[error("registry {registry} answered other bytes than {expected}: they are {found}")]
    DigestMismatch {
        /// Its host and port.
        registry: String,
        /// What was asked for.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// More bytes than we take.
    #[error("registry {registry} answered more than {limit} bytes")]
    TooLarge {
        /// Its host and port.
        registry: String,
        /// The limit.
        limit: u64,
    },
    /// A redirect or a token service where we do not go.
    #[error("registry {registry} points to {target}, which is not followed: {reason}")]
    Elsewhere {
        /// Its host and port.
        registry: String,
        /// The scheme, host and port that it points to.
        target: String,
        /// Why not.
        reason: &'static str,
    },
}

impl RegistryError {
    /// Whether the registry is out of order, rather than clear about what it will not do: who has an older answer may give that.
    #[must_use]
    pub fn is_outage(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Limited { .. } => true,
            Self::Refused { status, .. } => *status == 408 || *status >= 500,
            // A registry that contradicts itself is not believed, and not believed to have gone either.
            Self::Malformed { .. } | Self::DigestMismatch { .. } | Self::TooLarge { .. } | Self::Elsewhere { .. } => false,
            Self::Unauthorised { .. } | Self::NotFound { .. } => false,
        }
    }

    /// Whether the same call may do better a moment later.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Limited { .. } => true,
            Self::Refused { status, .. } => matches!(status, 408 | 500 | 502 | 503 | 504),
            Self::Unauthorised { .. }
            | Self::NotFound { .. }
            | Self::Malformed { .. }
            | Self::DigestMismatch { .. }
            | Self::TooLarge { .. }
            | Self::Elsewhere { .. } => false,
        }
    }
}

/// The chain of causes of a library's error, without the URL: redirects carry signatures in their queries.
pub(crate) fn causes(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(next) = cause {
        text.push_str(": ");
        text.push_str(&next.to_string());
        cause = next.source();
    }
    line(&text)
}

/// Their words on one short line.
pub(crate) fn line(text: &str) -> String {
    const LONGEST: usize = 300;
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join(" ").chars().take(LONGEST).collect()
}

/// Code and message of an error body, if it is one.
pub(crate) fn words(body: &[u8]) -> (Option<String>, String) {
    match ErrorBody::parse(body).and_then(|body| body.errors.into_iter().next()) {
        Some(entry) => (Some(line(&entry.code)).filter(|code| !code.is_empty()), line(&entry.message)),
        None => (None, String::new()),
    }
}

fn said(code: Option<&str>, message: &str) -> String {
    match (code, message) {
        (None, "") => String::new(),
        (None, message) => format!(": {message}"),
        (Some(code), "") => format!(": {code}"),
        (Some(code), message) => format!(": {code}, {message}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn their_words_are_one_bounded_line() {
        let body = format!("{{\"errors\":[{{\"code\":\"DENIED\",\"message\":\"no\\n\\u001b[31mway {}\"}}]}}", "x".repeat(900));
        let (code, message) = words(body.as_bytes());
        assert_eq!(code.as_deref(), Some("DENIED"));
        assert!(message.starts_with("no [31mway xx") && message.len() == 300, "{message}");
        assert_eq!(words(b"<html>"), (None, String::new()));
    }

    #[test]
    fn a_refusal_reads_as_a_sentence() {
        let refused = |code: Option<&str>, message: &str| {
            let (code, message) = (code.map(str::to_owned), message.to_owned());
            RegistryError::Refused { registry: "r".into(), status: 403, code, message }.to_string()
        };
        assert_eq!(refused(None, ""), "registry r answered 403");
        assert_eq!(refused(Some("DENIED"), "not you"), "registry r answered 403: DENIED, not you");
        assert_eq!(refused(Some("DENIED"), ""), "registry r answered 403: DENIED");
        assert_eq!(refused(None, "not you"), "registry r answered 403: not you");
    }
}
