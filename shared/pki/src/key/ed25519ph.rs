//! Ed25519ph (RFC 8032 §5.1): signatures over a SHA-512 digest, without a context.
//!
//! aws-lc-rs does not offer it; ed25519-dalek does, for a hasher that was fed the message. Here only the digest is known.

use digest::consts::U64;
use digest::{FixedOutput, HashMarker, Output, OutputSizeUser, Update};
use ed25519_dalek::{Signature, VerifyingKey};

/// Whether `signature` is the Ed25519ph signature of the message with this SHA-512 `digest`.
///
/// Strict: neither key nor R of small order, S reduced. Everything accepted here is accepted by Go and by aws-lc too.
pub(super) fn verify(key: &[u8], digest: &[u8], signature: &[u8]) -> Option<()> {
    let key = VerifyingKey::from_bytes(key.try_into().ok()?).ok()?;
    let signature = Signature::from_slice(signature).ok()?;
    let digest = Finished(digest.try_into().ok()?);
    key.verify_prehashed_strict(digest, None, &signature).ok()
}

/// A SHA-512 that has already seen its message.
struct Finished([u8; 64]);

impl FixedOutput for Finished {
    fn finalize_into(self, out: &mut Output<Self>) {
        out.copy_from_slice(&self.0);
    }
}

impl OutputSizeUser for Finished {
    type OutputSize = U64;
}

// The trait demands a hasher; a verifier only takes its result. Nothing calls the two below.
impl Default for Finished {
    fn default() -> Self {
        Self([0; 64])
    }
}

impl Update for Finished {
    fn update(&mut self, _: &[u8]) {
        unreachable!("the digest is finished before the verifier sees it");
    }
}

impl HashMarker for Finished {}
