//! What a log is called: the host of its public URL.

use url::{Host, Url};

/// The public URL cannot be that of a Rekor log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("public_url {public_url} cannot name a Rekor log: {reason}; expected something like https://log1.rekor.corp.example")]
pub struct OriginError {
    public_url: String,
    reason: &'static str,
}

/// The host of the log at `public_url`, without port, in lower case, an IPv6 address without brackets.
///
/// A URL with a path, query or user is refused, and one with a port is for trials: only rekor-monitor minds it.
///
/// - Rekor v2: sigstore-go takes the host of the trusted root's `baseUrl` as the only origin it accepts, sigstore-js wants the origin to
///   be part of that URL, and monitors want nothing in the URL but scheme and origin.
/// - Rekor v1: sigstore-java wants the name on the checkpoint's signature to be this host, sigstore-js a part of the URL. The `Location`
///   of a new entry is a path, which sigstore-java appends to the URL and everybody else resolves against it: both come out right
///   only at the root of a host.
///
/// # Errors
/// When a client could not find the log under this URL or verify it.
pub(crate) fn host_of(public_url: &str) -> Result<String, OriginError> {
    let refuse = |reason| OriginError { public_url: public_url.to_owned(), reason };
    let url = Url::parse(public_url).map_err(|_| refuse("it is not an absolute URL"))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(refuse("its scheme is neither https nor http"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refuse("it carries a user name"));
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("clients expect the log at the root of its host, without path or query"));
    }
    if public_url.ends_with('/') {
        return Err(refuse("it ends in a slash, which some clients double"));
    }
    let host = match url.host() {
        Some(Host::Domain(domain)) => domain.to_owned(),
        Some(Host::Ipv4(address)) => address.to_string(),
        Some(Host::Ipv6(address)) => address.to_string(),
        None => return Err(refuse("it has no host")),
    };
    // Also refuses a first line like `host - 123`, which clients take for that of a Rekor v1 log.
    note::check_origin(&host).map_err(|_| refuse("its host cannot be the name of a key in a note"))?;
    if url.as_str().strip_suffix('/') != Some(public_url) {
        return Err(refuse("it is not in its normal form (lower case, punycode, shortest IPv6, no default port)"));
    }
    Ok(host)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_host_names_the_log() {
        for (url, origin) in [
            ("https://log1.rekor.corp.example", "log1.rekor.corp.example"),
            ("http://127.0.0.1:3003", "127.0.0.1"),
            ("http://[::1]:3003", "::1"),
            ("https://localhost:8443", "localhost"),
        ] {
            assert_eq!(host_of(url).as_deref(), Ok(origin));
        }
    }

    #[test]
    fn urls_that_break_a_client_are_refused() {
        for url in [
            "",
            "log1.rekor.corp.example",
            "ftp://log.example",
            "https://",
            "https://log.example/",
            "https://log.example:8443/",
            "https://log.example/rekor",
            "https://log.example?x",
            "https://log.example#x",
            "https://me@log.example",
            "https://Log.example",
            "https://bücher.example",
            "https://log+1.example",
            "https://log.example - 123",
            "http://[0:0::1]:3003",
            "https://log.example:443",
            "https:log.example",
        ] {
            let error = host_of(url).unwrap_err().to_string();
            assert!(error.contains("expected something like"), "{url}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_origin_looks_like_that_of_a_v1_log(host in ".{0,20}") {
            if let Ok(origin) = host_of(&format!("https://{host}")) {
                prop_assert!(!origin.contains(" - ") && !origin.contains(['+', '/', ' ', '\n']));
            }
        }
    }
}
