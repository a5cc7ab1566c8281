//! Which `keyDetails` belongs to a key.

use bundle::KeyDetails;
use pki::{HashAlgorithm, KeyKind};

/// The `keyDetails` of a Rekor v2 entry, given the key: the key decides, nobody chooses. Its hash is [`KeyKind::hash`].
///
/// Verifying clients rebuild the canonical body from the key alone, so an entry labelled with anything else than this could
/// never be verified. Ed25519 means Ed25519ph: a pure Ed25519 signature cannot be checked against a digest.
///
/// `None` for an RSA key of a size that has no name.
#[must_use]
pub fn default_key_details(kind: KeyKind) -> Option<KeyDetails> {
    Some(match kind {
        KeyKind::P256 => KeyDetails::PkixEcdsaP256Sha256,
        KeyKind::P384 => KeyDetails::PkixEcdsaP384Sha384,
        KeyKind::P521 => KeyDetails::PkixEcdsaP521Sha512,
        KeyKind::Rsa { bits: 2048 } => KeyDetails::PkixRsaPkcs1V15_2048Sha256,
        KeyKind::Rsa { bits: 3072 } => KeyDetails::PkixRsaPkcs1V15_3072Sha256,
        KeyKind::Rsa { bits: 4096 } => KeyDetails::PkixRsaPkcs1V15_4096Sha256,
        KeyKind::Rsa { .. } => return None,
        KeyKind::Ed25519 => KeyDetails::PkixEd25519Ph,
    })
}

/// The protobuf name of a hash, as it stands in a canonical body.
#[must_use]
pub fn hash_name(hash: HashAlgorithm) -> &'static str {
    let hash = match hash {
        HashAlgorithm::Sha256 => bundle::HashAlgorithm::Sha2_256,
        HashAlgorithm::Sha384 => bundle::HashAlgorithm::Sha2_384,
        HashAlgorithm::Sha512 => bundle::HashAlgorithm::Sha2_512,
    };
    hash.name()
}
