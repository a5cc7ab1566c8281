//! Our own certificate authorities, made once by `init`: a root and an intermediate for Fulcio, a root and a signing
//! certificate for the timestamp authority.
//!
//! rcgen builds and signs them; every certificate that leaves here was parsed again and has the issuer's name byte for byte.

use const_oid::db::rfc5280::{ID_CE_EXT_KEY_USAGE, ID_KP_TIME_STAMPING};
use der::Encode as _;
use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, KeyIdMethod,
    KeyPair, KeyUsagePurpose, SerialNumber, SubjectPublicKeyInfo,
};
use time::OffsetDateTime;

use crate::certificate::{Certificate, CertificateError, CertificateSignatureError};
use crate::key::{KeyError, KeyKind, PublicKey};
use crate::leaf::{Serial, key_id};

/// A private key that signs certificates, from PKCS#8 PEM. It is not kept anywhere else.
pub struct CaKey {
    pair: KeyPair,
    public_key: PublicKey,
}

/// What one certificate of ours is called, and for how long it is valid.
#[derive(Debug, Clone)]
pub struct Subject {
    /// O. The same in a root and in what it signs: clients show it, sigstore-python matches on it.
    pub organization: String,
    /// CN.
    pub common_name: String,
    /// Its serial number.
    pub serial: Serial,
    /// First second of validity, in whole seconds.
    pub not_before: Timestamp,
    /// Last second of validity, in whole seconds.
    pub not_after: Timestamp,
}

/// A certificate of ours could not be made.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// The key cannot sign certificates.
    #[error("the key cannot be used for a certificate authority")]
    Key(#[source] rcgen::Error),
    /// Its public half, or that of the subject.
    #[error("the public key cannot be certified")]
    PublicKey(#[from] KeyError),
    /// Ed25519, or P-521.
    #[error("keys of the kind {kind} are not used for certificate authorities; expected ECDSA P-384, ECDSA P-256 or RSA")]
    Kind {
        /// Its kind.
        kind: KeyKind,
    },
    /// A time no certificate can carry.
    #[error("the validity cannot be written into a certificate")]
    Validity,
    /// The builder refused.
    #[error("the certificate could not be made")]
    Build(#[source] rcgen::Error),
    /// What was built does not parse.
    #[error("the certificate that was made does not parse")]
    Parse(#[from] CertificateError),
    /// What was built names another issuer.
    #[error("the certificate that was made does not carry its issuer's name")]
    IssuerName,
    /// What was built does not verify.
    #[error("the certificate that was made does not verify under its issuer's key; the key belongs to another certificate")]
    Signature(#[source] CertificateSignatureError),
}

impl CaKey {
    /// Reads an unencrypted PKCS#8 key: ECDSA P-384, ECDSA P-256 or RSA.
    ///
    /// # Errors
    /// [`CaError::Key`], [`CaError::PublicKey`], [`CaError::Kind`].
    pub fn from_pkcs8_pem(pem: &str) -> Result<Self, CaError> {
        let pair = KeyPair::from_pem(pem).map_err(CaError::Key)?;
        let public_key = PublicKey::from_spki_der(&rcgen::PublicKeyData::subject_public_key_info(&pair))?;
        match public_key.kind() {
            KeyKind::P256 | KeyKind::P384 | KeyKind::Rsa { .. } => Ok(Self { pair, public_key }),
            kind @ (KeyKind::P521 | KeyKind::Ed25519) => Err(CaError::Kind { kind }),
        }
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }
}

impl std::fmt::Debug for CaKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("CaKey").field(&self.public_key).finish()
    }
}

/// A self-signed root: CA:TRUE, keyCertSign and cRLSign, key identifier, no purposes. For Fulcio and for the timestamp authority.
///
/// # Errors
/// [`CaError`].
pub fn root(key: &CaKey, subject: &Subject) -> Result<Certificate, CaError> {
    let params = authority(subject, &key.public_key, BasicConstraints::Unconstrained)?;
    let built = params.self_signed(&key.pair).map_err(CaError::Build)?;
    parsed(built.der(), None)
}

/// Fulcio's issuing certificate for `public_key`: as a root, but with path length 0, the purpose codeSigning, and the authority's key
/// identifier.
///
/// # Errors
/// [`CaError`].
pub fn intermediate(
    root: &Certificate,
    root_key: &CaKey,
    public_key: &PublicKey,
    subject: &Subject,
) -> Result<Certificate, CaError> {
    let mut params = authority(subject, public_key, BasicConstraints::Constrained(0))?;
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::CodeSigning];
    params.use_authority_key_identifier_extension = true;
    signed(&params, root, root_key, public_key)
}

/// The timestamp authority's signing certificate for `public_key`: CA:FALSE, digitalSignature alone, and the one purpose
/// timeStamping, critical. Every other combination fails in some client.
///
/// # Errors
/// [`CaError`].
pub fn timestamping(
    root: &Certificate,
    root_key: &CaKey,
    public_key: &PublicKey,
    subject: &Subject,
) -> Result<Certificate, CaError> {
    let mut params = base(subject, public_key)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.use_authority_key_identifier_extension = true;
    params.custom_extensions = vec![critical_time_stamping()];
    signed(&params, root, root_key, public_key)
}

fn authority(subject: &Subject, public_key: &PublicKey, constraints: BasicConstraints) -> Result<CertificateParams, CaError> {
    let mut params = base(subject, public_key)?;
    params.is_ca = IsCa::Ca(constraints);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn base(subject: &Subject, public_key: &PublicKey) -> Result<CertificateParams, CaError> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, &subject.organization);
    params.distinguished_name.push(DnType::CommonName, &subject.common_name);
    params.serial_number = Some(SerialNumber::from_slice(subject.serial.as_bytes()));
    params.not_before = date(subject.not_before)?;
    params.not_after = date(subject.not_after)?;
    params.key_identifier_method = KeyIdMethod::PreSpecified(key_id(public_key));
    Ok(params)
}

