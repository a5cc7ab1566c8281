//! What goes to stdout, and how it looks.

use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

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

/// One colour for what went well, one for what did not, one for emphasis; none when stdout is no terminal or `NO_COLOR` is set.
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

    /// Without colours.
    #[cfg(test)]
    pub(crate) const fn plain() -> Self {
        Self { colored: false }
    }

    /// Something that went well.
    pub(crate) fn ok(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// Something that did not.
    pub(crate) fn error(self, text: &str) -> String {
        self.paint("31", text)
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
pub(crate) fn duration(elapsed: Duration) -> String {
    if elapsed.as_secs() >= 1 { format!("{:.1} s", elapsed.as_secs_f64()) } else { format!("{} ms", elapsed.as_millis().max(1)) }
}

/// Text that others wrote, for a line of ours: without what a terminal would obey.
pub(crate) fn safe(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// `812 B`, `4.1 kB`, `12.4 MB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let (mut value, mut unit) = (bytes as f64 / 1000.0, 0);
    // 999.95 would be shown as 1000.0.
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// Waits for `work`, and says on a terminal what for once that takes a while; the words go away when it ends.
pub(crate) async fn waiting<T>(what: &str, work: impl Future<Output = T>) -> T {
    const FIRST: Duration = Duration::from_millis(300);
    let begun = std::time::Instant::now();
    let mut work = std::pin::pin!(work);
    let mut pause = FIRST;
    loop {
        tokio::select! {
            done = &mut work => {
                if pause != FIRST {
                    tell("\r\u{1b}[K");
                }
                return done;
            }
            () = tokio::time::sleep(pause), if std::io::stderr().is_terminal() => {
                pause = Duration::from_secs(1);
                tell(&format!("\r\u{1b}[K{what}, {} s", begun.elapsed().as_secs()));
            }
        }
    }
}

/// The date of a time, UTC.
pub(crate) fn date(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%d").to_string()
}

/// The first 12 digits of a hex digest, as screens show it.
pub(crate) fn short(digest: &str) -> &str {
    digest.get(..12).unwrap_or(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_obeys_nothing_that_others_wrote() {
        assert_eq!(safe("a\u{1b}[2Jb\nc\u{9b}é"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}é");
    }

    #[test]
    fn sizes_have_one_decimal() {
        for (bytes, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (4_096, "4.1 kB"),
            (999_949, "999.9 kB"),
            (999_950, "1.0 MB"),
            (12_400_000, "12.4 MB"),
            (u64::MAX, "18446744.1 TB"),
        ] {
            assert_eq!(size(bytes), expected);
        }
    }
}
