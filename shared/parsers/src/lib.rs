//! Every parser of bytes from outside, each as a function that takes anything and must come back.
//!
//! `fuzz/` runs them with inputs that a fuzzer finds, and keeps what it found in `fuzz/corpus`; the tests here run that corpus. Each also
//! asserts what its specification promises of whatever is accepted, above all that there is one spelling: written again, it is the same.

use std::fmt::Display;
use std::str::FromStr;

use bytes::Bytes;

/// A parser under a name: that of its fuzz target and of the folder of its corpus.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: &[Target] = &[
    ("note", note),
    ("checkpoint", checkpoint),
    ("vkey", vkey),
    ("witness_policy", witness_policy),
    ("add_checkpoint", add_checkpoint),
    ("tile_path", tile_path),
    ("entry_bundle", entry_bundle),
    ("rekor_v2_entry", rekor_v2_entry),
    ("rekor_v1_entry", rekor_v1_entry),
    ("ct_chain", ct_chain),
    ("ct_leaf", ct_leaf),
    ("sct_list", sct_list),
    ("timestamp_request", timestamp_request),
    ("timestamp_json", timestamp_json),
    ("timestamp_response", timestamp_response),
    ("certificate", certificate),
    ("certificate_request", certificate_request),
    ("public_key", public_key),
    ("oci_manifest", oci_manifest),
    ("oci_reference", oci_reference),
    ("trusted_root", trusted_root),
    ("signing_config", signing_config),
];

/// A signed note (C2SP `signed-note`).
pub fn note(data: &[u8]) {
    spelled_once::<note::SignedNote>(data);
}

/// The text of a checkpoint (C2SP `tlog-checkpoint`).
pub fn checkpoint(data: &[u8]) {
    spelled_once::<note::Checkpoint>(data);
}

/// A verifier key (C2SP `signed-note`).
pub fn vkey(data: &[u8]) {
    let _ = text(data).map(str::parse::<note::VerifierKey>);
}

/// A witness policy.
pub fn witness_policy(data: &[u8]) {
    let _ = text(data).map(str::parse::<note::WitnessPolicy>);
}

/// The request of a log to a witness (C2SP `tlog-witness`).
pub fn add_checkpoint(data: &[u8]) {
    spelled_once::<note::AddCheckpoint>(data);
}

/// The path of a tile or bundle (C2SP `tlog-tiles`).
pub fn tile_path(data: &[u8]) {
    spelled_once::<merkle::TilePath>(data);
}

/// An entry bundle (C2SP `tlog-tiles`).
pub fn entry_bundle(data: &[u8]) {
    let Some(entries) = tlog::parse_bundle(data) else { return };
    let length = |entry: &[u8]| u16::try_from(entry.len()).expect("the length was two bytes").to_be_bytes();
    let again: Vec<u8> = entries.iter().flat_map(|entry| [&length(entry)[..], entry].concat()).collect();
    assert_eq!(again, data, "there is one spelling");
}

/// `POST /api/v2/log/entries`.
pub fn rekor_v2_entry(data: &[u8]) {
    let Ok(entry) = entry::HashedRekordRequest::from_json(data).and_then(|request| request.verify()) else { return };
    assert!(entry.body().len() <= entry::MAX_BODY, "an entry that is taken fits into a bundle");
}

/// `POST /api/v1/log/entries`.
pub fn rekor_v1_entry(data: &[u8]) {
    let _ = entry::v1::ProposedEntry::from_json(data).and_then(|proposed| proposed.verify());
}

/// `POST /ct/v1/add-chain`.
pub fn ct_chain(data: &[u8]) {
    let _ = ct::AddChainRequest::from_json(data);
}

/// A leaf of a CT log (RFC 6962 §3.4).
pub fn ct_leaf(data: &[u8]) {
    let Ok(leaf) = ct::TimestampedEntry::parse_leaf(data) else { return };
    assert_eq!(leaf.to_leaf().as_deref(), Ok(data), "there is one spelling");
}

/// A list of SCTs (RFC 6962 §3.3).
pub fn sct_list(data: &[u8]) {
    let _ = ct::parse_sct_list(data);
}

/// A timestamp request (RFC 3161 §2.4.1).
pub fn timestamp_request(data: &[u8]) {
    let _ = tsp::Request::from_der(data);
}

/// A timestamp request in JSON.
pub fn timestamp_json(data: &[u8]) {
    let _ = tsp::Request::from_json(data);
}

/// A timestamp response (RFC 3161 §2.4.2).
pub fn timestamp_response(data: &[u8]) {
    let _ = tsp::Response::from_der(data);
}

/// A certificate, DER.
pub fn certificate(data: &[u8]) {
    let _ = pki::Certificate::from_der(data);
}

/// A certificate signing request, PEM or DER.
pub fn certificate_request(data: &[u8]) {
    let _ = pki::Csr::from_der(data);
    let _ = text(data).map(pki::Csr::from_pem);
}

/// A public key, PEM or DER.
pub fn public_key(data: &[u8]) {
    let Ok(key) = pki::PublicKey::from_pem_or_der(data) else { return };
    assert_eq!(pki::PublicKey::from_pem(&key.to_pem()).as_ref().ok(), Some(&key), "a key is read as it is written");
}

/// An image manifest or index.
pub fn oci_manifest(data: &[u8]) {
    let _ = oci::Manifest::parse(None, Bytes::copy_from_slice(data));
    let _ = oci::ReferrersIndex::parse(Some(oci::media_type::IMAGE_INDEX), data);
}

/// An image reference, and its parts.
pub fn oci_reference(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let _ = text.parse::<oci::Reference>();
    let _ = text.parse::<oci::RepositoryPattern>();
    spelled_once::<oci::Digest>(data);
    spelled_once::<oci::Tag>(data);
    spelled_once::<oci::RepositoryName>(data);
}

/// A trusted root.
pub fn trusted_root(data: &[u8]) {
    let _ = bundle::TrustedRoot::from_json(data);
}

/// A signing configuration.
pub fn signing_config(data: &[u8]) {
    let _ = bundle::SigningConfig::from_json(data);
}

fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

/// Whatever is accepted is written as it was read.
fn spelled_once<T: FromStr + Display>(data: &[u8]) {
    let Some(text) = text(data) else { return };
    let Ok(parsed) = text.parse::<T>() else { return };
    assert_eq!(parsed.to_string(), text, "there is one spelling");
}
