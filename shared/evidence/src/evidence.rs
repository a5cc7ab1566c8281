//! What a bundle, or a signature in an older form, proves about one digest.

use jiff::Timestamp;
use oci::Digest;
use serde::{Deserialize, Serialize, de::IgnoredAny};
use verify::{
    Artifact, ArtifactDigest, Legacy, LegacyForm, LoggedEntry, Policy, Refusal, SignerReport, StatementReport, Verified,
    VerifiedTime, Verifier, VerifyError,
};

use crate::predicate;
use crate::{Claim, Form};

/// What a verified claim proves about the digest it was verified for.
#[derive(Debug, Clone, Serialize)]
pub struct Evidence {
    /// A signature, or an attestation of what.
    #[serde(flatten)]
    pub kind: Kind,
    /// In which form it is attached.
    pub form: Form,
    /// What an SBOM says of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sbom: Option<Sbom>,
    /// Who signed it.
    pub signer: SignerReport,
    /// When, at the latest: every verified time, at least one.
    pub times: Vec<VerifiedTime>,
    /// Where it was logged, at least once.
    pub log_entries: Vec<LoggedEntry>,
}

/// A signature, or an attestation of what.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Kind {
    /// Somebody stands behind the digest.
    Signature,
    /// Somebody says something about the digest.
    Attestation {
        /// What kind of thing.
        predicate_type: String,
    },
}

/// What an SBOM says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Sbom {
    /// How many packages (SPDX) or components (CycloneDX) it lists.
    pub packages: usize,
}

/// Verifies a bundle for `subject`, offline. A pure function of its arguments: the same three always have the same result.
///
/// # Errors
/// [`Refused`]: what is wrong with it.
pub fn examine(verifier: &Verifier, subject: &Digest, bundle: &[u8]) -> Result<Evidence, Refused> {
    check_version(bundle)?;
    let verified = verifier.verify(bundle, Artifact::Digest(artifact(subject)), &Policy::anyone()).map_err(refused)?;
    Ok(Evidence::of(verified, Form::Bundle))
}

/// Verifies a claim about `subject`, whatever form it has. `content` are the bytes of its layer, whose digest whoever read them
/// compared.
///
/// # Errors
/// [`Refused`]: what is wrong with it.
pub fn examine_claim(verifier: &Verifier, subject: &Digest, claim: &Claim, content: &[u8]) -> Result<Evidence, Refused> {
    let form = match claim.form {
        Form::Bundle => return examine(verifier, subject, content),
        Form::LegacySignature => LegacyForm::Signature,
        Form::LegacyAttestation => LegacyForm::Attestation,
    };
    let annotation = |name: &str| claim.layer.annotations.get(name).map(String::as_str);
    let legacy = Legacy {
        form,
        layer: content,
        signature: annotation("dev.cosignproject.cosign/signature"),
        certificate: annotation("dev.sigstore.cosign/certificate"),
        entry: annotation("dev.sigstore.cosign/bundle"),
        timestamp: annotation("dev.sigstore.cosign/rfc3161timestamp"),
    };
    let verified = verifier.verify_legacy(&legacy, &artifact(subject), &Policy::anyone()).map_err(refused)?;
    Ok(Evidence::of(verified, claim.form))
}

fn artifact(subject: &Digest) -> ArtifactDigest {
    subject.to_string().parse().expect("the registry's digests are SHA-256 or SHA-512 in full")
}

fn refused(error: VerifyError) -> Refused {
    match error {
        VerifyError::Refused(refusal) => Refused::Bundle(refusal),
        VerifyError::Artifact(_) => unreachable!("neither a digest nor bytes are read from anywhere"),
    }
}

impl Evidence {
    fn of(Verified { signer, times, log_entries, statement, .. }: Verified, form: Form) -> Self {
        let sbom = statement.as_ref().and_then(sbom);
        let kind = match statement {
            None => Kind::Signature,
            // Who looks for a signature in the older form looks where signatures are, and would not find this one.
            Some(statement) if form == Form::Bundle && statement.predicate_type == predicate::SIGNATURE => Kind::Signature,
            Some(statement) => Kind::Attestation { predicate_type: statement.predicate_type },
        };
        Self { kind, form, sbom, signer, times, log_entries }
    }

    /// The first verified time, at which the signature already existed.
    #[must_use]
    pub fn signed_at(&self) -> Option<Timestamp> {
        self.times.iter().map(|time| time.time).min()
    }

    /// Whom the certificate names.
    #[must_use]
    pub fn identity(&self) -> &str {
        match &self.signer {
            SignerReport::Identity { identity, .. } => identity,
            SignerReport::Key { key_sha256 } => key_sha256,
        }
    }

    /// The OIDC issuer that vouched for them.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        match &self.signer {
            SignerReport::Identity { issuer, .. } => issuer.as_deref(),
            SignerReport::Key { .. } => None,
        }
    }

    /// The predicate type, of an attestation.
    #[must_use]
    pub fn predicate_type(&self) -> Option<&str> {
        match &self.kind {
            Kind::Signature => None,
            Kind::Attestation { predicate_type } => Some(predicate_type),
        }
    }
}

/// Why a claim proves nothing about the digest.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The verifier's reason.
    #[error(transparent)]
    Bundle(#[from] Refusal),
    /// A bundle as clients wrote them before v0.3. Clients that read bundles from registries pass it over, so it must not be what
    /// an image is accepted for.
    #[error("the bundle's media type is {found}, and only v0.3 counts in a registry")]
    Version {
        /// What it says.
        found: String,
    },
}

impl Refused {
    /// A stable name for programs, an anchor in `docs/errors.md`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Bundle(refusal) => refusal.code(),
            Self::Version { .. } => "bundle_media_type",
        }
    }
}

/// What is no bundle at all is left to the verifier, which says so in full.
fn check_version(bundle: &[u8]) -> Result<(), Refused> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct MediaTypeOnly {
        media_type: String,
    }
    if bundle.len() > verify::MAX_BUNDLE {
        return Ok(());
    }
    match serde_json::from_slice(bundle) {
        Ok(MediaTypeOnly { media_type }) if OLD.contains(&media_type.as_str()) => Err(Refused::Version { found: media_type }),
        _ => Ok(()),
    }
}

const OLD: [&str; 2] =
    ["application/vnd.dev.sigstore.bundle+json;version=0.1", "application/vnd.dev.sigstore.bundle+json;version=0.2"];

/// How much an SBOM lists; `None` for other statements, and for one whose predicate is text.
fn sbom(statement: &StatementReport) -> Option<Sbom> {
    #[derive(Deserialize)]
    struct Statement {
        predicate: Predicate,
    }
    #[derive(Deserialize)]
    struct Predicate {
        packages: Option<Vec<IgnoredAny>>,
        components: Option<Vec<IgnoredAny>>,
    }
    let Statement { predicate } = match statement.predicate_type.as_str() {
        predicate::SPDX | predicate::CYCLONEDX => serde_json::from_slice(&statement.payload).ok()?,
        _ => return None,
    };
    let listed = if statement.predicate_type == predicate::SPDX { predicate.packages } else { predicate.components };
    Some(Sbom { packages: listed?.len() })
}
