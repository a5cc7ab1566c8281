//! One checkpoint, from request to cosignature.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use clock::Clock;
use keys::Signer;
use merkle::{EMPTY_ROOT, verify_consistency};
use note::{AddCheckpoint, Checkpoint, Cosignature, SignedNote, VerifierKey};
use pki::PublicKey;

use crate::error::AddError;
use crate::metric;
use crate::records::{Records, Seen};

/// What requests share.
pub(crate) struct App {
    pub(crate) records: Arc<dyn Records>,
    pub(crate) key: Arc<dyn Signer>,
    /// The same key, as others are told it.
    pub(crate) vkey: VerifierKey,
    /// By origin.
    pub(crate) logs: HashMap<String, KnownLog>,
    pub(crate) clock: Arc<dyn Clock>,
}

/// A log of the configuration.
#[derive(Debug)]
pub(crate) struct KnownLog {
    pub(crate) vkey: VerifierKey,
    pub(crate) key: PublicKey,
}

/// A checkpoint that its log has signed.
struct Signed<'a> {
    checkpoint: Checkpoint,
    text: &'a str,
}

/// How often another request for the same log may come in between.
const ATTEMPTS: usize = 8;

impl App {
    /// Takes a request body, and returns the signature line.
    pub(crate) async fn add_checkpoint(&self, body: &[u8]) -> Result<String, AddError> {
        // 1. Parse.
        let request: AddCheckpoint = std::str::from_utf8(body).map_err(|_| AddError::Encoding)?.parse()?;
        let AddCheckpoint { old, proof, note } = &request;

        // 2. Which log, and has it signed this?
        let signed = self.signed(note)?;
        let (origin, size, root) = (&signed.checkpoint.origin, signed.checkpoint.size, signed.checkpoint.root);
        if *old > size || i64::try_from(size).is_err() {
            return Err(AddError::Sizes { old: *old, size });
        }

        for _ in 0..ATTEMPTS {
            // 3. The size that the request starts from must be the one that was cosigned last. Nothing was: the empty tree.
            let seen = self.records.seen(origin).await?;
            let (old_size, old_root) = seen.map_or((0, EMPTY_ROOT), |seen| (seen.size, seen.root));
            if *old != old_size {
                return Err(AddError::Seen { size: old_size });
            }

            // 4. The log only grew.
            if let Err(source) = verify_consistency(old_size, size, proof, &old_root, &root) {
                if old_size == size && old_root != root {
                    metric::fork(origin);
                    tracing::error!(
                        log = origin,
                        size,
                        seen = %old_root,
                        signed = %root,
                        note = note.to_string(),
                        "a log has signed two trees of one size: keep this note, it proves it"
                    );
                }
                return Err(AddError::Proof { old: old_size, size, source });
            }

            // 5. A time that is never before the last one.
            let last = seen.map(|seen| jiff::Timestamp::from_second(seen.time)).transpose().unwrap_or_default();
            let time = clock::next_time(last, self.clock.now())?.as_second().max(0);

            // 6. Remember it, unless another request was faster: then look again.
            let after = Seen { size, root, time };
            if !self.records.replace(origin, seen.as_ref(), &after).await? {
                continue;
            }
            // A crash leaves: a tree that is remembered and was not cosigned. The log asks again from its size, with an empty proof. An
            // error that hides a success leaves the same.

            // 7. Sign, and answer.
            let line = self.cosign(&signed, time).await?;
            metric::cosigned(origin, size);
            return Ok(line);
        }
        Err(AddError::Contended)
    }

    /// Lines of other keys say nothing; one of the log's key that does not verify makes the whole note worthless.
    fn signed<'a>(&self, note: &'a SignedNote) -> Result<Signed<'a>, AddError> {
        let text = note.text();
        let checkpoint: Checkpoint = text.parse()?;
        let origin = &checkpoint.origin;
        let log = self.logs.get(origin).ok_or_else(|| AddError::UnknownLog { origin: origin.clone() })?;
        let mut lines = note.signatures_by(log.vkey.name(), log.vkey.hint()).peekable();
        let signed = lines.peek().is_some() && lines.all(|line| log.key.verify(text.as_bytes(), &line.signature).is_ok());
        if signed {
            Ok(Signed { checkpoint, text })
        } else {
            Err(AddError::NotSigned { origin: origin.clone(), vkey: log.vkey.to_string() })
        }
    }

    async fn cosign(&self, signed: &Signed<'_>, time: i64) -> Result<String, AddError> {
        let time = u64::try_from(time).unwrap_or_default();
        let signature = self.key.sign(Cosignature::message(time, signed.text).as_bytes()).await?;
        let signature = <[u8; 64]>::try_from(signature).map_err(|_| keys::SignError {
            fingerprint: self.key.public_key().short(),
            source: "the signature has not the length of an Ed25519 signature".into(),
        })?;
        Ok(format!("{}\n", Cosignature { time, signature }.line(&self.vkey)))
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("vkey", &self.vkey.to_string()).field("logs", &self.logs).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
