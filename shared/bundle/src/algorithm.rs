//! The enumerations of `sigstore_common.proto` that name algorithms.

use std::fmt;

use pki::KeyKind;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Declares an enumeration whose JSON form is its protobuf name; its number is read too, as protobuf JSON demands.
macro_rules! proto_enum {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $number:literal $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant = $number,)+ }

        impl $name {
            /// Every value, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The protobuf name, as it stands in JSON.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The protobuf number.
            #[must_use]
            pub fn number(self) -> u64 {
                self as u64
            }

            /// The value of this protobuf name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|value| value.name() == name)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct NameOrNumber;
                impl Visitor<'_> for NameOrNumber {
                    type Value = $name;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str(concat!("a name of the enumeration ", stringify!($name)))
                    }
                    fn visit_str<E: de::Error>(self, text: &str) -> Result<$name, E> {
                        $name::from_name(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
                    }
                    fn visit_u64<E: de::Error>(self, number: u64) -> Result<$name, E> {
                        let known = $name::ALL.iter().copied().find(|value| value.number() == number);
                        known.ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(number), &self))
                    }
                }
                deserializer.deserialize_any(NameOrNumber)
            }
        }
    };
}

proto_enum! {
    /// `dev.sigstore.common.v1.HashAlgorithm`.
    HashAlgorithm {
        /// SHA-256: the one hash of every log.
        Sha2_256 = 1 "SHA2_256",
        /// SHA-384.
        Sha2_384 = 2 "SHA2_384",
        /// SHA-512.
        Sha2_512 = 3 "SHA2_512",
        /// SHA3-256.
        Sha3_256 = 4 "SHA3_256",
        /// SHA3-384.
        Sha3_384 = 5 "SHA3_384",
    }
}

proto_enum! {
    /// `dev.sigstore.common.v1.PublicKeyDetails`: kind of key, encoding, padding and hash in one name.
    ///
    /// A reader that does not know one of these refuses the whole document, so all of them are here although we write few.
    KeyDetails {
        /// RSA, PKCS #1 key, PKCS #1 v1.5 signatures (deprecated; old public CT logs).
        Pkcs1RsaPkcs1V5 = 1 "PKCS1_RSA_PKCS1V5",
        /// RSA, PKCS #1 key, PSS signatures (deprecated).
        Pkcs1RsaPss = 2 "PKCS1_RSA_PSS",
        /// RSA, SPKI, PKCS #1 v1.5 signatures (deprecated).
        PkixRsaPkcs1V5 = 3 "PKIX_RSA_PKCS1V5",
        /// RSA, SPKI, PSS signatures (deprecated).
        PkixRsaPss = 4 "PKIX_RSA_PSS",
        /// ECDSA P-256 with SHA-256: every log of ours unless chosen otherwise.
        PkixEcdsaP256Sha256 = 5 "PKIX_ECDSA_P256_SHA_256",
        /// ECDSA P-256 with HMAC (deprecated).
        PkixEcdsaP256HmacSha256 = 6 "PKIX_ECDSA_P256_HMAC_SHA_256",
        /// Ed25519, pure.
        PkixEd25519 = 7 "PKIX_ED25519",
        /// Ed25519, prehashed with SHA-512.
        PkixEd25519Ph = 8 "PKIX_ED25519_PH",
        /// RSA 2048, PKCS #1 v1.5, SHA-256.
        PkixRsaPkcs1V15_2048Sha256 = 9 "PKIX_RSA_PKCS1V15_2048_SHA256",
        /// RSA 3072, PKCS #1 v1.5, SHA-256.
        PkixRsaPkcs1V15_3072Sha256 = 10 "PKIX_RSA_PKCS1V15_3072_SHA256",
        /// RSA 4096, PKCS #1 v1.5, SHA-256.
        PkixRsaPkcs1V15_4096Sha256 = 11 "PKIX_RSA_PKCS1V15_4096_SHA256",
        /// ECDSA P-384 with SHA-384.
        PkixEcdsaP384Sha384 = 12 "PKIX_ECDSA_P384_SHA_384",
        /// ECDSA P-521 with SHA-512.
        PkixEcdsaP521Sha512 = 13 "PKIX_ECDSA_P521_SHA_512",
        /// LMS (reserved).
        LmsSha256 = 14 "LMS_SHA256",
        /// LM-OTS (reserved).
        LmotsSha256 = 15 "LMOTS_SHA256",
        /// RSA 2048, PSS, SHA-256.
        PkixRsaPss2048Sha256 = 16 "PKIX_RSA_PSS_2048_SHA256",
        /// RSA 3072, PSS, SHA-256.
        PkixRsaPss3072Sha256 = 17 "PKIX_RSA_PSS_3072_SHA256",
        /// RSA 4096, PSS, SHA-256.
        PkixRsaPss4096Sha256 = 18 "PKIX_RSA_PSS_4096_SHA256",
        /// ECDSA P-384 with SHA-256 (deprecated).
        PkixEcdsaP384Sha256 = 19 "PKIX_ECDSA_P384_SHA_256",
        /// ECDSA P-521 with SHA-256 (deprecated).
        PkixEcdsaP521Sha256 = 20 "PKIX_ECDSA_P521_SHA_256",
        /// ML-DSA-65.
        MlDsa65 = 21 "ML_DSA_65",
        /// ML-DSA-87.
        MlDsa87 = 22 "ML_DSA_87",
        /// ML-DSA-44.
        MlDsa44 = 23 "ML_DSA_44",
    }
}

