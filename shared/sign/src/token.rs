//! The identity token, as far as a client looks into it.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;

use crate::error::SignError;

/// A compact JWT and the string whose signature proves possession of the key. `Debug` hides the token.
#[derive(Clone)]
pub struct IdentityToken {
    raw: String,
    subject: String,
}

impl IdentityToken {
    /// Reads the claims, unverified: the certificate authority is who verifies. A final newline is dropped.
    ///
    /// # Errors
    /// Not a compact JWT, or without a subject; an e-mail address that is not verified.
    pub fn parse(raw: &str) -> Result<Self, SignError> {
        let raw = raw.trim_end();
        let payload = match raw.split('.').collect::<Vec<_>>().as_slice() {
            [_, payload, _] => {
                URL_SAFE_NO_PAD.decode(payload).map_err(|_| SignError::Token("its second part is not base64url"))?
            }
            _ => return Err(SignError::Token("expected three parts separated by dots")),
        };
        let claims: Claims =
            serde_json::from_slice(&payload).map_err(|_| SignError::Token("its claims are not a JSON object"))?;
        let subject = match (claims.email, claims.sub) {
            (Some(email), _) if claims.email_verified.is_some_and(Verified::holds) => email,
            (Some(_), _) => return Err(SignError::Token("its e-mail address is not verified; expected email_verified true")),
            (None, Some(sub)) if !sub.is_empty() => sub,
            _ => return Err(SignError::Token("it has neither an email nor a sub claim")),
        };
        Ok(Self { raw: raw.to_owned(), subject })
    }

    /// What the proof of possession signs: `email` if there is one, else `sub`.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    pub(crate) fn raw(&self) -> &str {
        &self.raw
    }
}

impl std::fmt::Debug for IdentityToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IdentityToken").field("subject", &self.subject).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Claims {
    email: Option<String>,
    email_verified: Option<Verified>,
    sub: Option<String>,
}

/// Some providers write the flag as a string.
#[derive(Deserialize)]
#[serde(untagged)]
enum Verified {
    Flag(bool),
    Text(String),
}

impl Verified {
    fn holds(self) -> bool {
        match self {
            Self::Flag(flag) => flag,
            Self::Text(text) => text == "true" || text == "True",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> Result<String, String> {
        let raw = format!("e30.{}.sig\n", URL_SAFE_NO_PAD.encode(claims));
        IdentityToken::parse(&raw).map(|token| token.subject().to_owned()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_proof_is_over_the_email_or_else_the_subject() {
        assert_eq!(token(r#"{"sub":"u","email":"a@b.c","email_verified":true}"#).unwrap(), "a@b.c");
        assert_eq!(token(r#"{"sub":"u","email":"a@b.c","email_verified":"true"}"#).unwrap(), "a@b.c");
        assert_eq!(token(r#"{"sub":"repo:x"}"#).unwrap(), "repo:x");
    }

    #[test]
    fn what_no_authority_would_take_is_refused_here() {
        assert!(token(r#"{"sub":"u","email":"a@b.c"}"#).unwrap_err().contains("email_verified"));
        assert!(token(r#"{"email":"a@b.c","email_verified":false}"#).unwrap_err().contains("not verified"));
        assert!(token("{}").unwrap_err().contains("neither"));
        assert!(token("[]").unwrap_err().contains("JSON object"));
        assert!(IdentityToken::parse("a.b").unwrap_err().to_string().contains("three parts"));
        assert!(IdentityToken::parse("a.!.c").unwrap_err().to_string().contains("base64url"));
    }

    #[test]
    fn debug_hides_the_token() {
        let raw = format!("secret.{}.sig", URL_SAFE_NO_PAD.encode(r#"{"sub":"u"}"#));
        assert!(!format!("{:?}", IdentityToken::parse(&raw).unwrap()).contains("secret"));
    }
}
