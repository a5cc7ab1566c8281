//! `dev.sigstore.bundle.v1.Bundle`, media type v0.3: a signature with everything an offline verifier needs.
//!
//! For writing. What others wrote, in all its versions, is read by the verifier.

use serde::Serialize;

use crate::algorithm::HashAlgorithm;
use crate::log_entry::TransparencyLogEntry;
use crate::wire::Base64;

/// The media type of every bundle we write.
pub const BUNDLE_MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// A bundle v0.3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bundle {
    media_type: &'static str,
    verification_material: VerificationMaterial,
    #[serde(flatten)]
    content: Content,
}

impl Bundle {
    /// A bundle of `content`, signed by the key of `signed_by`, with its log entries and the RFC 3161 responses over the
    /// signature (whole DER `TimeStampResp`, not only the token).
    #[must_use]
    pub fn new(signed_by: SignedBy, content: Content, tlog_entries: Vec<TransparencyLogEntry>, timestamps: Vec<Vec<u8>>) -> Self {
        let rfc3161_timestamps =
            timestamps.into_iter().map(|response| Rfc3161Timestamp { signed_timestamp: response.into() }).collect();
        let timestamp_verification_data = TimestampVerificationData { rfc3161_timestamps };
        Self {
            media_type: BUNDLE_MEDIA_TYPE,
            verification_material: VerificationMaterial { signed_by, tlog_entries, timestamp_verification_data },
            content,
        }
    }

    /// The JSON text, on one line.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("strings, numbers and lists always have a JSON form")
    }
}

/// Whose key made the signature.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum SignedBy {
    /// The leaf certificate alone: v0.3 carries no chain.
    Certificate(X509Certificate),
    /// A key the verifier already has.
    PublicKey(PublicKeyIdentifier),
}

impl SignedBy {
    /// A certificate, DER.
    #[must_use]
    pub fn certificate(der: &[u8]) -> Self {
        Self::Certificate(X509Certificate { raw_bytes: der.into() })
    }

    /// A self-managed key that the verifier finds by `hint`.
    #[must_use]
    pub fn public_key(hint: impl Into<String>) -> Self {
        Self::PublicKey(PublicKeyIdentifier { hint: hint.into() })
    }
}

/// `dev.sigstore.common.v1.X509Certificate`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct X509Certificate {
    /// DER.
    pub raw_bytes: Base64,
}

/// `dev.sigstore.common.v1.PublicKeyIdentifier`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PublicKeyIdentifier {
    /// Names the key among those of the verifier; no meaning of its own.
    pub hint: String,
}

/// What was signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Content {
    /// A signature over an artifact.
    MessageSignature(MessageSignature),
    /// A DSSE envelope, such as an in-toto attestation.
    DsseEnvelope(DsseEnvelope),
}

impl Content {
    /// A signature over an artifact with this digest.
    #[must_use]
    pub fn message(algorithm: HashAlgorithm, digest: &[u8], signature: Vec<u8>) -> Self {
        let message_digest = HashOutput { algorithm, digest: digest.into() };
        Self::MessageSignature(MessageSignature { message_digest, signature: signature.into() })
    }

    /// An envelope with its one signature, which is over PAE(payload type, payload).
    #[must_use]
    pub fn dsse(payload_type: impl Into<String>, payload: Vec<u8>, signature: Vec<u8>) -> Self {
        Self::DsseEnvelope(DsseEnvelope {
            payload: payload.into(),
            payload_type: payload_type.into(),
            signatures: [DsseSignature { sig: signature.into(), keyid: String::new() }],
        })
    }
}

/// `dev.sigstore.common.v1.MessageSignature`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageSignature {
    /// The artifact's digest.
    pub message_digest: HashOutput,
    /// The raw signature.
    pub signature: Base64,
}

/// `dev.sigstore.common.v1.HashOutput`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HashOutput {
    /// By which hash.
    pub algorithm: HashAlgorithm,
    /// The digest.
    pub digest: Base64,
}

/// `io.intoto.Envelope`. A bundle holds exactly one signature in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DsseEnvelope {
    /// The signed bytes.
    pub payload: Base64,
    /// Media type of the payload.
    pub payload_type: String,
    /// The one signature.
    pub signatures: [DsseSignature; 1],
}

/// `io.intoto.Signature`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DsseSignature {
    /// The raw signature.
    pub sig: Base64,
    /// Unauthenticated hint; empty from us.
    pub keyid: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct VerificationMaterial {
    #[serde(flatten)]
    signed_by: SignedBy,
    tlog_entries: Vec<TransparencyLogEntry>,
    timestamp_verification_data: TimestampVerificationData,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct TimestampVerificationData {
    rfc3161_timestamps: Vec<Rfc3161Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct Rfc3161Timestamp {
    signed_timestamp: Base64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_message_signature_bundle_has_the_shape_of_v0_3() {
        let content = Content::message(HashAlgorithm::Sha2_256, &[1; 32], vec![2]);
        let bundle = Bundle::new(SignedBy::certificate(b"leaf"), content, vec![], vec![vec![3]]);
        let expected = json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "certificate": {"rawBytes": "bGVhZg=="},
                "tlogEntries": [],
                "timestampVerificationData": {"rfc3161Timestamps": [{"signedTimestamp": "Aw=="}]},
            },
            "messageSignature": {
                "messageDigest": {"algorithm": "SHA2_256", "digest": Base64::from([1; 32])},
                "signature": "Ag==",
            },
        });
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&bundle.to_json()).unwrap(), expected);
    }

    #[test]
    fn a_dsse_bundle_by_a_managed_key_has_the_shape_of_v0_3() {
        let content = Content::dsse("application/vnd.in-toto+json", b"{}".to_vec(), vec![2]);
        let bundle = Bundle::new(SignedBy::public_key("key-1"), content, vec![], vec![]);
        let expected = json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {
                "publicKey": {"hint": "key-1"},
                "tlogEntries": [],
                "timestampVerificationData": {"rfc3161Timestamps": []},
            },
            "dsseEnvelope": {
                "payload": "e30=", "payloadType": "application/vnd.in-toto+json", "signatures": [{"sig": "Ag==", "keyid": ""}],
            },
        });
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&bundle.to_json()).unwrap(), expected);
    }
}
