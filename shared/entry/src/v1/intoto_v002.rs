//! intoto 0.0.2: an envelope without its payload, each signature with a key beside it.
//!
//! Payload and signatures are in base64 twice. That was a mistake, and cannot be mended: clients rebuild this body.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Serialize;

use super::dsse::sha256_hex;
use super::envelope::Envelope;
use super::error::ProposalError;
use super::index_keys::IndexKeys;
use super::lenient::{List, Text};
use super::verifier::PemVerifier;
use super::wire::{CanonicalHash, ContentEnvelope, SignatureParts, Spec, canonical_body, decode_base64, encode_base64};
use super::{Checked, IN_TOTO, VerifiedEntry, sha256_value};

pub(super) const KIND: &str = "intoto";
pub(super) const VERSION: &str = "0.0.2";

/// One signature, decoded once: what is left is the base64 that DSSE has.
struct Signature {
    keyid: Option<String>,
    public_key: Vec<u8>,
    sig: String,
}

/// Verifies a proposal, or reads the stored form of an entry.
pub(super) fn check(spec: Spec) -> Result<Checked, ProposalError> {
    let missing = |member| ProposalError::Missing { member };
    let content = spec.content.0.ok_or_else(|| missing("content"))?;
    let ContentEnvelope::Parts(parts) = content.envelope else { return Err(missing("content.envelope")) };
    let payload_type = parts.payload_type.filled().ok_or_else(|| missing("content.envelope.payloadType"))?;
    let signatures = signatures(parts.signatures)?;
    // The client's own hash of the envelope with its keys, which nobody here can compute: kept as it was sent.
    let hash = content.hash.0.ok_or_else(|| missing("content.hash"))?;
    let hash = sha256_value(hash, "content.hash")?;
    match parts.payload.filled() {
        Some(payload) => proposed(&payload_type, &payload, &signatures, &hash).map(Checked::Insertable),
        None => {
            let payload_hash = content.payload_hash.0.ok_or_else(|| missing("content.envelope.payload"))?;
            let payload_hash = sha256_value(payload_hash, "content.payloadHash")?;
            let body = body(&payload_type, &signatures, &hash, &payload_hash);
            Ok(Checked::Stored { body, missing: "content.envelope.payload" })
        }
    }
}

fn signatures(list: List<SignatureParts>) -> Result<Vec<Signature>, ProposalError> {
    const MEMBER: &str = "content.envelope.signatures";
    let missing = |member| ProposalError::Missing { member };
    let list = list.0.filter(|list| list.count > 0).ok_or_else(|| missing(MEMBER))?;
    if !list.is_whole() {
        return Err(ProposalError::TooMany { member: MEMBER, found: list.count });
    }
    let signature = |SignatureParts { keyid, public_key, sig }| {
        let public_key = Text::filled(public_key).ok_or_else(|| missing("content.envelope.signatures.publicKey"))?;
        let sig = Text::filled(sig).ok_or_else(|| missing("content.envelope.signatures.sig"))?;
        let refused = |member| ProposalError::Base64 { member };
        let key = decode_base64(public_key.as_bytes()).ok_or_else(|| refused("content.envelope.signatures.publicKey"))?;
        let sig = decode_base64(sig.as_bytes()).and_then(|sig| String::from_utf8(sig).ok());
        let sig = sig.ok_or_else(|| refused("content.envelope.signatures.sig"))?;
        Ok(Signature { keyid: Text::filled(keyid), public_key: key, sig })
    };
    list.items.into_iter().map(signature).collect()
}

fn proposed(payload_type: &str, payload: &str, signatures: &[Signature], hash: &str) -> Result<VerifiedEntry, ProposalError> {
    let payload = decode_base64(payload.as_bytes()).ok_or(ProposalError::Base64 { member: "content.envelope.payload" })?;
    let sigs = signatures.iter().map(|signature| Cow::Borrowed(signature.sig.as_str())).collect();
    let envelope = Envelope::new(Cow::Borrowed(payload_type), &payload, sigs)?;
    if !envelope.standard_base64 {
        return Err(ProposalError::EnvelopeBase64 { part: "payload" });
    }
    let verifiers = match_keys(&envelope, signatures)?;

    let payload_hash = sha256_hex(&envelope.payload);
    let mut keys = IndexKeys::default();
    for verifier in &verifiers {
        keys.add(&verifier.index_key());
        keys.add_all(verifier.subjects());
    }
    keys.add(&format!("sha256:{payload_hash}"));
    if payload_type == IN_TOTO {
        keys.add_statement(&envelope.payload);
    }
    Ok(VerifiedEntry::new(body(payload_type, signatures, hash, &payload_hash), keys))
}

/// Every key must have made a signature, and counts for the first it made; every signature must have a key. That it is the one that
/// stands beside it is not asked.
fn match_keys(envelope: &Envelope<'_>, signatures: &[Signature]) -> Result<Vec<PemVerifier>, ProposalError> {
    let distinct = envelope.distinct();
    let (mut covered, mut verifiers) = (BTreeSet::new(), Vec::new());
    for (index, signature) in signatures.iter().enumerate() {
        let verifier = PemVerifier::from_pem(&signature.public_key)?;
        let signed = envelope.first_signed_by(verifier.key());
        covered.insert(signed.ok_or(ProposalError::KeyWithoutSignature { number: index + 1 })?);
        verifiers.push(verifier);
    }
    if covered.len() == distinct.len() {
        return Ok(verifiers);
    }
    Err(ProposalError::SignatureWithoutKey { uncovered: distinct.len() - covered.len(), signatures: distinct.len() })
}

fn body(payload_type: &str, signatures: &[Signature], hash: &str, payload_hash: &str) -> Vec<u8> {
    let signature = |signature: &Signature| CanonicalSignature {
        keyid: signature.keyid.clone(),
        public_key: encode_base64(&signature.public_key),
        sig: encode_base64(signature.sig.as_bytes()),
    };
    let envelope = CanonicalEnvelope { payload_type, signatures: signatures.iter().map(signature).collect() };
    let (hash, payload_hash) = (CanonicalHash::sha256(hash), CanonicalHash::sha256(payload_hash));
    canonical_body(KIND, VERSION, CanonicalSpec { content: CanonicalContent { envelope, hash, payload_hash } })
}

#[derive(Serialize)]
struct CanonicalSpec<'a> {
    content: CanonicalContent<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CanonicalContent<'a> {
    envelope: CanonicalEnvelope<'a>,
    hash: CanonicalHash<'a>,
    payload_hash: CanonicalHash<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CanonicalEnvelope<'a> {
    payload_type: &'a str,
    signatures: Vec<CanonicalSignature>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CanonicalSignature {
    #[serde(skip_serializing_if = "Option::is_none")]
    keyid: Option<String>,
    public_key: String,
    sig: String,
}
