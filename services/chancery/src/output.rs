//! What goes to stdout, and how it looks.

use std::io::{IsTerminal as _, Write as _};

use serde_json::Value;

/// Writes `text` to stdout at once. A reader that went away is not an error of ours.
pub(crate) fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
}

/// Writes one JSON document and a newline to stdout.
pub(crate) fn print_json(document: &Value) {
    let mut text = serde_json::to_string_pretty(document).expect("a JSON value serialises");
    text.push('\n');
    print(&text);
}

/// Writes `text` to stderr.
pub(crate) fn tell(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

/// One colour for what went well, one for emphasis; none when stdout is no terminal or `NO_COLOR` is set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style {
    colored: bool,
}

impl Style {
    /// The style for this process' stdout.
    pub(crate) fn of_stdout() -> Self {
        let wanted = std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self { colored: wanted && std::io::stdout().is_terminal() }
    }

    /// Something that went well.
    pub(crate) fn ok(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// Something to look at.
    pub(crate) fn strong(self, text: &str) -> String {
        self.paint("1", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colored { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// `41 ms`, `2.1 s`.
pub(crate) fn duration(elapsed: std::time::Duration) -> String {
    if elapsed.as_secs() >= 1 { format!("{:.1} s", elapsed.as_secs_f64()) } else { format!("{} ms", elapsed.as_millis().max(1)) }
}

/// The date of a time, UTC.
pub(crate) fn date(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%d").to_string()
}

/// The first 12 digits of a hex digest, as screens show it.
pub(crate) fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}
