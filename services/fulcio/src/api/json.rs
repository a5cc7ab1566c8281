//! JSON requests, as lenient as protojson behind grpc-gateway.
//!
//! Names in camelCase or snake_case; unknown members ignored; `null` is absent; bytes in standard or URL-safe base64, padded or
//! not; an empty body is an empty request; only the first JSON value is read; `algorithm` is not looked at, whatever it is.

use std::fmt::Formatter;
use std::marker::PhantomData;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeOwned, Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// The body is not the JSON of a request. The parser's own text is not repeated: it quotes what it found, which may be a token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JsonError {
    /// Not JSON.
    #[error("the request is not JSON: it breaks off or goes wrong at line {line}, column {column}")]
    Syntax {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// JSON, but not a request.
    #[error(
        "a member of the request has another type than expected, is not base64, or occurs twice: before line {line}, column {column}"
    )]
    Shape {
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
    },
    /// Two keys.
    #[error("publicKeyRequest and certificateSigningRequest are both present, expected one (oneof key is already set)")]
    BothKeys,
}

/// `POST /api/v2/signingCert`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct SigningRequest {
    pub(crate) token: String,
    pub(crate) key: Option<RequestedKey>,
}

#[derive(Debug, PartialEq, Eq)]
pub(crate) enum RequestedKey {
    PublicKey(PublicKeyRequest),
    Csr(Vec<u8>),
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct PublicKeyRequest {
    #[serde(alias = "public_key")]
    pub(crate) public_key: Option<Object<TextKey>>,
    #[serde(alias = "proof_of_possession")]
    pub(crate) proof_of_possession: Option<Base64>,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct TextKey {
    pub(crate) content: Option<String>,
}

/// `POST /api/v1/signingCert`.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct LegacySigningRequest {
    #[serde(alias = "public_key")]
    pub(crate) public_key: Option<Object<BytesKey>>,
    #[serde(alias = "signed_email_address")]
    pub(crate) signed_email_address: Option<Base64>,
    #[serde(alias = "certificate_signing_request")]
    pub(crate) certificate_signing_request: Option<Base64>,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(crate) struct BytesKey {
    pub(crate) content: Option<Base64>,
}

/// A JSON object. Derived code alone would also take a list for one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members<T>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(members)).map(Object)
            }
        }

        deserializer.deserialize_map(Members(PhantomData))
    }
}

/// Bytes, written in base64.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Base64(pub(crate) Vec<u8>);

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct UncheckedRequest {
    credentials: Option<Object<Credentials>>,
    #[serde(alias = "public_key_request")]
    public_key_request: Option<Object<PublicKeyRequest>>,
    #[serde(alias = "certificate_signing_request")]
    certificate_signing_request: Option<Base64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Credentials {
    #[serde(alias = "oidc_identity_token")]
    oidc_identity_token: Option<String>,
}

impl SigningRequest {
    /// Reads the first JSON value of `body`.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, JsonError> {
        let request: UncheckedRequest = first_value(body)?;
        let token = request.credentials.and_then(|Object(credentials)| credentials.oidc_identity_token).unwrap_or_default();
        let key = match (request.public_key_request, request.certificate_signing_request) {
            (Some(_), Some(_)) => return Err(JsonError::BothKeys),
            (Some(Object(key)), None) => Some(RequestedKey::PublicKey(key)),
            (None, Some(Base64(csr))) => Some(RequestedKey::Csr(csr)),
            (None, None) => None,
        };
        Ok(Self { token, key })
    }
}

impl LegacySigningRequest {
    /// Reads the first JSON value of `body`.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, JsonError> {
        first_value(body)
    }
}

