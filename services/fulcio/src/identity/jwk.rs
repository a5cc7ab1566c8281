//! An issuer's keys: JSON Web Keys (RFC 7517) that verify with aws-lc-rs, parsed once per key set.

use std::fmt::{Debug, Formatter};
use std::sync::Arc;

use aws_lc_rs::signature::{self, ParsedPublicKey, RsaPublicKeyComponents};
use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use openidconnect::core::{CoreJsonWebKeyType, CoreJsonWebKeyUse, CoreJwsSigningAlgorithm};
use openidconnect::{JsonWebKey, JsonWebKeyAlgorithm, JsonWebKeyId, SignatureVerificationError};
use serde::{Deserialize, Serialize};

use super::token::ALGORITHMS;

/// The keys of an issuer at one moment, and the algorithms it announces.
#[derive(Debug)]
pub(crate) struct KeySet {
    keys: Vec<Jwk>,
    algorithms: Vec<&'static (&'static str, CoreJwsSigningAlgorithm)>,
}

impl KeySet {
    /// Reads a JWKS document. Keys that are not for signatures, or of a kind unknown here, are left out, as RFC 7517 §5 asks.
    /// `announced` is discovery's `id_token_signing_alg_values_supported`; an empty list means RS256, the default of OpenID Connect.
    pub(crate) fn parse(document: &[u8], announced: &[String]) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<serde_json::Value>,
        }
        let document: Document = serde_json::from_slice(document)?;
        let keys = document.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect();
        let announces = |name: &str| announced.iter().any(|one| one == name) || (announced.is_empty() && name == "RS256");
        Ok(Self { keys, algorithms: ALGORITHMS.iter().filter(|(name, _)| announces(name)).collect() })
    }

    /// The keys that may have signed a token: those called `kid`, or all when the token does not say.
    pub(crate) fn candidates(&self, kid: Option<&str>) -> impl Iterator<Item = &Jwk> {
        self.keys.iter().filter(move |key| kid.is_none_or(|kid| key.kid.as_ref().is_some_and(|own| own.as_str() == kid)))
    }

    /// The algorithms that tokens of this issuer may use.
    pub(crate) fn algorithms(&self) -> impl Iterator<Item = &'static (&'static str, CoreJwsSigningAlgorithm)> {
        self.algorithms.iter().copied()
    }

    /// The key ids, for messages.
    pub(crate) fn ids(&self) -> String {
        let ids: Vec<_> = self.keys.iter().map(|key| key.kid.as_ref().map_or("(no id)", |kid| kid.as_str())).collect();
        if ids.is_empty() { "none".into() } else { ids.join(", ") }
    }

    pub(crate) fn len(&self) -> usize {
        self.keys.len()
    }
}

/// One public key, ready to verify with each algorithm it is good for.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "Members", into = "Members")]
pub(crate) struct Jwk {
    members: Members,
    kid: Option<JsonWebKeyId>,
    kind: CoreJsonWebKeyType,
    verifiers: Arc<[(CoreJwsSigningAlgorithm, ParsedPublicKey)]>,
}

/// The members of a key that matter here; the others are ignored.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Members {
    kty: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    kid: Option<String>,
    alg: Option<String>,
    n: Option<String>,
    e: Option<String>,
    crv: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

#[derive(Debug, thiserror::Error)]
#[error("not a key that verifies token signatures")]
struct Unusable;

impl TryFrom<Members> for Jwk {
    type Error = Unusable;

    fn try_from(members: Members) -> Result<Self, Unusable> {
        if members.usage.as_deref().is_some_and(|usage| usage != "sig") {
            return Err(Unusable);
        }
        let (kind, mut verifiers) = match (members.kty.as_str(), members.crv.as_deref()) {
            ("RSA", _) => (CoreJsonWebKeyType::RSA, rsa(&members)?),
            ("EC", Some(curve)) => (CoreJsonWebKeyType::EllipticCurve, vec![ec(curve, &members)?]),
            ("OKP", Some("Ed25519")) => (CoreJsonWebKeyType::OctetKeyPair, vec![ed25519(&members)?]),
            _ => return Err(Unusable),
        };
        if let Some(only) = &members.alg {
            verifiers.retain(|(algorithm, _)| ALGORITHMS.iter().any(|(name, known)| name == only && known == algorithm));
        }
        if verifiers.is_empty() {
            return Err(Unusable);
        }
        let kid = members.kid.clone().map(JsonWebKeyId::new);
        Ok(Self { members, kid, kind, verifiers: verifiers.into() })
    }
}

