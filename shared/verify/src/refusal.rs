//! Why a bundle was not accepted.

use std::error::Error;

use jiff::Timestamp;

use crate::shape::MAX_BUNDLE;

/// Why nothing was accepted.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The bundle does not prove what the policy asks for.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The artifact could not be read.
    #[error("the artifact could not be read")]
    Artifact(#[source] std::io::Error),
}

/// Why a bundle does not prove what the policy asks for, in the order of the checks.
///
/// Each is one line; text from the bundle is cut and made printable first.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    // 1. The bundle's form.
    /// More bytes than are read.
    #[error("the bundle has {0} bytes, at most {MAX_BUNDLE} are read")]
    BundleTooLarge(usize),
    /// Not a bundle in JSON; members that no version has are refused too.
    #[error("not a Sigstore bundle in JSON")]
    BundleMalformed(#[source] Box<dyn Error + Send + Sync>),
    /// A media type other than those of v0.1 to v0.3.
    #[error("the bundle's media type is {found}, expected one of v0.1 to v0.3")]
    MediaType {
        /// What the bundle says.
        found: String,
    },
    /// None, or more than one, of members that exclude each other.
    #[error("the bundle has {count} of {members}, expected exactly one")]
    OneOf {
        /// The members.
        members: &'static str,
        /// How many are there.
        count: usize,
    },
    /// A bundle v0.3 with a chain.
    #[error("a bundle v0.3 must carry the leaf certificate alone, found a chain")]
    ChainInV03,
    /// A chain without certificates, or with the root that only the verifier may bring.
    #[error("the bundle's certificate chain must begin with the leaf and not include a root")]
    ChainWithRoot,
    /// A DSSE envelope with none or several signatures.
    #[error("the DSSE envelope has {0} signatures, expected exactly one")]
    DsseSignatures(usize),
    /// More of something than an honest bundle has.
    #[error("the bundle has {count} {what}, at most {limit} are read")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many.
        count: usize,
        /// How many are allowed.
        limit: usize,
    },
    /// A message signature without the digest of its message.
    #[error("the message signature carries no digest of the message")]
    MessageDigestMissing,
    /// An annotation of a signature in cosign 2's form.
    #[error("the annotation {annotation} cannot be read")]
    Annotation {
        /// Its name, without its domain.
        annotation: &'static str,
        /// What is wrong with it.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A signature in cosign 2's form without one.
    #[error("the annotation signature is missing")]
    SignatureMissing,
    /// An attestation in cosign 2's form that is none.
    #[error("the layer is no DSSE envelope in JSON")]
    EnvelopeMalformed(#[source] serde_json::Error),
    /// An attestation in cosign 2's form with a signature in its envelope and another one outside.
    #[error("the annotation signature stands beside an envelope that has one; expected it to be empty")]
    SecondSignature,
    /// The policy names an identity, the bundle was signed with a bare key.
    #[error("the bundle was signed with a key, expected a certificate; verify it with that key instead of an identity")]
    CertificateExpected,
    /// The policy names a key, the bundle was signed with a certificate.
    #[error("the bundle was signed with a certificate, expected the given key; verify it with identity and issuer instead")]
    KeyExpected,
    /// The leaf certificate.
    #[error("the signing certificate cannot be read")]
    CertificateMalformed(#[source] Box<dyn Error + Send + Sync>),

    // 2. The transparency log.
    /// Two entries with one position in one log.
    #[error("the bundle carries log entry {index} twice")]
    DuplicateEntry {
        /// Its index.
        index: u64,
    },
    /// Bundles v0.1 need a promise, later ones an inclusion proof.
    #[error("the bundle carries no {0} for any log entry")]
    NoEvidence(&'static str),
    /// An entry with neither, or a Rekor v2 entry without a proof, or a proof without a checkpoint.
    #[error("log entry {index} has no {what}")]
    EntryIncomplete {
        /// Its index.
        index: u64,
        /// What is missing.
        what: &'static str,
    },
    /// A checkpoint that is not one.
    #[error("the checkpoint of log entry {index} cannot be read")]
    CheckpointMalformed {
        /// The entry's index.
        index: u64,
        /// What is wrong.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The checkpoint of another log.
    #[error("the checkpoint of log entry {index} is of {found}, expected {expected}")]
    CheckpointOrigin {
        /// The entry's index.
        index: u64,
        /// The origin it names.
        found: String,
        /// What the trusted root says.
        expected: String,
    },
    /// The log that the entry names did not sign the checkpoint.
    #[error("the checkpoint of log entry {index} is not signed by the log {log}")]
    CheckpointSignature {
        /// The entry's index.
        index: u64,
        /// The log's base URL.
        log: String,
    },
    /// Proof and checkpoint speak of different trees.
    #[error("the inclusion proof of log entry {index} has another {what} than its checkpoint")]
    ProofMismatch {
        /// The entry's index.
        index: u64,
        /// What differs.
        what: &'static str,
    },
    /// The proof does not lead to the checkpoint's root.
    #[error("the inclusion proof of log entry {index} does not hold")]
    InclusionProof {
        /// The entry's index.
        index: u64,
        /// What is wrong with it.
        source: merkle::ProofError,
    },
    /// A valid entry, for something else.
    #[error("log entry {index} is not about this signature: {what}")]
    EntryMismatch {
        /// The entry's index.
        index: u64,
        /// What differs.
        what: String,
    },
    /// An entry of a kind that says too little, or that nobody here reads.
    #[error("log entry {index} is of kind {found}; expected hashedrekord 0.0.1, dsse 0.0.1 or intoto 0.0.2")]
    EntryKind {
        /// Its index.
        index: u64,
        /// Kind and version.
        found: String,
    },
    /// No entry of a trusted log.
    #[error("no log entry could be verified: {0}")]
    NotLogged(String),
    /// The log took the entry in while the certificate was not valid.
    #[error("the log entry's time {time} is outside of the certificate's validity, {not_before} to {not_after}")]
    IntegratedTime {
        /// The entry's time.
        time: Timestamp,
        /// The certificate's first second.
        not_before: Timestamp,
        /// Its last.
        not_after: Timestamp,
    },

    // 3. The time.
    /// Timestamps, none of which a trusted authority made over this signature.
    #[error("no timestamp could be verified: {0}")]
    TimestampInvalid(String),
    /// No timestamp, and no log entry whose time its log signed.
    #[error("the signature has no trusted time: a timestamp, or a Rekor v1 entry with an inclusion promise, is needed")]
    NoTime,

    // 4. The certificate.
    /// Signed outside of the certificate's validity.
    #[error("the signature's time {time} is outside of the certificate's validity, {not_before} to {not_after}")]
    CertificateTime {
        /// A verified time.
        time: Timestamp,
        /// The certificate's first second.
        not_before: Timestamp,
        /// Its last.
        not_after: Timestamp,
    },
    /// Not a certificate for signing code.
    #[error("the signing certificate's extended key usage is not codeSigning")]
    CertificatePurpose,
    /// No trusted authority stood behind the certificate at that time.
    #[error("no certificate authority of the trusted root issued the signing certificate, all of its chain valid at {time}")]
    CertificateChain {
        /// A verified time.
        time: Timestamp,
    },
    /// sigstore-verify's reason about the chain.
    #[error("the signing certificate is not trusted: {0}")]
    CertificateRefused(String),
    /// Missing, several, from an unknown log, at a wrong time, or not over this certificate.
    #[error("the certificate's signed certificate timestamp does not hold: {0}")]
    Sct(String),

    // 5. The identity.
    /// No subject alternative name that could be compared, or several.
    #[error("the certificate names {0} identities, expected exactly one e-mail address, URI or username")]
    IdentityCount(usize),
    /// Another identity.
    #[error("signed by {found}, expected {expected}")]
    Identity {
        /// Whom the certificate names.
        found: String,
        /// Whom the policy names.
        expected: String,
    },
    /// Another issuer, or none.
    #[error("the identity was vouched for by {found}, expected {expected}")]
    Issuer {
        /// Whom the certificate names.
        found: String,
        /// Whom the policy names.
        expected: String,
    },

    // 6. The signature and what it is about.
    /// The signature does not verify under the key.
    #[error("the signature does not verify under the signer's key")]
    Signature,
    /// Signed was something else.
    #[error("the artifact's {algorithm} digest is {found}, signed was {expected}")]
    Artifact {
        /// By which hash.
        algorithm: &'static str,
        /// The artifact's.
        found: String,
        /// The signed one.
        expected: String,
    },
    /// Signed in cosign 2's form was something that is no simple signing document, or has members that its reader must know.
    #[error("what was signed is no simple signing document")]
    SimpleSigning(#[source] Box<dyn Error + Send + Sync>),
    /// A simple signing document that means something else.
    #[error("the signed document's type is {found}, expected cosign container image signature")]
    SimpleSigningType {
        /// What it says.
        found: String,
    },
    /// A simple signing document about another image.
    #[error("signed was the image {found}, expected {expected}")]
    SignedImage {
        /// The digest that was signed.
        found: String,
        /// The image's.
        expected: String,
    },
    /// The digest that was given cannot be compared with what was signed.
    #[error("the bundle is about a {expected} digest, and a {found} digest was given; give the artifact itself")]
    ArtifactDigest {
        /// What was given.
        found: &'static str,
        /// What is needed.
        expected: &'static str,
    },
    /// This kind of key needs the whole artifact.
    #[error("a signature of this kind needs the artifact itself, in memory: {0}")]
    ArtifactNeeded(String),
    /// Not an in-toto statement.
    #[error("the payload's type is {found}, expected application/vnd.in-toto+json")]
    PayloadType {
        /// What the envelope says.
        found: String,
    },
    /// The payload is not what its type says.
    #[error("the payload is no in-toto statement")]
    StatementMalformed(#[source] serde_json::Error),
    /// Another version of statements.
    #[error("the statement's _type is {found}, expected https://in-toto.io/Statement/v1 or v0.1")]
    StatementType {
        /// What it says.
        found: String,
    },
    /// The statement is about other artifacts.
    #[error("none of the statement's {subjects} subjects has the artifact's digest {digest}")]
    Subject {
        /// How many there are.
        subjects: usize,
        /// The artifact's digest, with its algorithm.
        digest: String,
    },
    /// A statement of another kind.
    #[error("the statement's predicate is {found}, expected {expected}")]
    PredicateType {
        /// What it says.
        found: String,
        /// What the policy asks for.
        expected: String,
    },
    /// A key, hash or entry that sigstore-verify does not know.
    #[error("not supported: {0}")]
    Unsupported(String),
}

impl Refusal {
    /// A stable name for programs, an anchor in `docs/errors.md`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::BundleTooLarge(_) | Self::TooMany { .. } => "bundle_too_large",
            Self::BundleMalformed(_) | Self::OneOf { .. } | Self::MessageDigestMissing => "bundle_malformed",
            Self::MediaType { .. } => "bundle_media_type",
            Self::ChainInV03 | Self::ChainWithRoot => "bundle_certificate_chain",
            Self::DsseSignatures(_) => "dsse_signature_count",
            Self::Annotation { .. } | Self::SignatureMissing | Self::EnvelopeMalformed(_) | Self::SecondSignature => {
                "legacy_malformed"
            }
            Self::CertificateExpected => "certificate_expected",
            Self::KeyExpected => "key_expected",
            Self::CertificateMalformed(_) => "certificate_malformed",
            Self::DuplicateEntry { .. } => "log_entry_duplicate",
            Self::NoEvidence(_) | Self::EntryIncomplete { .. } => "log_entry_incomplete",
            Self::CheckpointMalformed { .. } => "checkpoint_malformed",
            Self::CheckpointOrigin { .. } => "checkpoint_origin",
            Self::CheckpointSignature { .. } => "checkpoint_signature",
            Self::ProofMismatch { .. } | Self::InclusionProof { .. } => "inclusion_proof",
            Self::EntryMismatch { .. } => "log_entry_mismatch",
            Self::NotLogged(_) => "not_logged",
            Self::IntegratedTime { .. } => "log_entry_time",
            Self::TimestampInvalid(_) => "timestamp_invalid",
            Self::NoTime => "time_missing",
            Self::CertificateTime { .. } => "certificate_expired",
            Self::CertificatePurpose => "certificate_purpose",
            Self::CertificateChain { .. } | Self::CertificateRefused(_) => "certificate_untrusted",
            Self::Sct(_) => "certificate_sct",
            Self::IdentityCount(_) | Self::Identity { .. } => "identity_mismatch",
            Self::Issuer { .. } => "issuer_mismatch",
            Self::Signature => "signature_invalid",
            Self::Artifact { .. } | Self::SignedImage { .. } | Self::Subject { .. } => "artifact_mismatch",
            Self::ArtifactDigest { .. } | Self::ArtifactNeeded(_) => "artifact_needed",
            Self::PayloadType { .. } => "payload_type",
            Self::StatementMalformed(_) | Self::StatementType { .. } => "statement_malformed",
            Self::PredicateType { .. } => "predicate_type",
            Self::SimpleSigning(_) | Self::SimpleSigningType { .. } => "simple_signing",
            Self::Unsupported(_) | Self::EntryKind { .. } => "unsupported",
        }
    }
}

/// Text from outside as it may stand in an error: printable, without double quotes, at most 200 characters.
pub(crate) fn shown(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c == '"' {
                '\''
            } else if c.is_control() {
                ' '
            } else {
                c
            }
        })
        .take(200)
        .collect()
}
