//! Keys, certificate authorities and profiles for the tests of this crate.

use jiff::{SignedDuration, Timestamp};
use rcgen::{KeyPair, PublicKeyData as _, SigningKey as _};

use crate::ca::{self, CaKey, Subject};
use crate::leaf::{FulcioExtensions, Profile, Serial};
use crate::{Certificate, PublicKey, SubjectAltName};

pub(crate) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(crate) fn pair(algorithm: &'static rcgen::SignatureAlgorithm) -> KeyPair {
    if *algorithm == rcgen::PKCS_RSA_SHA256 {
        return KeyPair::generate_rsa_for(algorithm, rcgen::RsaKeySize::_2048).unwrap();
    }
    KeyPair::generate_for(algorithm).unwrap()
}

pub(crate) fn public(pair: &KeyPair) -> PublicKey {
    PublicKey::from_spki_der(&pair.subject_public_key_info()).unwrap()
}

pub(crate) fn subject(common_name: &str, serial: u8) -> Subject {
    Subject {
        organization: "corp.example".into(),
        common_name: common_name.into(),
        serial: Serial::from_random([serial; 20]),
        not_before: at("2026-11-21T09:00:00Z"),
        not_after: at("2036-11-18T09:00:00Z"),
    }
}

/// A root, an intermediate, and their keys.
pub(crate) struct Authority {
    pub(crate) root: Certificate,
    pub(crate) root_key: CaKey,
    pub(crate) intermediate: Certificate,
    pub(crate) pair: KeyPair,
}

impl Authority {
    pub(crate) fn new(algorithm: &'static rcgen::SignatureAlgorithm) -> Self {
        let root_key = CaKey::from_pkcs8_pem(&pair(algorithm).serialize_pem()).unwrap();
        let root = ca::root(&root_key, &subject("root", 1)).unwrap();
        let pair = pair(algorithm);
        let intermediate = ca::intermediate(&root, &root_key, &public(&pair), &subject("intermediate", 2)).unwrap();
        Self { root, root_key, intermediate, pair }
    }

    pub(crate) fn chain(&self) -> Vec<Certificate> {
        vec![self.intermediate.clone(), self.root.clone()]
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).unwrap()
    }
}

pub(crate) fn profile(public_key: PublicKey, subject_alt_name: SubjectAltName) -> Profile {
    let not_before = at("2026-11-21T09:14:03.7Z");
    let mut extensions = FulcioExtensions::new("https://ghe.corp.example/_services/token", "repo:platform/app").unwrap();
    for arc in (2..=6).chain(9..=23) {
        extensions.set(arc, &format!("text of {arc} with ünïcode")).unwrap();
    }
    let not_after = not_before + SignedDuration::from_mins(10);
    Profile { serial: Serial::from_random([0xFF; 20]), not_before, not_after, public_key, subject_alt_name, extensions }
}

pub(crate) fn uri() -> SubjectAltName {
    SubjectAltName::Uri("https://ghe.corp.example/platform/app/.github/workflows/build.yml@refs/heads/main".into())
}
