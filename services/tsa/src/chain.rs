//! The certificate chain: refused at start-up when verifiers would refuse what it signs.

use der::Decode as _;
use jiff::Timestamp;
use pki::{Certificate, CertificateError, ObjectIdentifier, PublicKey};
use tsp::{TemplateError, TokenTemplate};
use x509_cert::ext::pkix::{KeyUsage, KeyUsages};

const KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.15");
const EXTENDED_KEY_USAGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.37");
const TIME_STAMPING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.8");

/// A chain whose tokens verifiers accept: the signing certificate first, its self-signed root last.
#[derive(Debug, Clone)]
pub struct CertificateChain {
    certificates: Vec<Certificate>,
    pem: String,
    leaf_only: TokenTemplate,
    whole_chain: TokenTemplate,
}

/// What a chain is checked against, besides the key.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// The time at which every certificate must be valid.
    pub now: Timestamp,
    /// Whether intermediates must name the extended key usage timeStamping.
    pub enforce_intermediate_eku: bool,
}

impl CertificateChain {
    /// Reads a PEM chain and checks it against the key that will sign.
    ///
    /// # Errors
    /// [`ChainError`] names the certificate and what is wrong with it.
    pub fn check(pem: &str, key: &PublicKey, rules: &Rules) -> Result<Self, ChainError> {
        let certificates = Certificate::chain_from_pem(pem).map_err(ChainError::Malformed)?;
        let [leaf, issuers @ ..] = certificates.as_slice() else { return Err(ChainError::TooShort(0)) };
        if issuers.is_empty() {
            return Err(ChainError::TooShort(1));
        }
        check_links(&certificates)?;
        for certificate in &certificates {
            check_valid(certificate, rules.now)?;
        }
        check_leaf(leaf)?;
        for (depth, issuer) in issuers.iter().enumerate() {
            check_issuer(issuer, depth, depth + 1 == issuers.len(), rules)?;
        }
        if leaf.public_key() != key {
            return Err(ChainError::KeyMismatch { certified: leaf.public_key().short(), key: key.short() });
        }
        let others: Vec<&[u8]> = issuers.iter().map(Certificate::der).collect();
        Ok(Self {
            leaf_only: TokenTemplate::new(leaf.der(), &[])?,
            whole_chain: TokenTemplate::new(leaf.der(), &others)?,
            pem: certificates.iter().map(Certificate::to_pem).collect(),
            certificates,
        })
    }

    /// The certificates, leaf to root.
    #[must_use]
    pub fn certificates(&self) -> &[Certificate] {
        &self.certificates
    }

    /// The same as PEM.
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The latest first second of validity among the certificates.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.certificates.iter().map(Certificate::not_before).max().expect("a chain has at least two certificates")
    }

    /// The earliest last second of validity among the certificates.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.certificates.iter().map(Certificate::not_after).min().expect("a chain has at least two certificates")
    }

    /// Whether all certificates are valid at `time`: what verifiers ask of a token.
    #[must_use]
    pub fn is_valid_at(&self, time: Timestamp) -> bool {
        self.certificates.iter().all(|certificate| certificate.is_valid_at(time))
    }

    pub(crate) fn template(&self, include_chain: bool) -> TokenTemplate {
        if include_chain { self.whole_chain.clone() } else { self.leaf_only.clone() }
    }
}

/// Each certificate is issued by the next one, the last by itself.
fn check_links(certificates: &[Certificate]) -> Result<(), ChainError> {
    for pair in certificates.windows(2) {
        let (certificate, issuer) = (&pair[0], &pair[1]);
        if certificate.issuer_der() != issuer.subject_der() {
            return Err(ChainError::Order { certificate: certificate.subject(), next: issuer.subject() });
        }
        if certificate.verify_signature(issuer.public_key()).is_err() {
            return Err(ChainError::Signature { certificate: certificate.subject() });
        }
    }
    let root = certificates.last().expect("checked to be at least two");
    if root.is_self_signed() { Ok(()) } else { Err(ChainError::NoRoot { last: root.subject() }) }
}

