//! Absolute URIs as subject alternative names.
//!
//! Upstream parses the text with Go's `net/url` and writes it again; people paste the result into policies. So this does the
//! same to path and fragment, byte for byte, which the WHATWG rules of browsers (`url` crate) do not: they resolve `..`,
//! drop `:443` and encode other characters. Unlike upstream it insists on a scheme and a host.

/// A text is no absolute URI of the kind that is wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text} is not an absolute {expected} URL: {reason}")]
pub struct UriError {
    text: String,
    expected: String,
    reason: &'static str,
}

/// An absolute URI with a host, in Go's spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AbsoluteUri {
    scheme: String,
    host: String,
    /// Path, query and fragment.
    rest: String,
}

impl AbsoluteUri {
    /// Parses `text`, whose scheme must be one of `schemes`.
    pub(crate) fn parse(text: &str, schemes: &[&str]) -> Result<Self, UriError> {
        let refused = |reason| UriError { text: text.chars().take(200).collect(), expected: schemes.join(" or "), reason };
        if text.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
            return Err(refused("it has control characters"));
        }
        let (scheme, after) = text.split_once("://").ok_or_else(|| refused("it has no scheme"))?;
        let scheme = scheme.to_ascii_lowercase();
        if !schemes.contains(&scheme.as_str()) {
            return Err(refused("it has another scheme"));
        }
        let (authority, rest) = after.split_at(after.find(['/', '?', '#']).unwrap_or(after.len()));
        if !is_host_and_port(authority) {
            return Err(refused("its host is missing or not a host name"));
        }
        let (before, fragment) = split(rest, '#');
        let (path, query) = split(before, '?');
        let mut written = respell(path, is_plain_in_path).ok_or_else(|| refused("% is not followed by two hex digits"))?;
        if let Some(query) = query {
            if !query.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(refused("its query has spaces or other characters than ASCII"));
            }
            written.push('?');
            written.push_str(query);
        }
        if let Some(fragment) = fragment.filter(|fragment| !fragment.is_empty()) {
            written.push('#');
            written.push_str(
                &respell(fragment, is_plain_in_fragment).ok_or_else(|| refused("% is not followed by two hex digits"))?,
            );
        }
        Ok(Self { scheme, host: authority.to_owned(), rest: written })
    }

    /// Lower case.
    pub(crate) fn scheme(&self) -> &str {
        &self.scheme
    }

    /// Without the port, as it was written.
    pub(crate) fn host_name(&self) -> &str {
        match self.host.strip_prefix('[') {
            Some(address) => address.split(']').next().unwrap_or_default(),
            None => self.host.split(':').next().unwrap_or_default(),
        }
    }
}

impl std::fmt::Display for AbsoluteUri {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}://{}{}", self.scheme, self.host, self.rest)
    }
}

fn split(text: &str, at: char) -> (&str, Option<&str>) {
    text.split_once(at).map_or((text, None), |(before, after)| (before, Some(after)))
}

/// No user name: `https://github.com@evil.example` reads like another host.
fn is_host_and_port(authority: &str) -> bool {
    let (host, port) = match authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) if address.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b':' || byte == b'.') => {
            (address, port)
        }
        Some(_) => return false,
        None => authority.split_at(authority.find(':').unwrap_or(authority.len())),
    };
    let is_name = authority.starts_with('[') || host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    let is_port =
        port.is_empty() || port.strip_prefix(':').is_some_and(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    !host.is_empty() && is_name && is_port
}

/// Go keeps a text whose every byte may stand there; otherwise it decodes the whole and encodes it anew, so that `%41 b`
/// becomes `A%20b`. `None` when a `%` is not followed by two hex digits.
fn respell(text: &str, is_plain: fn(u8, Spelling) -> bool) -> Option<String> {
    let decoded = percent_decoded(text)?;
    if text.bytes().all(|byte| byte == b'%' || is_plain(byte, Spelling::Kept)) {
        return Some(text.to_owned());
    }
    let mut written = String::with_capacity(text.len() + 16);
    for byte in decoded {
        if is_plain(byte, Spelling::Encoded) {
            written.push(char::from(byte));
        } else {
            written.push_str(&format!("%{byte:02X}"));
        }
    }
    Some(written)
}

