//! The answer to a logged entry: a `TransparencyLogEntry` whose proof was checked.

use bundle::{Base64, Checkpoint, InclusionProof, KindVersion, LogId, TransparencyLogEntry};
use entry::hashedrekord_v002::{KIND, VERSION};
use merkle::Hash;
use tlog::Appended;

use super::error::WriteError;
use super::metric;

/// The entry with its proof against the checkpoint that covers it.
///
/// Integrated time and promise stay empty: that is the mark of v2, time comes from a timestamp authority.
///
/// # Errors
/// [`WriteError::Proof`] when the proof does not lead from the leaf to the root of that checkpoint: an answer that no client
/// could verify is not given.
pub(super) fn logged_entry(log_id: Hash, appended: Appended) -> Result<TransparencyLogEntry, WriteError> {
    let Appended { index, leaf, proof, head, .. } = appended;
    let leaf_hash = merkle::leaf_hash(&leaf.data);
    if merkle::verify_inclusion(&leaf_hash, index, head.size, &proof, &head.root).is_err() {
        metric::proof_failure();
        return Err(WriteError::Proof { index });
    }
    Ok(TransparencyLogEntry {
        log_index: index,
        log_id: LogId { key_id: bytes(log_id) },
        kind_version: KindVersion { kind: KIND.to_owned(), version: VERSION.to_owned() },
        integrated_time: 0,
        inclusion_promise: None,
        inclusion_proof: Some(InclusionProof {
            log_index: index,
            root_hash: bytes(head.root),
            tree_size: head.size,
            hashes: proof.into_iter().map(bytes).collect(),
            checkpoint: Checkpoint { envelope: head.note.clone() },
        }),
        canonicalized_body: leaf.data.into(),
    })
}

fn bytes(hash: Hash) -> Base64 {
    hash.as_bytes().to_vec().into()
}
