//! Which media types a request brings and takes.

use axum::http::{HeaderMap, header};
use serde::de::{DeserializeOwned, Error as _};

use super::error::ApiError;

/// The type of every body but the public key.
pub(super) const JSON: &str = "application/json";

/// Checks that the body is JSON and that the caller takes JSON.
pub(super) fn json_in_json_out(headers: &HeaderMap) -> Result<(), ApiError> {
    let sent = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("application/octet-stream");
    if !essence(sent).eq_ignore_ascii_case(JSON) {
        return Err(ApiError::MediaType { found: sent.to_owned() });
    }
    takes(headers, JSON)
}

/// Reads the body of a search, which is an object: derived code alone would also take an array with the members in order.
pub(super) fn read_query<T: DeserializeOwned>(what: &'static str, body: &[u8]) -> Result<T, ApiError> {
    let read = match body.trim_ascii_start().starts_with(b"{") {
        true => serde_json::from_slice(body),
        false => Err(serde_json::Error::custom("expected an object")),
    };
    read.map_err(|source| ApiError::Query { what, source })
}

/// Checks that the caller takes this type. One that does not say takes everything.
pub(super) fn takes(headers: &HeaderMap, offered: &'static str) -> Result<(), ApiError> {
    let mut ranges =
        headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let (kind, _) = offered.split_once('/').unwrap_or((offered, ""));
    let fits = |range: &str| {
        let range = essence(range);
        range == "*/*"
            || range.eq_ignore_ascii_case(offered)
            || range.strip_suffix("/*").is_some_and(|all| all.eq_ignore_ascii_case(kind))
    };
    if !headers.contains_key(header::ACCEPT) || ranges.any(fits) { Ok(()) } else { Err(ApiError::NotAcceptable { offered }) }
}

/// A media type without its parameters.
fn essence(value: &str) -> &str {
    value.split(';').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: &header::HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn json_is_brought() {
        for value in ["application/json", "Application/JSON; charset=utf-8", " application/json "] {
            assert!(json_in_json_out(&headers(&header::CONTENT_TYPE, &[value])).is_ok(), "{value}");
        }
        for values in [&["text/plain"][..], &["application/json5"], &["application/yaml"], &[""], &[]] {
            let error = json_in_json_out(&headers(&header::CONTENT_TYPE, values)).unwrap_err();
            assert!(matches!(error, ApiError::MediaType { .. }), "{values:?}");
        }
    }

    #[test]
    fn what_is_offered_is_taken() {
        for values in
            [&[][..], &["*/*"], &["application/*"], &["text/html, application/json;q=0.1"], &["text/html", "Application/Json"]]
        {
            assert!(takes(&headers(&header::ACCEPT, values), JSON).is_ok(), "{values:?}");
        }
        for values in [&["text/html"][..], &["application/x-pem-file"], &["*"], &["text/*"], &[""]] {
            assert!(takes(&headers(&header::ACCEPT, values), JSON).is_err(), "{values:?}");
        }
    }
}
