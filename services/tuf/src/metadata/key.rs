//! Keys in root metadata: ECDSA P-256 in PEM, the one kind that every client and every token accepts.

use std::fmt;

use pki::{KeyKind, PublicKey};
use serde::{Deserialize, Serialize};

use super::{canonical, fixed};
use crate::names::Digest;

/// A key object. It has no other member: tough hashes the whole object into the key id, others only these three.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Key {
    keytype: KeyType,
    keyval: KeyValue,
    scheme: Scheme,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyValue {
    public: String,
}

fixed!(KeyType "ecdsa");
fixed!(Scheme "ecdsa-sha2-nistp256");

/// A key cannot sign for a TUF role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a TUF key must be ECDSA P-256; every client and hardware token accepts it")]
pub struct NotP256;

impl Key {
    /// The key object of `key`.
    ///
    /// # Errors
    /// [`NotP256`].
    pub(crate) fn new(key: &PublicKey) -> Result<Self, NotP256> {
        if key.kind() != KeyKind::P256 {
            return Err(NotP256);
        }
        Ok(Self { keytype: KeyType, keyval: KeyValue { public: key.to_pem() }, scheme: Scheme })
    }

    /// SHA-256 over the canonical form: on this all implementations agree.
    #[must_use]
    pub(crate) fn id(&self) -> KeyId {
        KeyId(Digest::of(&canonical(self).expect("a PEM text is ASCII and nothing else in a key varies")))
    }

    /// The public key; none when the text is not the PEM of a P-256 key.
    #[must_use]
    pub(crate) fn public_key(&self) -> Option<PublicKey> {
        PublicKey::from_pem(&self.keyval.public).ok().filter(|key| key.kind() == KeyKind::P256)
    }
}

/// The name of a key: SHA-256 of the canonical key object, lower-case hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyId(Digest);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
