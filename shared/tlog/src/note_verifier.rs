use merkle::Hash;
use note::{Checkpoint, KeyHint, SignedNote, check_origin, ecdsa_key_id, ed25519_key_id, rekor_v1_origin};
use pki::{KeyKind, PublicKey};

use crate::{HeadError, UnsuitableSigner};

/// Knows the heads that one log signed as plain checkpoints, by its public key.
#[derive(Debug, Clone)]
pub struct NoteVerifier {
    origin: String,
    /// Of the key: the origin, except in Rekor v1.
    name: String,
    key: PublicKey,
    key_id: Hash,
}

impl NoteVerifier {
    /// For the log of this origin, which is the name of its key too.
    ///
    /// # Errors
    /// [`UnsuitableSigner`] when no log of ours can have this origin or key.
    pub fn new(origin: &str, key: PublicKey) -> Result<Self, UnsuitableSigner> {
        Self::named(origin.to_owned(), origin, key)
    }

    /// For the Rekor v1 log of this tree, as [`NoteSigner::rekor_v1`](crate::NoteSigner::rekor_v1) signs its heads.
    ///
    /// # Errors
    /// As [`NoteVerifier::new`].
    pub fn rekor_v1(host: &str, tree_id: u64, key: PublicKey) -> Result<Self, UnsuitableSigner> {
        match key.kind() {
            KeyKind::P256 => Self::named(rekor_v1_origin(host, tree_id)?, host, key),
            kind => Err(UnsuitableSigner::RekorV1Key { kind }),
        }
    }

    fn named(origin: String, name: &str, key: PublicKey) -> Result<Self, UnsuitableSigner> {
        check_origin(name)?;
        let key_id = match key.kind() {
            KeyKind::P256 => ecdsa_key_id(key.spki_der()),
            KeyKind::Ed25519 => {
                ed25519_key_id(name, key.key_bytes().try_into().map_err(|_| UnsuitableSigner::Key { kind: KeyKind::Ed25519 })?)
            }
            kind => return Err(UnsuitableSigner::Key { kind }),
        };
        Ok(Self { origin, name: name.to_owned(), key, key_id })
    }

    /// Name of the log.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Name of its key.
    #[must_use]
    pub fn key_name(&self) -> &str {
        &self.name
    }

    /// The whole id of its key.
    #[must_use]
    pub const fn key_id(&self) -> Hash {
        self.key_id
    }

    /// Reads a note that this log signed.
    ///
    /// # Errors
    /// [`HeadError`] when it is no checkpoint, or no valid signature of this log is on it.
    pub fn verify(&self, signed: &str) -> Result<Checkpoint, HeadError> {
        let note: SignedNote = signed.parse()?;
        let mut ours = note.signatures_by(&self.name, KeyHint::of(&self.key_id)).peekable();
        if ours.peek().is_none() {
            return Err(HeadError::NotSigned { origin: self.origin.clone(), key_id: self.key_id.short() });
        }
        // A second line that says to be ours and is not would make readers refuse the whole note.
        if ours.any(|line| self.key.verify(note.text().as_bytes(), &line.signature).is_err()) {
            return Err(HeadError::BadSignature { origin: self.origin.clone() });
        }
        Ok(note.text().parse()?)
    }
}
