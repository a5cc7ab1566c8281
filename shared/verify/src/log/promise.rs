//! Rekor v1's signed entry timestamp.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pki::{HashAlgorithm, KeyKind, PublicKey};
use sigstore_verify::types::bundle::{InclusionPromise, TransparencyLogEntry};

/// Whether the log promised to take this body in, at this index and time: a signature over the RFC 8785 form of four members.
pub(super) fn verifies(entry: &TransparencyLogEntry, promise: &InclusionPromise, key: &PublicKey) -> bool {
    let payload = format!(
        "{{\"body\":\"{}\",\"integratedTime\":{},\"logID\":\"{}\",\"logIndex\":{}}}",
        STANDARD.encode(entry.canonicalized_body.as_bytes()),
        entry.integrated_time.map_or(0, |time| time.as_second()),
        hex::encode(entry.log_id.key_id.as_bytes()),
        entry.log_index.get(),
    );
    let signature = promise.signed_entry_timestamp.as_bytes();
    match key.kind() {
        // SHA-256 whatever the curve.
        KeyKind::P256 | KeyKind::P384 | KeyKind::P521 => key.verify_with(HashAlgorithm::Sha256, payload.as_bytes(), signature),
        KeyKind::Rsa { .. } | KeyKind::Ed25519 => key.verify(payload.as_bytes(), signature),
    }
    .is_ok()
}
