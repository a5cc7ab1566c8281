//! The canonical body: RFC 8785 of the entry, which for this kind is a fixed template.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bundle::KeyDetails;
use pki::HashAlgorithm;

use crate::algorithm::hash_name;

/// What a signature is checked with, DER as received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verifier<Der> {
    /// An X.509 certificate: the leaf alone.
    Certificate(Der),
    /// A SubjectPublicKeyInfo.
    PublicKey(Der),
}

impl<Der: AsRef<[u8]>> Verifier<Der> {
    /// The DER, of whichever it is.
    pub fn der(&self) -> &[u8] {
        match self {
            Self::Certificate(der) | Self::PublicKey(der) => der.as_ref(),
        }
    }

    /// The member of `dev.sigstore.rekor.v2.Verifier` that it is.
    pub(super) fn member(&self) -> &'static str {
        match self {
            Self::Certificate(_) => "x509Certificate",
            Self::PublicKey(_) => "publicKey",
        }
    }
}

/// The body of a hashedrekord 0.0.2 entry: the leaf data, byte for byte.
///
/// Used to make entries and, from the parts of a bundle, to rebuild the one body that a log entry must have (the stored body
/// is never trusted). Nothing is checked: `digest` should be of `hash`, `key_details` what
/// [`default_key_details`](crate::default_key_details) says of the key.
///
/// Names are in the order of RFC 8785 (`keyDetails` < `publicKey` < `x509Certificate`), and every value is base64 or a name of
/// an enumeration, so nothing is ever escaped and formatting is canonicalisation.
#[must_use]
pub fn canonical_hashedrekord_v002<Der: AsRef<[u8]>>(
    hash: HashAlgorithm,
    digest: &[u8],
    signature: &[u8],
    verifier: &Verifier<Der>,
    key_details: KeyDetails,
) -> Vec<u8> {
    let (hash, key_details, member) = (hash_name(hash), key_details.name(), verifier.member());
    let (digest, signature, der) = (STANDARD.encode(digest), STANDARD.encode(signature), STANDARD.encode(verifier.der()));
    format!(
        "{{\"apiVersion\":\"0.0.2\",\"kind\":\"hashedrekord\",\"spec\":{{\"hashedRekordV002\":{{\
         \"data\":{{\"algorithm\":\"{hash}\",\"digest\":\"{digest}\"}},\
         \"signature\":{{\"content\":\"{signature}\",\"verifier\":{{\
         \"keyDetails\":\"{key_details}\",\"{member}\":{{\"rawBytes\":\"{der}\"}}}}}}}}}}}}"
    )
    .into_bytes()
}
