//! The parsers of requests, each as a function that takes anything and must come back, and says whether it is one: for fuzzing, and for
//! tests of what that found.
//!
//! Manifests are parsed by crate `oci`, and fuzzed there.

use axum::http::{HeaderMap, HeaderValue, header};
use jiff::Timestamp;
use oci::{Digest, RepositoryName, Tag};

use super::page::Page;
use super::path::Route;
use super::query::{Query, percent_decode, percent_encode};
use super::range::{Asked, Chunk};
use super::{entity, token};
use crate::access::Access;
use crate::blobs::UploadId;
use crate::promotion::Order;

/// The path of a request below `/v2`.
///
/// # Panics
/// An upload's name leads to another folder.
pub fn path(data: &[u8]) -> bool {
    let Ok(Ok(route)) = std::str::from_utf8(data).map(Route::of) else { return false };
    if let Route::Upload { session, .. } = &route
        && let Ok(upload) = session.parse::<UploadId>()
    {
        assert!(upload.as_str() == session && !session.contains(['/', '.', '\\']), "{session} is the name of a file");
    }
    !route.label().is_empty()
}

/// A query: of lists, referrers, uploads and manifests, and of `/token`, where it may be a form.
///
/// # Panics
/// A page is longer than the longest, or what is encoded is not what was decoded.
pub fn query(data: &[u8]) -> bool {
    let form = String::from_utf8_lossy(data).replace('+', "%20");
    let scopes = Query::of(Some(&form)).all("scope").flat_map(|value| token::words(&value)).map(|scope| token::level(&scope));
    let _ = scopes.max();
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let query = Query::of(Some(text));
    assert!(Page::of(query).map_or(true, |page| page.look_for() <= 1_001), "a page is bounded");
    for name in ["last", "artifactType", "tag", "digest", "mount", "from", "digest-algorithm"] {
        for value in query.all(name) {
            let _ = (value.parse::<Digest>(), value.parse::<Tag>(), value.parse::<RepositoryName>());
        }
    }
    if let Ok(decoded) = percent_decode(text) {
        assert_eq!(percent_decode(&percent_encode(&decoded)), Ok(decoded), "encoding is undone by decoding");
    }
    true
}

/// `Range` and `Content-Range`, after eight bytes that are the size of what it is asked of.
///
/// # Panics
/// Bytes are promised that are not there.
pub fn range(data: &[u8]) -> bool {
    let Some((size, value)) = data.split_first_chunk() else { return false };
    let (size, Ok(value)) = (u64::from_be_bytes(*size), HeaderValue::from_bytes(value)) else { return false };
    let (asked, chunk) = (Asked::of(Some(&value), size), Chunk::of(&value));
    if let Asked::Part(part) = &asked {
        assert!(part.start < part.end && part.end <= size, "{part:?} of {size}");
    }
    if let Some(Chunk { first, length }) = chunk {
        assert!(length > 0 && first.checked_add(length - 1).is_some(), "{length} from {first}");
    }
    matches!(asked, Asked::Part(_)) || chunk.is_some()
}

/// The other headers: `Authorization`, with a password, a session or the token of a promoter; `If-Match` and `If-None-Match`.
///
/// # Panics
/// Somebody is let in.
pub fn headers(data: &[u8]) -> bool {
    let Ok(value) = HeaderValue::from_bytes(data) else { return false };
    let named = entity::names([&value], &Digest::of(data)) || entity::tags([&value]).any(|tag| tag.parse::<Digest>().is_ok());
    let headers: HeaderMap = [(header::AUTHORIZATION, value)].into_iter().collect();
    let access = Access::locked();
    assert!(access.caller(&headers, Timestamp::UNIX_EPOCH).is_err(), "nobody knows the secret");
    assert!(access.promoter(&headers).is_err(), "there are no promoters");
    named
}

/// The body of `POST /api/v1/promotions`.
///
/// # Panics
/// A name or tag is taken that the body does not have.
pub fn promotion(body: &[u8]) -> bool {
    let Ok(order) = Order::parse(body, &["localhost:5000"]) else { return false };
    assert!(order.source.as_str().len() + order.target.as_str().len() + order.tag.as_str().len() < body.len(), "{order:?}");
    true
}
