//! The log's tree heads, signed so that one text is both a static-ct checkpoint and the source of `get-sth`.

use std::fmt;
use std::str::FromStr as _;
use std::sync::Arc;

use async_trait::async_trait;
use ct::{DigitallySigned, LogId, TreeHeadSignature};
use keys::{SignError, Signer};
use merkle::Hash;
use note::{Checkpoint, KeyHint, NoteSignature, SignedNote, sth_key_id};
use tlog::{HeadError, TreeHead, TreeHeadSigner};

/// Signs heads under one origin and key.
pub(crate) struct CtHeadSigner {
    origin: String,
    key: Arc<dyn Signer>,
    hint: KeyHint,
}

impl CtHeadSigner {
    /// A signer for this origin; the key must be ECDSA P-256.
    pub(crate) fn new(origin: String, key: Arc<dyn Signer>) -> Self {
        let hint = KeyHint::of(&sth_key_id(&origin, &Hash::from(LogId::of(key.public_key()).0)));
        Self { origin, key, hint }
    }

    /// The signature of this log on a checkpoint of its own.
    pub(crate) fn signature(&self, checkpoint: &str) -> Result<(Checkpoint, TreeHeadSignature), HeadError> {
        let note = SignedNote::from_str(checkpoint)?;
        let checkpoint = Checkpoint::from_str(note.text())?;
        let line = note.signatures_by(&self.origin, self.hint).next();
        let missing = || HeadError::NotSigned { origin: self.origin.clone(), key_id: self.key.public_key().short() };
        let bytes = &line.filter(|_| checkpoint.origin == self.origin).ok_or_else(missing)?.signature;
        let bad = || HeadError::BadSignature { origin: self.origin.clone() };
        Ok((checkpoint, TreeHeadSignature::parse(bytes).map_err(|_| bad())?))
    }
}

#[async_trait]
impl TreeHeadSigner for CtHeadSigner {
    fn origin(&self) -> &str {
        &self.origin
    }

    /// A CT log's id is the hash of its key; what stands on the signature line is derived from it and the origin.
    fn key_id(&self) -> Hash {
        Hash::from(LogId::of(self.key.public_key()).0)
    }

    async fn sign(&self, head: &TreeHead) -> Result<String, SignError> {
        let tree_head = ct::TreeHead { timestamp: milliseconds(head.time), tree_size: head.size, root: head.root };
        let signature = DigitallySigned(self.key.sign(&tree_head.signed_bytes()).await?);
        let signature = TreeHeadSignature { timestamp: tree_head.timestamp, signature };
        let line = NoteSignature {
            name: self.origin.clone(),
            hint: self.hint,
            signature: signature.to_bytes().expect("an ECDSA signature is short"),
        };
        let text = Checkpoint::new(self.origin.as_str(), head.size, head.root).text();
        Ok(SignedNote::new(text, vec![line]).expect("an origin that was checked, and one signature").to_string())
    }

    fn verify(&self, signed: &str) -> Result<Checkpoint, HeadError> {
        let (checkpoint, signature) = self.signature(signed)?;
        signature
            .verify(self.key.public_key(), checkpoint.size, checkpoint.root)
            .map_err(|_| HeadError::BadSignature { origin: self.origin.clone() })?;
        Ok(checkpoint)
    }
}

impl fmt::Debug for CtHeadSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CtHeadSigner").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// Milliseconds since 1970; times before that do not occur.
pub(crate) fn milliseconds(time: jiff::Timestamp) -> u64 {
    u64::try_from(time.as_millisecond()).unwrap_or(0)
}
