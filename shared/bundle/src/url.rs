//! The few questions we have about URLs, answered on the text: clients compare and join them as text.

/// The host of an `http` or `https` URL, without port; none when there is no such host or the text could be read in two ways.
pub(crate) fn host(url: &str) -> Option<&str> {
    let (authority, _) = split(url)?;
    let host = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, port) = rest.split_once(']')?;
            (port.is_empty() || is_port(port.strip_prefix(':')?)).then_some(address)?
        }
        None => match authority.split_once(':') {
            Some((host, port)) => is_port(port).then_some(host)?,
            None => authority,
        },
    };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':');
    (!host.is_empty() && host.bytes().all(allowed)).then_some(host)
}

/// The path, when it is more than `/`.
pub(crate) fn path(url: &str) -> Option<&str> {
    split(url).map(|(_, path)| path).filter(|path| path.len() > 1)
}

fn split(url: &str) -> Option<(&str, &str)> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    if rest.bytes().any(|byte| !byte.is_ascii_graphic() || matches!(byte, b'?' | b'#' | b'@' | b'\\' | b'"')) {
        return None;
    }
    Some(rest.split_at(rest.find('/').unwrap_or(rest.len())))
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok_and(|port| port > 0) && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hosts_and_paths() {
        for (url, expected) in [
            ("https://log1.rekor.example", Some("log1.rekor.example")),
            ("http://127.0.0.1:3003", Some("127.0.0.1")),
            ("http://[::1]:3003/x", Some("::1")),
            ("http://localhost:3003/", Some("localhost")),
            ("ftp://x", None),
            ("https://", None),
            ("https://x:", None),
            ("https://x:0", None),
            ("https://x:99999", None),
            ("https://user@x", None),
            ("https://x?y", None),
            ("https://x y", None),
        ] {
            assert_eq!(host(url), expected, "{url}");
        }
        assert_eq!(path("https://x/api/v1/timestamp"), Some("/api/v1/timestamp"));
        assert_eq!(path("https://x/"), None);
        assert_eq!(path("https://x"), None);
    }

    proptest! {
        #[test]
        fn any_text_is_answered_without_panic(text in ".*", rest in "[:/\\[\\]a-z0-9]*") {
            let _ = (host(&text), path(&text));
            let url = format!("https://{rest}");
            let _ = (host(&url), path(&url));
        }
    }
}
