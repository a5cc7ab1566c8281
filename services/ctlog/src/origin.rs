//! The log's name: its public URL without the scheme.

use url::Url;

/// The public URL cannot be that of a CT log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("public_url {public_url} cannot name a CT log: {reason}; expected something like https://ctlog.corp.example")]
pub struct OriginError {
    public_url: String,
    reason: &'static str,
}

/// The origin of the log at `public_url`: the URL without its scheme, port and path kept (C2SP static-ct-api).
///
/// rekor-monitor finds the log's key by comparing this URL with the trusted root as strings, so there is exactly one way to write
/// it.
///
/// # Errors
/// When a client could not find the log under this URL or verify it.
pub fn origin_of(public_url: &str) -> Result<String, OriginError> {
    let refuse = |reason| OriginError { public_url: public_url.to_owned(), reason };
    let url = Url::parse(public_url).map_err(|_| refuse("it is not an absolute URL"))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(refuse("its scheme is neither https nor http"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(refuse("it has a user name, a query or a fragment"));
    }
    if public_url.ends_with('/') {
        return Err(refuse("it ends in a slash, which some clients double"));
    }
    if url.as_str().trim_end_matches('/') != public_url {
        return Err(refuse("it is not in its normal form (lower-case host, no default port, nothing to be escaped)"));
    }
    let (_, origin) = public_url.split_once("://").ok_or_else(|| refuse("it is not an absolute URL"))?;
    note::check_origin(origin).map_err(|_| refuse("it cannot be the name of a key in a note"))?;
    Ok(origin.to_owned())
}

/// The path below which the log answers besides the root: `/2026` of `https://ctlog.corp.example/2026`; none without a path.
pub(crate) fn prefix_of(public_url: &str) -> Option<String> {
    let url = Url::parse(public_url).ok()?;
    (url.path() != "/").then(|| url.path().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_url_without_its_scheme_names_the_log() {
        for (url, origin, prefix) in [
            ("https://ctlog.corp.example", "ctlog.corp.example", None),
            ("http://127.0.0.1:6962", "127.0.0.1:6962", None),
            ("http://[::1]:6962", "[::1]:6962", None),
            ("https://ctfe.corp.example/2026", "ctfe.corp.example/2026", Some("/2026")),
        ] {
            assert_eq!(origin_of(url).as_deref(), Ok(origin));
            assert_eq!(prefix_of(url).as_deref(), prefix);
        }
    }

    #[test]
    fn urls_that_break_a_client_are_refused() {
        for url in [
            "",
            "ctlog.corp.example",
            "ftp://log.example",
            "https://log.example/",
            "https://log.example/2026/",
            "https://log.example?x",
            "https://log.example#x",
            "https://me@log.example",
            "https://Log.example",
            "https://log.example:443",
            "https://bücher.example",
            "https://log.example/a b",
            "https://log.example/a+b",
        ] {
            let error = origin_of(url).unwrap_err().to_string();
            assert!(error.contains("expected something like"), "{url}: {error}");
        }
    }
}
