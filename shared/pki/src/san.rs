//! Subject alternative names: the identities that Fulcio certifies.

use std::net::IpAddr;

use der::Decode as _;
use der::asn1::{Any, Ia5String, Utf8StringRef};
use x509_cert::ext::pkix::name::{GeneralName, GeneralNames, OtherName};

use crate::oid;

/// Who a certificate is for. Fulcio's certificates carry exactly one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubjectAltName {
    /// rfc822Name.
    Email(String),
    /// uniformResourceIdentifier.
    Uri(String),
    /// otherName 1.3.6.1.4.1.57264.1.7 with a UTF8String: `user!domain`.
    Username(String),
    /// A kind of name that Fulcio never writes.
    Other,
}

/// A name that a certificate cannot carry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SanError {
    /// E-mail addresses and URIs are IA5String.
    #[error("the {kind} contains characters outside ASCII, which a certificate cannot carry there")]
    NotAscii {
        /// `e-mail address` or `URI`.
        kind: &'static str,
    },
    /// Nothing.
    #[error("the name is empty")]
    Empty,
    /// Only read, never written.
    #[error("names of this kind are not issued")]
    Kind,
}

impl SubjectAltName {
    pub(crate) fn read(name: &GeneralName) -> Self {
        match name {
            GeneralName::Rfc822Name(email) => Self::Email(email.to_string()),
            GeneralName::UniformResourceIdentifier(uri) => Self::Uri(uri.to_string()),
            GeneralName::OtherName(OtherName { type_id, value }) if *type_id == oid::FULCIO_USERNAME => {
                value.decode_as::<Utf8StringRef<'_>>().map_or(Self::Other, |user| Self::Username(user.as_str().to_owned()))
            }
            _ => Self::Other,
        }
    }

    pub(crate) fn general_name(&self) -> Result<GeneralName, SanError> {
        let text = match self {
            Self::Email(text) | Self::Uri(text) | Self::Username(text) => text,
            Self::Other => return Err(SanError::Kind),
        };
        if text.is_empty() {
            return Err(SanError::Empty);
        }
        let ia5 = |kind| Ia5String::new(text).map_err(|_| SanError::NotAscii { kind });
        Ok(match self {
            Self::Email(_) => GeneralName::Rfc822Name(ia5("e-mail address")?),
            Self::Uri(_) => GeneralName::UniformResourceIdentifier(ia5("URI")?),
            Self::Username(_) => GeneralName::OtherName(OtherName {
                type_id: oid::FULCIO_USERNAME,
                value: Any::new(der::Tag::Utf8String, text.as_bytes()).map_err(|_| SanError::Kind)?,
            }),
            Self::Other => return Err(SanError::Kind),
        })
    }
}

/// The names in an extension's value that have a text, in order: those of [`SubjectAltName`], host names and IP addresses. None of a
/// value that cannot be read: whoever needs that to be an error parses the certificate.
pub(crate) fn texts(extension: &[u8]) -> Vec<String> {
    let names = GeneralNames::from_der(extension).unwrap_or_default();
    let text = |name: &GeneralName| match (SubjectAltName::read(name), name) {
        (SubjectAltName::Email(text) | SubjectAltName::Uri(text) | SubjectAltName::Username(text), _) => Some(text),
        (SubjectAltName::Other, GeneralName::DnsName(host)) => Some(host.to_string()),
        (SubjectAltName::Other, GeneralName::IpAddress(octets)) => ip(octets.as_bytes()).map(|address| address.to_string()),
        (SubjectAltName::Other, _) => None,
    };
    names.iter().filter_map(text).collect()
}

fn ip(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(IpAddr::from)).ok()
}
