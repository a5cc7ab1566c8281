//! dsse 0.0.1: the hashes of an envelope, its signatures, and who made them. Envelope and payload are not kept.

use std::collections::BTreeMap;

use pki::HashAlgorithm;
use serde::Serialize;

use super::envelope::Envelope;
use super::error::ProposalError;
use super::index_keys::IndexKeys;
use super::lenient::{Few, List, Object, Text};
use super::verifier::PemVerifier;
use super::wire::{
    CanonicalHash, HashMember, LoggedSignature, ProposedContent, Spec, canonical_body, decode_base64, encode_base64,
};
use super::{Checked, IN_TOTO, VerifiedEntry};

pub(super) const KIND: &str = "dsse";
pub(super) const VERSION: &str = "0.0.1";

/// Verifies a proposal, or reads the stored form of an entry.
pub(super) fn check(spec: Spec) -> Result<Checked, ProposalError> {
    let Spec { proposed_content, envelope_hash, payload_hash, signatures, .. } = spec;
    let Object(Some(content)) = proposed_content else {
        return stored(envelope_hash, payload_hash, signatures);
    };
    if envelope_hash.0.is_some() || payload_hash.0.is_some() || signatures.0.is_some_and(|signatures| signatures.count > 0) {
        return Err(ProposalError::BothForms);
    }
    proposed(content).map(Checked::Insertable)
}

fn proposed(content: ProposedContent) -> Result<VerifiedEntry, ProposalError> {
    let text = content.envelope.0.ok_or(ProposalError::Missing { member: "proposedContent.envelope" })?;
    let pems = verifiers(content.verifiers)?;
    let envelope = Envelope::from_json(&text)?;
    let signed = match_keys(&envelope, &pems)?;

    let payload_hash = sha256_hex(&envelope.payload);
    let envelope_hash = sha256_hex(text.as_bytes());
    let mut keys = IndexKeys::default();
    for verifier in signed.values() {
        keys.add(&verifier.index_key());
        keys.add_all(verifier.subjects());
    }
    keys.add(&format!("sha256:{payload_hash}"));
    keys.add(&format!("sha256:{envelope_hash}"));
    if envelope.payload_type == IN_TOTO {
        keys.add_statement(&envelope.payload);
    }
    // The map sorts signatures bytewise, as bodies have them.
    let signatures = signed.into_iter().map(|(signature, verifier)| CanonicalSignature {
        signature: signature.to_owned(),
        verifier: encode_base64(verifier.canonical_pem().as_bytes()),
    });
    Ok(VerifiedEntry::new(body(&envelope_hash, &payload_hash, signatures.collect()), keys))
}

fn verifiers(list: List<Text>) -> Result<Vec<Vec<u8>>, ProposalError> {
    const MEMBER: &str = "proposedContent.verifiers";
    let list = list.0.ok_or(ProposalError::Missing { member: MEMBER })?;
    if !list.is_whole() {
        return Err(ProposalError::TooMany { member: MEMBER, found: list.count });
    }
    let decoded = list.items.into_iter().filter_map(Text::filled).map(|text| decode_base64(text.as_bytes()));
    decoded.collect::<Option<_>>().ok_or(ProposalError::Base64 { member: MEMBER })
}

/// Finds who made each distinct signature.
///
/// Keys are tried in order until every signature has one; those after that are not looked at. One before that must have made a
/// signature, and counts for the first it made.
fn match_keys<'a>(envelope: &'a Envelope<'_>, pems: &[Vec<u8>]) -> Result<BTreeMap<&'a str, PemVerifier>, ProposalError> {
    let distinct = envelope.distinct();
    let mut signed = BTreeMap::new();
    for (index, pem) in pems.iter().enumerate() {
        if signed.len() == distinct.len() {
            break;
        }
        let verifier = PemVerifier::from_pem(pem)?;
        let signature = envelope.first_signed_by(verifier.key());
        signed.insert(signature.ok_or(ProposalError::KeyWithoutSignature { number: index + 1 })?, verifier);
    }
    if signed.len() == distinct.len() {
        return Ok(signed);
    }
    Err(ProposalError::SignatureWithoutKey { uncovered: distinct.len() - signed.len(), signatures: distinct.len() })
}

/// The stored form: good to find the entry it was made of.
fn stored(
    envelope_hash: Object<HashMember>,
    payload_hash: Object<HashMember>,
    signatures: List<LoggedSignature>,
) -> Result<Checked, ProposalError> {
    let (Object(Some(envelope_hash)), Object(Some(payload_hash)), List(Some(signatures))) =
        (envelope_hash, payload_hash, signatures)
    else {
        return Err(ProposalError::NeitherForm);
    };
    let envelope_hash = super::sha256_value(envelope_hash, "envelopeHash")?;
    let payload_hash = super::sha256_value(payload_hash, "payloadHash")?;
    let mut signatures = stored_signatures(signatures)?;
    signatures.sort_by(|one, other| one.signature.cmp(&other.signature));
    Ok(Checked::Stored { body: body(&envelope_hash, &payload_hash, signatures), missing: "proposedContent" })
}

fn stored_signatures(list: Few<LoggedSignature>) -> Result<Vec<CanonicalSignature>, ProposalError> {
    if list.items.is_empty() {
        return Err(ProposalError::NeitherForm);
    }
    if !list.is_whole() {
        return Err(ProposalError::TooMany { member: "signatures", found: list.count });
    }
    let canonical = |LoggedSignature { signature, verifier }| {
        let missing = |member| ProposalError::Missing { member };
        let signature = Text::filled(signature).ok_or_else(|| missing("signatures.signature"))?;
        let verifier = Text::filled(verifier).ok_or_else(|| missing("signatures.verifier"))?;
        let verifier = decode_base64(verifier.as_bytes()).ok_or(ProposalError::Base64 { member: "signatures.verifier" })?;
        Ok(CanonicalSignature { signature, verifier: encode_base64(&verifier) })
    };
    list.items.into_iter().map(canonical).collect()
}

fn body(envelope_hash: &str, payload_hash: &str, signatures: Vec<CanonicalSignature>) -> Vec<u8> {
    let spec = CanonicalSpec {
        envelope_hash: CanonicalHash::sha256(envelope_hash),
        payload_hash: CanonicalHash::sha256(payload_hash),
        signatures,
    };
    canonical_body(KIND, VERSION, spec)
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CanonicalSpec<'a> {
    envelope_hash: CanonicalHash<'a>,
    payload_hash: CanonicalHash<'a>,
    signatures: Vec<CanonicalSignature>,
}

#[derive(Serialize)]
struct CanonicalSignature {
    signature: String,
    verifier: String,
}

pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    hex::encode(HashAlgorithm::Sha256.digest(bytes))
}
