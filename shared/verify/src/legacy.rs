//! Step 1 for signatures and attestations as cosign 2 stores them: put into the form of a bundle, so that no rule is another one.
//!
//! Each is a layer of an image's `.sig` or `.att` manifest. The layer is what was signed, a simple signing document or a DSSE
//! envelope; everything else stands in annotations of its descriptor (cosign SIGNATURE_SPEC). Of these the certificate's chain is
//! not read: who stands above a certificate is the trusted root's to say.

use jiff::Timestamp;
use pki::{Certificate, HashAlgorithm};
use serde::Deserialize;
use sigstore_verify::types::{
    Bundle, CanonicalizedBody, CertificateContent, DerCertificate, DigestBytes, DsseEnvelope, HashAlgorithm as WireHash,
    InclusionPromise, KindVersion, LogId, LogIndex, LogKeyId, MediaType, MessageDigest, MessageSignature, Rfc3161Timestamp,
    SignatureBytes, SignatureContent, SignedTimestamp, TimestampToken, TimestampVerificationData, TransparencyLogEntry,
    VerificationMaterial, VerificationMaterialContent,
};

use crate::refusal::{Refusal, shown};
use crate::shape::MAX_BUNDLE;

/// A signature or attestation as cosign 2 stores it.
#[derive(Debug, Clone, Copy)]
pub struct Legacy<'a> {
    /// What the layer is.
    pub form: LegacyForm,
    /// The layer.
    pub layer: &'a [u8],
    /// The annotation `dev.cosignproject.cosign/signature`: base64, empty for an attestation.
    pub signature: Option<&'a str>,
    /// The annotation `dev.sigstore.cosign/certificate`: PEM, the leaf alone.
    pub certificate: Option<&'a str>,
    /// The annotation `dev.sigstore.cosign/bundle`: the entry of a Rekor v1 log with its signed entry timestamp, JSON.
    pub entry: Option<&'a str>,
    /// The annotation `dev.sigstore.cosign/rfc3161timestamp`, JSON.
    pub timestamp: Option<&'a str>,
}

/// What a layer in cosign 2's form is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LegacyForm {
    /// A simple signing document, signed as it is.
    Signature,
    /// A DSSE envelope.
    Attestation,
}

/// The same as a bundle v0.1: one entry, with a promise and without a proof.
pub(crate) fn read(legacy: &Legacy<'_>) -> Result<Bundle, Refusal> {
    if legacy.layer.len() > MAX_BUNDLE {
        return Err(Refusal::BundleTooLarge(legacy.layer.len()));
    }
    let content = match legacy.form {
        LegacyForm::Signature => SignatureContent::MessageSignature(message(legacy)?),
        LegacyForm::Attestation => SignatureContent::DsseEnvelope(envelope(legacy)?),
    };
    let pem = legacy.certificate.filter(|pem| !pem.is_empty()).ok_or(Refusal::CertificateExpected)?;
    let certificate = Certificate::from_pem(pem).map_err(|error| Refusal::CertificateMalformed(error.into()))?;
    let certificate = CertificateContent::new(DerCertificate::new(certificate.der().to_vec()));
    let material = VerificationMaterial::new(VerificationMaterialContent::Certificate(certificate))
        .with_tlog_entries(vec![entry(legacy.entry)?])
        .with_timestamp_verification_data(timestamps(legacy.timestamp)?);
    Ok(Bundle::new(MediaType::Bundle0_1, material, content))
}

fn message(legacy: &Legacy<'_>) -> Result<MessageSignature, Refusal> {
    let signature = legacy.signature.filter(|signature| !signature.is_empty()).ok_or(Refusal::SignatureMissing)?;
    let signature = SignatureBytes::from_base64(signature).map_err(|error| malformed("signature", error))?;
    let digest = DigestBytes::new(HashAlgorithm::Sha256.digest(legacy.layer));
    Ok(MessageSignature::new(signature).with_message_digest(MessageDigest::new(WireHash::Sha2256, digest)))
}

