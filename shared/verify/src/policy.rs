//! What a bundle must prove.

use std::fmt;

use pki::PublicKey;
use regex::Regex;

use crate::refusal::{Refusal, shown};
use crate::report::SignerReport;

/// What a bundle must prove to be accepted.
#[derive(Debug, Clone)]
pub struct Policy {
    pub(crate) signed_by: SignedBy,
    pub(crate) predicate_type: Option<String>,
}

/// Who must have signed.
#[derive(Debug, Clone)]
pub enum SignedBy {
    /// Whoever held this identity.
    Identity(IdentityPolicy),
    /// Whoever holds this key.
    Key(PublicKey),
    /// Whoever holds a certificate of a trusted authority.
    Anyone,
}

/// An identity and who vouched for it. Both are always compared: an identity means nothing without its issuer.
#[derive(Debug, Clone)]
pub struct IdentityPolicy {
    /// The certificate's e-mail address, URI or username.
    pub identity: Matcher,
    /// The OIDC issuer.
    pub issuer: Matcher,
}

/// How a name is compared.
#[derive(Debug, Clone)]
pub enum Matcher {
    /// It is exactly this.
    Exact(String),
    /// The whole of it matches.
    Pattern(Pattern),
}

/// A regular expression over a whole name.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    anchored: Regex,
}

impl Policy {
    /// Signed by an identity.
    #[must_use]
    pub fn identity(identity: IdentityPolicy) -> Self {
        Self { signed_by: SignedBy::Identity(identity), predicate_type: None }
    }

    /// Signed with a key.
    #[must_use]
    pub fn key(key: PublicKey) -> Self {
        Self { signed_by: SignedBy::Key(key), predicate_type: None }
    }

    /// Signed by somebody whom a trusted authority certified. This proves who signed, never that they may: the caller compares
    /// [`Verified::signer`](crate::Verified::signer), with [`IdentityPolicy::check`] for instance.
    #[must_use]
    pub fn anyone() -> Self {
        Self { signed_by: SignedBy::Anyone, predicate_type: None }
    }

    /// And an in-toto statement with this predicate type. Without it, an SBOM counts as a signature.
    #[must_use]
    pub fn with_predicate_type(mut self, predicate_type: impl Into<String>) -> Self {
        self.predicate_type = Some(predicate_type.into());
        self
    }
}

impl Matcher {
    /// A regular expression that the whole name must match, not a part of it: an expression that a repository's owner meant
    /// for one repository must not match another one whose name contains it.
    ///
    /// # Errors
    /// [`PolicyError`] when it is no regular expression, or one too large.
    pub fn pattern(expression: &str) -> Result<Self, PolicyError> {
        let anchored = regex::RegexBuilder::new(&format!("^(?:{expression})$"))
            .size_limit(1 << 20)
            .build()
            .map_err(|_| PolicyError { expression: shown(expression) })?;
        // `a)|(?:b` is balanced inside the anchors and escapes them; alone it is not.
        if Regex::new(expression).is_err() {
            return Err(PolicyError { expression: shown(expression) });
        }
        Ok(Self::Pattern(Pattern { text: expression.to_owned(), anchored }))
    }

    /// Whether `name` is what was asked for.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exact(expected) => name == expected,
            Self::Pattern(pattern) => pattern.anchored.is_match(name),
        }
    }
}

impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(expected) => f.write_str(&shown(expected)),
            Self::Pattern(pattern) => write!(f, "a match of {}", shown(&pattern.text)),
        }
    }
}

/// A text is no regular expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{expression} is no regular expression, or one too large")]
pub struct PolicyError {
    expression: String,
}

impl IdentityPolicy {
    /// Whether it is met by this signer. A bare key meets none.
    ///
    /// # Errors
    /// [`Refusal::Identity`], [`Refusal::Issuer`] or [`Refusal::CertificateExpected`], with what was found and expected.
    pub fn check(&self, signer: &SignerReport) -> Result<(), Refusal> {
        match signer {
            SignerReport::Identity { identity, issuer, .. } => self.compare(identity, issuer.as_deref()),
            SignerReport::Key { .. } => Err(Refusal::CertificateExpected),
        }
    }

    /// Compares both; the identity first, since that is what a person mistypes.
    pub(crate) fn compare(&self, identity: &str, issuer: Option<&str>) -> Result<(), Refusal> {
        if !self.identity.matches(identity) {
            return Err(Refusal::Identity { found: shown(identity), expected: self.identity.to_string() });
        }
        match issuer {
            Some(issuer) if self.issuer.matches(issuer) => Ok(()),
            _ => Err(Refusal::Issuer {
                found: issuer.map_or_else(|| "nobody".to_owned(), shown),
                expected: self.issuer.to_string(),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_anchored() {
        let pattern = Matcher::pattern("https://github.com/a/.*|b").unwrap();
        assert!(pattern.matches("https://github.com/a/x") && pattern.matches("b"));
        for name in ["xhttps://github.com/a/x", "bb", "https://github.com/a/x\n", "ab", "B"] {
            assert!(!pattern.matches(name), "{name}");
        }
        assert_eq!(pattern.to_string(), "a match of https://github.com/a/.*|b");
    }

    #[test]
    fn expressions_that_are_none() {
        for expression in ["(", "a)|(?:b", "[", "a{9999999}", "(a{1000}){1000}"] {
            assert!(Matcher::pattern(expression).is_err(), "{expression}");
        }
    }

    #[test]
    fn both_are_compared() {
        let policy = IdentityPolicy { identity: Matcher::Exact("a@b".into()), issuer: Matcher::Exact("i".into()) };
        assert!(policy.compare("a@b", Some("i")).is_ok());
        assert_eq!(policy.compare("a@c", Some("i")).unwrap_err().code(), "identity_mismatch");
        assert_eq!(policy.compare("a@b", Some("j")).unwrap_err().code(), "issuer_mismatch");
        assert_eq!(policy.compare("a@b", None).unwrap_err().code(), "issuer_mismatch");
        let key = SignerReport::Key { key_sha256: "00".into() };
        assert_eq!(policy.check(&key).unwrap_err().code(), "certificate_expected");
    }
}