impl KeyDetails {
    /// What a key of this kind is called when it signs with its usual hash; for Ed25519, without hashing first.
    #[must_use]
    pub fn of(kind: KeyKind) -> Self {
        match kind {
            KeyKind::P256 => Self::PkixEcdsaP256Sha256,
            KeyKind::P384 => Self::PkixEcdsaP384Sha384,
            KeyKind::P521 => Self::PkixEcdsaP521Sha512,
            KeyKind::Ed25519 => Self::PkixEd25519,
            KeyKind::Rsa { bits: 2048 } => Self::PkixRsaPkcs1V15_2048Sha256,
            KeyKind::Rsa { bits: 3072 } => Self::PkixRsaPkcs1V15_3072Sha256,
            // `PublicKey` knows no other length.
            KeyKind::Rsa { .. } => Self::PkixRsaPkcs1V15_4096Sha256,
        }
    }
}

impl From<pki::HashAlgorithm> for HashAlgorithm {
    fn from(algorithm: pki::HashAlgorithm) -> Self {
        match algorithm {
            pki::HashAlgorithm::Sha256 => Self::Sha2_256,
            pki::HashAlgorithm::Sha384 => Self::Sha2_384,
            pki::HashAlgorithm::Sha512 => Self::Sha2_512,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_proto_and_names_come_back() {
        assert!(KeyDetails::ALL.iter().map(|value| value.number()).eq(1..=23));
        assert!(HashAlgorithm::ALL.iter().map(|value| value.number()).eq(1..=5));
        for value in KeyDetails::ALL {
            assert_eq!(serde_json::to_value(value).unwrap(), value.name());
            assert_eq!(serde_json::from_value::<KeyDetails>(value.name().into()).unwrap(), *value);
            assert_eq!(serde_json::from_value::<KeyDetails>(value.number().into()).unwrap(), *value);
        }
        assert_eq!(KeyDetails::from_name("PKIX_ECDSA_P256_SHA_256").map(KeyDetails::number), Some(5));
    }

    #[test]
    fn unknown_names_and_the_unspecified_value_are_refused() {
        for value in [serde_json::json!("PKIX_ECDSA_P256"), 0.into(), 24.into(), serde_json::Value::Null] {
            assert!(serde_json::from_value::<KeyDetails>(value).is_err());
        }
    }
}
