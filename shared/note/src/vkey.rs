use std::fmt;
use std::str::FromStr;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use merkle::Hash;

use crate::KeyHint;
use crate::key_id::{cosigner_key_id, ecdsa_key_id, ed25519_key_id};
use crate::origin::allowed_in_name;

/// Ed25519 signatures over the text of the note.
const ED25519: u8 = 0x01;
/// ECDSA signatures over the text of the note.
const ECDSA: u8 = 0x02;
/// Ed25519 cosignatures with a time (C2SP `tlog-cosignature`).
const COSIGNER: u8 = 0x04;

/// What comes before the 32 bytes of an Ed25519 key in its SubjectPublicKeyInfo (RFC 8410 §4).
const ED25519_SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A key that signs notes, and its name, as they are handed from one operator to another (C2SP `signed-note`, verifier keys):
/// `name+hint+base64(kind ‖ key)`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct VerifierKey {
    name: String,
    key: NoteKey,
}

/// The key of a [`VerifierKey`], and what its signatures are over.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum NoteKey {
    /// Ed25519 over the text: a log.
    Ed25519([u8; 32]),
    /// ECDSA over the text, the key as DER SubjectPublicKeyInfo: a log.
    Ecdsa(Vec<u8>),
    /// Ed25519 over time and text ([`Cosignature`](crate::Cosignature)): a witness.
    Cosigner([u8; 32]),
}

impl VerifierKey {
    /// A key under a name.
    ///
    /// # Errors
    /// [`VerifierKeyError::Name`] when no signature line could have this name.
    pub fn new(name: impl Into<String>, key: NoteKey) -> Result<Self, VerifierKeyError> {
        let name = name.into();
        if name.is_empty() || !name.chars().all(allowed_in_name) {
            return Err(VerifierKeyError::Name);
        }
        Ok(Self { name, key })
    }

    /// The name on its signature lines; for a log its origin.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key.
    #[must_use]
    pub fn key(&self) -> &NoteKey {
        &self.key
    }

    /// The key as DER SubjectPublicKeyInfo.
    #[must_use]
    pub fn spki_der(&self) -> Vec<u8> {
        match &self.key {
            NoteKey::Ed25519(key) | NoteKey::Cosigner(key) => [&ED25519_SPKI[..], key].concat(),
            NoteKey::Ecdsa(spki) => spki.clone(),
        }
    }

    /// The whole key id.
    #[must_use]
    pub fn key_id(&self) -> Hash {
        match &self.key {
            NoteKey::Ed25519(key) => ed25519_key_id(&self.name, key),
            NoteKey::Ecdsa(spki) => ecdsa_key_id(spki),
            NoteKey::Cosigner(key) => cosigner_key_id(&self.name, key),
        }
    }

    /// How its signature lines name it.
    #[must_use]
    pub fn hint(&self) -> KeyHint {
        KeyHint::of(&self.key_id())
    }

    /// The same Ed25519 key as that of a witness: many publish it as a plain one. None for ECDSA, which no witness has.
    #[must_use]
    pub fn into_cosigner(self) -> Option<Self> {
        match self.key {
            NoteKey::Ed25519(key) | NoteKey::Cosigner(key) => Some(Self { name: self.name, key: NoteKey::Cosigner(key) }),
            NoteKey::Ecdsa(_) => None,
        }
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, key) = match &self.key {
            NoteKey::Ed25519(key) => (ED25519, &key[..]),
            NoteKey::Ecdsa(spki) => (ECDSA, &spki[..]),
            NoteKey::Cosigner(key) => (COSIGNER, &key[..]),
        };
        write!(f, "{}+{}+{}", self.name, self.hint(), BASE64_STANDARD.encode([&[kind], key].concat()))
    }
}

impl FromStr for VerifierKey {
    type Err = VerifierKeyError;