impl From<Jwk> for Members {
    fn from(key: Jwk) -> Self {
        key.members
    }
}

impl Debug for Jwk {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jwk").field("kid", &self.members.kid).field("kty", &self.members.kty).finish_non_exhaustive()
    }
}

impl JsonWebKey for Jwk {
    type KeyUse = CoreJsonWebKeyUse;
    type SigningAlgorithm = CoreJwsSigningAlgorithm;

    fn key_id(&self) -> Option<&JsonWebKeyId> {
        self.kid.as_ref()
    }

    fn key_type(&self) -> &CoreJsonWebKeyType {
        &self.kind
    }

    fn key_use(&self) -> Option<&CoreJsonWebKeyUse> {
        None
    }

    fn signing_alg(&self) -> JsonWebKeyAlgorithm<&CoreJwsSigningAlgorithm> {
        // What `alg` excludes has no verifier.
        JsonWebKeyAlgorithm::Unspecified
    }

    /// The trait's way to make a shared secret. This type has no symmetric form: the result verifies nothing.
    fn new_symmetric(_: Vec<u8>) -> Self {
        let members =
            Members { kty: "oct".into(), usage: None, kid: None, alg: None, n: None, e: None, crv: None, x: None, y: None };
        Self { members, kid: None, kind: CoreJsonWebKeyType::Symmetric, verifiers: Arc::new([]) }
    }

    fn verify_signature(
        &self,
        algorithm: &CoreJwsSigningAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureVerificationError> {
        let (_, key) = self
            .verifiers
            .iter()
            .find(|(known, _)| known == algorithm)
            .ok_or_else(|| SignatureVerificationError::InvalidKey("the key is not for this algorithm".into()))?;
        key.verify_sig(message, signature).map_err(|_| SignatureVerificationError::CryptoError("bad signature".into()))
    }

    /// For `at_hash` and `c_hash`, which are not looked at here.
    fn hash_bytes(&self, _: &[u8], _: &CoreJwsSigningAlgorithm) -> Result<Vec<u8>, String> {
        Err("token hashes are not used".into())
    }
}

type Verifier = (CoreJwsSigningAlgorithm, ParsedPublicKey);

/// Sizes below 2048 bits are refused by the parameters when a signature is verified.
fn rsa(members: &Members) -> Result<Vec<Verifier>, Unusable> {
    let (modulus, exponent) = (number(members.n.as_deref())?, number(members.e.as_deref())?);
    let components = RsaPublicKeyComponents { n: &modulus, e: &exponent };
    let parameters = [
        (CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256, &signature::RSA_PKCS1_2048_8192_SHA256),
        (CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384, &signature::RSA_PKCS1_2048_8192_SHA384),
        (CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512, &signature::RSA_PKCS1_2048_8192_SHA512),
        (CoreJwsSigningAlgorithm::RsaSsaPssSha256, &signature::RSA_PSS_2048_8192_SHA256),
        (CoreJwsSigningAlgorithm::RsaSsaPssSha384, &signature::RSA_PSS_2048_8192_SHA384),
        (CoreJwsSigningAlgorithm::RsaSsaPssSha512, &signature::RSA_PSS_2048_8192_SHA512),
    ];
    let parsed = parameters.into_iter().map(|(algorithm, parameters)| {
        components.to_parsed_public_key(parameters).map(|key| (algorithm, key)).map_err(|_| Unusable)
    });
    parsed.collect()
}

fn ec(curve: &str, members: &Members) -> Result<Verifier, Unusable> {
    let (size, algorithm, verification): (usize, _, _) = match curve {
        "P-256" => (32, CoreJwsSigningAlgorithm::EcdsaP256Sha256, &signature::ECDSA_P256_SHA256_FIXED),
        "P-384" => (48, CoreJwsSigningAlgorithm::EcdsaP384Sha384, &signature::ECDSA_P384_SHA384_FIXED),
        "P-521" => (66, CoreJwsSigningAlgorithm::EcdsaP521Sha512, &signature::ECDSA_P521_SHA512_FIXED),
        _ => return Err(Unusable),
    };
    let mut point = vec![4];
    for coordinate in [&members.x, &members.y] {
        let coordinate = bytes(coordinate.as_deref())?;
        let padding = size.checked_sub(coordinate.len()).ok_or(Unusable)?;
        point.resize(point.len() + padding, 0);
        point.extend(coordinate);
    }
    Ok((algorithm, ParsedPublicKey::new(verification, point).map_err(|_| Unusable)?))
}

fn ed25519(members: &Members) -> Result<Verifier, Unusable> {
    let key = ParsedPublicKey::new(&signature::ED25519, bytes(members.x.as_deref())?).map_err(|_| Unusable)?;
    Ok((CoreJwsSigningAlgorithm::EdDsa, key))
}

/// Some issuers pad; RFC 7515 says not to.
const BASE64: GeneralPurpose =
    GeneralPurpose::new(&URL_SAFE, GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent));

