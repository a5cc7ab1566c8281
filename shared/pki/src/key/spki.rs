//! SubjectPublicKeyInfo bytes → [`PublicKey`].

use aws_lc_rs::signature::{self, ParsedPublicKey, VerificationAlgorithm};
use const_oid::db::rfc5912::{ID_EC_PUBLIC_KEY, RSA_ENCRYPTION, SECP_256_R_1, SECP_384_R_1, SECP_521_R_1};
use const_oid::db::rfc8410::ID_ED_25519;
use der::asn1::{AnyRef, BitStringRef, UintRef};
use der::{Decode as _, Encode as _, Sequence};
use spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};

use super::{KeyError, KeyKind, PublicKey, rsa};

/// RFC 8017 §A.1.1.
#[derive(Sequence)]
struct RsaPublicKey<'a> {
    modulus: UintRef<'a>,
    exponent: UintRef<'a>,
}

pub(super) fn parse(der: &[u8]) -> Result<PublicKey, KeyError> {
    let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|_| KeyError::Der)?;
    // A second encoding of the same key would have a second fingerprint, and a log entry with it could not be rebuilt.
    if info.to_der().ok().as_deref() != Some(der) {
        return Err(KeyError::Der);
    }
    let bits = info.subject_public_key.as_bytes().ok_or(KeyError::Der)?;
    let kind = match info.algorithm.oid {
        ID_EC_PUBLIC_KEY => check_ec(info.algorithm, bits)?,
        RSA_ENCRYPTION => check_rsa(info.algorithm, bits)?,
        ID_ED_25519 => check_ed25519(info.algorithm, bits)?,
        oid => return Err(KeyError::Algorithm { oid }),
    };
    // Decides whether an EC point is on its curve, among the rest.
    let verifier = ParsedPublicKey::new(default_algorithm(kind), der).map_err(|_| match kind {
        KeyKind::P256 | KeyKind::P384 | KeyKind::P521 | KeyKind::Ed25519 => KeyError::NotOnCurve,
        KeyKind::Rsa { .. } => KeyError::Der,
    })?;
    Ok(PublicKey::new(kind, der, bits, verifier))
}

pub(super) fn parse_pkcs1(der: &[u8]) -> Result<PublicKey, KeyError> {
    RsaPublicKey::from_der(der).map_err(|_| KeyError::Pkcs1)?;
    let info = SubjectPublicKeyInfoRef {
        algorithm: AlgorithmIdentifierRef { oid: RSA_ENCRYPTION, parameters: Some(AnyRef::NULL) },
        subject_public_key: BitStringRef::from_bytes(der).map_err(|_| KeyError::Pkcs1)?,
    };
    parse(&info.to_der().map_err(|_| KeyError::Pkcs1)?)
}

/// Modulus and exponent, big-endian without leading zeros.
pub(super) fn rsa_numbers(bits: &[u8]) -> Result<(Vec<u8>, Vec<u8>), KeyError> {
    let key = RsaPublicKey::from_der(bits).map_err(|_| KeyError::Der)?;
    Ok((key.modulus.as_bytes().to_vec(), key.exponent.as_bytes().to_vec()))
}

fn check_ec(algorithm: AlgorithmIdentifierRef<'_>, bits: &[u8]) -> Result<KeyKind, KeyError> {
    let curve = algorithm.parameters_oid().map_err(|_| KeyError::Parameters)?;
    let (kind, coordinate) = match curve {
        SECP_256_R_1 => (KeyKind::P256, 32),
        SECP_384_R_1 => (KeyKind::P384, 48),
        SECP_521_R_1 => (KeyKind::P521, 66),
        oid => return Err(KeyError::Curve { oid }),
    };
    if bits.len() != 1 + 2 * coordinate || bits[0] != 0x04 {
        return Err(KeyError::PointForm);
    }
    Ok(kind)
}

fn check_rsa(algorithm: AlgorithmIdentifierRef<'_>, bits: &[u8]) -> Result<KeyKind, KeyError> {
    if algorithm.parameters != Some(AnyRef::NULL) {
        return Err(KeyError::Parameters);
    }
    let key = RsaPublicKey::from_der(bits).map_err(|_| KeyError::Der)?;
    if key.to_der().ok().as_deref() != Some(bits) {
        return Err(KeyError::Der);
    }
    let bits = rsa::check(key.modulus.as_bytes(), key.exponent.as_bytes())?;
    Ok(KeyKind::Rsa { bits })
}

fn check_ed25519(algorithm: AlgorithmIdentifierRef<'_>, bits: &[u8]) -> Result<KeyKind, KeyError> {
    if algorithm.parameters.is_some() {
        return Err(KeyError::Parameters);
    }
    let bytes = bits.try_into().map_err(|_| KeyError::Der)?;
    let key = ed25519_dalek::VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotOnCurve)?;
    // A point of small order verifies signatures over any message: it proves possession of nothing.
    if key.is_weak() { Err(KeyError::SmallOrder) } else { Ok(KeyKind::Ed25519) }
}

fn default_algorithm(kind: KeyKind) -> &'static dyn VerificationAlgorithm {
    match kind {
        KeyKind::P256 => &signature::ECDSA_P256_SHA256_ASN1,
        KeyKind::P384 => &signature::ECDSA_P384_SHA384_ASN1,
        KeyKind::P521 => &signature::ECDSA_P521_SHA512_ASN1,
        KeyKind::Rsa { .. } => &signature::RSA_PKCS1_2048_8192_SHA256,
        KeyKind::Ed25519 => &signature::ED25519,
    }
}
