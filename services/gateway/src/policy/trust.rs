//! The trusted root, and what was made of signatures with it.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use evidence::{Claim, Evidence, Form, Refused};
use moka::sync::Cache;
use oci::Digest;
use verify::{TrustRootError, Verifier};

/// How many verdicts are remembered. One is a few hundred bytes.
const REMEMBERED: u64 = 10_000;

/// The largest file that is read. A trusted root of a hundred logs has a tenth of it.
pub(super) const MAX_BYTES: u64 = 1 << 20;

/// What a claim proves about a digest, or why it proves nothing.
pub(crate) type Verdict = Arc<Result<Evidence, Refused>>;

/// Whom to believe: a trusted root.
///
/// A verdict never changes for the same claim, subject and trusted root, so it is remembered: by claim and subject in here, and this
/// belongs to one trusted root.
#[derive(Debug)]
pub(crate) struct TrustRoot {
    verifier: Verifier,
    digest: Digest,
    verdicts: Cache<Question, Verdict>,
}

/// Everything that a verdict depends on, but for the trusted root.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Question {
    subject: Digest,
    form: Form,
    /// Of the bytes at hand, not the name that they were read under.
    content: Digest,
    /// Of what signs them, where that stands beside them.
    annotations: Option<Digest>,
}

impl Question {
    fn of(subject: &Digest, claim: &Claim, content: &[u8]) -> Self {
        let annotations = claim.form.is_legacy().then(|| {
            let text = serde_json::to_vec(&claim.layer.annotations).expect("a map from text to text serialises");
            Digest::of(&text)
        });
        Self { subject: subject.clone(), form: claim.form, content: Digest::of(content), annotations }
    }
}

impl TrustRoot {
    /// Reads the file.
    ///
    /// # Errors
    /// [`TrustError`].
    pub(crate) fn load(path: &Path) -> Result<Self, TrustError> {
        Self::of_file(path, &Self::read(path)?)
    }

    /// The text of the file.
    ///
    /// # Errors
    /// [`TrustError`].
    pub(super) fn read(path: &Path) -> Result<String, TrustError> {
        let unreadable = |source| TrustError::Unreadable { path: path.to_owned(), source };
        let mut json = String::new();
        File::open(path).and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut json)).map_err(unreadable)?;
        if json.len() as u64 > MAX_BYTES {
            return Err(unreadable(std::io::Error::other(format!("it is larger than {MAX_BYTES} bytes"))));
        }
        Ok(json)
    }

    /// What the text of the file says.
    ///
    /// # Errors
    /// [`TrustError`].
    pub(super) fn of_file(path: &Path, json: &str) -> Result<Self, TrustError> {
        Self::parse(json).map_err(|source| TrustError::Unusable { path: path.to_owned(), source })
    }

    pub(crate) fn parse(json: &str) -> Result<Self, TrustRootError> {
        let verifier = Verifier::from_trusted_root(json)?;
        Ok(Self { verifier, digest: Digest::of(json.as_bytes()), verdicts: Cache::new(REMEMBERED) })
    }

    /// SHA-256 of the file.
    pub(crate) fn digest(&self) -> &Digest {
        &self.digest
    }

    /// What a claim whose layer is `content` proves about `subject`. Takes milliseconds of a core unless it is remembered, so it is
    /// for threads that may block.
    pub(crate) fn examine(&self, subject: &Digest, claim: &Claim, content: &[u8]) -> Verdict {
        let question = Question::of(subject, claim, content);
        self.verdicts.get_with(question, || Arc::new(evidence::examine_claim(&self.verifier, subject, claim, content)))
    }
}

/// The trusted root cannot be used. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// There are policies, and nothing to verify with.
    #[error("there are policies, and gateway.trusted_root names no file to verify with")]
    Missing,
    /// The file.
    #[error("the trusted root {} cannot be read", path.display())]
    Unreadable {
        /// Where it should be.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// What is in it.
    #[error("the trusted root {} cannot be used", path.display())]
    Unusable {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        source: TrustRootError,
    },
}

impl TrustError {
    /// A stable name for programs, an anchor in `docs/errors.md`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing => "policy_trusted_root",
            Self::Unreadable { .. } => "policy_trusted_root_unreadable",
            Self::Unusable { source, .. } => source.code(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use testkit::sigstore::legacy::SIGNATURE;
    use testkit::sigstore::{Order, World};

    use super::*;
    use crate::policy::tests::{bundle, legacy};

    #[test]
    fn a_verdict_is_remembered_for_its_claim_and_subject_alone() {
        let world = World::new();
        let trust = TrustRoot::parse(&world.trusted_root.to_string()).unwrap();
        let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));
        let signed = world.sign(&Order::about(one.hex(), evidence::predicate::SIGNATURE, &json!({}))).to_string();
        let claim = bundle("text/plain", signed.as_bytes());
        let first = trust.examine(&one, &claim, signed.as_bytes());
        assert!(first.is_ok());
        assert!(Arc::ptr_eq(&first, &trust.examine(&one, &claim, signed.as_bytes())));
        assert_eq!(trust.examine(&two, &claim, signed.as_bytes()).as_ref().as_ref().unwrap_err().code(), "artifact_mismatch");
        assert!(trust.examine(&one, &claim, signed.replace(".v0.3+json", ".v0.9+json").as_bytes()).is_err());
        let elsewhere = TrustRoot::parse(&World::new().trusted_root.to_string()).unwrap();
        assert_ne!(elsewhere.digest(), trust.digest());
        assert!(elsewhere.examine(&one, &claim, signed.as_bytes()).is_err());
    }

    /// Of the older forms the layer is the same whoever signed it: the annotations are a part of the question.
    #[test]
    fn a_verdict_about_an_older_form_is_remembered_with_its_annotations() {
        let world = World::new();
        let trust = TrustRoot::parse(&world.trusted_root.to_string()).unwrap();
        let image = Digest::of(b"one");
        let order = Order::image(&image);
        let (one, two) = (world.sign_legacy(&order), world.sign_legacy(&order));
        assert_eq!(one.content, two.content);
        let examine = |form, layer: &testkit::sigstore::LegacyLayer| trust.examine(&image, &legacy(form, layer), &layer.content);
        let first = examine(Form::LegacySignature, &one);
        assert!(first.is_ok() && Arc::ptr_eq(&first, &examine(Form::LegacySignature, &one)));
        let second = examine(Form::LegacySignature, &two);
        assert!(second.is_ok() && !Arc::ptr_eq(&first, &second));
        let borrowed = one.with(SIGNATURE, two.annotation(SIGNATURE));
        assert!(examine(Form::LegacySignature, &borrowed).is_err());
        assert!(examine(Form::LegacyAttestation, &one).is_err(), "the form is a part of the question, too");
        assert!(examine(Form::Bundle, &one).is_err());
    }

    #[test]
    fn what_cannot_be_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trusted_root.json");
        assert_eq!(TrustRoot::load(&path).unwrap_err().code(), "policy_trusted_root_unreadable");
        std::fs::write(&path, "{}").unwrap();
        assert_eq!(TrustRoot::load(&path).unwrap_err().code(), "trusted_root_malformed");
    }
}
