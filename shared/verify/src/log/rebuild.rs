//! The body that a Rekor v2 entry about this bundle must have, byte for byte.

use entry::{Verifier, canonical_hashedrekord_v002, default_key_details};

use crate::signature::{Content, Signed};

/// `None` for a key that no Rekor v2 entry can name.
pub(super) fn body(signed: &Signed<'_>) -> Option<Vec<u8>> {
    let kind = signed.key.kind();
    let key_details = default_key_details(kind)?;
    let hash = kind.hash();
    let digest = match &signed.content {
        Content::Message { digest, .. } => digest.to_vec(),
        Content::Envelope { encoded, .. } => hash.digest(encoded),
    };
    let verifier = match signed.certificate {
        Some(certificate) => Verifier::Certificate(certificate.der()),
        None => Verifier::PublicKey(signed.key.spki_der()),
    };
    Some(canonical_hashedrekord_v002(hash, &digest, signed.signature, &verifier, key_details))
}
