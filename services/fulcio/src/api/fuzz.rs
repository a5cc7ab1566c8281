//! The parsers of requests, each as a function that takes anything and must come back, and says whether it is one: for fuzzing, and for
//! tests of what that found.
//!
//! The keys and signing requests that a request holds are parsed by crate `pki`, and fuzzed there.

use prost::Message as _;

use super::json::{LegacySigningRequest, SigningRequest};
use super::{deadline, path};
use crate::identity::{MAX_TOKEN, UnverifiedToken};
use crate::proto::v2::CreateSigningCertificateRequest;

/// The body of `POST /api/v2/signingCert`.
pub fn signing_request(body: &[u8]) -> bool {
    SigningRequest::parse(body).is_ok()
}

/// The body of `POST /api/v1/signingCert`.
pub fn legacy_signing_request(body: &[u8]) -> bool {
    LegacySigningRequest::parse(body).is_ok()
}

/// The message of `CreateSigningCertificate`, without its frame.
///
/// # Panics
/// It is not read again as it was written.
pub fn grpc_signing_request(message: &[u8]) -> bool {
    let Ok(request) = CreateSigningCertificateRequest::decode(message) else { return false };
    assert_eq!(CreateSigningCertificateRequest::decode(&*request.encode_to_vec()).as_ref(), Ok(&request), "it is kept");
    true
}

/// An identity token, before anything in it is believed.
///
/// # Panics
/// One is taken that is too long, or has no issuer.
pub fn token(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let Ok(token) = UnverifiedToken::parse(text) else { return false };
    assert!(text.len() <= MAX_TOKEN && text.split('.').count() == 3, "{} names an issuer", token.issuer());
    true
}

/// What every request has beside its body: a path, perhaps with doubled slashes, and `Grpc-Timeout`.
///
/// # Panics
/// Slashes stay doubled.
pub fn head(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let timed = deadline::parse(text).is_some();
    let Ok(uri) = text.parse() else { return timed };
    assert!(path::collapsed(&uri).is_none_or(|uri| !uri.path().contains("//")), "slashes collapse");
    true
}
