//! The parsers of requests that services have for themselves; each says whether it takes what it was given.

use crate::formats::text;

/// The authority of the certificates in `fuzz/corpus/ctlog_add_chain`.
const ROOT: &str = include_str!("../../bundle/testdata/fulcio-root.pem");

/// `X-Forwarded-For` and `X-Request-Id`, of every service.
pub fn chassis_headers(data: &[u8]) -> bool {
    chassis::fuzz::headers(data)
}

/// `POST /ct/v1/add-chain` and `add-pre-chain`, until it is clear what would be logged.
pub fn ctlog_add_chain(data: &[u8]) -> bool {
    ctlog::fuzz::add_chain(ROOT, data)
}

/// The queries of `GET /ct/v1/…`.
pub fn ctlog_query(data: &[u8]) -> bool {
    ctlog::fuzz::query(data)
}

/// `dev.sigstore.fulcio.v2.CA/CreateSigningCertificate`.
pub fn fulcio_grpc(data: &[u8]) -> bool {
    fulcio::fuzz::grpc_signing_request(data)
}

/// Path and deadline of a request to the authority.
pub fn fulcio_head(data: &[u8]) -> bool {
    fulcio::fuzz::head(data)
}

/// `POST /api/v2/signingCert`.
pub fn fulcio_signing(data: &[u8]) -> bool {
    fulcio::fuzz::signing_request(data)
}

/// `POST /api/v1/signingCert`.
pub fn fulcio_signing_v1(data: &[u8]) -> bool {
    fulcio::fuzz::legacy_signing_request(data)
}

/// An identity token.
pub fn fulcio_token(data: &[u8]) -> bool {
    fulcio::fuzz::token(data)
}

/// `Authorization`, `If-Match` and `If-None-Match` of a request to the registry.
pub fn gateway_headers(data: &[u8]) -> bool {
    gateway::fuzz::headers(data)
}

/// A path below `/v2`.
pub fn gateway_path(data: &[u8]) -> bool {
    gateway::fuzz::path(data)
}

/// `POST /api/v1/promotions`.
pub fn gateway_promotion(data: &[u8]) -> bool {
    gateway::fuzz::promotion(data)
}

/// The queries of lists, referrers, uploads, manifests and `/token`.
pub fn gateway_query(data: &[u8]) -> bool {
    gateway::fuzz::query(data)
}

/// `Range` of a download, `Content-Range` of an upload.
pub fn gateway_range(data: &[u8]) -> bool {
    gateway::fuzz::range(data)
}

/// Query and media types of a request to the log.
pub fn rekor_v1_head(data: &[u8]) -> bool {
    rekor::v1::fuzz::head(data)
}

/// The name of an entry, in a path or a body.
pub fn rekor_v1_name(data: &[u8]) -> bool {
    rekor::v1::fuzz::entry_name(data)
}

/// `POST /api/v1/log/entries/retrieve`.
pub fn rekor_v1_retrieve(data: &[u8]) -> bool {
    rekor::v1::fuzz::retrieve_query(data)
}

/// `POST /api/v1/index/retrieve`.
pub fn rekor_v1_search(data: &[u8]) -> bool {
    rekor::v1::fuzz::search_query(data)
}

/// The path of a file of the trust root.
pub fn tuf_path(data: &[u8]) -> bool {
    let Some((text, name)) = text(data).and_then(|text| Some((text, tuf::FileName::parse(text)?))) else { return false };
    assert_eq!(name.to_string(), text, "there is one spelling");
    true
}
