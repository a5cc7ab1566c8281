//! The last checkpoint with the quorum, in a file beside the record of published heads, for this process alone.
//!
//! It is written beside its place and renamed, before anybody sees the checkpoint, and not synced. A crash of the process leaves the one
//! before it or this one. One of the machine may leave an older one, or none that is whole: then the first round after the start is
//! waited for. What is in it is believed only as far as it verifies: by the log's own key, by the policy as it is now, and against the
//! tree, so that neither an exchanged file nor a changed policy shows a checkpoint that nobody would show otherwise.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chassis::reason::chain;
use merkle::verify_consistency;
use note::{Checkpoint, Cosignature, MAX_NOTE_BYTES, SignedNote, VerifierKey, WitnessPolicy};
use pki::PublicKey;
use tlog::{HeadError, Log, ReadError, SignedTreeHead, TreeHeadSigner};

/// The file.
#[derive(Debug)]
pub(super) struct Kept(PathBuf);

/// What was kept is not shown.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("it cannot be read")]
    Unreadable(#[from] io::Error),
    #[error("it is longer than any checkpoint")]
    TooLong,
    #[error("it is no checkpoint of this log")]
    Head(#[from] HeadError),
    #[error("the quorum of the policy has not cosigned it")]
    Quorum,
    #[error("it cannot be compared with the tree")]
    Read(#[from] ReadError),
    #[error("the tree does not contain it")]
    OtherTree,
}

impl Kept {
    /// Beside the record of `log`, if that has one.
    pub(super) fn beside(log: &Log) -> Option<Self> {
        log.record().map(|record| Self(record.with_added_extension("cosigned")))
    }

    /// Keeps a head with the quorum. That it cannot is said, and costs no more than a wait at the next start.
    pub(super) fn store(&self, log: &str, head: &SignedTreeHead) {
        let beside = self.0.with_added_extension("new");
        let stored = fs::write(&beside, &head.note).and_then(|()| fs::rename(&beside, &self.0));
        if let Err(error) = stored {
            tracing::warn!(log, file = %self.0.display(), %error, "the cosigned checkpoint could not be kept");
        }
    }

    /// The head that was kept, if it still is one to show.
    pub(super) async fn load(
        &self,
        log: &Log,
        signer: &dyn TreeHeadSigner,
        policy: &WitnessPolicy,
    ) -> Option<Arc<SignedTreeHead>> {
        match self.verified(log, signer, policy).await {
            Ok(head) => head.map(Arc::new),
            Err(error) => {
                let (log, error) = (log.origin(), chain(&error));
                tracing::warn!(log, file = %self.0.display(), error, "the cosigned checkpoint that was kept is not shown");
                None
            }
        }
    }

    async fn verified(
        &self,
        log: &Log,
        signer: &dyn TreeHeadSigner,
        policy: &WitnessPolicy,
    ) -> Result<Option<SignedTreeHead>, Unusable> {
        let Some(text) = read(&self.0)? else { return Ok(None) };
        let checkpoint = signer.verify(&text)?;
        let note: SignedNote = text.parse().map_err(HeadError::from)?;
        let cosigners = cosigners(&note, policy);
        if !policy.is_met(|witness| cosigners.contains(&witness)) {
            return Err(Unusable::Quorum);
        }
        let newest = log.checkpoint();
        contains(log, &newest, &checkpoint).await?;
        let last = newest.last && newest.note.starts_with(note.text());
        Ok(Some(SignedTreeHead { size: checkpoint.size, root: checkpoint.root, time: newest.time, note: text, last }))
    }
}

/// What is in the file; none when there is none.
fn read(path: &Path) -> Result<Option<String>, Unusable> {
    let length = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        metadata => metadata?.len(),
    };
    if length > MAX_NOTE_BYTES as u64 {
        return Err(Unusable::TooLong);
    }
    Ok(Some(fs::read_to_string(path)?))
}

/// The witnesses of the policy whose cosignatures on the note verify.
fn cosigners(note: &SignedNote, policy: &WitnessPolicy) -> BTreeSet<usize> {
    let witnesses = policy.witnesses().iter().enumerate();
    witnesses.filter(|(_, witness)| has_cosigned(note, &witness.key)).map(|(number, _)| number).collect()
}

fn has_cosigned(note: &SignedNote, key: &VerifierKey) -> bool {
    let Ok(public_key) = PublicKey::from_spki_der(&key.spki_der()) else { return false };
    note.signatures_by(key.name(), key.hint()).any(|line| {
        Cosignature::from_bytes(&line.signature).is_some_and(|cosignature| {
            let message = Cosignature::message(cosignature.time, note.text());
            public_key.verify(message.as_bytes(), &cosignature.signature).is_ok()
        })
    })
}

/// Checks that the tree of `newest` begins with that of `checkpoint`.
async fn contains(log: &Log, newest: &SignedTreeHead, checkpoint: &Checkpoint) -> Result<(), Unusable> {
    let (old, new) = (checkpoint.size, newest.size);
    if old > new {
        return Err(Unusable::OtherTree);
    }
    let proof = if old == 0 || old == new { Vec::new() } else { log.consistency_proof(old, new).await? };
    verify_consistency(old, new, &proof, &checkpoint.root, &newest.root).map_err(|_| Unusable::OtherTree)
}
