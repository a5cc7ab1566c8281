//! TSA policies: object identifiers.

use std::fmt;
use std::str::FromStr;

use der::asn1::ObjectIdentifier;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::encode::{OBJECT_IDENTIFIER, tlv};

const MAX_COMPONENTS: usize = 128;

/// The identifier of a policy under which tokens are issued (`TSAPolicyId`); at most 39 bytes of DER.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PolicyId(ObjectIdentifier);

impl PolicyId {
    /// The policy of Sigstore's timestamp authorities, used when nothing else is configured.
    pub const SIGSTORE: Self = Self(ObjectIdentifier::new_unwrap("1.3.6.1.4.1.57264.2"));

    pub(crate) fn from_contents(contents: &[u8]) -> Result<Self, der::Error> {
        ObjectIdentifier::from_bytes(contents).map(Self).map_err(der::Error::from)
    }

    pub(crate) fn to_der(self) -> Vec<u8> {
        tlv(OBJECT_IDENTIFIER, &[self.0.as_bytes()])
    }
}

impl FromStr for PolicyId {
    type Err = PolicyIdError;

    fn from_str(text: &str) -> Result<Self, PolicyIdError> {
        if text.split('.').count() > MAX_COMPONENTS {
            return Err(PolicyIdError::TooManyComponents);
        }
        ObjectIdentifier::new(text).map(Self).map_err(|_| PolicyIdError::Malformed)
    }
}

impl fmt::Display for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for PolicyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PolicyId({})", self.0)
    }
}

impl Serialize for PolicyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for PolicyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A text is no policy identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PolicyIdError {
    /// More than 128 components.
    #[error("OID should be comprised of at most 128 components")]
    TooManyComponents,
    /// Not dotted decimal, or longer than any policy in use.
    #[error("a policy is an object identifier in dotted form such as 1.3.6.1.4.1.57264.2")]
    Malformed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dotted_form() {
        assert_eq!("1.3.6.1.4.1.57264.2".parse(), Ok(PolicyId::SIGSTORE));
        assert_eq!(PolicyId::SIGSTORE.to_string(), "1.3.6.1.4.1.57264.2");
        assert_eq!(PolicyId::SIGSTORE.to_der(), [6, 9, 0x2b, 6, 1, 4, 1, 0x83, 0xbf, 0x30, 2]);
        for text in ["", "1", "1.", "1..2", "1.2.x", "3.1", "1.2.-3", "1.99999999999999999999"] {
            assert_eq!(text.parse::<PolicyId>(), Err(PolicyIdError::Malformed), "{text}");
        }
        assert_eq!(["1"; 129].join(".").parse::<PolicyId>(), Err(PolicyIdError::TooManyComponents));
        assert_eq!(["1"; 128].join(".").parse::<PolicyId>(), Err(PolicyIdError::Malformed));
    }
}