fn check_valid(certificate: &Certificate, now: Timestamp) -> Result<(), ChainError> {
    if certificate.is_valid_at(now) {
        return Ok(());
    }
    Err(ChainError::NotValidNow {
        certificate: certificate.subject(),
        not_before: certificate.not_before(),
        not_after: certificate.not_after(),
        now,
    })
}

/// RFC 3161 §2.3, and what OpenSSL and rfc3161-client ask for beyond.
fn check_leaf(leaf: &Certificate) -> Result<(), ChainError> {
    let extensions = leaf.extensions();
    if extensions.basic_constraints().is_some_and(|constraints| constraints.ca) {
        return Err(ChainError::LeafIsCa { certificate: leaf.subject() });
    }
    if extensions.ext_key_usage() != Some(&[TIME_STAMPING]) {
        return Err(ChainError::LeafPurpose { certificate: leaf.subject() });
    }
    if !extensions.get(EXTENDED_KEY_USAGE).is_some_and(|extension| extension.critical) {
        return Err(ChainError::LeafPurposeNotCritical { certificate: leaf.subject() });
    }
    let usage = extensions.get(KEY_USAGE).map(|extension| KeyUsage::from_der(&extension.value)).transpose();
    let usage = usage.map_err(|_| ChainError::LeafKeyUsage { certificate: leaf.subject() })?;
    let allowed = KeyUsages::DigitalSignature | KeyUsages::NonRepudiation;
    if usage.is_some_and(|usage| !usage.digital_signature() || !allowed.contains(usage.0)) {
        return Err(ChainError::LeafKeyUsage { certificate: leaf.subject() });
    }
    Ok(())
}

/// `depth` intermediates lie between `issuer` and the leaf.
fn check_issuer(issuer: &Certificate, depth: usize, is_root: bool, rules: &Rules) -> Result<(), ChainError> {
    let extensions = issuer.extensions();
    let constraints = extensions.basic_constraints().filter(|constraints| constraints.ca);
    let may_sign = extensions.key_usage().is_none_or(|usage| usage.certificate_signing);
    let Some(constraints) = constraints.filter(|_| may_sign) else {
        return Err(ChainError::IssuerIsNoCa { certificate: issuer.subject() });
    };
    if constraints.path_length.is_some_and(|longest| usize::from(longest) < depth) {
        return Err(ChainError::PathTooLong { certificate: issuer.subject() });
    }
    match extensions.ext_key_usage() {
        Some(purposes) if purposes.contains(&TIME_STAMPING) => Ok(()),
        None if is_root || !rules.enforce_intermediate_eku => Ok(()),
        _ => Err(ChainError::IssuerPurpose { certificate: issuer.subject() }),
    }
}

