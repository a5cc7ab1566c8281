//! Errors as a person at a terminal reads them: what, why, what to do; the stable code last.

use std::error::Error;

use serde_json::{Value, json};

use crate::reason::causes;

/// An error that can be explained to the person who has to act on it.
///
/// `Display` is the first part, what is wrong, and stands alone. Secrets never appear in any part.
pub trait Explain: Error {
    /// The stable code in snake case, an anchor in `docs/errors.md`.
    fn code(&self) -> &'static str;

    /// Why, one line each, the value that was found beside the value that was expected. By default the causes.
    fn details(&self) -> Vec<String> {
        causes(self.source())
    }

    /// What to do next.
    fn advice(&self) -> Option<String> {
        None
    }
}

/// The three parts for a terminal, without a final newline:
///
/// ```text
/// error: the transparency log's key does not belong to its database
///   database  D/db/rekor.db       key 91ab30c77d15
///   key file  D/keys/rekor-v2.pem key 02d7e5b1f00c
///   Restore the key with fingerprint 91ab30c77d15
///   [log_key_mismatch]
/// ```
#[must_use]
pub fn render(error: &dyn Explain) -> String {
    let mut text = format!("error: {error}");
    let code = format!("[{}]", error.code());
    let parts = error.details().into_iter().chain(error.advice()).chain([code]);
    for line in parts.flat_map(|part| part.lines().map(str::to_owned).collect::<Vec<_>>()) {
        text.push_str(if line.is_empty() { "\n" } else { "\n  " });
        text.push_str(&line);
    }
    text
}

/// The same parts for `--output json`: `{"error":{"code","message","details":[…],"advice"}}`, advice null when there is none.
#[must_use]
pub fn json(error: &dyn Explain) -> Value {
    json!({ "error": {
        "code": error.code(),
        "message": error.to_string(),
        "details": error.details(),
        "advice": error.advice(),
    }})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the key does not belong to its database")]
    struct Mismatch;

    impl Explain for Mismatch {
        fn code(&self) -> &'static str {
            "log_key_mismatch"
        }

        fn details(&self) -> Vec<String> {
            vec!["database  91ab30c77d15\nkey file  02d7e5b1f00c".into()]
        }

        fn advice(&self) -> Option<String> {
            Some("Restore the key.".into())
        }
    }

    #[test]
    fn three_parts_and_the_code() {
        assert_eq!(
            render(&Mismatch),
            "error: the key does not belong to its database\n  database  91ab30c77d15\n  key file  02d7e5b1f00c\n  Restore the key.\n  [log_key_mismatch]"
        );
        assert_eq!(json(&Mismatch)["error"]["code"], "log_key_mismatch");
        assert_eq!(json(&Mismatch)["error"]["advice"], "Restore the key.");
    }
}
