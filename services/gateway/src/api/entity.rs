//! The headers of what has a digest: manifests and blobs.
//!
//! Nothing is ever encoded on the way, whatever a client accepts: bytes, length and digest are those of the content.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use oci::Digest;

use crate::contents::Freshness;

const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
const UPSTREAM: HeaderName = HeaderName::from_static("x-gateway-upstream");

/// Content that is being answered with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entity<'a> {
    /// As the client names it.
    pub(super) digest: &'a Digest,
    /// Its type, exactly.
    pub(super) media_type: &'a str,
    /// Its bytes.
    pub(super) size: u64,
    /// Whether it was asked for by digest, and so is the same for ever.
    pub(super) immutable: bool,
    /// How it came here.
    pub(super) freshness: Option<Freshness>,
}

impl Entity<'_> {
    /// The answer if the client has it already.
    pub(super) fn unless_known(&self, headers: &HeaderMap) -> Option<Response> {
        let known = names(headers.get_all(header::IF_NONE_MATCH), self.digest);
        known.then(|| self.answer(StatusCode::NOT_MODIFIED, Body::empty()))
    }

    /// The answer with all of it, or for HEAD with all but `body`.
    pub(super) fn whole(&self, body: Body) -> Response {
        let mut response = self.answer(StatusCode::OK, body);
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(self.size));
        response
    }

    /// An answer about this content; its length is for the caller to say.
    pub(super) fn answer(&self, status: StatusCode, body: Body) -> Response {
        const FOR_EVER: HeaderValue = HeaderValue::from_static("max-age=31536000, immutable");
        const ASK_AGAIN: HeaderValue = HeaderValue::from_static("no-cache");
        let mut response = Response::new(body);
        *response.status_mut() = status;
        let headers = response.headers_mut();
        if let Ok(media_type) = HeaderValue::from_str(self.media_type) {
            headers.insert(header::CONTENT_TYPE, media_type);
        }
        headers.insert(CONTENT_DIGEST, digest_value(self.digest));
        headers.insert(header::ETAG, etag(self.digest));
        headers.insert(header::CACHE_CONTROL, if self.immutable { FOR_EVER } else { ASK_AGAIN });
        if let Some(freshness) = self.freshness {
            say(freshness, headers);
        }
        response
    }
}

/// Says which content an answer is about.
pub(super) fn name(headers: &mut HeaderMap, digest: &Digest) {
    headers.insert(CONTENT_DIGEST, digest_value(digest));
}

/// A digest as a header's value.
pub(super) fn digest_value(digest: &Digest) -> HeaderValue {
    HeaderValue::from_str(digest.as_str()).expect("a digest is printable ASCII")
}

/// Says how an answer of a registry behind this one came here (RFC 7234 §5.5 for what is old).
pub(super) fn say(freshness: Freshness, headers: &mut HeaderMap) {
    let (word, age) = match freshness {
        Freshness::Hit { age } => ("hit", Some(age)),
        Freshness::Miss => ("miss", None),
        Freshness::Stale { age, since } => {
            let warning = format!("299 - \"stale: upstream unavailable since {since:.0}\"");
            headers.append(header::WARNING, HeaderValue::from_str(&warning).expect("a time is printable ASCII"));
            ("stale", Some(age))
        }
        Freshness::Offline { age } => ("offline", Some(age)),
    };
    let text = age.map_or_else(|| word.to_owned(), |age| format!("{word}; age={}", age.as_secs().max(0)));
    headers.insert(UPSTREAM, HeaderValue::from_str(&text).expect("words and digits"));
}

/// Whether a list of entity tags names this content: quoted as the standard wants it, or not as some clients send it.
pub(super) fn names<'a>(values: impl IntoIterator<Item = &'a HeaderValue>, digest: &Digest) -> bool {
    tags(values).any(|tag| tag == "*" || tag == digest.as_str())
}

/// Entity tags, without quotes and marks of weakness.
pub(super) fn tags<'a>(values: impl IntoIterator<Item = &'a HeaderValue>) -> impl Iterator<Item = &'a str> {
    let texts = values.into_iter().filter_map(|value| value.to_str().ok());
    texts.flat_map(|text| text.split(',')).map(|tag| {
        let tag = tag.trim();
        tag.strip_prefix("W/").unwrap_or(tag).trim_matches('"')
    })
}

fn etag(digest: &Digest) -> HeaderValue {
    HeaderValue::from_str(&format!("\"{digest}\"")).expect("a digest is printable ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entity_tags_with_and_without_quotes() {
        let digest = Digest::of(b"{}");
        let named = |text: String| names([&HeaderValue::from_str(&text).unwrap()], &digest);
        for good in
            [format!("\"{digest}\""), digest.to_string(), format!("W/\"{digest}\""), format!("\"x\", \"{digest}\""), "*".into()]
        {
            assert!(named(good.clone()), "{good}");
        }
        for bad in [String::new(), "\"\"".into(), format!("\"{}\"", digest.hex()), "\"*x\"".into()] {
            assert!(!named(bad.clone()), "{bad}");
        }
    }

    #[test]
    fn what_is_stale_says_since_when() {
        let mut headers = HeaderMap::new();
        let age = jiff::SignedDuration::from_secs(61);
        say(Freshness::Stale { since: jiff::Timestamp::from_second(0).unwrap(), age }, &mut headers);
        assert_eq!(headers["x-gateway-upstream"], "stale; age=61");
        assert_eq!(headers["warning"], "299 - \"stale: upstream unavailable since 1970-01-01T00:00:00Z\"");
    }
}
