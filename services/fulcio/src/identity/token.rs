//! The compact form of a token: bounded, taken apart, not yet believed; then its signature and claims are verified.

use std::str::FromStr as _;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use openidconnect::core::{CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm};
use openidconnect::{
    Audience, ClaimsVerificationError, ClientId, EmptyAdditionalClaims, IdToken, IdTokenVerifier, IssuerUrl, JsonWebKeySet, Nonce,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::jwk::{Jwk, KeySet};

/// The longest token that is looked at. Real ones have one or two KiB.
pub(crate) const MAX_TOKEN: usize = 64 << 10;
/// How far ahead of our clock `nbf` may lie, as upstream.
const NOT_BEFORE_LEEWAY: SignedDuration = SignedDuration::from_mins(5);

/// The signature algorithms of tokens. None is symmetric: whoever knew the shared secret could mint identities.
pub(crate) const ALGORITHMS: [(&str, CoreJwsSigningAlgorithm); 10] = [
    ("RS256", CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256),
    ("RS384", CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384),
    ("RS512", CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512),
    ("PS256", CoreJwsSigningAlgorithm::RsaSsaPssSha256),
    ("PS384", CoreJwsSigningAlgorithm::RsaSsaPssSha384),
    ("PS512", CoreJwsSigningAlgorithm::RsaSsaPssSha512),
    ("ES256", CoreJwsSigningAlgorithm::EcdsaP256Sha256),
    ("ES384", CoreJwsSigningAlgorithm::EcdsaP384Sha384),
    ("ES512", CoreJwsSigningAlgorithm::EcdsaP521Sha512),
    ("EdDSA", CoreJwsSigningAlgorithm::EdDsa),
];

/// The caller's token is at fault.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There is none.
    #[error("no identity token was sent; expected one in credentials.oidcIdentityToken or as Authorization: Bearer")]
    Missing,
    /// Longer than any token.
    #[error("the token has {length} bytes, expected at most {MAX_TOKEN}")]
    TooLarge {
        /// Its length in bytes.
        length: usize,
    },
    /// Not a compact JWS.
    #[error("the token has {dots} dots, expected two: header.payload.signature")]
    Dots {
        /// How many dots were counted, at most four.
        dots: usize,
    },
    /// A part is not what RFC 7515 says.
    #[error("the {part} of the token is not base64url of {expected}")]
    Part {
        /// Which one.
        part: &'static str,
        /// What it should hold.
        expected: &'static str,
    },
    /// Unsigned, symmetric or unknown.
    #[error("the token is signed with {found}, expected one of {expected} (issuer {issuer})")]
    Algorithm {
        /// The header's `alg`.
        found: String,
        /// What the issuer announces and we know.
        expected: String,
        /// The token's issuer.
        issuer: String,
    },
    /// `crit`, `cty` or an unexpected `typ`.
    #[error("the header of the token asks for something unknown here: {reason}")]
    Header {
        /// What.
        reason: String,
    },
    /// The token names an issuer that is not configured.
    #[error("issuer {found} is not configured; expected one of {configured}")]
    UnknownIssuer {
        /// The token's `iss`.
        found: String,
        /// What is configured.
        configured: String,
    },
    /// A claim that every token needs is absent or of the wrong kind.
    #[error("claim {name} is {found}, expected {expected} (issuer {issuer})")]
    Claim {
        /// The claim.
        name: &'static str,
        /// `absent`, or its kind.
        found: &'static str,
        /// The kind it should have.
        expected: &'static str,
        /// The token's issuer.
        issuer: String,
    },
    /// The claims are not those of an ID token.
    #[error("the claims are not those of an ID token: {reason} (issuer {issuer})")]
    Claims {
        /// What the parser said; it names the claim.
        reason: String,
        /// The token's issuer.
        issuer: String,
    },
    /// The issuer has no such key.
    #[error("the token is signed with key {kid}, which the issuer does not publish; it publishes {published} (issuer {issuer})")]
    UnknownKey {
        /// The header's `kid`.
        kid: String,
        /// The key ids in the issuer's key set.
        published: String,
        /// The token's issuer.
        issuer: String,
    },
    /// No key verifies the signature.
    #[error("the signature of the token does not verify under the keys that the issuer publishes (issuer {issuer})")]
    Signature {
        /// The token's issuer.
        issuer: String,
    },
    /// Meant for someone else.
    #[error("audience is {found}, expected {expected} (issuer {issuer})")]
    Audience {
        /// The token's `aud`.
        found: String,
        /// The configured client id.
        expected: String,
        /// The token's issuer.
        issuer: String,
    },
    /// Its time is over.
    #[error("the token expired at {at}, and it is {now}; ask the issuer for a new one (issuer {issuer})")]
    Expired {
        /// `exp`.
        at: String,
        /// Our time.
        now: Timestamp,
        /// The token's issuer.
        issuer: String,
    },
    /// Its time has not come.
    #[error("the token is not valid before {at}, and it is {now}; compare the clocks (issuer {issuer})")]
    NotYetValid {
        /// `nbf`.
        at: String,
        /// Our time.
        now: Timestamp,
        /// The token's issuer.
        issuer: String,
    },
}

