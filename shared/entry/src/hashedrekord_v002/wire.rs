//! `dev.sigstore.rekor.v2.CreateEntryRequest` in the protobuf JSON dialect.
//!
//! Both spellings of a name, enumerations by name or number, both base64 alphabets with or without padding, `null` for unset.
//! Unknown and repeated members are refused: a signed document that two parsers read differently is an attack.

use std::fmt;
use std::marker::PhantomData;

use bundle::{Base64, KeyDetails};
use serde::de::value::MapAccessDeserializer;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CreateEntryRequest {
    #[serde(rename = "hashedRekordRequestV002", alias = "hashed_rekord_request_v002")]
    pub(super) hashed_rekord: Option<Object<HashedRekordRequestV002>>,
    #[serde(rename = "dsseRequestV002", alias = "dsse_request_v002")]
    pub(super) dsse: Option<Object<IgnoredAny>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct HashedRekordRequestV002 {
    pub(super) digest: Option<Base64>,
    pub(super) signature: Option<Object<Signature>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Signature {
    pub(super) content: Option<Base64>,
    pub(super) verifier: Option<Object<VerifierMessage>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VerifierMessage {
    #[serde(rename = "publicKey", alias = "public_key")]
    pub(super) public_key: Option<Object<RawBytes>>,
    #[serde(rename = "x509Certificate", alias = "x509_certificate")]
    pub(super) x509_certificate: Option<Object<RawBytes>>,
    #[serde(rename = "keyDetails", alias = "key_details")]
    pub(super) key_details: Option<KeyDetails>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBytes {
    #[serde(rename = "rawBytes", alias = "raw_bytes")]
    pub(super) raw_bytes: Option<Base64>,
}

/// A message that is a JSON object. Derived code alone would also take an array with the members in order.
pub(super) struct Object<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ObjectVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
            type Value = Object<T>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<M: MapAccess<'de>>(self, members: M) -> Result<Object<T>, M::Error> {
                T::deserialize(MapAccessDeserializer::new(members)).map(Object)
            }
        }
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}
