//! A verification, from the form of a bundle, or of what came before bundles, to the verdict.

use std::fmt;

use jiff::Timestamp;
use pki::{Certificate, HashAlgorithm, PublicKey};
use sigstore_verify::types::Bundle;
use sigstore_verify::types::Statement;

use crate::artifact::Digested;
use crate::identity::Identity;
use crate::log::{Logged, Outcome};
use crate::policy::{Policy, SignedBy};
use crate::refusal::{Refusal, VerifyError};
use crate::report::{LoggedEntry, SignerReport, StatementReport, TimeSource, Verified, VerifiedTime};
use crate::second_opinion::Material;
use crate::signature::{Content, Signed};
use crate::timestamp::Stamped;
use crate::trust::{Trust, TrustRootError};
use crate::{
    Artifact, ArtifactDigest, Legacy, LegacyForm, chain, identity, legacy, log, second_opinion, shape, simple_signing, statement,
    timestamp,
};

/// Verifies bundles against one trusted root. Made once; immutable, so it can be shared and swapped for a new one.
pub struct Verifier {
    trust: Trust,
}

impl Verifier {
    /// From the JSON of a trusted root, any of them: ours, the public one, another company's.
    ///
    /// # Errors
    /// [`TrustRootError`].
    pub fn from_trusted_root(json: &str) -> Result<Self, TrustRootError> {
        Trust::from_json(json).map(|trust| Self { trust })
    }

    /// Verifies that `bundle`, in JSON, proves what `policy` asks for about `artifact` (Sigstore client specification §4).
    ///
    /// # Errors
    /// [`VerifyError`]: the first check that failed.
    pub fn verify(&self, bundle: &[u8], artifact: Artifact<'_>, policy: &Policy) -> Result<Verified, VerifyError> {
        // 1. Form: one bundle v0.1 to v0.3 within limits, of the kind the policy is about.
        self.proven(shape::read(bundle)?, None, artifact, policy)
    }

    /// Verifies that a signature or attestation in cosign 2's form proves what `policy` asks for about `image`, by its digest.
    ///
    /// # Errors
    /// [`VerifyError`]: the first check that failed.
    pub fn verify_legacy(&self, legacy: &Legacy<'_>, image: &ArtifactDigest, policy: &Policy) -> Result<Verified, VerifyError> {
        let bundle = legacy::read(legacy)?;
        match legacy.form {
            LegacyForm::Signature => {
                let verified = self.proven(bundle, None, Artifact::Bytes(legacy.layer), policy)?;
                // What was signed is a document; only now may it say which image it is about.
                simple_signing::check(legacy.layer, image)?;
                Ok(verified)
            }
            LegacyForm::Attestation => self.proven(bundle, Some(legacy.layer), Artifact::Digest(image.clone()), policy),
        }
    }

    /// Steps 2 to 7, whatever form it came in. `envelope` is the envelope as its signer wrote it, where that is at hand.
    fn proven(
        &self,
        mut bundle: Bundle,
        envelope: Option<&[u8]>,
        artifact: Artifact<'_>,
        policy: &Policy,
    ) -> Result<Verified, VerifyError> {
        let certificate = signing_certificate(&bundle, policy)?;
        let key = match (&certificate, &policy.signed_by) {
            (Some(certificate), _) => certificate.public_key().clone(),
            (None, SignedBy::Key(key)) => key.clone(),
            (None, SignedBy::Identity(_) | SignedBy::Anyone) => return Err(Refusal::CertificateExpected.into()),
        };
        let content = bundle.content.clone();
        let signed = Signed { envelope, ..Signed::read(&content, &key, certificate.as_ref())? };

        // 2. Log: at least one trusted log took in exactly this.
        let entries = std::mem::take(&mut bundle.verification_material.tlog_entries);
        log::check_duplicates(&entries)?;
        let logged = self.logged(&entries, &signed)?;

        // 3. Times: from authorities that saw this signature, and from logs that signed theirs.
        let tokens = std::mem::take(&mut bundle.verification_material.timestamp_verification_data.rfc3161_timestamps);
        let (mut stamped, mut unverified) = (Vec::new(), None);
        for token in tokens {
            match timestamp::verify(&token.signed_timestamp, signed.stamped(), &self.trust.timestamp_authorities) {
                Ok(stamp) => {
                    stamped.push(stamp);
                    // Tokens over anything but the signature are for our eyes only: the second opinion would refuse them.
                    if envelope.is_none() {
                        bundle.verification_material.timestamp_verification_data.rfc3161_timestamps.push(token);
                    }
                }
                Err(reason) => unverified = Some(reason),
            }
        }
        let times = times(&stamped, &logged);

        // 4. Certificate: valid, and its chain too, at every one of those times.
        if let Some(certificate) = &certificate {
            if times.is_empty() {
                return Err(unverified.map_or(Refusal::NoTime, Refusal::TimestampInvalid).into());
            }
            let moments: Vec<Timestamp> = times.iter().map(|time| time.time).collect();
            chain::check(certificate, &self.trust.certificate_authorities, &moments)?;
        }

        // 5. Identity: the one the policy names, vouched for by the issuer it names.
        let identity = certificate.as_ref().map(identity::of).transpose()?;
        if let (SignedBy::Identity(wanted), Some(found)) = (&policy.signed_by, &identity) {
            wanted.compare(&found.name, found.issuer.as_deref())?;
        }

        // 6. Signature: by that key, over this artifact or over a statement about it. No byte of the payload is looked at before.
        let artifact = Digested::of(artifact).map_err(VerifyError::Artifact)?;
        signed.check(&artifact)?;
        let statement = statement_of(&signed, &artifact, policy)?;

        // 7. Second opinion, with the SCT, which is its alone.
        bundle.verification_material.tlog_entries = logged
            .iter()
            .filter(|logged| !log::is_v2(logged.entry) || key.kind().hash() == HashAlgorithm::Sha256)
            .map(|logged| logged.entry.clone())
            .collect();
        let material = if certificate.is_some() { Material::Certificate } else { Material::Key(&key) };
        second_opinion::agrees(&self.trust.core, &bundle, &artifact, &material)?;

        Ok(Verified {
            signer: signer(certificate.as_ref(), identity, &key),
            times,
            log_entries: logged.iter().map(report).collect(),
            statement,
            certificate,
        })
    }

