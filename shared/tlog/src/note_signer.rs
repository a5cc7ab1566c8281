use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use jiff::Timestamp;
use keys::{SignError, Signer};
use merkle::Hash;
use note::{Checkpoint, KeyHint, NoteError, NoteSignature, OriginError, SignedNote};
use pki::KeyKind;

use crate::{HeadError, NoteVerifier, TreeHead, TreeHeadSigner};

/// Signs heads as plain checkpoints (C2SP `tlog-checkpoint`), one signature line each: the face of a Rekor log.
pub struct NoteSigner {
    key: Arc<dyn Signer>,
    verifier: NoteVerifier,
}

impl NoteSigner {
    /// A signer for this origin, which is the name of its key too.
    ///
    /// # Errors
    /// [`UnsuitableSigner`] when some client would refuse the origin or the kind of key.
    pub fn new(origin: &str, key: Arc<dyn Signer>) -> Result<Self, UnsuitableSigner> {
        Ok(Self { verifier: NoteVerifier::new(origin, key.public_key().clone())?, key })
    }

    /// A signer for the Rekor v1 log of this tree: its origin is `host - tree id`, and the name of its key the host.
    ///
    /// # Errors
    /// As [`NoteSigner::new`]; besides, for a key that is not P-256: clients of Rekor v1 know no other.
    pub fn rekor_v1(host: &str, tree_id: u64, key: Arc<dyn Signer>) -> Result<Self, UnsuitableSigner> {
        Ok(Self { verifier: NoteVerifier::rekor_v1(host, tree_id, key.public_key().clone())?, key })
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
    /// Clients of Rekor v1 would refuse the signatures.
    #[error("a Rekor v1 log cannot have a key of kind {kind}, expected ECDSA P-256")]
    RekorV1Key {
        /// Kind of the key.
        kind: KeyKind,
    },
}

#[async_trait]
impl TreeHeadSigner for NoteSigner {
    fn origin(&self) -> &str {
        self.verifier.origin()
    }

    fn key_id(&self) -> Hash {
        self.verifier.key_id()
    }

    async fn sign(&self, head: &TreeHead) -> Result<String, SignError> {
        self.sign_checkpoint(&Checkpoint::new(&head.origin, head.size, head.root)).await
    }

    async fn sign_last(&self, head: &TreeHead) -> Result<String, SignError> {
        let mut checkpoint = Checkpoint::new(&head.origin, head.size, head.root);
        // Clients of Rekor v1 are told of a frozen tree by the log's description; a line more in a checkpoint is none of their contract.
        if self.verifier.key_name() == self.verifier.origin() {
            checkpoint.extensions.push(frozen_line(head.time));
        }
        self.sign_checkpoint(&checkpoint).await
    }

    fn verify(&self, signed: &str) -> Result<Checkpoint, HeadError> {
        self.verifier.verify(signed)
    }
}

impl NoteSigner {
    async fn sign_checkpoint(&self, checkpoint: &Checkpoint) -> Result<String, SignError> {
        let text = checkpoint.text();
        let signature = self.key.sign(text.as_bytes()).await?;
        let hint = KeyHint::of(&self.verifier.key_id());
        let line = NoteSignature { name: self.verifier.key_name().to_owned(), hint, signature };
        let not_a_note = |error: NoteError| SignError { fingerprint: self.key.public_key().short(), source: error.into() };
        Ok(SignedNote::new(text, vec![line]).map_err(not_a_note)?.to_string())
    }
}

/// The line by which Rekor v2 tells readers that a log is closed, its time as Unix `date` writes it.
fn frozen_line(time: Timestamp) -> String {
    format!("Log frozen \u{2014} {}", time.strftime("%a %b %e %H:%M:%S UTC %Y"))
}

impl fmt::Debug for NoteSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NoteSigner").field("verifier", &self.verifier).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use keys::FileKey;
    use merkle::EMPTY_ROOT;

    use super::*;

    fn key(kind: KeyKind) -> Arc<dyn Signer> {
        Arc::new(FileKey::generate(kind).unwrap())
    }

    fn head(origin: &str) -> TreeHead {
        TreeHead { origin: origin.to_owned(), size: 0, root: EMPTY_ROOT, time: Timestamp::UNIX_EPOCH }
    }

    #[tokio::test]
    async fn a_head_is_signed_and_known_again() {
        for kind in [KeyKind::P256, KeyKind::Ed25519] {
            let signer = NoteSigner::new("log.example", key(kind)).unwrap();
            let note = signer.sign(&head("log.example")).await.unwrap();
            assert_eq!(signer.verify(&note).unwrap(), Checkpoint::new("log.example", 0, EMPTY_ROOT));
            let line: SignedNote = note.parse().unwrap();
            assert_eq!((line.signatures().len(), line.signatures()[0].name.as_str()), (1, "log.example"));
            assert_eq!(line.signatures()[0].hint, KeyHint::of(&signer.key_id()));
        }
    }

