//! The trusted root, and what was made of bundles with it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use evidence::{Evidence, Refused};
use moka::sync::Cache;
use oci::Digest;
use verify::{TrustRootError, Verifier};

/// How many verdicts are remembered. One is a few hundred bytes.
const REMEMBERED: u64 = 10_000;

/// What a bundle proves about a digest, or why it proves nothing.
pub(crate) type Verdict = Arc<Result<Evidence, Refused>>;

/// Whom to believe: the trusted root as it was at the start.
///
/// A verdict never changes for the same bundle, subject and trusted root, so it is remembered: by bundle and subject in here, and
/// this belongs to one trusted root.
#[derive(Debug)]
pub(crate) struct TrustRoot {
    verifier: Verifier,
    digest: Digest,
    verdicts: Cache<(Digest, Digest), Verdict>,
}

impl TrustRoot {
    /// Reads the file.
    ///
    /// # Errors
    /// [`TrustError`].
    pub(crate) fn load(path: &Path) -> Result<Self, TrustError> {
        let unreadable = |source| TrustError::Unreadable { path: path.to_owned(), source };
        let json = std::fs::read_to_string(path).map_err(unreadable)?;
        Self::parse(&json).map_err(|source| TrustError::Unusable { path: path.to_owned(), source })
    }

    pub(crate) fn parse(json: &str) -> Result<Self, TrustRootError> {
        let verifier = Verifier::from_trusted_root(json)?;
        Ok(Self { verifier, digest: Digest::of(json.as_bytes()), verdicts: Cache::new(REMEMBERED) })
    }

    /// SHA-256 of the file.
    pub(crate) fn digest(&self) -> &Digest {
        &self.digest
    }

    /// What `bundle` proves about `subject`. Takes milliseconds of a core unless it is remembered, so it is for threads that may
    /// block.
    pub(crate) fn examine(&self, subject: &Digest, bundle: &[u8]) -> Verdict {
        // Keyed by the bytes at hand, not by the name that they were read under.
        let key = (Digest::of(bundle), subject.clone());
        self.verdicts.get_with(key, || Arc::new(evidence::examine(&self.verifier, subject, bundle)))
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
    use testkit::sigstore::{Order, World};

    use super::*;

    #[test]
    fn a_verdict_is_remembered_for_its_bundle_and_subject_alone() {
        let world = World::new();
        let trust = TrustRoot::parse(&world.trusted_root.to_string()).unwrap();
        let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));
        let bundle = world.sign(&Order::about(one.hex(), evidence::predicate::SIGNATURE, &json!({}))).to_string();
        let first = trust.examine(&one, bundle.as_bytes());
        assert!(first.is_ok());
        assert!(Arc::ptr_eq(&first, &trust.examine(&one, bundle.as_bytes())));
        assert_eq!(trust.examine(&two, bundle.as_bytes()).as_ref().as_ref().unwrap_err().code(), "artifact_mismatch");
        assert!(trust.examine(&one, bundle.replace(".v0.3+json", ".v0.9+json").as_bytes()).is_err());
        let elsewhere = TrustRoot::parse(&World::new().trusted_root.to_string()).unwrap();
        assert_ne!(elsewhere.digest(), trust.digest());
        assert!(elsewhere.examine(&one, bundle.as_bytes()).is_err());
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
