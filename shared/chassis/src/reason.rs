//! Reasons that fit on one line of a response body.
//!
//! Clients print a refusal inside their own JSON or quotes (cosign twice, escaped), so a reason has no newline, no double
//! quote, nothing that moves a terminal's cursor, and a bounded length.

use std::error::Error;

/// The most characters [`one_line`] keeps.
pub const LINE_LIMIT: usize = 800;

/// `text` as one printable line: white space and control characters become single spaces, double quotes become single
/// ones, and what exceeds [`LINE_LIMIT`] characters is cut and ends in `…`.
#[must_use]
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(LINE_LIMIT));
    let mut length = 0;
    for word in text.split(|c: char| c.is_whitespace() || c.is_control() || rearranges(c)).filter(|word| !word.is_empty()) {
        let space = usize::from(length > 0);
        for c in " ".chars().take(space).chain(word.chars()) {
            if length == LINE_LIMIT - 1 {
                line.push('…');
                return line;
            }
            line.push(if c == '"' { '\'' } else { c });
            length += 1;
        }
    }
    line
}

/// A reason with its stable code in front: `[token_audience] audience is my-service, expected sigstore`.
#[must_use]
pub fn coded(code: &str, text: &str) -> String {
    one_line(&format!("[{code}] {text}"))
}

/// An error and its causes, outermost first, joined by `: `; for log lines and reports, where a chain is printed once.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    for cause in causes(error.source()) {
        text.push_str(": ");
        text.push_str(&cause);
    }
    text
}

/// `first` and what caused it, outermost first.
#[must_use]
pub fn causes(first: Option<&(dyn Error + 'static)>) -> Vec<String> {
    std::iter::successors(first, |cause| Error::source(*cause)).map(ToString::to_string).collect()
}

/// Characters that change the order or visibility of others on a terminal: bidirectional controls and zero-width marks.
fn rearranges(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_stays_one_line() {
        assert_eq!(one_line("audience is \"x\"\r\n\texpected  y\n"), "audience is 'x' expected y");
        assert_eq!(one_line("a\u{1b}[2Jb\u{202e}c"), "a [2Jb c");
        assert_eq!(coded("token_audience", "audience is x"), "[token_audience] audience is x");
    }

    #[test]
    fn a_line_is_bounded() {
        let exact = "é".repeat(LINE_LIMIT - 1);
        assert_eq!(one_line(&exact), exact);
        let cut = one_line(&"é".repeat(LINE_LIMIT * 2));
        assert_eq!(cut.chars().count(), LINE_LIMIT);
        assert!(cut.ends_with('…'));
    }

    #[test]
    fn a_chain_names_every_cause_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] std::io::Error);
        assert_eq!(chain(&Outer(std::io::Error::other("inner"))), "outer: inner");
    }

    proptest! {
        #[test]
        fn no_text_breaks_a_line(text in any::<String>()) {
            let line = one_line(&text);
            prop_assert!(line.chars().count() <= LINE_LIMIT);
            prop_assert!(!line.chars().any(|c| c == '"' || c.is_control() || rearranges(c)));
            prop_assert_eq!(one_line(&line), line);
        }
    }
}
