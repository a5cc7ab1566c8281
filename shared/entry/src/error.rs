//! Why a proposed entry is refused. It is always the caller who erred.

use bundle::KeyDetails;
use pki::KeyKind;

/// A proposed entry is not one that this log takes.
///
/// `Display` is one line that says what was wrong and what was expected; [`RequestError::code`] is the stable name to put before it.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Not JSON, or not of the message's form.
    #[error("the body is not a CreateEntryRequest in protobuf JSON")]
    Json(#[source] serde_json::Error),
    /// A oneof with two members set.
    #[error("{first} and {second} are both set; exactly one is allowed")]
    BothSet {
        /// The one.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// No entry in the request, or an empty body.
    #[error("invalid type, must be hashedrekord: send the entry as hashedRekordRequestV002")]
    NoEntry,
    /// An attestation in the form that Rekor v2 gave up.
    #[error(
        "dsseRequestV002 is not accepted: current clients log attestations as hashedrekord over the DSSE PAE; \
         use cosign 3.1, sigstore-go 1.2 or sigstore-python 4.3, or later"
    )]
    Dsse,
    /// A member that must be there is absent, null or empty.
    #[error("{member} is missing or empty")]
    Missing {
        /// Its path below `hashedRekordRequestV002`.
        member: &'static str,
    },
    /// `publicKey` is no key, or one in an encoding of its own. Clients re-encode a key before they rebuild the body, so an entry
    /// with any but the canonical encoding could never be verified.
    #[error("signature.verifier.publicKey is not the DER SubjectPublicKeyInfo of a supported key")]
    PublicKey(#[source] pki::KeyError),
    /// `x509Certificate` is no certificate, or its key is none.
    #[error("signature.verifier.x509Certificate is not a DER X.509 certificate with a supported key")]
    Certificate(#[source] pki::CertificateError),
    /// A key that no permitted algorithm uses.
    #[error(
        "keys of the kind {kind} are not accepted; expected ECDSA P-256, P-384 or P-521, RSA of 2048, 3072 or 4096 bits, or Ed25519"
    )]
    KeyKind {
        /// The key's kind.
        kind: KeyKind,
    },
    /// `keyDetails` is not what the key itself says.
    #[error("keyDetails is {found}, expected {expected} for this key")]
    KeyDetails {
        /// From the request.
        found: KeyDetails,
        /// The default of the key.
        expected: KeyDetails,
    },
    /// A digest of another hash.
    #[error("digest has {found} bytes, expected {expected} ({hash})")]
    DigestLength {
        /// From the request.
        found: usize,
        /// Length of the hash.
        expected: usize,
        /// The hash that the key's algorithm uses.
        hash: &'static str,
    },
    /// The signature does not fit.
    #[error("the signature does not verify over the digest with the given key ({key_details})")]
    Signature {
        /// The algorithm it was checked as.
        key_details: KeyDetails,
    },
    /// A body that an entry bundle cannot hold.
    #[error("the canonical entry has {found} bytes, the limit is {limit}", limit = crate::MAX_BODY)]
    TooLarge {
        /// Length of the canonical body.
        found: usize,
    },
}

impl RequestError {
    /// The stable code: metric label and anchor of the error reference.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Json(_) => "entry_json",
            Self::BothSet { .. } => "entry_oneof",
            Self::NoEntry => "entry_type",
            Self::Dsse => "entry_dsse",
            Self::Missing { .. } => "entry_member_missing",
            Self::PublicKey(_) => "entry_public_key",
            Self::Certificate(_) => "entry_certificate",
            Self::KeyKind { .. } => "entry_key_kind",
            Self::KeyDetails { .. } => "entry_key_details",
            Self::DigestLength { .. } => "entry_digest_length",
            Self::Signature { .. } => "entry_signature",
            Self::TooLarge { .. } => "entry_too_large",
        }
    }
}
