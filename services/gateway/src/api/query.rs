//! Query strings.
//!
//! A plus sign stays one: no value here has spaces, and media types (`…v0.3+json`) are often sent as they are.

use std::borrow::Cow;

/// The parameters of a request, undecoded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Query<'a>(&'a str);

impl<'a> Query<'a> {
    /// Of what follows the question mark, if there is one.
    pub(super) fn of(query: Option<&'a str>) -> Self {
        Self(query.unwrap_or_default())
    }

    /// Every value of the parameter, in order. What cannot be decoded is left as it is: no grammar here allows a percent sign.
    pub(super) fn all(self, name: &'a str) -> impl Iterator<Item = Cow<'a, str>> {
        let pairs = self.0.split('&').filter(|pair| !pair.is_empty());
        let named = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        named.filter(move |(key, _)| *key == name).map(|(_, value)| percent_decode(value).unwrap_or(Cow::Borrowed(value)))
    }

    /// The first value of the parameter, unless it is empty.
    pub(super) fn first(self, name: &'a str) -> Option<Cow<'a, str>> {
        self.all(name).next().filter(|value| !value.is_empty())
    }
}

/// Percent signs without two hexadecimal digits, or bytes that are not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NotEncoded;

/// Decodes `%xx`, once.
pub(super) fn percent_decode(text: &str) -> Result<Cow<'_, str>, NotEncoded> {
    if !text.contains('%') {
        return Ok(Cow::Borrowed(text));
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || bytes.next().and_then(|digit| char::from(digit).to_digit(16)).ok_or(NotEncoded);
        let (high, low) = (digit()?, digit()?);
        decoded.push(u8::try_from(high * 16 + low).map_err(|_| NotEncoded)?);
    }
    String::from_utf8(decoded).map(Cow::Owned).map_err(|_| NotEncoded)
}

/// `text` as a query parameter's value: what is not unreserved in RFC 3986 is encoded.
pub(super) fn percent_encode(text: &str) -> String {
    use std::fmt::Write as _;

    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            write!(encoded, "%{byte:02X}").expect("a String takes every write");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parameters_repeat_and_are_decoded_once() {
        let query = Query::of(Some("digest=sha256%3Aaa&tag=a&x&tag=b%2525&&n=&artifactType=a/b+json&bad=%zz"));
        assert_eq!(query.first("digest").as_deref(), Some("sha256:aa"));
        assert_eq!(query.all("tag").collect::<Vec<_>>(), ["a", "b%25"]);
        assert_eq!((query.first("n"), query.first("x"), query.first("y")), (None, None, None));
        assert_eq!(query.first("artifactType").as_deref(), Some("a/b+json"));
        assert_eq!(query.first("bad").as_deref(), Some("%zz"));
        assert_eq!(Query::of(None).all("a").count(), 0);
    }

    proptest! {
        #[test]
        fn encoding_is_undone_by_decoding(text in "\\PC{0,40}") {
            let encoded = percent_encode(&text);
            prop_assert!(encoded.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte)));
            prop_assert_eq!(percent_decode(&encoded).unwrap(), text);
        }

        #[test]
        fn nothing_makes_it_panic(text in "[%0-9a-f&=é]{0,20}") {
            let _ = percent_decode(&text);
            let _ = Query::of(Some(&text)).all("a").count();
        }
    }
}
