//! `Grpc-Timeout`: how long a caller is willing to wait. Both faces know it.

use std::time::Duration;

use http::HeaderMap;

use super::errors::Answer;
use crate::issuance::IssueError;

/// The outcome of `work`, or the answer to a caller whose time is over. Nothing is left half done by that: what was recorded or
/// logged stays, as after a crash.
pub(crate) async fn within<T>(headers: &HeaderMap, work: impl Future<Output = Result<T, IssueError>>) -> Result<T, Answer> {
    let outcome = match headers.get("grpc-timeout").and_then(|value| parse(value.to_str().ok()?)) {
        None => work.await,
        Some(limit) => tokio::time::timeout(limit, work).await.map_err(|_| Answer::deadline(limit))?,
    };
    outcome.map_err(|error| Answer::to_issue(&error))
}

/// At most eight digits and a unit.
pub(super) fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3_600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_digits_and_a_unit() {
        assert_eq!(parse("5S"), Some(Duration::from_secs(5)));
        assert_eq!(parse("99999999H"), Some(Duration::from_secs(99_999_999 * 3_600)));
        assert_eq!(parse("250m"), Some(Duration::from_millis(250)));
        for text in ["", "S", "5", "5s", "-5S", "123456789S", "5é", "é"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
