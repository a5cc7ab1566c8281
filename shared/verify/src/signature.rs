//! Step 6: the signature itself, over the artifact or over the envelope.

use pki::{BadSignature, Certificate, HashAlgorithm, KeyKind, PublicKey};
use sigstore_verify::types::{HashAlgorithm as WireHash, SignatureContent};

use crate::artifact::{Digested, prefix};
use crate::refusal::Refusal;

/// What was signed, by which key, with which signature: all from the bundle (and the policy's key), none of it from the log.
pub(crate) struct Signed<'a> {
    pub(crate) key: &'a PublicKey,
    pub(crate) certificate: Option<&'a Certificate>,
    pub(crate) signature: &'a [u8],
    pub(crate) content: Content<'a>,
    /// The envelope's own bytes, where the signer's are at hand. A bundle has its parts alone.
    pub(crate) envelope: Option<&'a [u8]>,
}

/// What was signed.
pub(crate) enum Content<'a> {
    /// An artifact, by this digest. The digest is a claim of the bundle until it was compared with the artifact.
    Message { algorithm: HashAlgorithm, digest: &'a [u8] },
    /// A DSSE envelope: its type, its payload, and the encoding of both that is signed.
    Envelope { payload_type: &'a str, payload: &'a [u8], encoded: Vec<u8> },
}

impl<'a> Signed<'a> {
    pub(crate) fn read(
        content: &'a SignatureContent,
        key: &'a PublicKey,
        certificate: Option<&'a Certificate>,
    ) -> Result<Self, Refusal> {
        let (signature, content) = match content {
            SignatureContent::MessageSignature(message) => {
                let digest = message.message_digest.as_ref().ok_or(Refusal::MessageDigestMissing)?;
                let content = Content::Message { algorithm: hash(digest.algorithm)?, digest: digest.digest.as_bytes() };
                (message.signature.as_bytes(), content)
            }
            SignatureContent::DsseEnvelope(envelope) => {
                let (payload_type, payload) = (envelope.payload_type.as_str(), envelope.payload.as_bytes());
                (envelope.signature.sig.as_bytes(), Content::Envelope { payload_type, payload, encoded: envelope.pae() })
            }
            _ => return Err(Refusal::Unsupported("a content that is neither a message signature nor an envelope".into())),
        };
        Ok(Self { key, certificate, signature, content, envelope: None })
    }

    /// What timestamps are over: the signature. cosign 2 has the whole envelope stamped, which the signature is a part of.
    pub(crate) fn stamped(&self) -> &'a [u8] {
        self.envelope.unwrap_or(self.signature)
    }

    /// The signature verifies, and for a message the artifact is the one that was signed.
    pub(crate) fn check(&self, artifact: &Digested<'_>) -> Result<(), Refusal> {
        match &self.content {
            Content::Envelope { encoded, .. } => self.key.verify(encoded, self.signature).map_err(|_| Refusal::Signature),
            Content::Message { algorithm, digest } => {
                let known = artifact
                    .get(*algorithm)
                    .ok_or_else(|| Refusal::ArtifactDigest { found: artifact.first_algorithm(), expected: prefix(*algorithm) })?;
                if known != *digest {
                    let (found, expected) = (hex::encode(known), hex::encode(digest));
                    return Err(Refusal::Artifact { algorithm: prefix(*algorithm), found, expected });
                }
                self.check_message(*algorithm, digest, artifact).map_err(|_| Refusal::Signature)
            }
        }
    }

    fn check_message(&self, algorithm: HashAlgorithm, digest: &[u8], artifact: &Digested<'_>) -> Result<(), BadSignature> {
        match (self.key.kind(), artifact.bytes) {
            // Ed25519ph if it verifies, which Rekor needs, else pure Ed25519 over the artifact, which some signers make.
            (KeyKind::Ed25519, Some(bytes)) => {
                self.key.verify_digest(algorithm, digest, self.signature).or_else(|_| self.key.verify(bytes, self.signature))
            }
            _ => self.key.verify_digest(algorithm, digest, self.signature),
        }
    }
}

fn hash(algorithm: WireHash) -> Result<HashAlgorithm, Refusal> {
    match algorithm {
        WireHash::Sha2256 => Ok(HashAlgorithm::Sha256),
        WireHash::Sha2384 => Ok(HashAlgorithm::Sha384),
        WireHash::Sha2512 => Ok(HashAlgorithm::Sha512),
        other => Err(Refusal::Unsupported(format!("the hash {other}"))),
    }
}