    /// The entries that trusted logs vouch for, at least one; each must be about what was signed, and must not contradict the
    /// certificate.
    fn logged<'a>(
        &'a self,
        entries: &'a [sigstore_verify::types::TransparencyLogEntry],
        signed: &Signed<'_>,
    ) -> Result<Vec<Logged<'a>>, Refusal> {
        let (mut logged, mut skipped) = (Vec::new(), Vec::new());
        for entry in entries {
            match log::verify(entry, &self.trust, signed)? {
                Outcome::Skipped(reason) => skipped.push(reason),
                Outcome::Verified(verified) => {
                    check_integrated_time(&verified, signed.certificate)?;
                    logged.push(verified);
                }
            }
        }
        if logged.is_empty() { Err(Refusal::NotLogged(skipped.join("; "))) } else { Ok(logged) }
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("logs", &self.trust.logs.len())
            .field("certificate_authorities", &self.trust.certificate_authorities.len())
            .field("timestamp_authorities", &self.trust.timestamp_authorities.len())
            .finish_non_exhaustive()
    }
}

fn signing_certificate(bundle: &Bundle, policy: &Policy) -> Result<Option<Certificate>, Refusal> {
    match (bundle.signing_certificate(), &policy.signed_by) {
        (Some(_), SignedBy::Key(_)) => Err(Refusal::KeyExpected),
        (None, _) => Ok(None),
        (Some(der), SignedBy::Identity(_) | SignedBy::Anyone) => {
            Certificate::from_der(der.as_bytes()).map(Some).map_err(|error| Refusal::CertificateMalformed(error.into()))
        }
    }
}

/// Even a time that is not used as one must not lie outside of the certificate's validity.
fn check_integrated_time(logged: &Logged<'_>, certificate: Option<&Certificate>) -> Result<(), Refusal> {
    let (Some(time), Some(certificate)) = (logged.entry.integrated_time, certificate) else { return Ok(()) };
    if certificate.is_valid_at(time) {
        return Ok(());
    }
    Err(Refusal::IntegratedTime { time, not_before: certificate.not_before(), not_after: certificate.not_after() })
}

fn times(stamped: &[Stamped<'_>], logged: &[Logged<'_>]) -> Vec<VerifiedTime> {
    let by_authorities = stamped.iter().map(|stamp| VerifiedTime {
        time: stamp.time,
        source: TimeSource::TimestampAuthority,
        by: stamp.authority.name.clone(),
    });
    let by_logs = logged.iter().filter_map(|logged| {
        let (source, by) = (TimeSource::TransparencyLog, logged.log.base_url.clone());
        Some(VerifiedTime { time: logged.promised_time?, source, by })
    });
    by_authorities.chain(by_logs).collect()
}

fn statement_of(signed: &Signed<'_>, artifact: &Digested<'_>, policy: &Policy) -> Result<Option<StatementReport>, Refusal> {
    let wanted = policy.predicate_type.as_deref();
    match &signed.content {
        Content::Message { .. } => match wanted {
            None => Ok(None),
            Some(expected) => Err(Refusal::PredicateType { found: "none".into(), expected: expected.into() }),
        },
        Content::Envelope { payload_type, payload, .. } => {
            let Statement { predicate_type, subject, .. } = statement::check(payload_type, payload, artifact, wanted)?;
            let subjects = subject.into_iter().map(|subject| subject.name).collect();
            Ok(Some(StatementReport { predicate_type, subjects, payload: payload.to_vec() }))
        }
    }
}

fn signer(certificate: Option<&Certificate>, identity: Option<Identity>, key: &PublicKey) -> SignerReport {
    match (certificate, identity) {
        (Some(certificate), Some(identity)) => SignerReport::Identity {
            identity: identity.name,
            identity_kind: identity.kind,
            issuer: identity.issuer,
            certificate_sha256: hex::encode(certificate.fingerprint()),
        },
        _ => SignerReport::Key { key_sha256: hex::encode(key.fingerprint()) },
    }
}

fn report(logged: &Logged<'_>) -> LoggedEntry {
    let kind = logged.entry.kind_version;
    LoggedEntry {
        log: logged.log.base_url.clone(),
        index: logged.entry.log_index.get(),
        kind: format!("{} {}", kind.kind(), kind.version()),
        included: logged.entry.inclusion_proof.is_some(),
    }
}
