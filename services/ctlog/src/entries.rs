//! `get-entries`: up to ten thousand entries, a page at a time.

use std::fmt::Write as _;
use std::ops::Range;

use axum::body::{Body, Bytes};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::stream;
use http::header;
use tlog::{Log, StoreError, Stored};

/// The most entries of one answer. rekor-monitor asks for everything new in one request and does not come back for what a shorter
/// answer left out, so this bounds what it can see of one interval.
pub const MAX_ENTRIES: u64 = 10_000;

/// Entries in memory at a time, for one answer: 256 of them are about a megabyte.
const PAGE: u64 = 256;

/// The entries of `range`, which the published tree covers, as `{"entries":[…]}`.
///
/// # Errors
/// The store failed on the first page. When it fails later the body breaks off, which no JSON reader takes for an answer.
pub(crate) async fn answer(log: Log, range: Range<u64>) -> Result<Response, StoreError> {
    let first = page(&log, &range).await?;
    let pages = stream::try_unfold(Pages { log, next: range.start, end: range.end, read: Some(first) }, Pages::step);
    Ok(([(header::CONTENT_TYPE, "application/json")], Body::from_stream(pages)).into_response())
}

struct Pages {
    log: Log,
    next: u64,
    end: u64,
    /// The first page, read before the answer began.
    read: Option<Vec<Stored>>,
}

impl Pages {
    async fn step(mut self) -> Result<Option<(Bytes, Self)>, StoreError> {
        let (text, entries) = match self.read.take() {
            Some(first) => ("{\"entries\":[".to_owned(), first),
            None if self.next == self.end => return Ok(None),
            None => (",".to_owned(), page(&self.log, &(self.next..self.end)).await?),
        };
        self.next += entries.len() as u64;
        let mut text = write(text, &entries);
        if self.next == self.end {
            text.push_str("]}");
        }
        Ok(Some((text.into(), self)))
    }
}

/// The first [`PAGE`] entries of `range`: never fewer, as the store reports a gap.
async fn page(log: &Log, range: &Range<u64>) -> Result<Vec<Stored>, StoreError> {
    log.entries(range.start..range.end.min(range.start + PAGE)).await
}

fn write(mut text: String, entries: &[Stored]) -> String {
    for (number, entry) in entries.iter().enumerate() {
        let comma = if number == 0 { "" } else { "," };
        let (leaf, extra) = (STANDARD.encode(&entry.data), STANDARD.encode(&entry.extra));
        let written = write!(text, "{comma}{{\"leaf_input\":\"{leaf}\",\"extra_data\":\"{extra}\"}}");
        written.expect("writing to a string does not fail");
    }
    text
}
