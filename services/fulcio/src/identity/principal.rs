//! From verified claims to the name in the certificate, one rule per issuer type.

use std::collections::BTreeMap;

use pki::SubjectAltName;
use serde_json::Value;

use super::ci_provider::CiProvider;
use super::extension::ExtensionField;
use super::token::{VerifiedClaims, kind};
use super::uri::{AbsoluteUri, UriError};
use crate::template::RenderError;

/// How many bytes of token may stand in a certificate. The log takes requests of 64 KiB, and whoever chooses his own claims
/// should not fill the record of certificates with them.
const MAX_TEXT: usize = 16 << 10;

/// What an issuer's tokens say about their holder.
#[derive(Debug, Clone)]
pub(crate) enum IssuerType {
    /// A person: the `email` claim.
    Email {
        /// Take addresses that the issuer does not call verified.
        skip_verification: bool,
    },
    /// `sub` is a URI of this scheme and host; the port is free.
    Uri {
        /// What `sub` must share scheme and host with.
        domain: AbsoluteUri,
    },
    /// A service account.
    Kubernetes,
    /// Templates over any claim.
    CiProvider(CiProvider),
}

/// Whom a token speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Principal {
    pub(crate) name: SubjectAltName,
    pub(crate) extensions: BTreeMap<ExtensionField, String>,
    /// The texts of which one must be signed to prove possession of the key.
    pub(crate) challenges: Vec<String>,
}

/// A genuine token does not say what a certificate needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PrincipalError {
    /// A claim is absent or of the wrong kind.
    #[error("claim {name} is {found}, expected {expected} (issuer {issuer})")]
    Claim {
        /// The claim.
        name: &'static str,
        /// What it is.
        found: String,
        /// What it should be.
        expected: &'static str,
        /// The token's issuer.
        issuer: String,
    },
    /// `email_verified` does not vouch for the address.
    #[error("claim email_verified is {found}, expected true: the issuer does not vouch for {email} (issuer {issuer})")]
    Unverified {
        /// What it is.
        found: String,
        /// The address.
        email: String,
        /// The token's issuer.
        issuer: String,
    },
    /// `sub` belongs to another domain.
    #[error("subject {found} does not belong to {expected} (issuer {issuer})")]
    Domain {
        /// `sub`.
        found: String,
        /// Scheme and host that are configured.
        expected: String,
        /// The token's issuer.
        issuer: String,
    },
    /// A claim would replace a value that the operator fixed.
    #[error("claim {name} is {found}, but the configuration fixes it to {expected} (issuer {issuer})")]
    Fixed {
        /// The claim.
        name: String,
        /// The token's value.
        found: String,
        /// The configured one.
        expected: String,
        /// The token's issuer.
        issuer: String,
    },
    /// The name would not be an absolute URL.
    #[error("the certificate's name cannot be made from this token (issuer {issuer})")]
    Name {
        /// The token's issuer.
        issuer: String,
        /// Why.
        #[source]
        reason: UriError,
    },
    /// More than certificates carry.
    #[error("issuer, subject, name and other fields have {length} bytes together, expected at most {MAX_TEXT} (issuer {issuer})")]
    TooLong {
        /// All of them.
        length: usize,
        /// The token's issuer.
        issuer: String,
    },
    /// A template lacks a value.
    #[error("field {field} cannot be made from this token (issuer {issuer})")]
    Template {
        /// The configured field.
        field: String,
        /// The token's issuer.
        issuer: String,
        /// Why.
        #[source]
        reason: RenderError,
    },
}

impl IssuerType {
    /// As configuration and `/api/v2/configuration` spell it.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Email { .. } => "email",
            Self::Uri { .. } => "uri",
            Self::Kubernetes => "kubernetes",
            Self::CiProvider(_) => "ci-provider",
        }
    }

    /// Reads whom `claims` speak for.
    pub(crate) fn identify(&self, claims: &VerifiedClaims) -> Result<Principal, PrincipalError> {
        let principal = match self {
            Self::Email { skip_verification } => email(claims, *skip_verification)?,
            Self::Uri { domain } => by_subject(claims, uri(claims, domain)?, BTreeMap::new()),
            Self::Kubernetes => by_subject(claims, kubernetes(claims)?, BTreeMap::new()),
            Self::CiProvider(provider) => {
                let (name, extensions) = provider.render(claims)?;
                by_subject(claims, name, extensions)
            }
        };
        check_length(claims, principal)
    }
}

fn check_length(claims: &VerifiedClaims, principal: Principal) -> Result<Principal, PrincipalError> {
    let name = match &principal.name {
        SubjectAltName::Email(name) | SubjectAltName::Uri(name) | SubjectAltName::Username(name) => name.len(),
        SubjectAltName::Other => 0,
    };
    let fields: usize = principal.extensions.values().map(String::len).sum();
    let length = 2 * claims.issuer().len() + claims.subject().len() + name + fields;
    if length > MAX_TEXT {
        return Err(PrincipalError::TooLong { length, issuer: claims.issuer().to_owned() });
    }
    Ok(principal)
}

