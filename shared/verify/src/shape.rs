//! Step 1: the bundle's form, before any of its values is looked at.
//!
//! Released Go clients refuse members they do not know, so a bundle that carries some is not portable; and a member that one
//! reader ignores and another one reads is how two verifiers come to different verdicts.

use serde::Deserialize;
use serde::de::IgnoredAny;
use sigstore_verify::types::Bundle;
use sigstore_verify::types::bundle::{MediaType, VerificationMaterialContent};

use crate::refusal::{Refusal, shown};

/// The largest bundle that is read, in bytes.
pub const MAX_BUNDLE: usize = 64 << 20;
/// The most log entries that are read.
pub const MAX_ENTRIES: usize = 32;
/// The most timestamps that are read.
pub const MAX_TIMESTAMPS: usize = 32;

/// Reads a bundle whose form is that of its version.
pub(crate) fn read(json: &[u8]) -> Result<Bundle, Refusal> {
    if json.len() > MAX_BUNDLE {
        return Err(Refusal::BundleTooLarge(json.len()));
    }
    let malformed = |error: serde_json::Error| Refusal::BundleMalformed(error.into());
    let text = str::from_utf8(json).map_err(|error| Refusal::BundleMalformed(error.into()))?;
    let MediaTypeOnly { media_type } = serde_json::from_str(text).map_err(malformed)?;
    let media_type: MediaType = media_type.parse().map_err(|_| Refusal::MediaType { found: shown(&media_type) })?;
    let shape: BundleShape = serde_json::from_str(text).map_err(malformed)?;
    shape.check(media_type)?;
    let bundle = Bundle::from_json(text).map_err(|error| Refusal::BundleMalformed(error.into()))?;
    check_evidence(&bundle)?;
    Ok(bundle)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MediaTypeOnly {
    media_type: String,
}

/// What a bundle of its version must carry to be verified at all.
fn check_evidence(bundle: &Bundle) -> Result<(), Refusal> {
    if let VerificationMaterialContent::X509CertificateChain { certificates } = &bundle.verification_material.content {
        let is_root = |der: &[u8]| pki::Certificate::from_der(der).is_ok_and(|certificate| certificate.is_self_signed());
        if certificates.is_empty() || certificates.iter().any(|certificate| is_root(certificate.raw_bytes.as_bytes())) {
            return Err(Refusal::ChainWithRoot);
        }
    }
    if bundle.verification_material.tlog_entries.is_empty() {
        return Err(Refusal::NotLogged("the bundle carries none".into()));
    }
    match bundle.media_type {
        MediaType::Bundle0_1 if !bundle.has_inclusion_promise() => Err(Refusal::NoEvidence("inclusion promise")),
        MediaType::Bundle0_2 | MediaType::Bundle0_3 if !bundle.has_inclusion_proof() => {
            Err(Refusal::NoEvidence("inclusion proof"))
        }
        _ => Ok(()),
    }
}

/// `dev.sigstore.bundle.v1.Bundle` with the members that versions 0.1 to 0.3 have, and no other. Values are read later; a
/// member that occurs twice is refused here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct BundleShape {
    #[serde(rename = "mediaType")]
    _media_type: IgnoredAny,
    verification_material: MaterialShape,
    message_signature: Option<MessageShape>,
    dsse_envelope: Option<EnvelopeShape>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MaterialShape {
    certificate: Option<CertificateShape>,
    x509_certificate_chain: Option<ChainShape>,
    public_key: Option<HintShape>,
    tlog_entries: Option<Vec<EntryShape>>,
    timestamp_verification_data: Option<TimestampsShape>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CertificateShape {
    #[serde(rename = "rawBytes")]
    _raw_bytes: IgnoredAny,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ChainShape {
    #[serde(rename = "certificates")]
    _certificates: Option<Vec<CertificateShape>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HintShape {
    #[serde(rename = "hint")]
    _hint: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryShape {
    #[serde(rename = "logIndex")]
    _log_index: Option<IgnoredAny>,
    #[serde(rename = "logId")]
    _log_id: Option<LogIdShape>,
    #[serde(rename = "kindVersion")]
    _kind_version: Option<KindShape>,
    #[serde(rename = "integratedTime")]
    _integrated_time: Option<IgnoredAny>,
    #[serde(rename = "inclusionPromise")]
    _inclusion_promise: Option<PromiseShape>,
    #[serde(rename = "inclusionProof")]
    _inclusion_proof: Option<ProofShape>,
    #[serde(rename = "canonicalizedBody")]
    _canonicalized_body: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LogIdShape {
    #[serde(rename = "keyId")]
    _key_id: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KindShape {
    #[serde(rename = "kind")]
    _kind: Option<IgnoredAny>,
    #[serde(rename = "version")]
    _version: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PromiseShape {
    #[serde(rename = "signedEntryTimestamp")]
    _signed_entry_timestamp: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProofShape {
    #[serde(rename = "logIndex")]
    _log_index: Option<IgnoredAny>,
    #[serde(rename = "rootHash")]
    _root_hash: Option<IgnoredAny>,
    #[serde(rename = "treeSize")]
    _tree_size: Option<IgnoredAny>,
    #[serde(rename = "hashes")]
    _hashes: Option<IgnoredAny>,
    #[serde(rename = "checkpoint")]
    _checkpoint: Option<CheckpointShape>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckpointShape {
    #[serde(rename = "envelope")]
    _envelope: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct TimestampsShape {
    rfc3161_timestamps: Option<Vec<TimestampShape>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TimestampShape {
    #[serde(rename = "signedTimestamp")]
    _signed_timestamp: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct MessageShape {
    message_digest: Option<DigestShape>,
    #[serde(rename = "signature")]
    _signature: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DigestShape {
    #[serde(rename = "algorithm")]
    _algorithm: Option<IgnoredAny>,
    #[serde(rename = "digest")]
    _digest: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct EnvelopeShape {
    #[serde(rename = "payload")]
    _payload: Option<IgnoredAny>,
    #[serde(rename = "payloadType")]
    _payload_type: Option<IgnoredAny>,
    signatures: Option<Vec<SignatureShape>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureShape {
    #[serde(rename = "sig")]
    _sig: Option<IgnoredAny>,
    #[serde(rename = "keyid")]
    _keyid: Option<IgnoredAny>,
}

impl BundleShape {
    fn check(&self, media_type: MediaType) -> Result<(), Refusal> {
        let material = &self.verification_material;
        exactly_one("messageSignature, dsseEnvelope", &[self.message_signature.is_some(), self.dsse_envelope.is_some()])?;
        let has_chain = material.x509_certificate_chain.is_some();
        exactly_one(
            "certificate, x509CertificateChain, publicKey",
            &[material.certificate.is_some(), has_chain, material.public_key.is_some()],
        )?;
        if has_chain && media_type == MediaType::Bundle0_3 {
            return Err(Refusal::ChainInV03);
        }
        if self.message_signature.as_ref().is_some_and(|message| message.message_digest.is_none()) {
            return Err(Refusal::MessageDigestMissing);
        }
        if let Some(envelope) = &self.dsse_envelope {
            let count = envelope.signatures.as_ref().map_or(0, Vec::len);
            if count != 1 {
                return Err(Refusal::DsseSignatures(count));
            }
        }
        at_most("log entries", material.tlog_entries.as_ref().map_or(0, Vec::len), MAX_ENTRIES)?;
        let timestamps = material.timestamp_verification_data.as_ref().and_then(|data| data.rfc3161_timestamps.as_ref());
        at_most("timestamps", timestamps.map_or(0, Vec::len), MAX_TIMESTAMPS)
    }
}

fn exactly_one(members: &'static str, present: &[bool]) -> Result<(), Refusal> {
    let count = present.iter().filter(|present| **present).count();
    if count == 1 { Ok(()) } else { Err(Refusal::OneOf { members, count }) }
}

pub(crate) fn at_most(what: &'static str, count: usize, limit: usize) -> Result<(), Refusal> {
    if count > limit { Err(Refusal::TooMany { what, count, limit }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn code(json: &str) -> &'static str {
        read(json.as_bytes()).unwrap_err().code()
    }

    fn with(material: &str, content: &str) -> String {
        format!(
            r#"{{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","verificationMaterial":{{{material}}},{content}}}"#
        )
    }

    const KEY: &str = r#""publicKey":{"hint":"k"}"#;
    const MESSAGE: &str = r#""messageSignature":{"messageDigest":{"algorithm":"SHA2_256","digest":"AA=="},"signature":"AA=="}"#;

    #[test]
    fn forms_that_are_refused() {
        for (json, expected) in [
            (String::new(), "bundle_malformed"),
            ("{}".into(), "bundle_malformed"),
            ("[".repeat(100_000), "bundle_malformed"),
            (r#"{"mediaType":"application/vnd.dev.sigstore.bundle.v0.4+json"}"#.into(), "bundle_media_type"),
            (r#"{"mediaType":"application/json\"\n"}"#.into(), "bundle_media_type"),
            (with(KEY, r#""other":1"#), "bundle_malformed"),
            (with(KEY, &format!("{MESSAGE},{MESSAGE}")), "bundle_malformed"),
            (with(&format!(r#"{KEY},"more":1"#), MESSAGE), "bundle_malformed"),
            (with(KEY, &format!(r#"{MESSAGE},"dsseEnvelope":{{}}"#)), "bundle_malformed"),
            (with("", MESSAGE), "bundle_malformed"),
            (with(&format!(r#"{KEY},"certificate":{{"rawBytes":"AA=="}}"#), MESSAGE), "bundle_malformed"),
            (with(r#""x509CertificateChain":{"certificates":[]}"#, MESSAGE), "bundle_certificate_chain"),
            (with(KEY, r#""messageSignature":{"signature":"AA=="}"#), "bundle_malformed"),
            (with(KEY, r#""dsseEnvelope":{"payload":"","payloadType":"","signatures":[]}"#), "dsse_signature_count"),
            (with(KEY, r#""dsseEnvelope":{"payload":"","payloadType":"","signatures":[{},{}]}"#), "dsse_signature_count"),
            (with(KEY, MESSAGE), "not_logged"),
            (with(&format!(r#"{KEY},"tlogEntries":[{}]"#, ["{}"; 33].join(",")), MESSAGE), "bundle_too_large"),
            (
                with(
                    &format!(r#"{KEY},"timestampVerificationData":{{"rfc3161Timestamps":[{}]}}"#, ["{}"; 33].join(",")),
                    MESSAGE,
                ),
                "bundle_too_large",
            ),
        ] {
            assert_eq!(code(&json), expected, "{}", json.chars().take(200).collect::<String>());
        }
        let shown = read(br#"{"mediaType":"a\"b\nc"}"#).unwrap_err().to_string();
        assert!(shown.contains("a'b c"), "{shown}");
    }

    proptest! {
        #[test]
        fn any_text(text in "\\PC{0,300}", bytes: Vec<u8>) {
            prop_assert!(read(text.as_bytes()).is_err());
            prop_assert!(read(&bytes).is_err());
        }
    }
}
