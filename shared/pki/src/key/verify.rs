//! Verifying signatures.

use aws_lc_rs::digest::Digest;
use aws_lc_rs::signature::{self, ParsedPublicKey, UnparsedPublicKey, VerificationAlgorithm};
use der::Encode as _;
use der::asn1::UintRef;

use super::{KeyKind, PublicKey, ed25519ph};
use crate::hash::HashAlgorithm;

/// The signature does not verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify under the key")]
pub struct BadSignature;

impl PublicKey {
    /// Verifies a signature over `message`, in the key's own way: ECDSA with the curve's hash, as ASN.1 DER; RSA PKCS #1 v1.5 with
    /// SHA-256; pure Ed25519.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        self.0.verifier.verify_sig(message, signature).map_err(|_| BadSignature)
    }

    /// Verifies a signature over `message`, hashed with `hash`: as [`verify`](Self::verify), for certificates and requests that name
    /// their hash. For Ed25519, which has none, use `verify`.
    ///
    /// # Errors
    /// [`BadSignature`], also for an Ed25519 key.
    pub fn verify_with(&self, hash: HashAlgorithm, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        let algorithm = hashed_algorithm(self.kind(), hash).ok_or(BadSignature)?;
        UnparsedPublicKey::new(algorithm, self.spki_der()).verify(message, signature).map_err(|_| BadSignature)
    }

    /// Verifies a signature over a message of which only the digest is known. For Ed25519 this means Ed25519ph, with SHA-512.
    ///
    /// # Errors
    /// [`BadSignature`], also when `digest` is not as long as `hash` says.
    pub fn verify_digest(&self, hash: HashAlgorithm, digest: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        if self.kind() == KeyKind::Ed25519 {
            let verified = (hash == HashAlgorithm::Sha512).then(|| ed25519ph::verify(self.key_bytes(), digest, signature));
            return verified.flatten().ok_or(BadSignature);
        }
        let digest = Digest::import_less_safe(digest, hash.implementation()).map_err(|_| BadSignature)?;
        if hash == self.kind().hash() {
            return self.0.verifier.verify_digest_sig(&digest, signature).map_err(|_| BadSignature);
        }
        let algorithm = hashed_algorithm(self.kind(), hash).ok_or(BadSignature)?;
        let verifier = ParsedPublicKey::new(algorithm, self.spki_der()).map_err(|_| BadSignature)?;
        verifier.verify_digest_sig(&digest, signature).map_err(|_| BadSignature)
    }

    /// As [`verify_digest`](Self::verify_digest), but an ECDSA signature may also be raw r‖s.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify_digest_either_form(&self, hash: HashAlgorithm, digest: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        self.verify_digest(hash, digest, signature).or_else(|refused| {
            let der = ecdsa_der(self.kind(), signature).ok_or(refused)?;
            self.verify_digest(hash, digest, &der)
        })
    }

    /// Verifies a proof of possession: as [`verify`](Self::verify), but an ECDSA signature may also be raw r‖s.
    ///
    /// # Errors
    /// [`BadSignature`].
    pub fn verify_proof(&self, message: &[u8], signature: &[u8]) -> Result<(), BadSignature> {
        self.verify(message, signature).or_else(|refused| {
            let der = ecdsa_der(self.kind(), signature).ok_or(refused)?;
            self.verify(message, &der)
        })
    }
}

/// Raw r‖s (IEEE P1363) as the DER that everything else expects.
fn ecdsa_der(kind: KeyKind, raw: &[u8]) -> Option<Vec<u8>> {
    let length = match kind {
        KeyKind::P256 => 32,
        KeyKind::P384 => 48,
        KeyKind::P521 => 66,
        KeyKind::Rsa { .. } | KeyKind::Ed25519 => return None,
    };
    if raw.len() != 2 * length {
        return None;
    }
    #[derive(der::Sequence)]
    struct EcdsaSigValue<'a> {
        r: UintRef<'a>,
        s: UintRef<'a>,
    }
    let (r, s) = raw.split_at(length);
    EcdsaSigValue { r: UintRef::new(r).ok()?, s: UintRef::new(s).ok()? }.to_der().ok()
}

fn hashed_algorithm(kind: KeyKind, hash: HashAlgorithm) -> Option<&'static dyn VerificationAlgorithm> {
    use HashAlgorithm::{Sha256, Sha384, Sha512};
    Some(match (kind, hash) {
        (KeyKind::P256, Sha256) => &signature::ECDSA_P256_SHA256_ASN1,
        (KeyKind::P256, Sha384) => &signature::ECDSA_P256_SHA384_ASN1,
        (KeyKind::P256, Sha512) => &signature::ECDSA_P256_SHA512_ASN1,
        (KeyKind::P384, Sha256) => &signature::ECDSA_P384_SHA256_ASN1,
        (KeyKind::P384, Sha384) => &signature::ECDSA_P384_SHA384_ASN1,
        (KeyKind::P384, Sha512) => &signature::ECDSA_P384_SHA512_ASN1,
        (KeyKind::P521, Sha256) => &signature::ECDSA_P521_SHA256_ASN1,
        (KeyKind::P521, Sha384) => &signature::ECDSA_P521_SHA384_ASN1,
        (KeyKind::P521, Sha512) => &signature::ECDSA_P521_SHA512_ASN1,
        (KeyKind::Rsa { .. }, Sha256) => &signature::RSA_PKCS1_2048_8192_SHA256,
        (KeyKind::Rsa { .. }, Sha384) => &signature::RSA_PKCS1_2048_8192_SHA384,
        (KeyKind::Rsa { .. }, Sha512) => &signature::RSA_PKCS1_2048_8192_SHA512,
        (KeyKind::Ed25519, _) => return None,
    })
}
