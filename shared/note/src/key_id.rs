use std::fmt;

use merkle::{Hash, sha256};

/// Ed25519 (C2SP `signed-note`).
const ED25519: u8 = 0x01;
/// A witness (C2SP `tlog-cosignature`).
const COSIGNER: u8 = 0x04;
/// An RFC 6962 signed tree head (C2SP `static-ct-api`).
const RFC6962_STH: u8 = 0x05;

/// The four bytes by which a signature line names its key: the beginning of the key id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyHint(pub [u8; 4]);

impl KeyHint {
    /// The hint of the key with this id.
    #[must_use]
    pub const fn of(key_id: &Hash) -> Self {
        let [a, b, c, d, ..] = *key_id.as_bytes();
        Self([a, b, c, d])
    }
}

impl fmt::Display for KeyHint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", u32::from_be_bytes(self.0))
    }
}

/// The id of an ECDSA key: SHA-256 of its SubjectPublicKeyInfo. The key's name plays no part.
#[must_use]
pub fn ecdsa_key_id(spki_der: &[u8]) -> Hash {
    sha256(spki_der)
}

/// The id of an Ed25519 key under a name: SHA-256(name ‖ 0x0A ‖ 0x01 ‖ key).
#[must_use]
pub fn ed25519_key_id(name: &str, key: &[u8; 32]) -> Hash {
    named_key_id(name, ED25519, key)
}

/// The id of a witness's Ed25519 key under its name: SHA-256(name ‖ 0x0A ‖ 0x04 ‖ key).
#[must_use]
pub fn cosigner_key_id(name: &str, key: &[u8; 32]) -> Hash {
    named_key_id(name, COSIGNER, key)
}

/// The id of an RFC 6962 log under a name: SHA-256(name ‖ 0x0A ‖ 0x05 ‖ log id). The log id is SHA-256 of the SubjectPublicKeyInfo.
#[must_use]
pub fn sth_key_id(name: &str, log_id: &Hash) -> Hash {
    named_key_id(name, RFC6962_STH, log_id.as_bytes())
}

fn named_key_id(name: &str, algorithm: u8, key: &[u8; 32]) -> Hash {
    sha256(&[name.as_bytes(), &[b'\n', algorithm], key].concat())
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, Engine as _};

    use super::*;

    /// The Ed25519 key with the seed of 32 ones, as in its verifier key.
    fn example_key() -> [u8; 32] {
        let vkey = BASE64_STANDARD.decode("AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c").unwrap();
        assert_eq!(vkey[0], ED25519);
        vkey[1..].try_into().unwrap()
    }

    #[test]
    fn an_ed25519_key_is_named_by_key_and_origin() {
        let id = ed25519_key_id("rekor.example.test", &example_key());
        assert_eq!(BASE64_STANDARD.encode(id), "Qh+buA9z3Vw1QS7RR5AH1ZdslNHW06tEqkvXN9KyXNc=");
        assert_eq!(KeyHint::of(&id).to_string(), "421f9bb8");
        assert_ne!(ed25519_key_id("rekor.example", &example_key()), id);
    }

    #[test]
    fn the_public_rekor_v2_log() {
        let spki = BASE64_STANDARD.decode("MCowBQYDK2VwAyEAt8rlp1knGwjfbcXAYPYAkn0XiLz1x8O4t0YkEhie244=").unwrap();
        let key = spki[spki.len() - 32..].try_into().unwrap();
        let id = ed25519_key_id("log2025-1.rekor.sigstore.dev", &key);
        assert_eq!(BASE64_STANDARD.encode(id), "zxGZFVvd0FEmjR8WrFwMdcAJ9vtaY/QXf44Y1wUeP6A=");
    }

    #[test]
    fn the_kinds_of_ids_differ() {
        let key = example_key();
        assert_eq!(ecdsa_key_id(b"abc"), sha256(b"abc"));
        assert_eq!(sth_key_id("a", &Hash::new(key)), sha256(&[b"a\n\x05", &key[..]].concat()));
        assert_ne!(sth_key_id("a", &Hash::new(key)), ed25519_key_id("a", &key));
    }
}
