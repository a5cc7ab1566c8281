//! Secrets from files, compared without telling by time how close a guess is.

use std::fmt::{Debug, Formatter};
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use subtle::ConstantTimeEq as _;

use super::session::Sessions;
use crate::StartError;

/// The fewest characters of a secret: what comes over the network can be guessed over the network.
const SHORTEST: usize = 16;

/// A secret that callers have to know. Only its digest is kept, so comparing takes the same time for a guess of any length.
pub(crate) struct Secret {
    digest: [u8; 32],
    sessions: hmac::Key,
}

impl Secret {
    /// Reads the file, without the white space around the secret.
    ///
    /// # Errors
    /// [`SecretError`].
    pub(crate) fn read(path: &Path) -> Result<Self, SecretError> {
        let text = std::fs::read_to_string(path)?;
        let secret = text.trim();
        match secret.chars().count() {
            0 => Err(SecretError::Empty),
            length if length < SHORTEST => Err(SecretError::Short { length }),
            _ => Ok(Self::of(secret.as_bytes())),
        }
    }

    /// One that nobody knows.
    pub(super) fn drawn() -> Self {
        Self::of(&rand::random::<[u8; 32]>())
    }

    /// Whether `guess` is the secret.
    pub(crate) fn is(&self, guess: &[u8]) -> bool {
        self.digest.ct_eq(&sha256(guess)).into()
    }

    /// What tells it from others.
    pub(super) fn digest(&self) -> [u8; 32] {
        self.digest
    }

    /// Sessions for who knows the secret. Their key comes from it: they survive a restart, and end when the secret is changed.
    pub(super) fn sessions(&self) -> Sessions {
        Sessions::new(self.sessions.clone())
    }

    fn of(secret: &[u8]) -> Self {
        const PURPOSE: &[u8] = b"chancery registry sessions, version 1";
        let key = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), PURPOSE);
        Self { digest: sha256(secret), sessions: hmac::Key::new(hmac::HMAC_SHA256, key.as_ref()) }
    }
}

impl Debug for Secret {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Refuses one secret for two purposes: whoever has the one could then do the other, and records would name the wrong one.
pub(super) fn all_different(known: &[(&str, [u8; 32])]) -> Result<(), StartError> {
    for (at, (purpose, digest)) in known.iter().enumerate() {
        if let Some((other, _)) = known[..at].iter().find(|(_, earlier)| earlier.ct_eq(digest).into()) {
            return Err(StartError::SecretShared { purposes: [(*other).to_owned(), (*purpose).to_owned()] });
        }
    }
    Ok(())
}

fn sha256(bytes: &[u8]) -> [u8; 32] {
    digest(&SHA256, bytes).as_ref().try_into().expect("SHA-256 has 32 bytes")
}

/// A file holds no secret that can be used.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It cannot be read.
    #[error("it cannot be read")]
    Unreadable(#[from] std::io::Error),
    /// There is nothing in it.
    #[error("it is empty")]
    Empty,
    /// It can be guessed.
    #[error("it has {length} characters, expected at least {SHORTEST}")]
    Short {
        /// How many it has.
        length: usize,
    },
}
