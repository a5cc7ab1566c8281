//! The extensions of a certificate.

use const_oid::ObjectIdentifier;
use const_oid::db::rfc5280::{
    ID_CE_AUTHORITY_KEY_IDENTIFIER, ID_CE_BASIC_CONSTRAINTS, ID_CE_EXT_KEY_USAGE, ID_CE_KEY_USAGE, ID_CE_SUBJECT_ALT_NAME,
    ID_CE_SUBJECT_KEY_IDENTIFIER,
};
use der::Decode as _;
use der::asn1::OctetString;
use x509_cert::ext::pkix;
use x509_cert::ext::pkix::name::GeneralNames;

use super::CertificateError;
use crate::oid;
use crate::san::{self, SubjectAltName};

/// Every extension as its bytes, and what the known ones say.
#[derive(Debug, Clone, Default)]
pub struct Extensions {
    all: Vec<Extension>,
    basic_constraints: Option<BasicConstraints>,
    key_usage: Option<KeyUsage>,
    ext_key_usage: Option<Vec<ObjectIdentifier>>,
    subject_key_id: Option<Vec<u8>>,
    authority_key_id: Option<Vec<u8>>,
    subject_alt_names: Vec<SubjectAltName>,
    sct_list: Option<Vec<u8>>,
}

/// One extension.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extension {
    /// What it is.
    pub oid: ObjectIdentifier,
    /// Whether who does not know it must refuse the certificate.
    pub critical: bool,
    /// The content of extnValue.
    pub value: Vec<u8>,
}

/// RFC 5280 §4.2.1.9.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BasicConstraints {
    /// Whether the key may sign certificates.
    pub ca: bool,
    /// How many intermediates may follow.
    pub path_length: Option<u8>,
    /// Whether the extension is critical.
    pub critical: bool,
}

/// RFC 5280 §4.2.1.3, the bits that matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyUsage {
    /// digitalSignature.
    pub digital_signature: bool,
    /// keyCertSign.
    pub certificate_signing: bool,
    /// cRLSign.
    pub crl_signing: bool,
    /// Any of the other six.
    pub other: bool,
    /// Whether the extension is critical.
    pub critical: bool,
}

impl Extensions {
    pub(super) fn read(raw: &[x509_cert::ext::Extension]) -> Result<Self, CertificateError> {
        let mut extensions = Self::default();
        for extension in raw {
            let oid = extension.extn_id;
            if extensions.get(oid).is_some() {
                return Err(CertificateError::DuplicateExtension { oid });
            }
            let value = extension.extn_value.as_bytes();
            extensions.decode(oid, extension.critical, value).map_err(|_| CertificateError::Extension { oid })?;
            extensions.all.push(Extension { oid, critical: extension.critical, value: value.to_vec() });
        }
        Ok(extensions)
    }

    fn decode(&mut self, oid: ObjectIdentifier, critical: bool, value: &[u8]) -> der::Result<()> {
        match oid {
            ID_CE_BASIC_CONSTRAINTS => {
                let found = pkix::BasicConstraints::from_der(value)?;
                self.basic_constraints =
                    Some(BasicConstraints { ca: found.ca, path_length: found.path_len_constraint, critical });
            }
            ID_CE_KEY_USAGE => {
                let found = pkix::KeyUsage::from_der(value)?;
                let named = [found.digital_signature(), found.key_cert_sign(), found.crl_sign()];
                self.key_usage = Some(KeyUsage {
                    digital_signature: named[0],
                    certificate_signing: named[1],
                    crl_signing: named[2],
                    other: found.0.into_iter().count() > named.iter().filter(|set| **set).count(),
                    critical,
                });
            }
            ID_CE_EXT_KEY_USAGE => self.ext_key_usage = Some(pkix::ExtendedKeyUsage::from_der(value)?.0),
            ID_CE_SUBJECT_KEY_IDENTIFIER => self.subject_key_id = Some(OctetString::from_der(value)?.into_bytes().into()),
            ID_CE_AUTHORITY_KEY_IDENTIFIER => {
                let found = pkix::AuthorityKeyIdentifier::from_der(value)?;
                self.authority_key_id = found.key_identifier.map(|id| id.into_bytes().into());
            }
            ID_CE_SUBJECT_ALT_NAME => {
                self.subject_alt_names = GeneralNames::from_der(value)?.iter().map(SubjectAltName::read).collect();
            }
            oid::CT_SCT_LIST => self.sct_list = Some(OctetString::from_der(value)?.into_bytes().into()),
            _ => {}
        }
        Ok(())
    }

    /// All of them, in the certificate's order.
    #[must_use]
    pub fn all(&self) -> &[Extension] {
        &self.all
    }

    /// The one with this OID.
    #[must_use]
    pub fn get(&self, oid: ObjectIdentifier) -> Option<&Extension> {
        self.all.iter().find(|extension| extension.oid == oid)
    }

    /// Whether the key may sign certificates.
    #[must_use]
    pub fn basic_constraints(&self) -> Option<BasicConstraints> {
        self.basic_constraints
    }

    /// What the key may do.
    #[must_use]
    pub fn key_usage(&self) -> Option<KeyUsage> {
        self.key_usage
    }

    /// What the key is for; `None` when the certificate does not say.
    #[must_use]
    pub fn ext_key_usage(&self) -> Option<&[ObjectIdentifier]> {
        self.ext_key_usage.as_deref()
    }

    /// SubjectKeyIdentifier.
    #[must_use]
    pub fn subject_key_id(&self) -> Option<&[u8]> {
        self.subject_key_id.as_deref()
    }

    /// The key id of AuthorityKeyIdentifier.
    #[must_use]
    pub fn authority_key_id(&self) -> Option<&[u8]> {
        self.authority_key_id.as_deref()
    }

    /// Who the certificate is for: its subject alternative names, in order; empty without the extension.
    #[must_use]
    pub fn subject_alt_names(&self) -> &[SubjectAltName] {
        &self.subject_alt_names
    }

    /// Every subject alternative name that has a text, in order: e-mail addresses, URIs, host names, IP addresses and Fulcio's usernames.
    #[must_use]
    pub fn subject_texts(&self) -> Vec<String> {
        self.get(ID_CE_SUBJECT_ALT_NAME).map(|extension| san::texts(&extension.value)).unwrap_or_default()
    }

    /// The embedded `SignedCertificateTimestampList` (RFC 6962 §3.3), its outer length included, out of the OCTET STRING that it is
    /// wrapped in.
    #[must_use]
    pub fn sct_list(&self) -> Option<&[u8]> {
        self.sct_list.as_deref()
    }
}
