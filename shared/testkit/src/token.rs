//! Identity tokens: compact JWS over claims, with the keys that sign them.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{KeyPair as RsaKeyPair, KeySize};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// A key that signs tokens.
#[derive(Debug)]
pub struct TokenKey {
    id: String,
    key: Key,
}

#[derive(Debug)]
enum Key {
    Rs256(Box<RsaKeyPair>),
    Es256(Box<EcdsaKeyPair>),
}

impl TokenKey {
    /// A new RSA key of 2048 bits; tokens are RS256, which is what cosign takes on its command line.
    #[must_use]
    pub fn rs256(id: &str) -> Self {
        let key = RsaKeyPair::generate(KeySize::Rsa2048).expect("an RSA key can be generated");
        Self { id: id.to_owned(), key: Key::Rs256(Box::new(key)) }
    }

    /// A new P-256 key; tokens are ES256.
    #[must_use]
    pub fn es256(id: &str) -> Self {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a P-256 key can be generated");
        Self { id: id.to_owned(), key: Key::Es256(Box::new(key)) }
    }

    /// The name of the algorithm, as in a token's header.
    #[must_use]
    pub fn algorithm(&self) -> &'static str {
        match self.key {
            Key::Rs256(_) => "RS256",
            Key::Es256(_) => "ES256",
        }
    }

    /// A token over `claims` as they are.
    #[must_use]
    pub fn mint(&self, claims: &Value) -> String {
        self.mint_with(&json!({ "alg": self.algorithm(), "typ": "JWT", "kid": self.id }), claims)
    }

    /// A token with a header of the caller's, signed all the same.
    #[must_use]
    pub fn mint_with(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", encoded(header.to_string()), encoded(claims.to_string()));
        let signature = encoded(self.sign(signed.as_bytes()));
        format!("{signed}.{signature}")
    }

    /// The public key as an issuer publishes it.
    #[must_use]
    pub fn jwk(&self) -> Value {
        match &self.key {
            Key::Rs256(key) => {
                let public = key.public_key();
                let (n, e) =
                    (public.modulus().big_endian_without_leading_zero(), public.exponent().big_endian_without_leading_zero());
                json!({ "kty": "RSA", "use": "sig", "alg": "RS256", "kid": self.id, "n": encoded(n), "e": encoded(e) })
            }
            Key::Es256(key) => {
                // An uncompressed point: 0x04, x, y.
                let point = key.public_key().as_ref();
                json!({ "kty": "EC", "use": "sig", "alg": "ES256", "crv": "P-256", "kid": self.id,
                    "x": encoded(&point[1..33]), "y": encoded(&point[33..65]) })
            }
        }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.key {
            Key::Rs256(key) => {
                let mut signature = vec![0; key.public_modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).expect("the buffer has the modulus' length");
                signature
            }
            Key::Es256(key) => key.sign(&random, message).expect("a P-256 key signs any message").as_ref().to_vec(),
        }
    }
}

fn encoded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents, UnparsedPublicKey};

    fn decoded(text: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(text).unwrap()
    }

    fn parts(token: &str) -> (String, Vec<u8>) {
        let (signed, signature) = token.rsplit_once('.').unwrap();
        (signed.to_owned(), decoded(signature))
    }

    #[test]
    fn rs256_tokens_verify_with_the_published_key() {
        let key = TokenKey::rs256("one");
        let jwk = key.jwk();
        let number = |name: &str| decoded(jwk[name].as_str().unwrap());
        let (signed, signature) = parts(&key.mint(&json!({ "sub": "x" })));
        let public = RsaPublicKeyComponents { n: number("n"), e: number("e") };
        public.verify(&RSA_PKCS1_2048_8192_SHA256, signed.as_bytes(), &signature).unwrap();
        let claims: Value = serde_json::from_slice(&decoded(signed.split('.').nth(1).unwrap())).unwrap();
        assert_eq!(claims, json!({ "sub": "x" }));
    }

    #[test]
    fn es256_tokens_verify_with_the_published_key() {
        let key = TokenKey::es256("two");
        let jwk = key.jwk();
        let mut point = vec![4];
        point.extend(["x", "y"].iter().flat_map(|name| decoded(jwk[*name].as_str().unwrap())));
        let (signed, signature) = parts(&key.mint(&json!({ "sub": "x" })));
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).verify(signed.as_bytes(), &signature).unwrap();
        let header: Value = serde_json::from_slice(&decoded(signed.split('.').next().unwrap())).unwrap();
        assert_eq!(header, json!({ "alg": "ES256", "typ": "JWT", "kid": "two" }));
    }
}