/// A token taken apart. Nothing in it is true yet; `iss` only says whose keys to ask.
#[derive(Debug)]
pub(crate) struct UnverifiedToken<'t> {
    raw: &'t str,
    header: Header,
    claims: Map<String, Value>,
    issuer: String,
}

/// Evidence that an issuer's key signed these claims, for our audience, and that their time is now.
#[derive(Debug)]
pub(crate) struct VerifiedClaims {
    claims: Map<String, Value>,
    issuer: String,
    subject: String,
}

/// Why [`UnverifiedToken::verify`] said no, and whether newer keys could change that.
#[derive(Debug)]
pub(crate) enum Unverified {
    /// Another key set might hold the key.
    ByTheseKeys(TokenError),
    /// No key would help.
    Refused(TokenError),
}

#[derive(Debug, Deserialize)]
struct Header {
    alg: String,
    #[serde(default)]
    kid: Option<String>,
}

impl<'t> UnverifiedToken<'t> {
    /// Takes `raw` apart. The dots are counted before anything is split or decoded: a token of a million dots costs one pass.
    pub(crate) fn parse(raw: &'t str) -> Result<Self, TokenError> {
        if raw.is_empty() {
            return Err(TokenError::Missing);
        }
        if raw.len() > MAX_TOKEN {
            return Err(TokenError::TooLarge { length: raw.len() });
        }
        let mut parts = raw.splitn(5, '.');
        let (Some(header), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
            return Err(TokenError::Dots { dots: raw.splitn(5, '.').count() - 1 });
        };
        let header: Header = part(header, "header", "a JSON object with alg")?;
        let claims: Map<String, Value> = part(payload, "payload", "a JSON object")?;
        let issuer = match claims.get("iss") {
            Some(Value::String(issuer)) => issuer.clone(),
            other => return Err(claim("iss", other, "text", "unknown")),
        };
        Ok(Self { raw, header, claims, issuer })
    }

    /// The claimed issuer.
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Verifies signature, audience and times, with `keys` of the issuer that [`Self::issuer`] names.
    pub(crate) fn verify(&self, keys: &KeySet, client_id: &str, now: Timestamp) -> Result<VerifiedClaims, Unverified> {
        let refused = |error| Err(Unverified::Refused(error));
        if !keys.algorithms().any(|(name, _)| *name == self.header.alg) {
            return Err(Unverified::ByTheseKeys(self.algorithm_error(keys)));
        }
        if let Err(error) = self.check_required_claims() {
            return refused(error);
        }
        let token: AnyIdToken = match IdToken::from_str(self.raw) {
            Ok(token) => token,
            Err(error) => return refused(TokenError::Claims { reason: error.to_string(), issuer: self.issuer.clone() }),
        };
        let mut outcome = self.unknown_key(keys);
        for key in keys.candidates(self.header.kid.as_deref()) {
            let Some(verifier) = self.verifier(key, keys, client_id, now) else {
                return refused(claim("iss", self.claims.get("iss"), "a URL", &self.issuer));
            };
            match token.claims(&verifier, |_: Option<&Nonce>| Ok(())) {
                Ok(_) => return self.check_remaining_claims(now).map_err(Unverified::Refused),
                Err(ClaimsVerificationError::SignatureVerification(_)) => {
                    outcome = TokenError::Signature { issuer: self.issuer.clone() };
                }
                Err(error) => return refused(self.explain(error, client_id, now)),
            }
        }
        Err(Unverified::ByTheseKeys(outcome))
    }

