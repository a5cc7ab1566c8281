//! The JSON of proposed entries. One type for the members of all kinds: their names do not overlap, and `kind` may come last.

use std::fmt;

use base64::alphabet;
use base64::engine::{DecodePaddingMode, Engine as _, GeneralPurpose, GeneralPurposeConfig};
use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::lenient::{List, Object, Text, ignored};

/// A proposal as it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
pub(super) struct Proposal {
    #[serde(default)]
    pub(super) kind: Text,
    #[serde(default, rename = "apiVersion")]
    pub(super) api_version: Text,
    #[serde(default)]
    pub(super) spec: Object<Spec>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Spec {
    // hashedrekord
    pub(super) data: Object<Data>,
    pub(super) signature: Object<Signature>,
    // dsse
    pub(super) proposed_content: Object<ProposedContent>,
    pub(super) envelope_hash: Object<HashMember>,
    pub(super) payload_hash: Object<HashMember>,
    pub(super) signatures: List<LoggedSignature>,
    // intoto
    pub(super) content: Object<Content>,
    pub(super) public_key: Text,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub(super) struct Data {
    pub(super) hash: Object<HashMember>,
}

/// A hash, in proposals and in bodies.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub(super) struct HashMember {
    pub(super) algorithm: Text,
    pub(super) value: Text,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Signature {
    pub(super) content: Text,
    pub(super) public_key: Object<KeyContent>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub(super) struct KeyContent {
    pub(super) content: Text,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub(super) struct ProposedContent {
    pub(super) envelope: Text,
    pub(super) verifiers: List<Text>,
}

/// A signature as a dsse body holds it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub(super) struct LoggedSignature {
    pub(super) signature: Text,
    pub(super) verifier: Text,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Content {
    pub(super) envelope: ContentEnvelope,
    pub(super) hash: Object<HashMember>,
    pub(super) payload_hash: Object<HashMember>,
}

/// What version 0.0.1 of intoto sends as a text, and 0.0.2 in parts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) enum ContentEnvelope {
    #[default]
    Absent,
    Text(String),
    Parts(Box<EnvelopeParts>),
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct EnvelopeParts {
    pub(super) payload: Text,
    pub(super) payload_type: Text,
    pub(super) signatures: List<SignatureParts>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct SignatureParts {
    pub(super) keyid: Text,
    pub(super) public_key: Text,
    pub(super) sig: Text,
}

impl<'de> Deserialize<'de> for ContentEnvelope {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct EnvelopeVisitor;
        impl<'de> Visitor<'de> for EnvelopeVisitor {
            type Value = ContentEnvelope;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an object")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<ContentEnvelope, E> {
                Ok(ContentEnvelope::Text(text.to_owned()))
            }
            fn visit_string<E: Error>(self, text: String) -> Result<ContentEnvelope, E> {
                Ok(ContentEnvelope::Text(text))
            }
            fn visit_map<M: MapAccess<'de>>(self, members: M) -> Result<ContentEnvelope, M::Error> {
                let parts = EnvelopeParts::deserialize(MapAccessDeserializer::new(members))?;
                Ok(ContentEnvelope::Parts(Box::new(parts)))
            }
            ignored!(scalars);
            ignored!(seq);
        }
        deserializer.deserialize_any(EnvelopeVisitor)
    }
}

/// A hash in a body; members in the order of RFC 8785, like those of everything that is serialised here.
#[derive(Debug, Serialize)]
pub(super) struct CanonicalHash<'a> {
    pub(super) algorithm: &'a str,
    pub(super) value: &'a str,
}

impl<'a> CanonicalHash<'a> {
    pub(super) fn sha256(value: &'a str) -> Self {
        Self { algorithm: "sha256", value }
    }
}

/// The canonical body of an entry.
///
/// RFC 8785 sorts members and escapes strings as `serde_json` does. So a type whose members are ASCII names in sorted order and whose
/// values are strings, lists and such types is canonical when it is written without spaces.
pub(super) fn canonical_body(kind: &'static str, version: &'static str, spec: impl Serialize) -> Vec<u8> {
    #[derive(Serialize)]
    struct Body<S> {
        #[serde(rename = "apiVersion")]
        api_version: &'static str,
        kind: &'static str,
        spec: S,
    }
    serde_json::to_vec(&Body { api_version: version, kind, spec }).expect("strings and lists always have a JSON form")
}

const LIKE_GO: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::RequireCanonical)
    .with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LIKE_GO);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LIKE_GO);

/// Standard base64 with padding, as Go reads it: line breaks are skipped, and bits behind the last byte may be set.
pub(super) fn decode_base64(text: &[u8]) -> Option<Vec<u8>> {
    decode(&STANDARD, text)
}

/// As [`decode_base64`], or the URL-safe alphabet: what DSSE allows.
pub(super) fn decode_base64_either(text: &[u8]) -> Option<Vec<u8>> {
    decode(&STANDARD, text).or_else(|| decode(&URL_SAFE, text))
}

fn decode(alphabet: &GeneralPurpose, text: &[u8]) -> Option<Vec<u8>> {
    let line_break = |byte: &u8| matches!(byte, b'\r' | b'\n');
    if text.iter().any(line_break) {
        let text: Vec<u8> = text.iter().copied().filter(|byte| !line_break(byte)).collect();
        return alphabet.decode(text).ok();
    }
    alphabet.decode(text).ok()
}

/// Standard base64 with padding.
pub(super) fn encode_base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}
