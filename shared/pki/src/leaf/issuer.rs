//! The certificate that issues.

use der::Decode as _;
use x509_cert::name::Name;

use crate::algorithm::SignatureAlgorithm;
use crate::certificate::Certificate;

/// What a certificate takes from its issuer: name, key identifier, algorithm. Made once, at start-up.
#[derive(Debug, Clone)]
pub struct Issuer {
    certificate: Certificate,
    name: Name,
    key_id: Vec<u8>,
    algorithm: SignatureAlgorithm,
}

/// The certificate cannot issue.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    /// Its name cannot be copied.
    #[error("the subject of the issuing certificate is not a DER Name, so it cannot be copied into certificates")]
    Name,
    /// Its certificates could carry no AuthorityKeyIdentifier.
    #[error("the issuing certificate has no SubjectKeyIdentifier, which sigstore-python requires")]
    NoKeyId,
}

impl Issuer {
    /// Takes name and key identifier from the issuing certificate. Whether it *may* issue is for [`crate::chain`] to say.
    ///
    /// # Errors
    /// [`IssuerError`].
    pub fn new(certificate: &Certificate) -> Result<Self, IssuerError> {
        let name = Name::from_der(certificate.subject_der()).map_err(|_| IssuerError::Name)?;
        let key_id = certificate.extensions().subject_key_id().ok_or(IssuerError::NoKeyId)?.to_vec();
        let algorithm = SignatureAlgorithm::of(certificate.public_key().kind());
        Ok(Self { certificate: certificate.clone(), name, key_id, algorithm })
    }

    /// The issuing certificate.
    #[must_use]
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// The algorithm that the key signs with.
    #[must_use]
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    pub(super) fn name(&self) -> &Name {
        &self.name
    }

    pub(super) fn key_id(&self) -> &[u8] {
        &self.key_id
    }
}
