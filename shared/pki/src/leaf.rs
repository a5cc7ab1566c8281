//! Fulcio's certificates: to-be-signed bytes first, signature by whoever holds the key, then the certificate.
//!
//! A certificate is made in two rounds that share one [`Profile`]:
//!
//! 1. [`Draft::precertificate`] → record and sign [`Draft::tbs`] → [`Draft::assemble`]: the precertificate for the log;
//! 2. [`Draft::certificate`] with the verified SCT list → record and sign → [`Draft::assemble`]: the certificate, whose
//!    correspondence to the precertificate [`crate::splice::corresponds`] checks.

mod builder;
mod extensions;
mod issuer;

use der::asn1::{BitString, Null, OctetString};
use der::{Encode as _, Tag};
use jiff::Timestamp;
use x509_cert::ext::Extension;

use crate::certificate::{Certificate, CertificateError};
use crate::key::PublicKey;
use crate::oid;
use crate::san::{SanError, SubjectAltName};
use crate::splice::wrap;

pub(crate) use extensions::key_id;
pub use extensions::{ExtensionError, FulcioExtensions};
pub use issuer::{Issuer, IssuerError};

/// A certificate's serial number: 20 random octets with the top bit cleared, so that it is positive and fits (RFC 5280 §4.1.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Serial([u8; 20]);

impl Serial {
    /// Takes 20 octets from a random source.
    #[must_use]
    pub const fn from_random(mut octets: [u8; 20]) -> Self {
        octets[0] &= 0x7F;
        Self(octets)
    }

    /// Big-endian.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 20] {
        &self.0
    }
}

/// What one certificate says.
#[derive(Debug, Clone)]
pub struct Profile {
    /// Its serial number.
    pub serial: Serial,
    /// First second of validity; cut to whole seconds.
    pub not_before: Timestamp,
    /// Last second of validity; cut to whole seconds.
    pub not_after: Timestamp,
    /// The key it certifies.
    pub public_key: PublicKey,
    /// Who it is for.
    pub subject_alt_name: SubjectAltName,
    /// What the token said.
    pub extensions: FulcioExtensions,
}

/// The profile cannot be put into a certificate.
#[derive(Debug, thiserror::Error)]
pub enum LeafError {
    /// The identity.
    #[error("the identity cannot be certified")]
    Identity(#[from] SanError),
    /// A date that no certificate can carry.
    #[error("the validity cannot be written into a certificate")]
    Validity,
    /// Not DER after all.
    #[error("the certificate could not be encoded")]
    Encode(#[source] der::Error),
    /// The builder refused.
    #[error("the certificate could not be built")]
    Build(#[source] x509_cert::builder::Error),
    /// The builder wrote something else than was asked.
    #[error("the encoded certificate does not carry the issuer's name as it stands in the issuer's certificate")]
    IssuerName,
    /// What was assembled does not parse.
    #[error("the assembled certificate does not parse")]
    Assemble(#[source] CertificateError),
}

/// A certificate without its signature.
#[derive(Debug, Clone)]
pub struct Draft {
    tbs: Vec<u8>,
    /// AlgorithmIdentifier, DER.
    algorithm: Vec<u8>,
}

impl Draft {
    /// The precertificate (RFC 6962 §3.1): poison, critical, as its last extension.
    ///
    /// # Errors
    /// [`LeafError`].
    pub fn precertificate(issuer: &Issuer, profile: &Profile) -> Result<Self, LeafError> {
        let value = Null.to_der().map_err(LeafError::Encode)?;
        Self::with_last(issuer, profile, Last { oid: oid::CT_POISON, critical: true, value })
    }

    /// The certificate: as the precertificate, with the SCT list (RFC 6962 §3.3) in place of the poison. `sct_list` is the
    /// `SignedCertificateTimestampList`, its outer length included.
    ///
    /// # Errors
    /// [`LeafError`].
    pub fn certificate(issuer: &Issuer, profile: &Profile, sct_list: &[u8]) -> Result<Self, LeafError> {
        // An OCTET STRING inside of the extension's own.
        let value = OctetString::new(sct_list).and_then(|list| list.to_der()).map_err(LeafError::Encode)?;
        Self::with_last(issuer, profile, Last { oid: oid::CT_SCT_LIST, critical: false, value })
    }

    fn with_last(issuer: &Issuer, profile: &Profile, last: Last) -> Result<Self, LeafError> {
        let mut extensions = extensions::of_profile(issuer, profile)?;
        extensions.push(last.into_extension()?);
        let tbs = builder::tbs(issuer, profile, extensions)?;
        Ok(Self { tbs, algorithm: issuer.algorithm().identifier().to_der().map_err(LeafError::Encode)? })
    }

    /// The TBSCertificate, DER: what is recorded and then signed.
    #[must_use]
    pub fn tbs(&self) -> &[u8] {
        &self.tbs
    }

    /// The certificate with its signature over [`tbs`](Self::tbs): DER ECDSA, PKCS #1 v1.5 or Ed25519, as the issuer's key signs.
    /// The signature is not verified here.
    ///
    /// # Errors
    /// [`LeafError::Assemble`].
    pub fn assemble(&self, signature: &[u8]) -> Result<Certificate, LeafError> {
        let signature = BitString::from_bytes(signature).and_then(|bits| bits.to_der()).map_err(LeafError::Encode)?;
        let der = wrap(Tag::Sequence, &[&self.tbs[..], &self.algorithm, &signature].concat());
        Certificate::from_der(&der).map_err(LeafError::Assemble)
    }
}

struct Last {
    oid: const_oid::ObjectIdentifier,
    critical: bool,
    value: Vec<u8>,
}

impl Last {
    fn into_extension(self) -> Result<Extension, LeafError> {
        let extn_value = OctetString::new(self.value).map_err(LeafError::Encode)?;
        Ok(Extension { extn_id: self.oid, critical: self.critical, extn_value })
    }
}

#[cfg(test)]
mod tests;
