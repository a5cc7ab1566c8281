//! The trusted root as the file says it is now: a log that was added counts without a restart.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use chassis::reason::chain;
use oci::Digest;

use super::{TrustError, TrustRoot};

/// The file of the trusted root, and what it said when it could be read last.
#[derive(Debug)]
pub(crate) struct Trusted {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    root: Arc<TrustRoot>,
    /// What was said last about a file that cannot be used, so that the log says it once.
    complaint: Option<String>,
}

/// Whom to believe for one promotion.
#[derive(Debug, Clone)]
pub(crate) struct Current {
    /// The trusted root.
    pub(crate) root: Arc<TrustRoot>,
    /// Why it is the one from before, if the file cannot be used as it is now.
    pub(crate) stale: Option<String>,
}

impl Trusted {
    /// Reads the file, which must be a trusted root to begin with.
    ///
    /// # Errors
    /// [`TrustError`].
    pub(crate) fn open(path: &Path) -> Result<Self, TrustError> {
        let root = Arc::new(TrustRoot::load(path)?);
        Ok(Self { path: path.to_owned(), state: Mutex::new(State { root, complaint: None }) })
    }

    /// Says with which one it begins.
    pub(crate) fn announce(&self) {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        tracing::info!(trusted_root = state.root.digest().short(), "promotions are verified with {}", self.path.display());
    }

    /// Reads the file again, and takes what it says if that is another trusted root. One that cannot be read or used changes
    /// nothing: to believe others than before, or nobody, is a decision for whoever mends it.
    ///
    /// Reads a file, so it is for threads that may block.
    pub(crate) fn current(&self) -> Current {
        let read = TrustRoot::read(&self.path);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let renewed = read.and_then(|json| match Digest::of(json.as_bytes()) == *state.root.digest() {
            true => Ok(None),
            false => TrustRoot::of_file(&self.path, &json).map(Some),
        });
        let stale = match renewed {
            Ok(None) => None,
            Ok(Some(root)) => {
                tracing::info!(
                    trusted_root = root.digest().short(),
                    before = state.root.digest().short(),
                    "the trusted root was renewed"
                );
                state.root = Arc::new(root);
                None
            }
            Err(error) => Some(chain(&error)),
        };
        if stale.is_some() && stale != state.complaint {
            let (reason, kept) = (stale.as_deref(), state.root.digest().short());
            tracing::warn!(reason, kept, "the trusted root was changed and cannot be used; the one from before is kept");
        }
        state.complaint.clone_from(&stale);
        Current { root: Arc::clone(&state.root), stale }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use testkit::sigstore::{Order, World};

    use super::*;
    use crate::policy::tests::bundle;

    fn signed(world: &World, image: &Digest) -> Vec<u8> {
        world.sign(&Order::about(image.hex(), evidence::predicate::SIGNATURE, &json!({}))).to_string().into_bytes()
    }

    #[test]
    fn a_new_file_counts_and_a_broken_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("trusted_root.json");
        let (old, new) = (World::new(), World::new());
        std::fs::write(&path, old.trusted_root.to_string()).unwrap();
        let (trusted, image) = (Trusted::open(&path).unwrap(), Digest::of(b"image"));
        let believes = |world: &World| {
            let signed = signed(world, &image);
            trusted.current().root.examine(&image, &bundle("", &signed), &signed).is_ok()
        };
        assert!(believes(&old) && !believes(&new));
        let before = trusted.current();
        assert!(Arc::ptr_eq(&before.root, &trusted.current().root), "what it remembers is kept while the file says the same");

        std::fs::write(&path, "{").unwrap();
        assert!(trusted.current().stale.unwrap().contains("trusted_root.json"));
        assert!(believes(&old));
        std::fs::remove_file(&path).unwrap();
        assert!(trusted.current().stale.is_some() && believes(&old));
        std::fs::write(&path, "x".repeat(super::super::trust::MAX_BYTES as usize + 1)).unwrap();
        assert!(trusted.current().stale.unwrap().contains("larger") && believes(&old));

        std::fs::write(&path, new.trusted_root.to_string()).unwrap();
        assert!(trusted.current().stale.is_none());
        assert!(believes(&new) && !believes(&old));
        assert!(Trusted::open(&folder.path().join("other.json")).is_err());
    }
}
