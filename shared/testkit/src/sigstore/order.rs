//! What is to be signed, by whom, and how.

use pki::HashAlgorithm;
use rcgen::ExtendedKeyUsagePurpose;
use serde_json::{Value, json};

use super::{ARTIFACT, IDENTITY, ISSUER, Key, PREDICATE};

/// The certificate of one signature.
#[derive(Debug, Clone)]
pub struct Leaf {
    /// A URI; or a username (`user!domain`), which makes it an otherName.
    pub name: String,
    /// The OIDC issuer.
    pub issuer: String,
    /// First and last second, counted from [`SIGNED`](super::SIGNED).
    pub seconds: (i64, i64),
    /// Its extended key usage.
    pub purpose: ExtendedKeyUsagePurpose,
    /// Which log promised to take it in.
    pub sct: SctOf,
}

/// What kind of SCT it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SctOf {
    /// Of the log that the trusted root lists.
    ListedLog,
    /// Of a log that it does not list.
    OtherLog,
    /// Of the listed log, about another certificate.
    OtherCertificate,
    /// Of the listed log, so many seconds from [`SIGNED`](super::SIGNED).
    ListedLogAt(i64),
    /// None.
    Nobody,
}

impl Default for Leaf {
    fn default() -> Self {
        Self {
            name: IDENTITY.into(),
            issuer: ISSUER.into(),
            seconds: (-5, 595),
            purpose: ExtendedKeyUsagePurpose::CodeSigning,
            sct: SctOf::ListedLog,
        }
    }
}

/// Who signs.
#[derive(Debug, Clone)]
pub enum Signer<'a> {
    /// An ephemeral key with a certificate.
    Certified(Leaf),
    /// A bare key.
    Key(&'a Key),
}

/// What is signed.
#[derive(Debug, Clone)]
pub enum What {
    /// These bytes.
    Message(Vec<u8>),
    /// A DSSE envelope.
    Envelope {
        /// Its type.
        payload_type: &'static str,
        /// Its payload.
        statement: Value,
    },
}

/// Where it is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logged {
    /// In Rekor v2.
    V2,
    /// In Rekor v1.
    V1 {
        /// With an inclusion promise.
        promise: bool,
        /// With an inclusion proof.
        proof: bool,
    },
    /// In Rekor v1, as an entry of kind intoto 0.0.2 with a promise alone.
    V1InToto,
}

/// One signature to be made.
#[derive(Debug, Clone)]
pub struct Order<'a> {
    /// Who signs.
    pub signer: Signer<'a>,
    /// What.
    pub what: What,
    /// Where it is logged.
    pub logged: Logged,
    /// When it is timestamped, if at all: seconds from [`SIGNED`](super::SIGNED).
    pub stamped: Option<i64>,
    /// The bundle's media type.
    pub media_type: &'static str,
}

/// The predicate type of what `cosign sign` makes.
pub const SIGN: &str = "https://sigstore.dev/cosign/sign/v1";
/// The media type of bundles v0.3.
pub const V03: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
/// Of v0.2.
pub const V02: &str = "application/vnd.dev.sigstore.bundle+json;version=0.2";
/// Of v0.1.
pub const V01: &str = "application/vnd.dev.sigstore.bundle+json;version=0.1";

impl Default for Order<'_> {
    /// What cosign 3 makes of a blob.
    fn default() -> Self {
        Self {
            signer: Signer::Certified(Leaf::default()),
            what: What::Message(ARTIFACT.to_vec()),
            logged: Logged::V2,
            stamped: Some(1),
            media_type: V03,
        }
    }
}

impl Order<'_> {
    /// What cosign 3 makes of an attestation.
    #[must_use]
    pub fn attestation() -> Self {
        Self::stating(statement())
    }

    /// What cosign 3 makes of an image with this digest: `sign` for [`SIGN`], `attest` for any other predicate type.
    #[must_use]
    pub fn about(sha256: &str, predicate_type: &str, predicate: &Value) -> Self {
        Self::stating(statement_about(sha256, predicate_type, predicate))
    }

    fn stating(statement: Value) -> Self {
        Self { what: What::Envelope { payload_type: "application/vnd.in-toto+json", statement }, ..Self::default() }
    }

    /// What cosign 2 signs in the place of an image with this digest, `sha256:HEX`.
    #[must_use]
    pub fn image(digest: impl std::fmt::Display) -> Self {
        Self { what: What::Message(super::simple_signing(digest)), ..Self::v1() }
    }

    /// By somebody else.
    #[must_use]
    pub fn by(self, name: &str, issuer: &str) -> Self {
        let leaf = Leaf { name: name.into(), issuer: issuer.into(), ..Leaf::default() };
        Self { signer: Signer::Certified(leaf), ..self }
    }

    /// What clients of Rekor v1 make.
    #[must_use]
    pub fn v1() -> Self {
        Self { logged: Logged::V1 { promise: true, proof: true }, stamped: None, ..Self::default() }
    }
}

/// A statement about [`ARTIFACT`] and something else.
#[must_use]
pub fn statement() -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {"name": "other", "digest": {"sha256": hex::encode(HashAlgorithm::Sha256.digest(b"other"))}},
            {"name": "app", "digest": {"sha256": hex::encode(HashAlgorithm::Sha256.digest(ARTIFACT))}},
        ],
        "predicateType": PREDICATE,
        "predicate": {},
    })
}

/// A statement as cosign makes it of an image with this digest, hex.
#[must_use]
pub fn statement_about(sha256: &str, predicate_type: &str, predicate: &Value) -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"digest": {"sha256": sha256}}],
        "predicateType": predicate_type,
        "predicate": predicate,
    })
}