fn signed(
    params: &CertificateParams,
    root: &Certificate,
    root_key: &CaKey,
    public_key: &PublicKey,
) -> Result<Certificate, CaError> {
    let issuer = rcgen::Issuer::from_ca_cert_der(&root.der().into(), &root_key.pair).map_err(CaError::Build)?;
    let subject_key = SubjectPublicKeyInfo::from_der(public_key.spki_der()).map_err(CaError::Build)?;
    let built = params.signed_by(&subject_key, &issuer).map_err(CaError::Build)?;
    parsed(built.der(), Some(root))
}

/// rcgen writes names from a map of its own, and signs with whatever key it is given: look at what came out.
fn parsed(der: &[u8], issuer: Option<&Certificate>) -> Result<Certificate, CaError> {
    let certificate = Certificate::from_der(der)?;
    let issuer = issuer.unwrap_or(&certificate);
    if certificate.issuer_der() != issuer.subject_der() {
        return Err(CaError::IssuerName);
    }
    certificate.verify_signature(issuer.public_key()).map_err(CaError::Signature)?;
    Ok(certificate)
}

/// rcgen's own ExtendedKeyUsage is never critical.
fn critical_time_stamping() -> CustomExtension {
    let oid: Vec<u64> = ID_CE_EXT_KEY_USAGE.arcs().map(u64::from).collect();
    let usages = vec![ID_KP_TIME_STAMPING].to_der().expect("one OID encodes");
    let mut extension = CustomExtension::from_oid_content(&oid, usages);
    extension.set_criticality(true);
    extension
}

fn date(at: Timestamp) -> Result<OffsetDateTime, CaError> {
    OffsetDateTime::from_unix_timestamp(at.as_second()).map_err(|_| CaError::Validity)
}

#[cfg(test)]
mod tests;
