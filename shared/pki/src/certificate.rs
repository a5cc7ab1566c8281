//! Certificates, kept as the bytes they came in.

mod extensions;
mod slices;

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use const_oid::ObjectIdentifier;
use der::Decode as _;
use jiff::Timestamp;
use x509_cert::time::Time;

use crate::algorithm::{SignatureAlgorithm, UnknownSignatureAlgorithm};
use crate::hash::{sha256, short};
use crate::key::{BadSignature, KeyError, PublicKey};
use crate::pem_text::{self, PemError};

pub use extensions::{BasicConstraints, Extension, Extensions, KeyUsage};
pub(crate) use slices::TbsSlices;

const LABEL: &str = "CERTIFICATE";

/// An X.509 certificate whose key, times and known extensions were read, and whose bytes are those that were parsed. Nothing about it
/// is believed: signatures, times and purposes are checked by [`crate::chain`]. Cloning is cheap.
#[derive(Clone)]
pub struct Certificate(Arc<Inner>);

struct Inner {
    der: Vec<u8>,
    tbs: Range<usize>,
    issuer: Range<usize>,
    subject: Range<usize>,
    serial: Vec<u8>,
    signature_algorithm: Result<SignatureAlgorithm, UnknownSignatureAlgorithm>,
    signature: Vec<u8>,
    not_before: Timestamp,
    not_after: Timestamp,
    public_key: PublicKey,
    extensions: Extensions,
    fingerprint: [u8; 32],
}

