//! What is left of a body that was refused.
//!
//! The answer goes out at once, and many clients do not look for one before they have written everything. A connection that is
//! closed with bytes unread is reset, and a reset throws away the answer that was already there (RFC 9112 §9.6). So the rest is
//! read, within limits, and thrown away.

use std::time::Duration;

use axum::body::Body;
use http::{HeaderMap, header};
use http_body_util::BodyExt as _;

/// The most bytes that are thrown away.
pub(super) const MOST: usize = 8 << 20;
/// The longest that this takes.
const LONGEST: Duration = Duration::from_secs(2);

/// Reads the rest of `body` in the background; beyond the limits the connection is closed under the client's hands.
pub(super) fn drain(headers: &HeaderMap, mut body: Body) {
    // Whoever waits for leave to send a body has sent none, and must not be told to.
    if headers.contains_key(header::EXPECT) {
        return;
    }
    tokio::spawn(tokio::time::timeout(LONGEST, async move {
        let mut read = 0;
        while let Some(Ok(frame)) = body.frame().await {
            read += frame.data_ref().map_or(0, bytes::Bytes::len);
            if read > MOST {
                return;
            }
        }
    }));
}
