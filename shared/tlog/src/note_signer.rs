use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use keys::{SignError, Signer};
use merkle::Hash;
use note::{Checkpoint, KeyHint, NoteError, NoteSignature, OriginError, SignedNote, check_origin, ecdsa_key_id, ed25519_key_id};
use pki::KeyKind;

use crate::{HeadError, TreeHead, TreeHeadSigner};

/// Signs heads as plain checkpoints (C2SP `tlog-checkpoint`), under the origin as the key's name: the face of a Rekor v2 log.
pub struct NoteSigner {
    origin: String,
    key: Arc<dyn Signer>,
    key_id: Hash,
}

impl NoteSigner {
    /// A signer for this origin.
    ///
    /// # Errors
    /// [`UnsuitableSigner`] when some client would refuse the origin or the kind of key.
    pub fn new(origin: &str, key: Arc<dyn Signer>) -> Result<Self, UnsuitableSigner> {
        check_origin(origin)?;
        let public = key.public_key();
        let key_id = match public.kind() {
            KeyKind::P256 => ecdsa_key_id(public.spki_der()),
            KeyKind::Ed25519 => ed25519_key_id(
                origin,
                public.key_bytes().try_into().map_err(|_| UnsuitableSigner::Key { kind: KeyKind::Ed25519 })?,
            ),
            kind => return Err(UnsuitableSigner::Key { kind }),
        };
        Ok(Self { origin: origin.to_owned(), key, key_id })
    }
}

/// An origin or a key that no log can have.
#[derive(Debug, thiserror::Error)]
pub enum UnsuitableSigner {
    /// Some client would refuse the origin.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// Some client would refuse the signatures.
    #[error("a log cannot have a key of kind {kind}, expected ECDSA P-256 or Ed25519")]
    Key {
        /// Kind of the key.
        kind: KeyKind,
    },
}

#[async_trait]
impl TreeHeadSigner for NoteSigner {
    fn origin(&self) -> &str {
        &self.origin
    }

    fn key_id(&self) -> Hash {
        self.key_id
    }

    async fn sign(&self, head: &TreeHead) -> Result<String, SignError> {
        let text = Checkpoint::new(&head.origin, head.size, head.root).text();
        let signature = self.key.sign(text.as_bytes()).await?;
        let line = NoteSignature { name: self.origin.clone(), hint: KeyHint::of(&self.key_id), signature };
        let not_a_note = |error: NoteError| SignError { fingerprint: self.key.public_key().short(), source: error.into() };
        Ok(SignedNote::new(text, vec![line]).map_err(not_a_note)?.to_string())
    }

    fn verify(&self, signed: &str) -> Result<Checkpoint, HeadError> {
        let note: SignedNote = signed.parse()?;
        let mut ours = note.signatures_by(&self.origin, KeyHint::of(&self.key_id)).peekable();
        if ours.peek().is_none() {
            return Err(HeadError::NotSigned { origin: self.origin.clone(), key_id: self.key_id.short() });
        }
        // A second line that says to be ours and is not would make readers refuse the whole note.
        if ours.any(|line| self.key.public_key().verify(note.text().as_bytes(), &line.signature).is_err()) {
            return Err(HeadError::BadSignature { origin: self.origin.clone() });
        }
        Ok(note.text().parse()?)
    }
}

impl fmt::Debug for NoteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NoteSigner").field("origin", &self.origin).field("key_id", &self.key_id).finish_non_exhaustive()
    }
}
