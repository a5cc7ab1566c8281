//! The log's name: the host of its public URL.

use crate::host::{OriginError, host_of};

/// The origin of the log at `public_url`: its host, without port, in lower case, an IPv6 address without brackets.
///
/// # Errors
/// When a client could not find the log under this URL or verify it.
pub fn origin_of(public_url: &str) -> Result<String, OriginError> {
    host_of(public_url)
}