/// The two questions Go asks of a byte: may it stay in a text that is kept, and need it not be encoded in one that is not.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Spelling {
    Kept,
    Encoded,
}

fn is_plain_in_path(byte: u8, spelling: Spelling) -> bool {
    is_unreserved(byte) || b"$&+,/:;=@".contains(&byte) || (spelling == Spelling::Kept && b"!'()*[]".contains(&byte))
}

fn is_plain_in_fragment(byte: u8, spelling: Spelling) -> bool {
    is_unreserved(byte) || b"$&+,/:;=?@!()*".contains(&byte) || (spelling == Spelling::Kept && b"'[]".contains(&byte))
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte)
}

fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
            let (high, low) = (digit(bytes.next())?, digit(bytes.next())?);
            decoded.push(u8::try_from(high * 16 + low).ok()?);
        } else {
            decoded.push(byte);
        }
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(text: &str) -> Result<String, UriError> {
        AbsoluteUri::parse(text, &["https"]).map(|uri| uri.to_string())
    }

    #[test]
    fn spelled_as_go_spells() {
        for (text, expected) in [
            (
                "https://ghe.corp/o/r/.github/workflows/w.yml@refs/heads/main",
                "https://ghe.corp/o/r/.github/workflows/w.yml@refs/heads/main",
            ),
            (
                "HTTPS://Gitlab.corp:8443/g//.gitlab-ci.yml@refs/heads/main",
                "https://Gitlab.corp:8443/g//.gitlab-ci.yml@refs/heads/main",
            ),
            ("https://h:443/a/../b", "https://h:443/a/../b"),
            ("https://h/a b@refs/heads/é", "https://h/a%20b@refs/heads/%C3%A9"),
            ("https://h/a%20b", "https://h/a%20b"),
            ("https://h/%41 b", "https://h/A%20b"),
            ("https://h/a!'()*[]b", "https://h/a!'()*[]b"),
            ("https://h/a!'()*[] b", "https://h/a%21%27%28%29%2A%5B%5D%20b"),
            ("https://h/w.yml@refs/heads/fix#12", "https://h/w.yml@refs/heads/fix#12"),
            ("https://h/x#a b#c", "https://h/x#a%20b%23c"),
            ("https://h/x#", "https://h/x"),
            ("https://h/x?a=b&c", "https://h/x?a=b&c"),
            ("https://h", "https://h"),
            ("https://[::1]:8080/x", "https://[::1]:8080/x"),
            ("https://h/\"<>^`{|}", "https://h/%22%3C%3E%5E%60%7B%7C%7D"),
        ] {
            assert_eq!(written(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_absolute_is_refused() {
        for text in [
            "",
            "/x",
            "a b",
            "//h/x",
            "h/x",
            "http://h/x",
            "https:/h",
            "https:h",
            "https://",
            "https:///x",
            "https://:80/x",
            "https://u@h/x",
            "https://github.com@evil/x",
            "https://h\\@evil/x",
            "https://h x/",
            "https://é/x",
            "https://h:8a/x",
            "https://[::1/x",
            "https://[x]/",
            "https://h/%zz",
            "https://h/%a",
            "https://h/a\nb",
            "https://h/x#%",
            "https://h/?a b",
            "ssh://h/x",
            " https://h/x",
        ] {
            assert!(written(text).is_err(), "{text}");
        }
    }

    #[test]
    fn host_names_have_no_port() {
        let name = |text| AbsoluteUri::parse(text, &["http"]).unwrap().host_name().to_owned();
        assert_eq!(name("http://127.0.0.1:8888/claims/x"), "127.0.0.1");
        assert_eq!(name("http://[::1]:8888/"), "::1");
    }

    proptest! {
        #[test]
        fn the_result_is_ascii_and_stable(text in "https://h[:/]{0,1}.{0,60}") {
            if let Ok(once) = written(&text) {
                prop_assert!(once.bytes().all(|byte| byte.is_ascii_graphic()), "{once}");
                prop_assert!(written(&once).is_ok_and(|again| again == once));
            }
        }
    }
}
