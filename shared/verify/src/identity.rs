//! Step 5: whom the certificate names, and who vouched for it.

use der::Decode as _;
use der::asn1::Utf8StringRef;
use pki::{Certificate, ObjectIdentifier, SubjectAltName};

use crate::refusal::Refusal;

/// The issuer as a UTF8String; certificates since 2022 carry it.
const ISSUER_V2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.8");
/// The issuer as bare bytes.
const ISSUER_V1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.1.1");

/// Whom a certificate names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) issuer: Option<String>,
}

/// The one identity of a certificate. Several would let a policy be met by one that nobody looks at.
pub(crate) fn of(certificate: &Certificate) -> Result<Identity, Refusal> {
    let (name, kind) = match certificate.extensions().subject_alt_names() {
        [SubjectAltName::Email(name)] => (name, "email"),
        [SubjectAltName::Uri(name)] => (name, "uri"),
        [SubjectAltName::Username(name)] => (name, "username"),
        names => return Err(Refusal::IdentityCount(names.iter().filter(|name| **name != SubjectAltName::Other).count())),
    };
    Ok(Identity { name: name.clone(), kind, issuer: issuer(certificate) })
}

fn issuer(certificate: &Certificate) -> Option<String> {
    let value = |oid| certificate.extensions().get(oid).map(|extension| extension.value.as_slice());
    match value(ISSUER_V2) {
        Some(der) => Utf8StringRef::from_der(der).ok().map(|issuer| issuer.as_str().to_owned()),
        None => String::from_utf8(value(ISSUER_V1)?.to_vec()).ok(),
    }
}
