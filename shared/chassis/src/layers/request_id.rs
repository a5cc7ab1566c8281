//! The id under which a request is found in the log.

use http::{HeaderMap, HeaderName};

/// The id of one request: the caller's own when it is harmless, else a new one. In every answer, log line and span; handlers
/// find it in the request's extensions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    /// The header it arrives and leaves in.
    pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

    /// The id that `headers` bring, or a new one. An id that could break a log line, or is longer than 64 characters, is replaced.
    #[must_use]
    pub fn of(headers: &HeaderMap) -> Self {
        let harmless = |id: &&str| {
            let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
            (1..=64).contains(&id.len()) && id.bytes().all(allowed)
        };
        let given = headers.get(Self::HEADER).and_then(|value| value.to_str().ok()).filter(harmless);
        Self(given.map_or_else(|| format!("{:032x}", rand::random::<u128>()), str::to_owned))
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
