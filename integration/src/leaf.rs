//! Reading certificates the way a verifier does, for comparison with what a token said.

use der::{Decode as _, DecodePem as _};
use x509_cert::Certificate;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

/// The arc of Fulcio's extensions.
const ARC: &str = "1.3.6.1.4.1.57264.1.";

/// What a leaf certificate says about its holder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// The one subject alternative name, as `email:…` or `uri:…`.
    pub name: String,
    /// Whether it is critical, as it is to be where the subject is empty.
    pub name_is_critical: bool,
    /// Every extension in its order, by identifier.
    pub order: Vec<String>,
    /// Fulcio's extensions in their order: the last part of the identifier, and the text. Up to 6 the text is raw, from 8 on it is
    /// a DER UTF8String.
    pub identity: Vec<(u32, String)>,
    /// How long it is valid, in seconds.
    pub lifetime: u64,
}

impl Leaf {
    /// Reads a PEM certificate.
    ///
    /// # Panics
    /// It is not one, or not of Fulcio's profile.
    #[must_use]
    pub fn from_pem(pem: &str) -> Self {
        Self::read(&Certificate::from_pem(pem).expect("a PEM certificate"))
    }

    /// Reads a DER certificate.
    ///
    /// # Panics
    /// As [`Self::from_pem`].
    #[must_use]
    pub fn from_der(der: &[u8]) -> Self {
        Self::read(&Certificate::from_der(der).expect("a DER certificate"))
    }

    fn read(certificate: &Certificate) -> Self {
        let tbs = certificate.tbs_certificate();
        assert!(tbs.subject().is_empty(), "the subject is empty");
        let extensions = tbs.extensions().expect("a leaf has extensions");
        let mut leaf = Self {
            name: String::new(),
            name_is_critical: false,
            order: extensions.iter().map(|extension| extension.extn_id.to_string()).collect(),
            identity: Vec::new(),
            lifetime: {
                let seconds = |time: x509_cert::time::Time| time.to_unix_duration().as_secs();
                seconds(tbs.validity().not_after) - seconds(tbs.validity().not_before)
            },
        };
        for extension in extensions {
            let value = extension.extn_value.as_bytes();
            let id = extension.extn_id.to_string();
            if id == "2.5.29.17" {
                leaf.name = name(value);
                leaf.name_is_critical = extension.critical;
            } else if let Some(last) = id.strip_prefix(ARC) {
                assert!(!extension.critical, "{id} is not critical");
                let last: u32 = last.parse().expect("a number");
                leaf.identity.push((last, text(last, value)));
            }
        }
        leaf
    }
}

fn name(value: &[u8]) -> String {
    let SubjectAltName(names) = SubjectAltName::from_der(value).expect("a subject alternative name");
    match names.as_slice() {
        [GeneralName::Rfc822Name(address)] => format!("email:{}", address.as_str()),
        [GeneralName::UniformResourceIdentifier(uri)] => format!("uri:{}", uri.as_str()),
        other => panic!("exactly one e-mail address or URI expected: {other:?}"),
    }
}

fn text(last: u32, value: &[u8]) -> String {
    if last < 7 {
        return String::from_utf8(value.to_vec()).expect("text");
    }
    der::asn1::Utf8StringRef::from_der(value).expect("a UTF8String").as_str().to_owned()
}
