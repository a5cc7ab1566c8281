//! Tree heads: one signature, two forms.
//!
//! The engine stores a signed note. Here its signature line is that of a static-ct checkpoint (C2SP static-ct-api): the key hint, then the
//! time and the `DigitallySigned` of RFC 6962 §3.5. So `get-sth` is read out of the stored note, and no second signature over
//! the same tree ever exists.

use std::sync::Arc;

use async_trait::async_trait;
use ct::{DigitallySigned, LogId, Malformed, TreeHeadSignature};
use keys::{SignError, Signer};
use merkle::Hash;
use note::{Checkpoint, KeyHint, NoteError, NoteSignature, SignedNote};
use tlog::{HeadError, SignedTreeHead, TreeHead, TreeHeadSigner};

/// Signs the log's tree heads and knows them again.
#[derive(Debug)]
pub(crate) struct CtHeadSigner {
    origin: String,
    log_id: Hash,
    hint: KeyHint,
    key: Arc<dyn Signer>,
}

/// The stored head is not one that this log signed: the database or the key is not what it was at start-up.
#[derive(Debug, thiserror::Error)]
#[error("the stored tree head cannot be read")]
pub(crate) struct UnreadableHead;

impl CtHeadSigner {
    /// The signer of the log with this origin. Its key is P-256: checked by the caller.
    pub(crate) fn new(origin: String, key: Arc<dyn Signer>) -> Self {
        let log_id = Hash::new(LogId::of(key.public_key()).0);
        let hint = KeyHint::of(&note::sth_key_id(&origin, &log_id));
        Self { origin, log_id, hint, key }
    }

    /// The log's key: it signs timestamps too.
    pub(crate) fn key(&self) -> &dyn Signer {
        self.key.as_ref()
    }

    /// The RFC 6962 signature in a stored head.
    pub(crate) fn signature_of(&self, head: &SignedTreeHead) -> Result<TreeHeadSignature, UnreadableHead> {
        let note: SignedNote = head.note.parse().map_err(|_| UnreadableHead)?;
        let line = note.signatures_by(&self.origin, self.hint).next().ok_or(UnreadableHead)?;
        TreeHeadSignature::parse(&line.signature).map_err(|_| UnreadableHead)
    }

    fn failed(&self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> SignError {
        SignError { fingerprint: self.key.public_key().short(), source: source.into() }
    }
}

#[async_trait]
impl TreeHeadSigner for CtHeadSigner {
    fn origin(&self) -> &str {
        &self.origin
    }

    fn key_id(&self) -> Hash {
        self.log_id
    }

    async fn sign(&self, head: &TreeHead) -> Result<String, SignError> {
        let timestamp = u64::try_from(head.time.as_millisecond()).map_err(|error| self.failed(error))?;
        let signed = ct::TreeHead { timestamp, tree_size: head.size, root: head.root };
        let signature = DigitallySigned(self.key.sign(&signed.signed_bytes()).await?);
        let signature = TreeHeadSignature { timestamp, signature }.to_bytes().map_err(|error: Malformed| self.failed(error))?;
        let text = Checkpoint::new(&head.origin, head.size, head.root).text();
        let line = NoteSignature { name: self.origin.clone(), hint: self.hint, signature };
        SignedNote::new(text, vec![line]).map(|note| note.to_string()).map_err(|error: NoteError| self.failed(error))
    }

    fn verify(&self, signed: &str) -> Result<Checkpoint, HeadError> {
        let note: SignedNote = signed.parse()?;
        let checkpoint: Checkpoint = note.text().parse()?;
        let mut ours = note.signatures_by(&self.origin, self.hint).peekable();
        if ours.peek().is_none() {
            return Err(HeadError::NotSigned { origin: self.origin.clone(), key_id: self.log_id.short() });
        }
        // A second line that says to be ours and is not would make readers refuse the whole note.
        let verifies = |line: &NoteSignature| {
            let signature = TreeHeadSignature::parse(&line.signature).ok()?;
            signature.verify(self.key.public_key(), checkpoint.size, checkpoint.root).ok()
        };
        if ours.all(|line| verifies(line).is_some()) {
            Ok(checkpoint)
        } else {
            Err(HeadError::BadSignature { origin: self.origin.clone() })
        }
    }
}

#[cfg(test)]
mod tests {
    use keys::FileKey;
    use pki::KeyKind;

    use super::*;

    fn signer(origin: &str) -> CtHeadSigner {
        CtHeadSigner::new(origin.into(), Arc::new(FileKey::generate(KeyKind::P256).unwrap()))
    }

    fn head(origin: &str) -> TreeHead {
        TreeHead {
            origin: origin.into(),
            size: 7,
            root: merkle::sha256(b"root"),
            time: "2026-11-21T09:14:03.250Z".parse().unwrap(),
        }
    }

    #[tokio::test]
    async fn a_head_is_a_static_ct_checkpoint_and_an_rfc_6962_one() {
        let signer = signer("ctlog.example/2026");
        let head = head("ctlog.example/2026");
        let note = signer.sign(&head).await.unwrap();
        assert!(note.starts_with("ctlog.example/2026\n7\n") && note.contains("\n\n\u{2014} ctlog.example/2026 "), "{note}");
        let checkpoint = signer.verify(&note).unwrap();
        assert_eq!((checkpoint.size, checkpoint.root), (7, head.root));

        let stored = SignedTreeHead { size: 7, root: head.root, time: head.time, note: note.clone(), last: false };
        let signature = signer.signature_of(&stored).unwrap();
        assert_eq!(signature.timestamp, 1_795_252_443_250);
        let key = signer.key.public_key();
        signature.verify(key, 7, head.root).unwrap();
        assert!(signature.verify(key, 8, head.root).is_err());

        // The hint is that of the origin and the log id together (algorithm 5), not of the key alone.
        let parsed: SignedNote = note.parse().unwrap();
        let id = merkle::sha256(&[b"ctlog.example/2026\n\x05".as_slice(), &key.fingerprint()].concat());
        assert_eq!(parsed.signatures()[0].hint, KeyHint::of(&id));
    }

    #[tokio::test]
    async fn what_another_key_or_name_signed_is_not_ours() {
        let (ours, other) = (signer("a.example"), signer("a.example"));
        let note = other.sign(&head("a.example")).await.unwrap();
        assert!(matches!(ours.verify(&note), Err(HeadError::NotSigned { .. })));

        let note = ours.sign(&head("a.example")).await.unwrap();
        let grown = note.replacen("\n7\n", "\n8\n", 1);
        assert!(matches!(ours.verify(&grown), Err(HeadError::BadSignature { .. })));
        // A line with our hint that is no signature at all.
        let forged = NoteSignature { name: "a.example".into(), hint: ours.hint, signature: vec![1, 2, 3] };
        assert!(matches!(ours.verify(&format!("{note}{forged}\n")), Err(HeadError::BadSignature { .. })));
        assert!(matches!(ours.verify("nonsense"), Err(HeadError::Note(_))));
    }
}