    fn verifier(&self, key: &Jwk, keys: &KeySet, client_id: &str, now: Timestamp) -> Option<IdTokenVerifier<'static, Jwk>> {
        let issuer = IssuerUrl::new(self.issuer.clone()).ok()?;
        let now = SystemTime::from(now);
        let verifier = IdTokenVerifier::new_public_client(
            ClientId::new(client_id.to_owned()),
            issuer,
            JsonWebKeySet::new(vec![key.clone()]),
        )
        .set_allowed_algs(keys.algorithms().map(|(_, algorithm)| algorithm.clone()))
        .set_other_audience_verifier_fn(|_: &Audience| true)
        .set_time_fn(move || now.into());
        Some(verifier)
    }

    /// Said here, with the claim's name, rather than by the parser.
    fn check_required_claims(&self) -> Result<(), TokenError> {
        for (name, expected) in [("exp", "a number"), ("iat", "a number"), ("sub", "text that is not empty")] {
            let fits = match self.claims.get(name) {
                Some(Value::Number(_)) => expected == "a number",
                Some(Value::String(text)) => expected != "a number" && !text.is_empty(),
                _ => false,
            };
            if !fits {
                return Err(claim(name, self.claims.get(name), expected, &self.issuer));
            }
        }
        Ok(())
    }

    /// What the library does not look at. Called only after it accepted everything else.
    fn check_remaining_claims(&self, now: Timestamp) -> Result<VerifiedClaims, TokenError> {
        match self.claims.get("nbf") {
            None | Some(Value::Null) => {}
            Some(value) => {
                let Some(seconds) = value.as_f64() else { return Err(claim("nbf", Some(value), "a number", &self.issuer)) };
                let latest = now.checked_add(NOT_BEFORE_LEEWAY).unwrap_or(Timestamp::MAX);
                // Whole milliseconds keep their order in a double for the next 285,000 years.
                if seconds * 1000.0 > latest.as_millisecond() as f64 {
                    return Err(TokenError::NotYetValid { at: moment(value), now: whole(now), issuer: self.issuer.clone() });
                }
            }
        }
        let Some(Value::String(subject)) = self.claims.get("sub") else {
            return Err(claim("sub", self.claims.get("sub"), "text that is not empty", &self.issuer));
        };
        Ok(VerifiedClaims { claims: self.claims.clone(), issuer: self.issuer.clone(), subject: subject.clone() })
    }

    fn unknown_key(&self, keys: &KeySet) -> TokenError {
        TokenError::UnknownKey {
            kid: self.header.kid.clone().unwrap_or_else(|| "without an id".into()),
            published: keys.ids(),
            issuer: self.issuer.clone(),
        }
    }

    fn algorithm_error(&self, keys: &KeySet) -> TokenError {
        let expected = keys.algorithms().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        TokenError::Algorithm { found: self.header.alg.clone(), expected, issuer: self.issuer.clone() }
    }

    fn explain(&self, error: ClaimsVerificationError, client_id: &str, now: Timestamp) -> TokenError {
        let issuer = self.issuer.clone();
        match error {
            ClaimsVerificationError::InvalidAudience(_) => {
                TokenError::Audience { found: audiences(self.claims.get("aud")), expected: client_id.to_owned(), issuer }
            }
            ClaimsVerificationError::Expired(_) => {
                TokenError::Expired { at: self.claims.get("exp").map(moment).unwrap_or_default(), now: whole(now), issuer }
            }
            ClaimsVerificationError::Unsupported(reason) => TokenError::Header { reason },
            other => TokenError::Claims { reason: other.to_string(), issuer },
        }
    }
}

impl VerifiedClaims {
    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// `sub`, not empty.
    pub(crate) fn subject(&self) -> &str {
        &self.subject
    }

    /// A claim; `null` counts as absent.
    pub(crate) fn claim(&self, name: &str) -> Option<&Value> {
        self.claims.get(name).filter(|value| !value.is_null())
    }

    #[cfg(test)]
    pub(crate) fn of(claims: Value) -> Self {
        let Value::Object(claims) = claims else { panic!("an object") };
        let text = |name: &str| claims[name].as_str().unwrap().to_owned();
        Self { issuer: text("iss"), subject: text("sub"), claims }
    }
}

type AnyIdToken = IdToken<EmptyAdditionalClaims, CoreGenderClaim, CoreJweContentEncryptionAlgorithm, CoreJwsSigningAlgorithm>;

fn part<T: serde::de::DeserializeOwned>(text: &str, part: &'static str, expected: &'static str) -> Result<T, TokenError> {
    let refused = TokenError::Part { part, expected };
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| refused.clone())?;
    serde_json::from_slice(&bytes).map_err(|_| refused)
}

