//! Key pairs of every kind that we sign with.

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::pkcs8::Document;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256,
    RsaKeyPair,
};
use pki::KeyKind;
use zeroize::Zeroizing;

use super::GenerateError;

pub(super) enum Pair {
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl Pair {
    pub(super) fn generate(kind: KeyKind) -> Result<Self, GenerateError> {
        let pair = match kind {
            KeyKind::P256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).map(Self::Ecdsa),
            KeyKind::P384 => EcdsaKeyPair::generate(&ECDSA_P384_SHA384_ASN1_SIGNING).map(Self::Ecdsa),
            KeyKind::Ed25519 => Ed25519KeyPair::generate().map(Self::Ed25519),
            KeyKind::Rsa { bits: 2048 } => RsaKeyPair::generate(KeySize::Rsa2048).map(Self::Rsa),
            KeyKind::Rsa { bits: 3072 } => RsaKeyPair::generate(KeySize::Rsa3072).map(Self::Rsa),
            KeyKind::Rsa { bits: 4096 } => RsaKeyPair::generate(KeySize::Rsa4096).map(Self::Rsa),
            KeyKind::P521 | KeyKind::Rsa { .. } => return Err(GenerateError::Kind { kind }),
        };
        pair.map_err(|_| GenerateError::Failed { kind })
    }

    pub(super) fn from_pkcs8(der: &[u8]) -> Option<Self> {
        let ecdsa = |algorithm| EcdsaKeyPair::from_pkcs8(algorithm, der).ok().map(Self::Ecdsa);
        ecdsa(&ECDSA_P256_SHA256_ASN1_SIGNING)
            .or_else(|| ecdsa(&ECDSA_P384_SHA384_ASN1_SIGNING))
            .or_else(|| Ed25519KeyPair::from_pkcs8(der).ok().map(Self::Ed25519))
            .or_else(|| RsaKeyPair::from_pkcs8(der).ok().map(Self::Rsa))
    }

    /// PKCS#8 version 1, without the public key: OpenSSL 3.0 refuses version 2.
    pub(super) fn pkcs8(&self) -> Zeroizing<Vec<u8>> {
        let document = |document: Result<Document, Unspecified>| document.map(|der| Zeroizing::new(der.as_ref().to_vec()));
        match self {
            Self::Ecdsa(pair) => document(pair.to_pkcs8v1()),
            Self::Ed25519(pair) => document(pair.to_pkcs8v1()),
            Self::Rsa(pair) => AsDer::<Pkcs8V1Der<'_>>::as_der(pair).map(|der| Zeroizing::new(der.as_ref().to_vec())),
        }
        .expect("a key pair in memory can be encoded")
    }

    /// The SubjectPublicKeyInfo, DER.
    pub(super) fn spki(&self) -> Option<Vec<u8>> {
        let der = match self {
            Self::Ecdsa(pair) => pair.public_key().as_der(),
            Self::Ed25519(pair) => pair.public_key().as_der(),
            Self::Rsa(pair) => pair.public_key().as_der(),
        };
        der.ok().map(|der| der.as_ref().to_vec())
    }

    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        match self {
            Self::Ecdsa(pair) => Some(pair.sign(&SystemRandom::new(), message).ok()?.as_ref().to_vec()),
            Self::Ed25519(pair) => Some(pair.try_sign(message).ok()?.as_ref().to_vec()),
            Self::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).ok()?;
                Some(signature)
            }
        }
    }
}