    #[tokio::test]
    async fn the_last_head_says_that_it_is_where_readers_take_it() {
        let key = key(KeyKind::P256);
        let time = "2026-11-01T09:14:03.250Z".parse().unwrap();
        let signer = NoteSigner::new("log.example", key.clone()).unwrap();
        let note = signer.sign_last(&TreeHead { time, ..head("log.example") }).await.unwrap();
        let expected = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\nLog frozen \u{2014} Sun Nov  1 09:14:03 UTC 2026\n\n\u{2014} log.example ";
        assert!(note.starts_with(&format!("log.example\n0\n{expected}")), "{note}");
        assert_eq!(signer.verify(&note).unwrap().extensions.len(), 1);

        let signer = NoteSigner::rekor_v1("log.example", 42, key).unwrap();
        let note = signer.sign_last(&TreeHead { time, ..head("log.example - 42") }).await.unwrap();
        assert!(signer.verify(&note).unwrap().extensions.is_empty(), "{note}");
    }

    #[tokio::test]
    async fn the_key_id_is_the_one_clients_compute() {
        let p256 = key(KeyKind::P256);
        let id = NoteSigner::new("log.example", p256.clone()).unwrap().key_id();
        assert_eq!(id, merkle::sha256(p256.public_key().spki_der()));
        assert_eq!(id, NoteSigner::new("other.example", p256).unwrap().key_id(), "an ECDSA key has one id under any name");
        let ed25519 = key(KeyKind::Ed25519);
        let ids = ["log.example", "other.example"].map(|origin| NoteSigner::new(origin, ed25519.clone()).unwrap().key_id());
        assert_ne!(ids[0], ids[1]);
    }

    #[tokio::test]
    async fn heads_of_others_are_refused() {
        let signer = NoteSigner::new("log.example", key(KeyKind::P256)).unwrap();
        let note = signer.sign(&head("log.example")).await.unwrap();
        let other = NoteSigner::new("log.example", key(KeyKind::P256)).unwrap();
        assert!(matches!(other.verify(&note), Err(HeadError::NotSigned { .. })));
        assert!(matches!(signer.verify("log.example\n0\n"), Err(HeadError::Note(_))));
        let changed = note.replacen("\n0\n", "\n1\n", 1);
        assert!(matches!(signer.verify(&changed), Err(HeadError::BadSignature { .. })));
        let note: SignedNote = note.parse().unwrap();
        let forged = NoteSignature { signature: vec![7; 64], ..note.signatures()[0].clone() };
        let two = SignedNote::new(note.text().to_owned(), vec![note.signatures()[0].clone(), forged]).unwrap();
        assert!(
            matches!(signer.verify(&two.to_string()), Err(HeadError::BadSignature { .. })),
            "one good line does not make up for it"
        );
        let no_checkpoint = SignedNote::new(
            "text\n".into(),
            vec![NoteSignature {
                name: "log.example".into(),
                hint: KeyHint::of(&signer.key_id()),
                signature: signer.key.sign(b"text\n").await.unwrap(),
            }],
        );
        assert!(matches!(signer.verify(&no_checkpoint.unwrap().to_string()), Err(HeadError::Checkpoint(_))));
    }

    #[tokio::test]
    async fn a_rekor_v1_log_signs_under_its_host() {
        let key = key(KeyKind::P256);
        let signer = NoteSigner::rekor_v1("rekor.example", 42, key.clone()).unwrap();
        assert_eq!((signer.origin(), signer.key_id()), ("rekor.example - 42", merkle::sha256(key.public_key().spki_der())));
        let note = signer.sign(&head("rekor.example - 42")).await.unwrap();
        let signed: SignedNote = note.parse().unwrap();
        assert_eq!((signed.signatures().len(), signed.signatures()[0].name.as_str()), (1, "rekor.example"));
        assert!(note.starts_with("rekor.example - 42\n0\n"), "{note}");
        assert_eq!(signer.verify(&note).unwrap(), Checkpoint::new("rekor.example - 42", 0, EMPTY_ROOT));
        // The tree is not in the name: what tells two trees of one key apart is the origin, which the engine compares.
        let other = NoteSigner::rekor_v1("rekor.example", 43, key).unwrap();
        assert_eq!(other.verify(&note).unwrap().origin, "rekor.example - 42");
    }

    #[test]
    fn what_clients_refuse_is_no_log() {
        for kind in [KeyKind::P384, KeyKind::Ed25519] {
            let refused = NoteSigner::rekor_v1("rekor.example", 1, key(kind));
            assert!(matches!(refused, Err(UnsuitableSigner::RekorV1Key { .. })));
        }
        assert!(matches!(NoteSigner::rekor_v1("rekor example", 1, key(KeyKind::P256)), Err(UnsuitableSigner::Origin(_))));
        assert!(matches!(NoteSigner::new("log.example", key(KeyKind::P384)), Err(UnsuitableSigner::Key { kind: KeyKind::P384 })));
        assert!(matches!(NoteSigner::new("log.example - 12", key(KeyKind::P256)), Err(UnsuitableSigner::Origin(_))));
    }
}