fn envelope(legacy: &Legacy<'_>) -> Result<DsseEnvelope, Refusal> {
    #[derive(Deserialize)]
    struct Signatures {
        signatures: Vec<serde::de::IgnoredAny>,
    }
    let Signatures { signatures } = serde_json::from_slice(legacy.layer).map_err(Refusal::EnvelopeMalformed)?;
    if signatures.len() != 1 {
        return Err(Refusal::DsseSignatures(signatures.len()));
    }
    // A signature beside the envelope would be one that nobody compares with it.
    if legacy.signature.is_some_and(|signature| !signature.is_empty()) {
        return Err(Refusal::SecondSignature);
    }
    serde_json::from_slice(legacy.layer).map_err(Refusal::EnvelopeMalformed)
}

/// What a `bundle` annotation holds: no bundle, but a log entry.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Promised {
    signed_entry_timestamp: String,
    payload: Payload,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Payload {
    body: String,
    integrated_time: i64,
    log_index: u64,
    #[serde(rename = "logID")]
    log_id: String,
}

fn entry(annotation: Option<&str>) -> Result<TransparencyLogEntry, Refusal> {
    const WHAT: &str = "bundle";
    let annotation = annotation.filter(|text| !text.is_empty()).ok_or_else(|| Refusal::NotLogged("it carries none".into()))?;
    let Promised { signed_entry_timestamp, payload } =
        serde_json::from_str(annotation).map_err(|error| malformed(WHAT, error))?;
    let body = CanonicalizedBody::from_base64(&payload.body).map_err(|error| malformed(WHAT, error))?;
    let promise = SignedTimestamp::from_base64(&signed_entry_timestamp).map_err(|error| malformed(WHAT, error))?;
    let log = hex::decode(&payload.log_id).map_err(|error| malformed(WHAT, error))?;
    let index = LogIndex::new(payload.log_index).map_err(|error| malformed(WHAT, error))?;
    let time = Timestamp::from_second(payload.integrated_time).map_err(|error| malformed(WHAT, error))?;
    let kind = kind(payload.log_index, body.as_bytes())?;
    Ok(TransparencyLogEntry::new(index, LogId::new(LogKeyId::new(log)), kind, body)
        .with_integrated_time(time)
        .with_inclusion_promise(InclusionPromise::new(promise)))
}

/// What the body says it is. A log that signs such promises has no other kinds that hold a signature.
fn kind(index: u64, body: &[u8]) -> Result<KindVersion, Refusal> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Kind {
        kind: String,
        api_version: String,
    }
    let Kind { kind, api_version } = serde_json::from_slice(body).map_err(|error| malformed("bundle", error))?;
    match (kind.as_str(), api_version.as_str()) {
        ("hashedrekord", "0.0.1") => Ok(KindVersion::HashedRekordV001),
        ("dsse", "0.0.1") => Ok(KindVersion::DsseV001),
        ("intoto", "0.0.2") => Ok(KindVersion::IntotoV002),
        _ => Err(Refusal::EntryKind { index, found: shown(&format!("{kind} {api_version}")) }),
    }
}

fn timestamps(annotation: Option<&str>) -> Result<TimestampVerificationData, Refusal> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Stamp {
        #[serde(rename = "SignedRFC3161Timestamp")]
        token: TimestampToken,
    }
    let Some(annotation) = annotation.filter(|text| !text.is_empty()) else { return Ok(TimestampVerificationData::default()) };
    let Stamp { token } = serde_json::from_str(annotation).map_err(|error| malformed("rfc3161timestamp", error))?;
    Ok(TimestampVerificationData::new(vec![Rfc3161Timestamp::new(token)]))
}

fn malformed(annotation: &'static str, error: impl std::error::Error + Send + Sync + 'static) -> Refusal {
    Refusal::Annotation { annotation, source: error.into() }
}
