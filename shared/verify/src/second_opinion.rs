//! sigstore-verify's verdict, on everything it can judge: it has to agree.
//!
//! It is given a copy of the bundle without what our own steps left out, since it refuses a bundle for what released clients pass
//! over: entries of unknown logs, timestamps of unknown authorities. And without Rekor v2 entries over another hash than
//! SHA-256, which it does not know; those are proven by ours alone, and whatever else the bundle holds by both.

use pki::{HashAlgorithm, PublicKey};
use sigstore_verify::types::{
    Artifact, ArtifactDigest, Bundle, DerPublicKey, HashAlgorithm as WireHash, SignatureContent, TransparencyLogEntry,
};
use sigstore_verify::{
    CertificateError, Error, Policy, PublicKeyVerificationPolicy, TransparencyLogError, VerificationPolicy, Verifier,
};

use crate::artifact::{Digested, prefix};
use crate::refusal::{Refusal, shown};

/// Whether the second opinion is about an identity's certificate or a key.
pub(crate) enum Material<'a> {
    Certificate,
    Key(&'a PublicKey),
}

/// `bundle` holds only what our steps verified.
pub(crate) fn agrees(core: &Verifier, bundle: &Bundle, artifact: &Digested<'_>, material: &Material<'_>) -> Result<(), Refusal> {
    let evidence = &bundle.verification_material;
    let has_entries = !evidence.tlog_entries.is_empty();
    let policy: Box<dyn Policy> = match material {
        Material::Certificate if has_entries => Box::new(VerificationPolicy::any_identity()),
        Material::Certificate => Box::new(VerificationPolicy::any_identity().skip_tlog_unsafe()),
        Material::Key(key) => {
            // Of a key's bundle without entries and times nothing is left that we have not verified.
            if !has_entries && evidence.timestamp_verification_data.rfc3161_timestamps.is_empty() {
                return Ok(());
            }
            let policy = PublicKeyVerificationPolicy::new(DerPublicKey::new(key.spki_der().to_vec()));
            Box::new(if has_entries { policy } else { policy.skip_tlog_unsafe() })
        }
    };
    let artifact = core_artifact(&bundle.content, artifact)?;
    core.verify(artifact, bundle, policy.as_ref()).map(drop).map_err(|error| refusal(error, evidence.tlog_entries.first()))
}

/// The artifact as it takes it: the bytes, or the one digest that it will ask for.
fn core_artifact<'a>(content: &SignatureContent, artifact: &Digested<'a>) -> Result<Artifact<'a>, Refusal> {
    if let Some(bytes) = artifact.bytes {
        return Ok(Artifact::Blob(bytes));
    }
    let wanted = match content {
        SignatureContent::MessageSignature(message) => message.message_digest.as_ref().map(|digest| digest.algorithm),
        _ => None,
    };
    let wanted = match wanted {
        Some(WireHash::Sha2384) => HashAlgorithm::Sha384,
        Some(WireHash::Sha2512) => HashAlgorithm::Sha512,
        _ if artifact.get(HashAlgorithm::Sha256).is_some() => HashAlgorithm::Sha256,
        _ => HashAlgorithm::Sha512,
    };
    let needed = Refusal::ArtifactDigest { found: artifact.first_algorithm(), expected: prefix(wanted) };
    let digest = artifact.get(wanted).ok_or(needed)?;
    let wire = match wanted {
        HashAlgorithm::Sha256 => WireHash::Sha2256,
        HashAlgorithm::Sha384 => WireHash::Sha2384,
        HashAlgorithm::Sha512 => WireHash::Sha2512,
    };
    let digest = ArtifactDigest::new(wire, digest.to_vec()).map_err(|error| Refusal::Unsupported(shown(&error.to_string())))?;
    Ok(Artifact::Digest(digest))
}

/// Its reasons as ours. Most were found by our own steps before.
fn refusal(error: Error, entry: Option<&TransparencyLogEntry>) -> Refusal {
    let text = shown(&error.to_string());
    let mismatch = |what: String| {
        let index = entry.map_or(0, |entry| entry.log_index.get());
        Refusal::EntryMismatch { index, what: shown(&what) }
    };
    match error {
        Error::SignatureInvalid(_) => Refusal::Signature,
        Error::UnsupportedArtifact(what) => Refusal::ArtifactNeeded(shown(&what)),
        Error::Certificate(CertificateError::Sct(what)) => Refusal::Sct(shown(&what)),
        Error::Certificate(_) => Refusal::CertificateRefused(text),
        // Our steps compared the artifact with the bundle, so what is left to differ is the log entry.
        Error::ArtifactMismatch(what) => mismatch(what),
        Error::TransparencyLog(TransparencyLogError::EntryMismatch(what) | TransparencyLogError::MalformedEntry(what)) => {
            mismatch(what)
        }
        Error::TransparencyLog(_) => Refusal::NotLogged(text),
        Error::Timestamp(_) => Refusal::TimestampInvalid(text),
        _ => Refusal::Unsupported(text),
    }
}