    fn from_str(text: &str) -> Result<Self, VerifierKeyError> {
        // Neither names nor hints have a plus; base64 may.
        let mut parts = text.splitn(3, '+');
        let (Some(name), Some(hint), Some(encoded)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(VerifierKeyError::Form);
        };
        let bytes = BASE64_STANDARD.decode(encoded).map_err(|_| VerifierKeyError::Form)?;
        let (kind, key) = bytes.split_first().ok_or(VerifierKeyError::Form)?;
        let short = |key: &[u8]| key.try_into().map_err(|_| VerifierKeyError::Length { found: key.len() });
        let key = match *kind {
            ED25519 => NoteKey::Ed25519(short(key)?),
            ECDSA => NoteKey::Ecdsa(key.to_vec()),
            COSIGNER => NoteKey::Cosigner(short(key)?),
            kind => return Err(VerifierKeyError::Kind { kind }),
        };
        let parsed = Self::new(name, key)?;
        let expected = parsed.hint().to_string();
        if hint == expected { Ok(parsed) } else { Err(VerifierKeyError::Hint { expected }) }
    }
}

/// A text that is no verifier key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifierKeyError {
    /// Not three parts, or no base64.
    #[error(
        "a verifier key is NAME+HINT+BASE64, for example witness.example+7aa54a0e+BIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU"
    )]
    Form,
    /// A name that no signature line can have.
    #[error("the name of a verifier key is not empty and has no space, no plus and no control character")]
    Name,
    /// A kind of key that is not known here.
    #[error("the verifier key is of kind {kind:#04x}, expected 0x01 (Ed25519), 0x02 (ECDSA) or 0x04 (cosigner)")]
    Kind {
        /// Its first byte.
        kind: u8,
    },
    /// Not an Ed25519 key.
    #[error("the verifier key has {found} bytes of key, expected the 32 of an Ed25519 key")]
    Length {
        /// How many there are.
        found: usize,
    },
    /// The hint is not that of name and key: one of them was changed on the way.
    #[error("the hint of the verifier key does not belong to its name and key, expected {expected}; ask its owner for it again")]
    Hint {
        /// What it would be.
        expected: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOG: &str = "rekor.example.test+421f9bb8+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c";
    const WITNESS: &str = "witness.example.test+7aa54a0e+BIE5dw6ofRdfVqNUZsNMfszLjYqRtO43ol32D1uPybOU";

    #[test]
    fn verifier_keys_survive_being_written() {
        for text in [LOG, WITNESS] {
            assert_eq!(text.parse::<VerifierKey>().unwrap().to_string(), text);
        }
        let spki = [7; 91].to_vec();
        let ecdsa = VerifierKey::new("log.example", NoteKey::Ecdsa(spki.clone())).unwrap();
        assert_eq!((ecdsa.key_id(), ecdsa.spki_der()), (merkle::sha256(&spki), spki));
        assert_eq!(ecdsa.to_string().parse(), Ok(ecdsa.clone()));
        assert_eq!(ecdsa.into_cosigner(), None);
    }

    #[test]
    fn a_witness_may_publish_its_key_as_a_plain_one() {
        let witness: VerifierKey = WITNESS.parse().unwrap();
        let NoteKey::Cosigner(key) = *witness.key() else { panic!("a cosigner") };
        let plain = VerifierKey::new("witness.example.test", NoteKey::Ed25519(key)).unwrap();
        assert_ne!(plain.hint(), witness.hint());
        assert_eq!(plain.into_cosigner(), Some(witness));
    }

    #[test]
    fn an_ed25519_key_has_its_usual_encoding() {
        let key: VerifierKey = LOG.parse().unwrap();
        assert_eq!(BASE64_STANDARD.encode(key.spki_der()), "MCowBQYDK2VwAyEAiojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w=");
    }

    #[test]
    fn what_was_changed_on_the_way_is_refused() {
        for (text, expected) in [
            ("", VerifierKeyError::Form),
            ("a+b", VerifierKeyError::Form),
            ("a+00000000+!", VerifierKeyError::Form),
            ("a+00000000+", VerifierKeyError::Form),
            ("+421f9bb8+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c", VerifierKeyError::Name),
            ("a b+421f9bb8+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c", VerifierKeyError::Name),
            ("a+00000000+AYqI", VerifierKeyError::Length { found: 2 }),
            ("a+00000000+Bgqo", VerifierKeyError::Kind { kind: 6 }),
        ] {
            assert_eq!(text.parse::<VerifierKey>(), Err(expected), "{text}");
        }
        for changed in [LOG.replacen("test", "tEst", 1), LOG.replacen("421f", "421F", 1), LOG.replacen("D29c", "D29d", 1)] {
            assert!(matches!(changed.parse::<VerifierKey>(), Err(VerifierKeyError::Hint { .. })), "{changed}");
        }
    }
}
