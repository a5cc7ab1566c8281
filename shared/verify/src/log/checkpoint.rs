//! The tree head an inclusion proof leads to: signed by the log that the entry names, and about the same tree.

use note::{Checkpoint, KeyHint, SignedNote};
use pki::PublicKey;
use sigstore_verify::types::bundle::{InclusionProof, TransparencyLogEntry};
use url::Url;

use super::is_v2;
use crate::refusal::{Refusal, shown};
use crate::trust::Log;

/// The checkpoint of `proof`, when `log` signed it and it is about the tree of the proof.
pub(super) fn verify(
    entry: &TransparencyLogEntry,
    proof: &InclusionProof,
    log: &Log,
    key: &PublicKey,
) -> Result<Checkpoint, Refusal> {
    let index = entry.log_index.get();
    let envelope = proof.checkpoint.envelope();
    if envelope.is_empty() {
        return Err(Refusal::EntryIncomplete { index, what: "checkpoint" });
    }
    let signed: SignedNote = envelope.parse().map_err(|error: note::NoteError| malformed(index, error))?;
    let checkpoint: Checkpoint = signed.text().parse().map_err(|error: note::CheckpointError| malformed(index, error))?;
    let name = expected_origin(entry, log, &checkpoint)?;

    // The hint is the beginning of the key id, which the trusted root gives in full.
    let hint = log.id.first_chunk().map(|hint| KeyHint(*hint));
    let by_this_log = |signature: &&note::NoteSignature| {
        Some(signature.hint) == hint && name.as_ref().is_none_or(|name| *name == signature.name)
    };
    if !signed.signatures().iter().filter(by_this_log).any(|by| key.verify(signed.text().as_bytes(), &by.signature).is_ok()) {
        return Err(Refusal::CheckpointSignature { index, log: shown(&log.base_url) });
    }
    if checkpoint.root.as_bytes() != proof.root_hash.as_bytes() {
        return Err(Refusal::ProofMismatch { index, what: "root hash" });
    }
    if checkpoint.size != proof.tree_size {
        return Err(Refusal::ProofMismatch { index, what: "tree size" });
    }
    Ok(checkpoint)
}

/// The name under which a Rekor v2 log signs: the host of its base URL, which must be the checkpoint's origin too. A key shared
/// by two logs would let one speak for the other. Rekor v1 ends its origin in ` - ` and a number instead, and its name is not
/// in the trusted root.
fn expected_origin(entry: &TransparencyLogEntry, log: &Log, checkpoint: &Checkpoint) -> Result<Option<String>, Refusal> {
    let mismatch = |expected: &str| Refusal::CheckpointOrigin {
        index: entry.log_index.get(),
        found: shown(&checkpoint.origin),
        expected: shown(expected),
    };
    if is_v2(entry) {
        let host = host(&log.base_url).ok_or_else(|| mismatch("the host of a base URL that is none"))?;
        return if checkpoint.origin == host { Ok(Some(host)) } else { Err(mismatch(&host)) };
    }
    let tree_id = checkpoint.origin.rsplit_once(" - ").map(|(_, tree_id)| tree_id);
    let is_v1 = tree_id.is_some_and(|id| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit()));
    if is_v1 { Ok(None) } else { Err(mismatch("an origin of Rekor v1, ending in a hyphen and the tree's number")) }
}

/// Without port, and without the brackets of an IPv6 address.
fn host(base_url: &str) -> Option<String> {
    let url = Url::parse(base_url).ok()?;
    Some(url.host_str()?.trim_start_matches('[').trim_end_matches(']').to_owned())
}

fn malformed(index: u64, error: impl std::error::Error + Send + Sync + 'static) -> Refusal {
    Refusal::CheckpointMalformed { index, source: error.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (url, expected) in [
            ("https://log1.rekor.example", Some("log1.rekor.example")),
            ("http://127.0.0.1:3003/path", Some("127.0.0.1")),
            ("http://[::1]:3003", Some("::1")),
            ("log1.rekor.example", None),
            ("", None),
        ] {
            assert_eq!(host(url).as_deref(), expected, "{url}");
        }
    }
}
