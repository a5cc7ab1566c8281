//! intoto 0.0.1: the hash of an envelope and one key that signed it. No signature is kept.

use serde::Serialize;

use super::dsse::sha256_hex;
use super::envelope::Envelope;
use super::error::ProposalError;
use super::index_keys::IndexKeys;
use super::verifier::PemVerifier;
use super::wire::{CanonicalHash, Content, ContentEnvelope, Spec, canonical_body, decode_base64, encode_base64};
use super::{Checked, IN_TOTO, VerifiedEntry, intoto_v002::KIND, sha256_value};

pub(super) const VERSION: &str = "0.0.1";

/// Verifies a proposal, or reads the stored form of an entry.
pub(super) fn check(spec: Spec) -> Result<Checked, ProposalError> {
    let missing = |member| ProposalError::Missing { member };
    let content = spec.content.0.ok_or_else(|| missing("content"))?;
    let pem = spec.public_key.filled().ok_or_else(|| missing("publicKey"))?;
    let pem = decode_base64(pem.as_bytes()).ok_or(ProposalError::Base64 { member: "publicKey" })?;
    let verifier = PemVerifier::from_pem(&pem)?;
    match content.envelope {
        ContentEnvelope::Text(text) if !text.is_empty() => proposed(&text, &verifier).map(Checked::Insertable),
        ContentEnvelope::Text(_) | ContentEnvelope::Absent | ContentEnvelope::Parts(_) => stored(content, &verifier),
    }
}

/// The hashes that the client sent are not looked at.
fn proposed(text: &str, verifier: &PemVerifier) -> Result<VerifiedEntry, ProposalError> {
    let envelope = Envelope::from_json(text)?;
    envelope.first_signed_by(verifier.key()).ok_or(ProposalError::KeyWithoutSignature { number: 1 })?;
    if !envelope.standard_base64 {
        return Err(ProposalError::EnvelopeBase64 { part: "payload" });
    }
    let (hash, payload_hash) = (sha256_hex(text.as_bytes()), sha256_hex(&envelope.payload));
    let mut keys = IndexKeys::default();
    keys.add(&verifier.index_key());
    keys.add_all(verifier.subjects());
    keys.add(&format!("sha256:{hash}"));
    keys.add(&format!("sha256:{payload_hash}"));
    if envelope.payload_type == IN_TOTO {
        keys.add_statement(&envelope.payload);
    }
    Ok(VerifiedEntry::new(body(&hash, Some(&payload_hash), verifier), keys))
}

/// Entries of old have no hash of the payload.
fn stored(content: Content, verifier: &PemVerifier) -> Result<Checked, ProposalError> {
    let hash = content.hash.0.ok_or(ProposalError::Missing { member: "content.envelope" })?;
    let hash = sha256_value(hash, "content.hash")?;
    let payload_hash = content.payload_hash.0.map(|hash| sha256_value(hash, "content.payloadHash")).transpose()?;
    Ok(Checked::Stored { body: body(&hash, payload_hash.as_deref(), verifier), missing: "content.envelope" })
}

fn body(hash: &str, payload_hash: Option<&str>, verifier: &PemVerifier) -> Vec<u8> {
    let spec = CanonicalSpec {
        content: CanonicalContent { hash: CanonicalHash::sha256(hash), payload_hash: payload_hash.map(CanonicalHash::sha256) },
        public_key: encode_base64(verifier.canonical_pem().as_bytes()),
    };
    canonical_body(KIND, VERSION, spec)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CanonicalSpec<'a> {
    content: CanonicalContent<'a>,
    public_key: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CanonicalContent<'a> {
    hash: CanonicalHash<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_hash: Option<CanonicalHash<'a>>,
}