fn bytes(text: Option<&str>) -> Result<Vec<u8>, Unusable> {
    BASE64.decode(text.ok_or(Unusable)?).map_err(|_| Unusable)
}

/// A big-endian number without leading zeros; some issuers keep the sign octet of ASN.1.
fn number(text: Option<&str>) -> Result<Vec<u8>, Unusable> {
    let mut bytes = bytes(text)?;
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.drain(..zeros);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn p521() -> (EcdsaKeyPair, serde_json::Value) {
        let pair = EcdsaKeyPair::generate(&ECDSA_P521_SHA512_FIXED_SIGNING).unwrap();
        let point = pair.public_key().as_ref()[1..].to_vec();
        let (x, y) = point.split_at(66);
        let key =
            json!({ "kty": "EC", "crv": "P-521", "kid": "a", "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y) });
        (pair, key)
    }

    fn set(keys: &[serde_json::Value]) -> KeySet {
        KeySet::parse(json!({ "keys": keys }).to_string().as_bytes(), &[]).unwrap()
    }

    #[test]
    fn a_p521_key_verifies_es512_and_nothing_else() {
        let (pair, key) = p521();
        let keys = set(&[key]);
        let signature = pair.sign(&SystemRandom::new(), b"message").unwrap();
        let key = keys.candidates(Some("a")).next().unwrap();
        key.verify_signature(&CoreJwsSigningAlgorithm::EcdsaP521Sha512, b"message", signature.as_ref()).unwrap();
        key.verify_signature(&CoreJwsSigningAlgorithm::EcdsaP521Sha512, b"massage", signature.as_ref()).unwrap_err();
        key.verify_signature(&CoreJwsSigningAlgorithm::EcdsaP256Sha256, b"message", signature.as_ref()).unwrap_err();
        assert_eq!(keys.candidates(Some("b")).count(), 0);
        assert_eq!(keys.candidates(None).count(), 1);
    }

    #[test]
    fn keys_that_are_not_for_signatures_are_left_out() {
        let (_, key) = p521();
        let with = |member: &str, value: serde_json::Value| {
            let mut key = key.clone();
            key[member] = value;
            key
        };
        let keys = set(&[
            json!({ "kty": "oct", "k": "c2VjcmV0" }),
            json!({ "kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA" }),
            json!({ "kty": "OKP", "crv": "X25519", "x": "AA" }),
            json!({ "kty": "RSA", "n": "", "e": "" }),
            json!({ "kty": "new", "x": 7 }),
            json!(3),
            with("use", json!("enc")),
            with("alg", json!("ES256")),
            with("alg", json!("HS256")),
            with("x", json!("A")),
            with("y", json!("AAAA")),
            with("key_ops", json!(["verify"])),
            with("x5c", json!(["?"])),
        ]);
        assert_eq!(keys.len(), 2);
        assert_eq!(keys.ids(), "a, a");
    }

    #[test]
    fn algorithms_are_what_is_announced_and_known() {
        let names = |announced: &[&str]| {
            let announced: Vec<String> = announced.iter().map(ToString::to_string).collect();
            let keys = KeySet::parse(br#"{"keys":[]}"#, &announced).unwrap();
            keys.algorithms().map(|(name, _)| *name).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(names(&[]), "RS256");
        assert_eq!(names(&["none", "HS256", "ES256", "RS256"]), "RS256 ES256");
        assert!(KeySet::parse(b"{}", &[]).is_err());
    }

    proptest! {
        #[test]
        fn no_document_makes_the_parser_panic(document in any::<Vec<u8>>(), kty in "RSA|EC|OKP", crv in "P-256|P-521|Ed25519", a in any::<Vec<u8>>(), b in any::<Vec<u8>>()) {
            let _ = KeySet::parse(&document, &[]);
            let (a, b) = (URL_SAFE_NO_PAD.encode(a), URL_SAFE_NO_PAD.encode(b));
            let _ = set(&[json!({ "kty": kty, "crv": crv, "x": a, "y": b, "n": a, "e": b })]);
        }
    }
}
