//! The parsers of formats; each says whether it takes what it was given.

use std::fmt::Display;
use std::str::FromStr;

use bytes::Bytes;

/// A signed note (C2SP `signed-note`).
pub fn note(data: &[u8]) -> bool {
    spelled_once::<note::SignedNote>(data)
}

/// The text of a checkpoint (C2SP `tlog-checkpoint`).
pub fn checkpoint(data: &[u8]) -> bool {
    spelled_once::<note::Checkpoint>(data)
}

/// A verifier key (C2SP `signed-note`).
pub fn vkey(data: &[u8]) -> bool {
    text(data).is_some_and(|text| text.parse::<note::VerifierKey>().is_ok())
}

/// A witness policy.
pub fn witness_policy(data: &[u8]) -> bool {
    text(data).is_some_and(|text| text.parse::<note::WitnessPolicy>().is_ok())
}

/// The request of a log to a witness (C2SP `tlog-witness`).
pub fn add_checkpoint(data: &[u8]) -> bool {
    spelled_once::<note::AddCheckpoint>(data)
}

/// The path of a tile or bundle (C2SP `tlog-tiles`).
pub fn tile_path(data: &[u8]) -> bool {
    spelled_once::<merkle::TilePath>(data)
}

/// An entry bundle (C2SP `tlog-tiles`).
pub fn entry_bundle(data: &[u8]) -> bool {
    let Some(entries) = tlog::parse_bundle(data) else { return false };
    let length = |entry: &[u8]| u16::try_from(entry.len()).expect("the length was two bytes").to_be_bytes();
    let again: Vec<u8> = entries.iter().flat_map(|entry| [&length(entry)[..], entry].concat()).collect();
    assert_eq!(again, data, "there is one spelling");
    true
}

/// `POST /api/v2/log/entries`.
pub fn rekor_v2_entry(data: &[u8]) -> bool {
    let Ok(entry) = entry::HashedRekordRequest::from_json(data).and_then(|request| request.verify()) else { return false };
    assert!(entry.body().len() <= entry::MAX_BODY, "an entry that is taken fits into a bundle");
    true
}

/// `POST /api/v1/log/entries`.
pub fn rekor_v1_entry(data: &[u8]) -> bool {
    entry::v1::ProposedEntry::from_json(data).and_then(|proposed| proposed.verify()).is_ok()
}

/// `POST /ct/v1/add-chain`.
pub fn ct_chain(data: &[u8]) -> bool {
    ct::AddChainRequest::from_json(data).is_ok()
}

/// A leaf of a CT log (RFC 6962 §3.4).
pub fn ct_leaf(data: &[u8]) -> bool {
    let Ok(leaf) = ct::TimestampedEntry::parse_leaf(data) else { return false };
    assert_eq!(leaf.to_leaf().as_deref(), Ok(data), "there is one spelling");
    true
}

/// A list of SCTs (RFC 6962 §3.3).
pub fn sct_list(data: &[u8]) -> bool {
    ct::parse_sct_list(data).is_ok()
}

/// A timestamp request (RFC 3161 §2.4.1).
pub fn timestamp_request(data: &[u8]) -> bool {
    tsp::Request::from_der(data).is_ok()
}

/// A timestamp request in JSON.
pub fn timestamp_json(data: &[u8]) -> bool {
    tsp::Request::from_json(data).is_ok()
}

/// A timestamp response (RFC 3161 §2.4.2).
pub fn timestamp_response(data: &[u8]) -> bool {
    tsp::Response::from_der(data).is_ok()
}

/// A certificate, DER.
pub fn certificate(data: &[u8]) -> bool {
    pki::Certificate::from_der(data).is_ok()
}

/// A certificate signing request, PEM or DER.
pub fn certificate_request(data: &[u8]) -> bool {
    pki::Csr::from_der(data).is_ok() || text(data).is_some_and(|text| pki::Csr::from_pem(text).is_ok())
}

/// A public key, PEM or DER.
pub fn public_key(data: &[u8]) -> bool {
    let Ok(key) = pki::PublicKey::from_pem_or_der(data) else { return false };
    assert_eq!(pki::PublicKey::from_pem(&key.to_pem()).as_ref().ok(), Some(&key), "a key is read as it is written");
    true
}

/// An image manifest or index, under each type it may be sent with.
pub fn oci_manifest(data: &[u8]) -> bool {
    let bytes = Bytes::copy_from_slice(data);
    let types = oci::media_type::MANIFESTS.map(Some).into_iter().chain([None]);
    let manifests = types.filter(|media_type| oci::Manifest::parse(*media_type, bytes.clone()).is_ok()).count();
    manifests > 0 || oci::ReferrersIndex::parse(Some(oci::media_type::IMAGE_INDEX), data).is_ok()
}

/// An image reference, and its parts.
pub fn oci_reference(data: &[u8]) -> bool {
    let Some(text) = text(data) else { return false };
    let parts = [spelled_once::<oci::Digest>(data), spelled_once::<oci::Tag>(data), spelled_once::<oci::RepositoryName>(data)];
    let _ = text.parse::<oci::RepositoryPattern>();
    text.parse::<oci::Reference>().is_ok() || parts.contains(&true)
}

/// A trusted root.
pub fn trusted_root(data: &[u8]) -> bool {
    bundle::TrustedRoot::from_json(data).is_ok()
}

/// A signing configuration.
pub fn signing_config(data: &[u8]) -> bool {
    bundle::SigningConfig::from_json(data).is_ok()
}

pub(crate) fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

/// Whatever is accepted is written as it was read.
fn spelled_once<T: FromStr + Display>(data: &[u8]) -> bool {
    let Some(text) = text(data) else { return false };
    let Ok(parsed) = text.parse::<T>() else { return false };
    assert_eq!(parsed.to_string(), text, "there is one spelling");
    true
}