/// Clients do not know the issuer's type: those that find an `email` sign that instead of `sub`. A proof over either is taken,
/// provided the issuer vouches for the address; the name in the certificate is the same.
fn by_subject(claims: &VerifiedClaims, name: String, extensions: BTreeMap<ExtensionField, String>) -> Principal {
    let mut challenges = vec![claims.subject().to_owned()];
    if let Some(Value::String(email)) = claims.claim("email")
        && is_verified(claims)
        && !email.is_empty()
    {
        challenges.push(email.clone());
    }
    Principal { name: SubjectAltName::Uri(name), extensions, challenges }
}

fn email(claims: &VerifiedClaims, skip_verification: bool) -> Result<Principal, PrincipalError> {
    let issuer = || claims.issuer().to_owned();
    let address = match claims.claim("email") {
        Some(Value::String(address)) => address.clone(),
        other => {
            return Err(PrincipalError::Claim {
                name: "email",
                found: kind(other).into(),
                expected: "an e-mail address",
                issuer: issuer(),
            });
        }
    };
    if !skip_verification && !is_verified(claims) {
        let found = claims.claim("email_verified").map_or_else(|| "absent".into(), Value::to_string);
        return Err(PrincipalError::Unverified { found, email: address, issuer: issuer() });
    }
    if !is_email(&address) {
        let expected = "an e-mail address in ASCII, such as someone@corp.example";
        return Err(PrincipalError::Claim { name: "email", found: address, expected, issuer: issuer() });
    }
    Ok(Principal { name: SubjectAltName::Email(address.clone()), extensions: BTreeMap::new(), challenges: vec![address] })
}

/// Some issuers send text.
fn is_verified(claims: &VerifiedClaims) -> bool {
    match claims.claim("email_verified") {
        Some(Value::Bool(verified)) => *verified,
        Some(Value::String(text)) => text == "true" || text == "True",
        _ => false,
    }
}

fn uri(claims: &VerifiedClaims, domain: &AbsoluteUri) -> Result<String, PrincipalError> {
    let subject = claims.subject();
    let issuer = || claims.issuer().to_owned();
    let uri =
        AbsoluteUri::parse(subject, &["https", "http"]).map_err(|reason| PrincipalError::Name { issuer: issuer(), reason })?;
    if uri.scheme() != domain.scheme() || uri.host_name() != domain.host_name() {
        return Err(PrincipalError::Domain { found: subject.to_owned(), expected: domain.to_string(), issuer: issuer() });
    }
    Ok(uri.to_string())
}

/// Namespaces and service accounts are DNS names in Kubernetes. Insisting on that keeps `/` out of the name and refuses the
/// empty ones that would make another account's.
fn kubernetes(claims: &VerifiedClaims) -> Result<String, PrincipalError> {
    let object = claims.claim("kubernetes.io");
    let account = object.and_then(|object| object.get("serviceaccount")).and_then(|account| account.get("name"));
    let part = |name, value: Option<&Value>| match value {
        Some(Value::String(text)) if is_dns_name(text) => Ok(text.clone()),
        Some(Value::String(text)) if !text.is_empty() => Err((name, text.clone())),
        other => Err((name, kind(other).to_owned())),
    };
    let refused =
        |(name, found)| PrincipalError::Claim { name, found, expected: "a DNS name", issuer: claims.issuer().to_owned() };
    let namespace = part("kubernetes.io.namespace", object.and_then(|object| object.get("namespace"))).map_err(refused)?;
    let account = part("kubernetes.io.serviceaccount.name", account).map_err(refused)?;
    Ok(format!("https://kubernetes.io/namespaces/{namespace}/serviceaccounts/{account}"))
}