fn first_value<T: DeserializeOwned + Default>(body: &[u8]) -> Result<T, JsonError> {
    match serde_json::Deserializer::from_slice(body).into_iter::<Object<T>>().next() {
        None => Ok(T::default()),
        Some(Ok(Object(request))) => Ok(request),
        Some(Err(error)) if error.is_data() => Err(JsonError::Shape { line: error.line(), column: error.column() }),
        Some(Err(error)) => Err(JsonError::Syntax { line: error.line(), column: error.column() }),
    }
}

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent).with_decode_allow_trailing_bits(true);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Base64;

            fn expecting(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
                f.write_str("base64")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Base64, E> {
                let alphabet = if text.contains(['-', '_']) { URL_SAFE } else { STANDARD };
                alphabet.decode(text).map(Base64).map_err(|_| E::custom("expected base64"))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn request(text: &str) -> Result<SigningRequest, JsonError> {
        SigningRequest::parse(text.as_bytes())
    }

    #[test]
    fn what_clients_send_is_read() {
        let expected = SigningRequest {
            token: "t".into(),
            key: Some(RequestedKey::PublicKey(PublicKeyRequest {
                public_key: Some(Object(TextKey { content: Some("PEM".into()) })),
                proof_of_possession: Some(Base64(vec![0xfb, 0xff])),
            })),
        };
        for algorithm in [json!("RSA"), json!("rsa"), json!(7), json!("ECDSA"), json!(null)] {
            let key = json!({ "algorithm": algorithm, "content": "PEM", "other": [1] });
            for (camel, snake) in [(true, false), (false, true)] {
                let name =
                    |camel_name: &'static str, snake_name: &'static str| if camel && !snake { camel_name } else { snake_name };
                for proof in ["+/8=", "+/8", "-_8", "-_8="] {
                    let text = json!({
                        "credentials": { (name("oidcIdentityToken", "oidc_identity_token")): "t" },
                        (name("publicKeyRequest", "public_key_request")): {
                            (name("publicKey", "public_key")): key,
                            (name("proofOfPossession", "proof_of_possession")): proof,
                        },
                        (name("certificateSigningRequest", "certificate_signing_request")): null,
                        "unknown": {},
                    });
                    assert_eq!(request(&text.to_string()).unwrap(), expected);
                }
            }
        }
    }

    #[test]
    fn absent_is_absent() {
        for text in
            ["", " \n", "{}", "{} trailing", "{}{", r#"{"credentials":null}"#, r#"{"credentials":{"oidcIdentityToken":null}}"#]
        {
            assert_eq!(request(text).unwrap(), SigningRequest::default(), "{text}");
        }
        let empty = request(r#"{"publicKeyRequest":{"publicKey":null}}"#).unwrap();
        assert_eq!(empty.key, Some(RequestedKey::PublicKey(PublicKeyRequest::default())));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for text in [
            "{",
            "[]",
            "3",
            r#"{"credentials":["t"]}"#,
            r#"{"publicKeyRequest":[]}"#,
            "null",
            "\u{feff}{}",
            r#"{"credentials":3}"#,
            r#"{"certificateSigningRequest":"***"}"#,
            r#"{"certificateSigningRequest":"A"}"#,
            r#"{"publicKeyRequest":{},"certificateSigningRequest":""}"#,
            r#"{"publicKeyRequest":{},"public_key_request":{}}"#,
        ] {
            assert!(request(text).is_err(), "{text}");
        }
        assert!(SigningRequest::parse(b"{\"credentials\":{\"oidcIdentityToken\":\"\xff\"}}").is_err());
        assert!(request(&format!("{}{}", r#"{"x":"#, "[".repeat(100_000))).is_err());
    }

    #[test]
    fn errors_do_not_quote_what_may_be_a_token() {
        let error = request(r#"{"credentials":"eyJhbGciOiJSUzI1NiJ9.secret.secret"}"#).unwrap_err();
        assert_eq!(error, JsonError::Shape { line: 1, column: 51 });
        assert!(!error.to_string().contains("secret"));
    }

    #[test]
    fn the_legacy_request_is_read() {
        let text =
            r#"{"publicKey":{"content":"AAE","algorithm":"ecdsa"},"signedEmailAddress":"Ag==","certificateSigningRequest":null}"#;
        let request = LegacySigningRequest::parse(text.as_bytes()).unwrap();
        assert_eq!(request.public_key.unwrap().0.content, Some(Base64(vec![0, 1])));
        assert_eq!(request.signed_email_address, Some(Base64(vec![2])));
    }

    proptest! {
        #[test]
        fn no_body_makes_the_parser_panic(body in any::<Vec<u8>>(), text in ".{0,100}") {
            let _ = SigningRequest::parse(&body);
            let _ = LegacySigningRequest::parse(&body);
            let _ = request(&format!("{{\"publicKeyRequest\":{text}}}"));
        }

        #[test]
        fn bytes_survive_every_spelling(bytes in any::<Vec<u8>>()) {
            use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
            for text in [STANDARD.encode(&bytes), STANDARD_NO_PAD.encode(&bytes), URL_SAFE.encode(&bytes), URL_SAFE_NO_PAD.encode(&bytes)] {
                let request = request(&json!({ "certificateSigningRequest": text }).to_string()).unwrap();
                prop_assert_eq!(request.key, Some(RequestedKey::Csr(bytes.clone())));
            }
        }
    }
}
