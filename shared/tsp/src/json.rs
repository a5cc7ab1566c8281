//! The JSON form of a request, which sigstore-js posts:
//! `{"artifactHash":"<base64 digest>","hashAlgorithm":"sha256","certificates":false,"nonce":1,"tsaPolicyOID":"1.2.3"}`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::request::bounded_nonce;
use crate::{HashAlgorithm, Integer, MessageImprint, Request, RequestError};

/// The most bytes of JSON that are read: reading a decimal number takes time quadratic in its length.
pub const MAX_JSON: usize = 1024;

/// Unknown members are ignored, as upstream does.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire<'a> {
    artifact_hash: String,
    hash_algorithm: String,
    certificates: Option<bool>,
    /// An integer of any length, so it must not pass through a machine number.
    #[serde(borrow)]
    nonce: Option<&'a RawValue>,
    #[serde(rename = "tsaPolicyOID")]
    tsa_policy_oid: Option<String>,
}

impl Request {
    /// Reads the JSON form.
    ///
    /// # Errors
    /// [`RequestError`].
    pub fn from_json(json: &[u8]) -> Result<Self, RequestError> {
        if json.len() > MAX_JSON {
            return Err(RequestError::TooLarge(json.len()));
        }
        let wire: Wire<'_> = serde_json::from_slice(json).map_err(RequestError::MalformedJson)?;
        Ok(Self {
            imprint: MessageImprint::new(algorithm(&wire.hash_algorithm)?, &digest(&wire.artifact_hash)?)?,
            policy: wire.tsa_policy_oid.as_deref().filter(|oid| !oid.is_empty()).map(str::parse).transpose()?,
            nonce: wire.nonce.map(|nonce| read_nonce(nonce.get())).transpose()?,
            certificates: wire.certificates.unwrap_or(false),
            extensions: false,
        })
    }
}

fn algorithm(name: &str) -> Result<HashAlgorithm, RequestError> {
    if name.eq_ignore_ascii_case("sha1") {
        return Err(RequestError::WeakHash);
    }
    // The name goes into an error message: no more of it than a name has.
    let unknown = || RequestError::UnknownHash(name.chars().filter(char::is_ascii_alphanumeric).take(32).collect());
    HashAlgorithm::from_name(name).ok_or_else(unknown)
}

fn digest(text: &str) -> Result<Vec<u8>, RequestError> {
    STANDARD.decode(text).map_err(|_| RequestError::Member { member: "artifactHash", expected: "the digest in padded base64" })
}

fn read_nonce(text: &str) -> Result<Integer, RequestError> {
    let nonce = Integer::from_decimal(text).ok_or(RequestError::Member { member: "nonce", expected: "an integer" })?;
    bounded_nonce(nonce.contents())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{FailureInfo, PolicyId};

    const ABC: &str = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";

    #[test]
    fn what_sigstore_js_posts() {
        let json = format!(r#"{{"artifactHash":"{ABC}","hashAlgorithm":"sha256"}}"#);
        let request = Request::from_json(json.as_bytes()).unwrap();
        assert_eq!(request, Request::new(HashAlgorithm::Sha256.digest(b"abc")));
    }

    #[test]
    fn every_member() {
        let json = format!(
            r#"{{"artifactHash":"{ABC}","hashAlgorithm":"SHA256","certificates":true,"nonce":340282366920938463463374607431768211456,
                "tsaPolicyOID":"1.3.6.1.4.1.57264.2","other":[1]}}"#
        );
        let request = Request::from_json(json.as_bytes()).unwrap();
        assert!(request.wants_certificates());
        assert_eq!(request.policy(), Some(PolicyId::SIGSTORE));
        assert_eq!(hex::encode(request.nonce().unwrap().contents()), "0100000000000000000000000000000000");
        let json = format!(
            r#"{{"artifactHash":"{ABC}","hashAlgorithm":"sha256","certificates":null,"nonce":null,"tsaPolicyOID":null}}"#
        );
        assert_eq!(Request::from_json(json.as_bytes()).unwrap(), Request::new(HashAlgorithm::Sha256.digest(b"abc")));
    }

    #[test]
    fn every_refusal() {
        let with = |rest: &str| format!(r#"{{"artifactHash":"{ABC}",{rest}}}"#);
        let long_oid = with(&format!(r#""hashAlgorithm":"sha256","tsaPolicyOID":"{}""#, ["1"; 129].join(".")));
        for (json, code, failure) in [
            (String::new(), "timestamp_json_malformed", FailureInfo::BadDataFormat),
            ("{}".into(), "timestamp_json_malformed", FailureInfo::BadDataFormat),
            ("[".repeat(1000), "timestamp_json_malformed", FailureInfo::BadDataFormat),
            (with(r#""hashAlgorithm":"sha256"} {"#), "timestamp_json_malformed", FailureInfo::BadDataFormat),
            (with(r#""hashAlgorithm":"sha1""#), "timestamp_weak_hash", FailureInfo::BadAlg),
            (with(r#""hashAlgorithm":"md5""#), "timestamp_unknown_hash", FailureInfo::BadAlg),
            (with(r#""hashAlgorithm":"sha384""#), "timestamp_digest_length", FailureInfo::BadRequest),
            (with(r#""hashAlgorithm":"sha256","nonce":1.5"#), "timestamp_json_malformed", FailureInfo::BadDataFormat),
            (with(r#""hashAlgorithm":"sha256","nonce":"1""#), "timestamp_json_malformed", FailureInfo::BadDataFormat),
            (with(r#""hashAlgorithm":"sha256","tsaPolicyOID":"x""#), "timestamp_policy_malformed", FailureInfo::BadDataFormat),
            (long_oid, "timestamp_policy_malformed", FailureInfo::BadDataFormat),
            (
                r#"{"artifactHash":"_-__","hashAlgorithm":"sha256"}"#.into(),
                "timestamp_json_malformed",
                FailureInfo::BadDataFormat,
            ),
            (" ".repeat(1025), "timestamp_json_too_large", FailureInfo::BadRequest),
        ] {
            let error = Request::from_json(json.as_bytes()).unwrap_err();
            assert_eq!((error.code(), error.failure()), (code, failure), "{json}: {error}");
        }
    }

    proptest! {
        #[test]
        fn any_text(text in "\\PC{0,300}") {
            let _ = Request::from_json(text.as_bytes());
        }

        #[test]
        fn nonces_are_echoed(nonce: i128) {
            let json = format!(r#"{{"artifactHash":"{ABC}","hashAlgorithm":"sha256","nonce":{nonce}}}"#);
            let request = Request::from_json(json.as_bytes()).unwrap();
            prop_assert_eq!(request.nonce().cloned(), Integer::from_decimal(&nonce.to_string()));
        }
    }
}
