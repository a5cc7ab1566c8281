//! The extensions of a Fulcio certificate, in their order.

use std::collections::BTreeMap;

use const_oid::ObjectIdentifier;
use const_oid::db::rfc5280::{
    ID_CE_AUTHORITY_KEY_IDENTIFIER, ID_CE_EXT_KEY_USAGE, ID_CE_KEY_USAGE, ID_CE_SUBJECT_ALT_NAME, ID_CE_SUBJECT_KEY_IDENTIFIER,
};
use der::Encode;
use der::asn1::{OctetString, Utf8StringRef};
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, ExtendedKeyUsage, KeyUsage, KeyUsages};

use super::{Issuer, LeafError, Profile};
use crate::key::PublicKey;
use crate::oid;

const ISSUER: u8 = 1;
const ISSUER_V2: u8 = 8;
const TOKEN_SUBJECT: u8 = 24;

/// The extensions under 1.3.6.1.4.1.57264.1, by their last arc.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FulcioExtensions(BTreeMap<u8, String>);

/// An extension that cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExtensionError {
    /// Every certificate names the issuer of its token.
    #[error("the token's issuer is empty")]
    EmptyIssuer,
    /// `.1`, `.8` and `.24` come from the token itself, `.7` is a kind of name; the others do not exist.
    #[error("there is no extension 1.3.6.1.4.1.57264.1.{arc} to be set; expected 2 to 6 or 9 to 23")]
    Arc {
        /// The last arc.
        arc: u8,
    },
}

impl FulcioExtensions {
    /// What every certificate carries: the token's issuer (`.1` and `.8`) and, unless it is empty, its subject (`.24`).
    ///
    /// # Errors
    /// [`ExtensionError::EmptyIssuer`].
    pub fn new(issuer: &str, subject: &str) -> Result<Self, ExtensionError> {
        if issuer.is_empty() {
            return Err(ExtensionError::EmptyIssuer);
        }
        let mut extensions = BTreeMap::from([(ISSUER, issuer.to_owned()), (ISSUER_V2, issuer.to_owned())]);
        if !subject.is_empty() {
            extensions.insert(TOKEN_SUBJECT, subject.to_owned());
        }
        Ok(Self(extensions))
    }

    /// Sets the extension with this last arc; empty text leaves it out.
    ///
    /// # Errors
    /// [`ExtensionError::Arc`].
    pub fn set(&mut self, arc: u8, text: &str) -> Result<(), ExtensionError> {
        if !matches!(arc, 2..=6 | 9..=23) {
            return Err(ExtensionError::Arc { arc });
        }
        if text.is_empty() {
            self.0.remove(&arc);
        } else {
            self.0.insert(arc, text.to_owned());
        }
        Ok(())
    }

    /// Last arcs and texts, ascending.
    pub fn iter(&self) -> impl Iterator<Item = (u8, &str)> {
        self.0.iter().map(|(arc, text)| (*arc, text.as_str()))
    }
}

/// Everything but the last extension, which tells precertificate and certificate apart.
pub(super) fn of_profile(issuer: &Issuer, profile: &Profile) -> Result<Vec<Extension>, LeafError> {
    let name = profile.subject_alt_name.general_name()?;
    of_fields(issuer, profile, &[name]).map_err(LeafError::Encode)
}

fn of_fields(
    issuer: &Issuer,
    profile: &Profile,
    names: &[x509_cert::ext::pkix::name::GeneralName],
) -> der::Result<Vec<Extension>> {
    let authority_key_id =
        AuthorityKeyIdentifier { key_identifier: Some(OctetString::new(issuer.key_id())?), ..AuthorityKeyIdentifier::default() };
    let mut extensions = vec![
        extension(ID_CE_KEY_USAGE, true, &KeyUsage(KeyUsages::DigitalSignature.into()))?,
        extension(ID_CE_EXT_KEY_USAGE, false, &ExtendedKeyUsage(vec![oid::CODE_SIGNING]))?,
        extension(ID_CE_SUBJECT_KEY_IDENTIFIER, false, &OctetString::new(key_id(&profile.public_key))?)?,
        extension(ID_CE_AUTHORITY_KEY_IDENTIFIER, false, &authority_key_id)?,
        // The subject is empty, so this is the name, and critical (RFC 5280 §4.2.1.6).
        extension(ID_CE_SUBJECT_ALT_NAME, true, &names.to_vec())?,
    ];
    for (arc, text) in profile.extensions.iter() {
        extensions.push(fulcio_extension(arc, text)?);
    }
    Ok(extensions)
}

/// `.1` to `.6` are bare text, the others a DER UTF8String: clients compare the bytes.
fn fulcio_extension(arc: u8, text: &str) -> der::Result<Extension> {
    let value = match arc {
        ..=6 => text.as_bytes().to_vec(),
        _ => Utf8StringRef::new(text)?.to_der()?,
    };
    let extn_id = oid::FULCIO.push_arc(arc.into()).map_err(|_| der::ErrorKind::OidMalformed)?;
    Ok(Extension { extn_id, critical: false, extn_value: OctetString::new(value)? })
}

fn extension(extn_id: ObjectIdentifier, critical: bool, value: &impl Encode) -> der::Result<Extension> {
    Ok(Extension { extn_id, critical, extn_value: OctetString::new(value.to_der()?)? })
}

/// RFC 5280 §4.2.1.2, method 1: SHA-1 of the key's bits. It names a key and secures nothing.
pub(crate) fn key_id(key: &PublicKey) -> Vec<u8> {
    use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
    digest(&SHA1_FOR_LEGACY_USE_ONLY, key.key_bytes()).as_ref().to_vec()
}
