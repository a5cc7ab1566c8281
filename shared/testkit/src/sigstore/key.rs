//! Keys that live as long as a test.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair};
use merkle::{Hash, sha256};
use pki::PublicKey;
use rcgen::KeyPair;

/// An ECDSA key.
#[derive(Debug)]
pub struct Key {
    pair: EcdsaKeyPair,
    pub(super) rcgen: KeyPair,
    /// Its public half.
    pub public: PublicKey,
}

impl Key {
    /// On P-256.
    #[must_use]
    pub fn p256() -> Self {
        Self::generate(&rcgen::PKCS_ECDSA_P256_SHA256)
    }

    /// On P-384.
    #[must_use]
    pub fn p384() -> Self {
        Self::generate(&rcgen::PKCS_ECDSA_P384_SHA384)
    }

    fn generate(algorithm: &'static rcgen::SignatureAlgorithm) -> Self {
        let rcgen = KeyPair::generate_for(algorithm).unwrap();
        let public = PublicKey::from_pem(&rcgen.public_key_pem()).unwrap();
        let signing = match public.kind() {
            pki::KeyKind::P384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
            _ => &ECDSA_P256_SHA256_ASN1_SIGNING,
        };
        Self { pair: EcdsaKeyPair::from_pkcs8(signing, &rcgen.serialize_der()).unwrap(), rcgen, public }
    }

    /// An ASN.1 signature over the hash that goes with the curve.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
    }

    /// What logs are told apart by.
    pub(super) fn id(&self) -> Hash {
        sha256(self.public.spki_der())
    }
}