fn claim(name: &'static str, found: Option<&Value>, expected: &'static str, issuer: &str) -> TokenError {
    TokenError::Claim { name, found: kind(found), expected, issuer: issuer.to_owned() }
}

/// What a claim is, in words.
pub(crate) fn kind(value: Option<&Value>) -> &'static str {
    match value {
        None | Some(Value::Null) => "absent",
        Some(Value::Bool(_)) => "a truth value",
        Some(Value::Number(_)) => "a number",
        Some(Value::String(text)) if text.is_empty() => "empty",
        Some(Value::String(_)) => "text",
        Some(Value::Array(_)) => "a list",
        Some(Value::Object(_)) => "an object",
    }
}

fn audiences(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(one)) => one.clone(),
        Some(Value::Array(many)) => many.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        other => kind(other).to_owned(),
    }
}

/// A numeric date as people read it; as it stands when it lies outside all calendars.
fn moment(value: &Value) -> String {
    let readable = value.as_f64().and_then(|seconds| Timestamp::from_second(seconds as i64).ok());
    readable.map_or_else(|| value.to_string(), |time| time.to_string())
}

fn whole(now: Timestamp) -> Timestamp {
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_token_is_bounded_before_it_is_taken_apart() {
        assert_eq!(UnverifiedToken::parse("").unwrap_err(), TokenError::Missing);
        assert_eq!(UnverifiedToken::parse("a.b").unwrap_err(), TokenError::Dots { dots: 1 });
        assert_eq!(UnverifiedToken::parse("a.b.c.d").unwrap_err(), TokenError::Dots { dots: 3 });
        assert_eq!(UnverifiedToken::parse(&".".repeat(MAX_TOKEN)).unwrap_err(), TokenError::Dots { dots: 4 });
        let dots = ".".repeat(10 << 20);
        assert_eq!(UnverifiedToken::parse(&dots).unwrap_err(), TokenError::TooLarge { length: 10 << 20 });
    }

    #[test]
    fn parts_are_base64url_of_json_objects() {
        let encoded = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let header = encoded(r#"{"alg":"RS256"}"#);
        for (token, part) in [
            (format!("{header}=.{}.x", encoded("{}")), "header"),
            (format!("{}.{}.x", encoded("[]"), encoded("{}")), "header"),
            (format!("{}.{}.x", encoded("{}"), encoded("{}")), "header"),
            (format!("{header}.{}.x", encoded("3")), "payload"),
            (format!("{header}.+.x"), "payload"),
        ] {
            assert!(
                matches!(UnverifiedToken::parse(&token), Err(TokenError::Part { part: found, .. }) if found == part),
                "{token}"
            );
        }
        let token = format!("{header}.{}.", encoded(r#"{"iss":7}"#));
        assert!(matches!(UnverifiedToken::parse(&token), Err(TokenError::Claim { name: "iss", found: "a number", .. })));
        let token = format!("{header}.{}.", encoded(r#"{"iss":"https://a"}"#));
        assert_eq!(UnverifiedToken::parse(&token).unwrap().issuer(), "https://a");
    }

    #[test]
    fn times_are_readable_and_never_panic() {
        assert_eq!(moment(&Value::from(1_800_000_000)), "2027-01-15T08:00:00Z");
        assert_eq!(moment(&Value::from(1e300)), "1e+300");
        assert_eq!(moment(&Value::from("x")), "\"x\"");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(raw in ".{0,300}") {
            let _ = UnverifiedToken::parse(&raw);
        }

        #[test]
        fn no_parts_make_the_parser_panic(header in any::<Vec<u8>>(), payload in any::<Vec<u8>>(), rest in "[A-Za-z0-9_.-]{0,20}") {
            let raw = format!("{}.{}.{rest}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
            let _ = UnverifiedToken::parse(&raw);
        }

        #[test]
        fn claims_survive_the_trip(issuer in ".{1,40}", extra in ".{0,40}") {
            let claims = serde_json::json!({ "iss": issuer, "x": extra });
            let raw = format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none","kid":null}"#), URL_SAFE_NO_PAD.encode(claims.to_string()));
            let token = UnverifiedToken::parse(&raw).unwrap();
            prop_assert_eq!(token.issuer(), issuer.as_str());
            prop_assert_eq!(Value::Object(token.claims), claims);
        }
    }
}
