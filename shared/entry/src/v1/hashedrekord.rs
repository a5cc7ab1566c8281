//! hashedrekord 0.0.1: a signature over a digest. The artifact itself is never sent.

use pki::{HashAlgorithm, KeyKind};
use serde::Serialize;

use super::error::ProposalError;
use super::index_keys::IndexKeys;
use super::verifier::PemVerifier;
use super::wire::{CanonicalHash, Spec, canonical_body, decode_base64, encode_base64};
use super::{Checked, VerifiedEntry};

pub(super) const KIND: &str = "hashedrekord";
pub(super) const VERSION: &str = "0.0.1";

/// Verifies a proposal. Proposal and stored form are one.
///
/// Nothing is asked of a certificate but its key: the log takes what verifies, and who signed is for verifiers to judge.
pub(super) fn check(spec: Spec) -> Result<Checked, ProposalError> {
    let missing = |member| ProposalError::Missing { member };
    let data = spec.data.0.ok_or_else(|| missing("data"))?;
    let hash = data.hash.0.ok_or_else(|| missing("data.hash"))?;
    let (algorithm, hash_algorithm) = algorithm(hash.algorithm.filled().as_deref())?;
    let value = hash.value.filled().ok_or_else(|| missing("data.hash.value"))?;
    let digest = digest(&value, hash_algorithm)?;

    let signature = spec.signature.0.ok_or_else(|| missing("signature"))?;
    let content = signature.content.filled().ok_or_else(|| missing("signature.content"))?;
    let content = decode_base64(content.as_bytes()).ok_or(ProposalError::Base64 { member: "signature.content" })?;
    let key = signature.public_key.0.and_then(|key| key.content.filled());
    let key = key.ok_or_else(|| missing("signature.publicKey.content"))?;
    let key = decode_base64(key.as_bytes()).ok_or(ProposalError::Base64 { member: "signature.publicKey.content" })?;
    let verifier = PemVerifier::from_pem(&key)?;
    verifier.check_chain()?;
    verify(&verifier, hash_algorithm, &digest, &content)?;

    let mut keys = IndexKeys::default();
    keys.add(&verifier.index_key());
    keys.add_all(verifier.subjects());
    keys.add(&format!("{algorithm}:{value}"));
    let (content, pem) = (encode_base64(&content), encode_base64(verifier.canonical_pem().as_bytes()));
    let spec = CanonicalSpec {
        data: CanonicalData { hash: CanonicalHash { algorithm, value: &value } },
        signature: CanonicalSignature { content: &content, public_key: CanonicalKey { content: &pem } },
    };
    Ok(Checked::Insertable(VerifiedEntry::new(canonical_body(KIND, VERSION, spec), keys)))
}

#[derive(Serialize)]
struct CanonicalSpec<'a> {
    data: CanonicalData<'a>,
    signature: CanonicalSignature<'a>,
}

#[derive(Serialize)]
struct CanonicalData<'a> {
    hash: CanonicalHash<'a>,
}

#[derive(Serialize)]
struct CanonicalSignature<'a> {
    content: &'a str,
    #[serde(rename = "publicKey")]
    public_key: CanonicalKey<'a>,
}

#[derive(Serialize)]
struct CanonicalKey<'a> {
    content: &'a str,
}

fn algorithm(name: Option<&str>) -> Result<(&'static str, HashAlgorithm), ProposalError> {
    match name {
        Some("sha256") => Ok(("sha256", HashAlgorithm::Sha256)),
        Some("sha384") => Ok(("sha384", HashAlgorithm::Sha384)),
        Some("sha512") => Ok(("sha512", HashAlgorithm::Sha512)),
        Some(_) => Err(ProposalError::HashAlgorithm { member: "data.hash", expected: "sha256, sha384 or sha512" }),
        None => Err(ProposalError::Missing { member: "data.hash.algorithm" }),
    }
}

/// Upper case is taken, and stays in the body.
fn digest(value: &str, hash: HashAlgorithm) -> Result<Vec<u8>, ProposalError> {
    let refused = ProposalError::HashValue { member: "data.hash", expected: 2 * hash.len() };
    match hex::decode(value) {
        Ok(digest) if digest.len() == hash.len() => Ok(digest),
        _ => Err(refused),
    }
}

fn verify(verifier: &PemVerifier, hash: HashAlgorithm, digest: &[u8], signature: &[u8]) -> Result<(), ProposalError> {
    let (key, kind) = (verifier.key(), verifier.key().kind());
    if hash != kind.hash() {
        let note = if kind == KeyKind::Ed25519 { " and an Ed25519ph signature" } else { "" };
        return Err(ProposalError::Algorithms { key: kind, hash, expected: kind.hash(), note });
    }
    // Ed25519 means Ed25519ph here: a pure signature cannot be checked against a digest.
    key.verify_digest_either_form(hash, digest, signature).map_err(|_| ProposalError::Signature { key: kind })
}