fn is_dns_name(text: &str) -> bool {
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// RFC 5321's dot-string before the `@`, a DNS name with a dot after it. ASCII only: rfc822Name is an IA5String.
pub(crate) fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let atom = |atom: &str| {
        !atom.is_empty() && atom.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte))
    };
    let top = domain.rsplit('.').next().unwrap_or_default();
    local.len() <= 64
        && local.split('.').all(atom)
        && domain.contains('.')
        && is_dns_name(&domain.to_ascii_lowercase())
        && top.starts_with(|c: char| c.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn claims(extra: Value) -> VerifiedClaims {
        let mut claims = json!({ "iss": "https://issuer", "sub": "me" });
        let Value::Object(extra) = extra else { panic!("an object") };
        claims.as_object_mut().unwrap().extend(extra);
        VerifiedClaims::of(claims)
    }

    fn email_type(skip_verification: bool, extra: Value) -> Result<Principal, PrincipalError> {
        IssuerType::Email { skip_verification }.identify(&claims(extra))
    }

    #[test]
    fn email_needs_a_verified_address() {
        let with = |verified: Value| json!({ "email": "a@b.c", "email_verified": verified });
        let expected = Principal {
            name: SubjectAltName::Email("a@b.c".into()),
            extensions: BTreeMap::new(),
            challenges: vec!["a@b.c".into()],
        };
        for verified in [json!(true), json!("true"), json!("True")] {
            assert_eq!(email_type(false, with(verified)), Ok(expected.clone()));
        }
        for verified in [json!(false), json!("false"), json!(1), json!(null), json!("yes")] {
            assert!(matches!(email_type(false, with(verified.clone())), Err(PrincipalError::Unverified { .. })), "{verified}");
            assert_eq!(email_type(true, with(verified)), Ok(expected.clone()));
        }
        assert!(matches!(email_type(false, json!({})), Err(PrincipalError::Claim { name: "email", .. })));
        assert!(matches!(email_type(true, json!({ "email": "jörg@b.c" })), Err(PrincipalError::Claim { name: "email", .. })));
    }

    #[test]
    fn addresses_are_plain() {
        for text in ["a@b.c", "first.last+tag@Sub.Example.com", "o'neil@x-y.org", "a@b.c1", "1@2.co"] {
            assert!(is_email(text), "{text}");
        }
        for text in [
            "",
            "a",
            "@b.c",
            "a@",
            "a@b",
            "a@b.1",
            "a b@c.d",
            "a..b@c.d",
            ".a@b.c",
            "a@b..c",
            "a@-b.c",
            "a@b.c\n",
            "<a@b.c>",
            "a@b@c.d",
            "jörg@x.y",
        ] {
            assert!(!is_email(text), "{text}");
        }
        assert!(!is_email(&format!("{}@b.c", "a".repeat(65))));
    }

    #[test]
    fn a_uri_subject_belongs_to_its_domain() {
        let domain = AbsoluteUri::parse("https://corp.example", &["https"]).unwrap();
        let identify = |subject: &str| {
            IssuerType::Uri { domain: domain.clone() }
                .identify(&claims(json!({ "sub": subject, "email": "a@b.c", "email_verified": true })))
        };
        let principal = identify("https://corp.example:8443/team/a b").unwrap();
        assert_eq!(principal.name, SubjectAltName::Uri("https://corp.example:8443/team/a%20b".into()));
        assert_eq!(principal.challenges, ["https://corp.example:8443/team/a b", "a@b.c"]);
        for subject in
            ["http://corp.example/x", "https://other.example/x", "https://sub.corp.example/x", "https://corp.example.evil/x"]
        {
            assert!(matches!(identify(subject), Err(PrincipalError::Domain { .. })), "{subject}");
        }
        for subject in ["a@b.c", "corp.example/x", "https://corp.example@evil/x"] {
            assert!(matches!(identify(subject), Err(PrincipalError::Name { .. })), "{subject}");
        }
    }

    #[test]
    fn what_a_certificate_carries_is_bounded() {
        let domain = AbsoluteUri::parse("https://corp.example", &["https"]).unwrap();
        let identify = |length: usize| {
            let subject = format!("https://corp.example/{}", "x".repeat(length));
            IssuerType::Uri { domain: domain.clone() }.identify(&claims(json!({ "sub": subject })))
        };
        // Subject and name are this text, and the issuer is there twice.
        let most = (MAX_TEXT - 2 * "https://issuer".len()) / 2 - "https://corp.example/".len();
        identify(most).unwrap();
        assert!(matches!(identify(most + 1), Err(PrincipalError::TooLong { length, .. }) if length == MAX_TEXT + 2));
    }

    #[test]
    fn an_unverified_email_is_no_challenge() {
        let domain = AbsoluteUri::parse("https://corp.example", &["https"]).unwrap();
        let token = claims(json!({ "sub": "https://corp.example/x", "email": "a@b.c" }));
        assert_eq!(IssuerType::Uri { domain }.identify(&token).unwrap().challenges, ["https://corp.example/x"]);
    }

    #[test]
    fn service_accounts_have_both_names() {
        let identify = |namespace: Value, account: Value| {
            let object = json!({ "namespace": namespace, "serviceaccount": { "name": account } });
            IssuerType::Kubernetes.identify(&claims(json!({ "kubernetes.io": object })))
        };
        let principal = identify(json!("team-a"), json!("builder.x")).unwrap();
        let name = "https://kubernetes.io/namespaces/team-a/serviceaccounts/builder.x";
        assert_eq!(principal.name, SubjectAltName::Uri(name.into()));
        assert_eq!(principal.challenges, ["me"]);
        for (namespace, account) in [
            (json!(""), json!("x")),
            (json!("x"), json!("")),
            (json!(null), json!("x")),
            (json!("x"), json!(3)),
            (json!("a/serviceaccounts/b"), json!("x")),
            (json!("x"), json!("..")),
        ] {
            assert!(matches!(identify(namespace, account), Err(PrincipalError::Claim { .. })));
        }
        assert!(IssuerType::Kubernetes.identify(&claims(json!({}))).is_err());
    }

    proptest! {
        #[test]
        fn addresses_are_ascii_without_surprises(text in ".{0,30}@.{0,30}") {
            if is_email(&text) {
                prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'<'));
            }
        }
    }
}