/// The bytes are not a certificate that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// Not PEM.
    #[error("the certificate is not PEM")]
    Pem(#[from] PemError),
    /// A PEM block of another type.
    #[error("the PEM block is {found}, expected CERTIFICATE")]
    Label {
        /// The block's label.
        found: String,
    },
    /// Not an X.509 certificate in DER, or bytes after it.
    #[error("not a DER X.509 certificate")]
    Der(#[source] der::Error),
    /// The signed and the unsigned copy of the signature algorithm differ.
    #[error("the signature algorithms inside and outside of the signed part differ")]
    AlgorithmMismatch,
    /// The signature does not consist of whole bytes.
    #[error("the signature is not made of whole bytes")]
    Signature,
    /// A time outside of what this program can represent.
    #[error("the validity is not a time")]
    Time,
    /// Its public key.
    #[error("the certificate's public key cannot be used")]
    Key(#[from] KeyError),
    /// An extension twice (RFC 5280 §4.2).
    #[error("the extension {oid} occurs twice")]
    DuplicateExtension {
        /// The extension.
        oid: ObjectIdentifier,
    },
    /// An extension that does not hold what its name promises.
    #[error("the extension {oid} is malformed")]
    Extension {
        /// The extension.
        oid: ObjectIdentifier,
    },
}

impl Certificate {
    /// Parses one DER certificate.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn from_der(der: &[u8]) -> Result<Self, CertificateError> {
        let parsed = x509_cert::Certificate::from_der(der).map_err(CertificateError::Der)?;
        let (tbs, slices) = slices::of_certificate(der).map_err(CertificateError::Der)?;
        let fields = parsed.tbs_certificate();
        if fields.signature() != parsed.signature_algorithm() {
            return Err(CertificateError::AlgorithmMismatch);
        }
        // Of a bit string whose last bits are unused there are eight forms: a stranger could have a certificate logged eight times.
        let signature = parsed.signature().as_bytes().ok_or(CertificateError::Signature)?;
        let inner = Inner {
            der: der.to_vec(),
            tbs,
            issuer: slices.issuer.clone(),
            subject: slices.subject.clone(),
            serial: fields.serial_number().as_bytes().to_vec(),
            signature_algorithm: SignatureAlgorithm::from_identifier(parsed.signature_algorithm()),
            signature: signature.to_vec(),
            not_before: timestamp(fields.validity().not_before)?,
            not_after: timestamp(fields.validity().not_after)?,
            public_key: PublicKey::from_spki_der(&der[slices.spki])?,
            extensions: Extensions::read(fields.extensions().map_or(&[][..], |extensions| extensions))?,
            fingerprint: sha256(der),
        };
        Ok(Self(Arc::new(inner)))
    }

    /// Parses the first PEM block of `text`, which must be a `CERTIFICATE`.
    ///
    /// # Errors
    /// [`CertificateError`].
    pub fn from_pem(text: &str) -> Result<Self, CertificateError> {
        let (label, der) = pem_text::first_block(text)?;
        Self::from_block(label, &der)
    }

    /// Parses every PEM block of `text`, in order: at least one, and certificates only.
    ///
    /// # Errors
    /// [`CertificateError`] of the first block that is none.
    pub fn chain_from_pem(text: &str) -> Result<Vec<Self>, CertificateError> {
        pem_text::pem_blocks(text)?.into_iter().map(|(label, der)| Self::from_block(label, &der)).collect()
    }

    fn from_block(label: String, der: &[u8]) -> Result<Self, CertificateError> {
        if label == LABEL { Self::from_der(der) } else { Err(CertificateError::Label { found: label }) }
    }

    /// The certificate, byte for byte as it was parsed.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.0.der
    }

    /// PEM with a final newline.
    #[must_use]
    pub fn to_pem(&self) -> String {
        pem_text::encode(LABEL, &self.0.der)
    }

    /// The part that is signed: the TBSCertificate, DER.
    #[must_use]
    pub fn tbs_der(&self) -> &[u8] {
        &self.0.der[self.0.tbs.clone()]
    }

    /// The issuer's Name, DER.
    #[must_use]
    pub fn issuer_der(&self) -> &[u8] {
        &self.0.der[self.0.issuer.clone()]
    }

    /// The subject's Name, DER.
    #[must_use]
    pub fn subject_der(&self) -> &[u8] {
        &self.0.der[self.0.subject.clone()]
    }

    /// The subject as RFC 4514 text, for screens.
    #[must_use]
    pub fn subject(&self) -> String {
        x509_cert::name::Name::from_der(self.subject_der()).map(|name| name.to_string()).unwrap_or_default()
    }

    /// The content octets of the serial number: big-endian, without the sign octet.
    #[must_use]
    pub fn serial(&self) -> &[u8] {
        &self.0.serial
    }

    /// First second of validity.
    #[must_use]
    pub fn not_before(&self) -> Timestamp {
        self.0.not_before
    }

    /// Last second of validity.
    #[must_use]
    pub fn not_after(&self) -> Timestamp {
        self.0.not_after
    }

    /// Whether `time` lies in the validity, both ends included.
    #[must_use]
    pub fn is_valid_at(&self, time: Timestamp) -> bool {
        self.0.not_before <= time && time <= self.0.not_after
    }

    /// The key it certifies.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.0.public_key
    }

    /// Its extensions, those of RFC 5280 that matter here decoded.
    #[must_use]
    pub fn extensions(&self) -> &Extensions {
        &self.0.extensions
    }

    /// SHA-256 of the DER.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 32] {
        self.0.fingerprint
    }

    /// The first 12 hex digits of the [`fingerprint`](Self::fingerprint).
    #[must_use]
    pub fn short(&self) -> String {
        short(&self.0.fingerprint)
    }

    /// Whether issuer and subject are the same bytes and it is signed with its own key.
    #[must_use]
    pub fn is_self_signed(&self) -> bool {
        self.issuer_der() == self.subject_der() && self.verify_signature(self.public_key()).is_ok()
    }

    /// Verifies the signature on this certificate with the issuer's key: nothing else of a chain.
    ///
    /// # Errors
    /// [`CertificateSignatureError`].
    pub fn verify_signature(&self, issuer: &PublicKey) -> Result<(), CertificateSignatureError> {
        let algorithm = self.0.signature_algorithm?;
        Ok(algorithm.verify(issuer, self.tbs_der(), &self.0.signature)?)
    }
}

/// The signature on a certificate does not hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateSignatureError {
    /// The algorithm is not accepted.
    #[error(transparent)]
    Algorithm(#[from] UnknownSignatureAlgorithm),
    /// It does not verify.
    #[error(transparent)]
    Signature(#[from] BadSignature),
}

impl PartialEq for Certificate {
    fn eq(&self, other: &Self) -> bool {
        self.0.der == other.0.der
    }
}

impl Eq for Certificate {}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Certificate({} {})", self.short(), self.subject())
    }
}

fn timestamp(time: Time) -> Result<Timestamp, CertificateError> {
    let seconds = i64::try_from(time.to_unix_duration().as_secs()).map_err(|_| CertificateError::Time)?;
    Timestamp::from_second(seconds).map_err(|_| CertificateError::Time)
}

#[cfg(test)]
mod tests;