/// Why a chain cannot be used. Always the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum ChainError {
    /// Not PEM certificates.
    #[error("the file does not hold PEM certificates only")]
    Malformed(#[source] CertificateError),
    /// So many certificates.
    #[error("the chain has {0} certificates, expected at least two: the signing certificate first, the self-signed root last")]
    TooShort(usize),
    /// A certificate is followed by one that did not issue it.
    #[error("the certificate {certificate} is followed by {next}, which is not its issuer")]
    Order {
        /// Its subject.
        certificate: String,
        /// The subject of the next one.
        next: String,
    },
    /// A signature that does not verify.
    #[error("the certificate {certificate} was not signed with the key of the one after it")]
    Signature {
        /// Its subject.
        certificate: String,
    },
    /// The chain does not end in a root.
    #[error("the chain ends with {last}, which is not self-signed; the root must be the last one")]
    NoRoot {
        /// The subject of the last certificate.
        last: String,
    },
    /// A certificate that has expired or is not valid yet.
    #[error("the certificate {certificate} is valid from {not_before} to {not_after}, and now it is {now}")]
    NotValidNow {
        /// Its subject.
        certificate: String,
        /// Its first second.
        not_before: Timestamp,
        /// Its last second.
        not_after: Timestamp,
        /// The time of the check.
        now: Timestamp,
    },
    /// The signing certificate is a CA's.
    #[error("the signing certificate {certificate} is a CA certificate, expected CA:FALSE or no basic constraints")]
    LeafIsCa {
        /// Its subject.
        certificate: String,
    },
    /// The signing certificate has another purpose, several, or none.
    #[error("the signing certificate {certificate} must have exactly one extended key usage: timeStamping")]
    LeafPurpose {
        /// Its subject.
        certificate: String,
    },
    /// Its purpose is not critical (RFC 3161 §2.3).
    #[error("the signing certificate {certificate} must mark its extended key usage as critical")]
    LeafPurposeNotCritical {
        /// Its subject.
        certificate: String,
    },
    /// Its key usage includes more than signing data.
    #[error("the signing certificate {certificate} must have the key usage digitalSignature and no other, or none at all")]
    LeafKeyUsage {
        /// Its subject.
        certificate: String,
    },
    /// An issuer without CA:TRUE or keyCertSign.
    #[error("the certificate {certificate} issued another one but is no CA certificate")]
    IssuerIsNoCa {
        /// Its subject.
        certificate: String,
    },
    /// More intermediates than allowed.
    #[error("the certificate {certificate} allows fewer intermediates than the chain has")]
    PathTooLong {
        /// Its subject.
        certificate: String,
    },
    /// An issuer that must not issue for this purpose.
    #[error("the certificate {certificate} must name the extended key usage timeStamping to issue timestamping certificates")]
    IssuerPurpose {
        /// Its subject.
        certificate: String,
    },
    /// The chain belongs to another key.
    #[error("the signing certificate is for the key {certified}, the key file holds {key}")]
    KeyMismatch {
        /// First 12 hex digits of the SPKI's SHA-256 in the certificate.
        certified: String,
        /// The same of the key file.
        key: String,
    },
    /// A key no client verifies timestamps with.
    #[error(transparent)]
    Key(#[from] TemplateError),
}

impl ChainError {
    /// A stable name for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "tsa_chain_malformed",
            Self::TooShort(_) | Self::NoRoot { .. } => "tsa_chain_incomplete",
            Self::Order { .. } => "tsa_chain_order",
            Self::Signature { .. } => "tsa_chain_signature",
            Self::NotValidNow { .. } => "tsa_chain_not_valid_now",
            Self::LeafIsCa { .. } => "tsa_leaf_is_ca",
            Self::LeafPurpose { .. } | Self::LeafPurposeNotCritical { .. } => "tsa_leaf_purpose",
            Self::LeafKeyUsage { .. } => "tsa_leaf_key_usage",
            Self::IssuerIsNoCa { .. } | Self::PathTooLong { .. } => "tsa_issuer_is_no_ca",
            Self::IssuerPurpose { .. } => "tsa_issuer_purpose",
            Self::KeyMismatch { .. } => "tsa_key_mismatch",
            Self::Key(_) => "tsa_key_unsupported",
        }
    }

    /// What to do next.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "Give a file with the PEM certificates alone, the signing certificate first.",
            Self::TooShort(_) | Self::Order { .. } | Self::NoRoot { .. } | Self::Signature { .. } => {
                "Give the chain in order: signing certificate, intermediates, self-signed root."
            }
            Self::NotValidNow { .. } => "Check the clock; renew the certificate and publish it in the trust root first.",
            Self::LeafIsCa { .. }
            | Self::LeafPurpose { .. }
            | Self::LeafPurposeNotCritical { .. }
            | Self::LeafKeyUsage { .. } => {
                "Issue the signing certificate again: CA:FALSE, key usage digitalSignature, extended key usage critical,timeStamping."
            }
            Self::IssuerIsNoCa { .. } | Self::PathTooLong { .. } => "Have the signing certificate issued by a CA that may.",
            Self::IssuerPurpose { .. } => {
                "Have an intermediate with that usage issued, or set enforce_intermediate_eku: false if your verifiers accept it."
            }
            Self::KeyMismatch { .. } => "Restore the key that belongs to the certificate, or give the key's certificate.",
            Self::Key(_) => "Use an ECDSA P-256 key.",
        }
    }
}
