//! Step 2: the transparency log's word that this signature, and no other, was logged.
//!
//! A valid entry that belongs to another signature was accepted by cosign three times (CVE-2022-23649, CVE-2022-36056,
//! CVE-2026-22703). So nothing an entry says about itself counts: what must be in the tree is computed from the bundle, and of Rekor
//! v1, whose bodies hold what clients sent, each member is compared with it.

mod body;
mod checkpoint;
mod promise;
mod rebuild;

use jiff::Timestamp;
use merkle::{Hash, leaf_hash, verify_inclusion};
use note::Checkpoint;
use sigstore_verify::types::bundle::{InclusionProof, KindVersion, TransparencyLogEntry};

use crate::refusal::Refusal;
use crate::signature::Signed;
use crate::trust::{Log, Trust, covers};

/// What became of one entry.
pub(crate) enum Outcome<'a> {
    /// The log vouches for it.
    Verified(Logged<'a>),
    /// The trusted root cannot say anything about it, and why.
    Skipped(String),
}

/// An entry that a trusted log vouches for.
pub(crate) struct Logged<'a> {
    pub(crate) log: &'a Log,
    pub(crate) entry: &'a TransparencyLogEntry,
    /// The time that the log signed, when it signed one. A time beside an inclusion proof is unsigned: anybody can write it.
    pub(crate) promised_time: Option<Timestamp>,
}

/// Whether it is an entry of Rekor v2.
pub(crate) fn is_v2(entry: &TransparencyLogEntry) -> bool {
    entry.kind_version == KindVersion::HashedRekordV002
}

/// Refuses bundles that carry one position of one log twice, to count it twice.
pub(crate) fn check_duplicates(entries: &[TransparencyLogEntry]) -> Result<(), Refusal> {
    for (at, entry) in entries.iter().enumerate() {
        let same = |other: &TransparencyLogEntry| other.log_id == entry.log_id && other.log_index == entry.log_index;
        if entries[..at].iter().any(same) {
            return Err(Refusal::DuplicateEntry { index: entry.log_index.get() });
        }
    }
    Ok(())
}

/// Checks one entry against the log it names.
///
/// As released clients do, an entry of an unknown log or with a promise that does not verify counts as not there; anything
/// wrong with a proof refuses the bundle.
pub(crate) fn verify<'a>(entry: &'a TransparencyLogEntry, trust: &'a Trust, signed: &Signed<'_>) -> Result<Outcome<'a>, Refusal> {
    let index = entry.log_index.get();
    let Some(log) = trust.log(&entry.log_id) else {
        let id = hex::encode(entry.log_id.key_id.as_bytes().get(..6).unwrap_or_default());
        return Ok(Outcome::Skipped(format!("entry {index} is of log {id}, which the trusted root does not list")));
    };
    let Some(key) = &log.key else {
        return Ok(Outcome::Skipped(format!("entry {index} is of log {}, whose key is of an unknown kind", log.base_url)));
    };
    if entry.inclusion_proof.is_none() && (is_v2(entry) || entry.inclusion_promise.is_none()) {
        return Err(Refusal::EntryIncomplete { index, what: "inclusion proof" });
    }

    let mut promised_time = None;
    if let Some(promise) = entry.inclusion_promise.as_ref().filter(|_| !is_v2(entry)) {
        let at = entry.integrated_time;
        if !at.is_some_and(|time| covers(log.valid_for, time)) || !promise::verifies(entry, promise, key) {
            return Ok(Outcome::Skipped(format!("the inclusion promise of entry {index} is not by {}", log.base_url)));
        }
        promised_time = at;
    }
    if let Some(proof) = &entry.inclusion_proof {
        let checkpoint = checkpoint::verify(entry, proof, log, key)?;
        if is_v2(entry) {
            prove_v2(entry, proof, &checkpoint, signed)?;
        } else {
            prove_v1(entry, proof, &checkpoint)?;
        }
    }
    if !is_v2(entry) {
        body::compare(entry, signed)?;
    }
    Ok(Outcome::Verified(Logged { log, entry, promised_time }))
}

/// Rekor v1: the stored body is in the tree. That it is about this bundle is compared field by field.
fn prove_v1(entry: &TransparencyLogEntry, proof: &InclusionProof, checkpoint: &Checkpoint) -> Result<(), Refusal> {
    let leaf = leaf_hash(entry.canonicalized_body.as_bytes());
    let index = entry.log_index.get();
    included(&leaf, proof.log_index.get(), proof, checkpoint).map_err(|source| Refusal::InclusionProof { index, source })
}

/// Rekor v2: the one body that an entry about this bundle must have is in the tree, and is the stored one.
fn prove_v2(
    entry: &TransparencyLogEntry,
    proof: &InclusionProof,
    checkpoint: &Checkpoint,
    signed: &Signed<'_>,
) -> Result<(), Refusal> {
    let index = entry.log_index.get();
    if proof.log_index != entry.log_index {
        return Err(Refusal::ProofMismatch { index, what: "index" });
    }
    let nameless = || Refusal::Unsupported("the signer's key has no form in a Rekor v2 entry".into());
    let rebuilt = rebuild::body(signed).ok_or_else(nameless)?;
    if rebuilt != entry.canonicalized_body.as_bytes() {
        let what = "it names another digest, signature, certificate or key";
        return Err(Refusal::EntryMismatch { index, what: what.into() });
    }
    included(&leaf_hash(&rebuilt), index, proof, checkpoint).map_err(|source| Refusal::InclusionProof { index, source })
}

fn included(leaf: &Hash, index: u64, proof: &InclusionProof, checkpoint: &Checkpoint) -> Result<(), merkle::ProofError> {
    let hashes: Vec<Hash> = proof.hashes.iter().map(|hash| Hash::new(*hash.as_bytes())).collect();
    verify_inclusion(leaf, index, checkpoint.size, &hashes, &checkpoint.root)
}
