//! Who may promote: secrets that are read again when their files change, so that one can be replaced without a restart.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use super::Actor;
use super::secret::{Secret, SecretError};

/// Somebody who may promote.
#[derive(Debug)]
pub(super) struct Promoter {
    actor: Actor,
    path: PathBuf,
    known: Mutex<Known>,
}

/// What was in the file when it was read last.
#[derive(Debug)]
struct Known {
    stamp: Option<Stamp>,
    /// Nothing if the file held nothing that can be used.
    secret: Option<Secret>,
}

/// What changes when a file does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    length: u64,
    changed: (i64, i64),
}

impl Promoter {
    /// Reads the file.
    ///
    /// # Errors
    /// [`SecretError`].
    pub(super) fn read(actor: Actor, path: &Path) -> Result<Self, SecretError> {
        // The stamp first: what is written in between is read again the next time.
        let stamp = Stamp::of(path)?;
        let secret = Secret::read(path)?;
        Ok(Self { actor, path: path.to_owned(), known: Mutex::new(Known { stamp: Some(stamp), secret: Some(secret) }) })
    }

    /// Who this is.
    pub(super) fn actor(&self) -> &Actor {
        &self.actor
    }

    /// Runs `look` on the secret as it is now. A file that is gone, or holds nothing that can be used, is nobody's.
    pub(super) fn secret<T>(&self, look: impl FnOnce(Option<&Secret>) -> T) -> T {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = Stamp::of(&self.path).ok();
        if stamp.is_none() || stamp != known.stamp {
            let read = Secret::read(&self.path);
            if let Err(error) = &read
                && known.secret.is_some()
            {
                let (promoter, path) = (self.actor.as_str(), self.path.display());
                tracing::warn!(promoter, %path, %error, "a promoter's secret cannot be used any more");
            }
            *known = Known { stamp, secret: read.ok() };
        }
        look(known.secret.as_ref())
    }
}

impl Stamp {
    fn of(path: &Path) -> io::Result<Self> {
        path.metadata().map(|found| Self::from(&found))
    }
}

impl From<&Metadata> for Stamp {
    fn from(found: &Metadata) -> Self {
        Self { file: (found.dev(), found.ino()), length: found.len(), changed: (found.ctime(), found.ctime_nsec()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn knows(promoter: &Promoter, guess: &str) -> bool {
        promoter.secret(|secret| secret.is_some_and(|secret| secret.is(guess.as_bytes())))
    }

    #[test]
    fn a_secret_is_replaced_without_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "the first of them\n").unwrap();
        let promoter = Promoter::read(Actor::named("ops"), &path).unwrap();
        assert!(knows(&promoter, "the first of them") && !knows(&promoter, "the second one!!!"));
        // Of the same length, by rename, as tools write secrets.
        let new = folder.path().join("new");
        std::fs::write(&new, "the second one!!!\n").unwrap();
        std::fs::rename(&new, &path).unwrap();
        assert!(knows(&promoter, "the second one!!!") && !knows(&promoter, "the first of them"));
        // In place.
        std::fs::write(&path, "the third of them, longer\n").unwrap();
        assert!(knows(&promoter, "the third of them, longer") && !knows(&promoter, "the second one!!!"));
        for unusable in ["", "short"] {
            std::fs::write(&path, unusable).unwrap();
            assert!(!knows(&promoter, unusable) && !knows(&promoter, "the third of them, longer"));
        }
        std::fs::remove_file(&path).unwrap();
        assert!(!knows(&promoter, "") && !knows(&promoter, "the third of them, longer"), "gone is nobody's");
        std::fs::write(&path, "the third of them, longer\n").unwrap();
        assert!(knows(&promoter, "the third of them, longer"));
        assert!(matches!(Promoter::read(Actor::named("ops"), folder.path()), Err(SecretError::Unreadable(_))));
    }
}
