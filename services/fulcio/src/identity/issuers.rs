//! The configured issuers, and the way from a token to one of them.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use clock::Clock;
use moka::sync::Cache;
use regex::Regex;
use reqwest::Client;
use url::Url;

use super::builtin::{self, BuiltinError};
use super::ci_provider::{CiProvider, CiProviderError};
use super::principal::IssuerType;
use super::provider::{Allowance, Provider};
use super::token::{TokenError, Unverified, UnverifiedToken, VerifiedClaims};
use super::uri::AbsoluteUri;
use super::{IdentityError, VerifiedIdentity};
use crate::config::{CiProviderConfig, CiProviderRef, Config, IssuerConfig, IssuerKind};

/// How many issuers that fit a pattern are remembered.
const REMEMBERED: u64 = 100;

/// All configured issuers.
#[derive(Debug)]
pub(crate) struct Issuers {
    named: HashMap<String, (Rules, Arc<Provider>)>,
    patterns: Vec<Pattern>,
    summaries: Vec<IssuerSummary>,
    clock: Arc<dyn Clock>,
}

/// What is told about an issuer at `/api/v2/configuration`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IssuerSummary {
    /// The issuer's URL, or the pattern.
    pub url: String,
    /// Whether it is a pattern.
    pub wildcard: bool,
    /// The audience its tokens must have.
    pub audience: String,
    /// The claim that is signed to prove possession.
    pub challenge_claim: &'static str,
    /// Its type, as configuration spells it.
    pub issuer_type: &'static str,
    /// Scheme and host of subjects, for type `uri`.
    pub subject_domain: String,
    /// Whether unverified addresses are taken.
    pub skip_email_verification: bool,
}

/// A configured issuer cannot be used: the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// Not a URL that could be an issuer.
    #[error("issuer_url {url} is not an http or https URL without user name, query and fragment")]
    Url {
        /// As configured.
        url: String,
    },
    /// A pattern that strangers can fit.
    #[error(
        "issuer_url {url} has a * in the last two labels of its host, so that anyone could have such an issuer; expected * further left, or in the path"
    )]
    Pattern {
        /// As configured.
        url: String,
    },
    /// Two entries for one issuer.
    #[error("issuer_url {url} is configured twice; an issuer has one type")]
    Twice {
        /// As configured.
        url: String,
    },
    /// An audience that would fit nothing.
    #[error("client_id of issuer {url} is empty; expected the audience of its tokens, usually sigstore")]
    ClientId {
        /// The issuer.
        url: String,
    },
    /// A field that the type needs.
    #[error("issuer {url} has type {kind} and needs {field}")]
    Needs {
        /// The issuer.
        url: String,
        /// Its type.
        kind: &'static str,
        /// What is missing.
        field: &'static str,
    },
    /// A field that the type does not know.
    #[error("issuer {url} has type {kind}, which knows no {field}; remove it")]
    Foreign {
        /// The issuer.
        url: String,
        /// Its type.
        kind: &'static str,
        /// What is too much.
        field: &'static str,
    },
    /// A name that refers to nothing.
    #[error("issuer {url} refers to ci_provider {name}, which does not exist; expected github or one of: {known}")]
    CiProviderName {
        /// The issuer.
        url: String,
        /// The name.
        name: String,
        /// The keys of `ci_providers`.
        known: String,
    },
    /// A ready-made template that does not fit.
    #[error("the ci_provider of issuer {url} cannot be used")]
    Builtin {
        /// The issuer.
        url: String,
        /// Why.
        #[source]
        source: BuiltinError,
    },
    /// A template that is refused.
    #[error("the ci_provider of issuer {url} cannot be used")]
    CiProvider {
        /// The issuer.
        url: String,
        /// Why.
        #[source]
        source: CiProviderError,
    },
    /// A subject domain that this issuer may not speak for.
    #[error("subject_domain {found} of issuer {url} is refused: {expected}")]
    SubjectDomain {
        /// The issuer.
        url: String,
        /// As configured.
        found: String,
        /// What it should be.
        expected: &'static str,
    },
    /// The certificate authorities for this issuer cannot be used.
    #[error("ca_cert of issuer {url} cannot be used")]
    Authorities {
        /// The issuer.
        url: String,
        /// Why.
        #[source]
        source: chassis::ClientError,
    },
}

#[derive(Debug)]
struct Rules {
    client_id: String,
    kind: IssuerType,
}

#[derive(Debug)]
struct Pattern {
    regex: Regex,
    rules: Rules,
    client: Client,
    providers: Cache<String, Arc<Provider>>,
    allowance: Arc<Allowance>,
}

impl Issuers {
    /// Checks and compiles the configuration. Nothing is fetched.
    pub(crate) fn new(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, IssuerError> {
        let mut issuers = Self { named: HashMap::new(), patterns: Vec::new(), summaries: Vec::new(), clock };
        let mut clients = Clients::default();
        for issuer in &config.issuers {
            if issuers.summaries.iter().any(|other| other.url == issuer.issuer_url) {
                return Err(IssuerError::Twice { url: issuer.issuer_url.clone() });
            }
            issuers.add(issuer, &config.ci_providers, &mut clients)?;
        }
        Ok(issuers)
    }

    fn add(
        &mut self,
        config: &IssuerConfig,
        ci: &BTreeMap<String, CiProviderConfig>,
        clients: &mut Clients,
    ) -> Result<(), IssuerError> {
        let rules = rules(config, ci)?;
        let client = clients.get(config)?;
        let url = config.issuer_url.clone();
        let wildcard = url.contains('*');
        self.summaries.push(summary(config, &rules.kind, wildcard));
        if wildcard {
            let (regex, providers) = (pattern(&url)?, Cache::new(REMEMBERED));
            self.patterns.push(Pattern { regex, rules, client, providers, allowance: Arc::default() });
        } else {
            let provider = Provider::named(url.clone(), client, Arc::clone(&self.clock));
            self.named.insert(url, (rules, provider));
        }
        Ok(())
    }

    /// Believes `token`, or says why not.
    pub(crate) async fn authenticate(&self, token: &str) -> Result<VerifiedIdentity, IdentityError> {
        let token = UnverifiedToken::parse(token)?;
        let (rules, provider) = self.issuer(token.issuer())?;
        let claims = self.verify(&token, rules, &provider).await?;
        let principal = rules.kind.identify(&claims)?;
        Ok(VerifiedIdentity::new(&claims, principal))
    }

    /// When the keys at hand do not verify the token, the issuer may have new ones; asking is bounded by [`Provider`].
    async fn verify(
        &self,
        token: &UnverifiedToken<'_>,
        rules: &Rules,
        provider: &Arc<Provider>,
    ) -> Result<VerifiedClaims, IdentityError> {
        let at_hand = provider.keys().await?;
        let refused = match token.verify(&at_hand.keys, &rules.client_id, self.clock.now()) {
            Ok(claims) => return Ok(claims),
            Err(Unverified::Refused(error)) => return Err(error.into()),
            Err(Unverified::ByTheseKeys(error)) => error,
        };
        let Some(newer) = provider.newer_than(&at_hand).await else { return Err(refused.into()) };
        token.verify(&newer.keys, &rules.client_id, self.clock.now()).map_err(|outcome| match outcome {
            Unverified::Refused(error) | Unverified::ByTheseKeys(error) => error.into(),
        })
    }

    /// Names shadow patterns; of several patterns that fit, the first counts.
    fn issuer(&self, url: &str) -> Result<(&Rules, Arc<Provider>), TokenError> {
        if let Some((rules, provider)) = self.named.get(url) {
            return Ok((rules, Arc::clone(provider)));
        }
        let Some(pattern) = self.patterns.iter().find(|pattern| pattern.regex.is_match(url)) else {
            return Err(TokenError::UnknownIssuer { found: url.to_owned(), configured: self.configured() });
        };
        let new = || {
            let (client, allowance) = (pattern.client.clone(), Arc::clone(&pattern.allowance));
            Provider::of_pattern(url.to_owned(), client, Arc::clone(&self.clock), allowance)
        };
        Ok((&pattern.rules, pattern.providers.get_with_by_ref(url, new)))
    }

    fn configured(&self) -> String {
        let urls: Vec<_> = self.summaries.iter().map(|summary| summary.url.as_str()).collect();
        if urls.is_empty() { "none: no issuer is configured".into() } else { urls.join(", ") }
    }

    /// Fetches the keys of every named issuer, so that one that cannot be reached is in the log before the first token is.
    pub(crate) async fn warm_up(&self) {
        let fetches = self.named.values().map(|(_, provider)| provider.keys());
        futures_util::future::join_all(fetches).await;
    }

    /// What is told about them, in the order of the configuration.
    pub(crate) fn summaries(&self) -> &[IssuerSummary] {
        &self.summaries
    }
}

/// One client per set of authorities: a client is a connection pool and a TLS configuration.
#[derive(Default)]
struct Clients(HashMap<Option<PathBuf>, Client>);

impl Clients {
    fn get(&mut self, config: &IssuerConfig) -> Result<Client, IssuerError> {
        let path = config.ca_cert.as_ref().map(|path| path.as_path().to_owned());
        if let Some(client) = self.0.get(&path) {
            return Ok(client.clone());
        }
        let authorities: Vec<_> = path.iter().cloned().collect();
        let refused = |source| IssuerError::Authorities { url: config.issuer_url.clone(), source };
        let client = chassis::http_client(&authorities).map_err(refused)?;
        self.0.insert(path, client.clone());
        Ok(client)
    }
}

fn summary(config: &IssuerConfig, kind: &IssuerType, wildcard: bool) -> IssuerSummary {
    IssuerSummary {
        url: config.issuer_url.clone(),
        wildcard,
        audience: config.client_id.clone(),
        challenge_claim: if matches!(kind, IssuerType::Email { .. }) { "email" } else { "sub" },
        issuer_type: kind.name(),
        subject_domain: config.subject_domain.clone().unwrap_or_default(),
        skip_email_verification: config.skip_email_verification,
    }
}

/// `*` never spans `.`, `/` or `:`, and the whole must fit: a pattern that is not anchored would let a token choose which host we
/// connect to.
fn pattern(url: &str) -> Result<Regex, IssuerError> {
    let quoted: Vec<_> = url.split('*').map(regex::escape).collect();
    Regex::new(&format!("^(?:{})$", quoted.join("[-_a-zA-Z0-9]+"))).map_err(|_| IssuerError::Url { url: url.to_owned() })
}

fn rules(config: &IssuerConfig, ci: &BTreeMap<String, CiProviderConfig>) -> Result<Rules, IssuerError> {
    let issuer = issuer_url(config)?;
    if config.client_id.is_empty() {
        return Err(IssuerError::ClientId { url: config.issuer_url.clone() });
    }
    refuse_foreign_fields(config)?;
    check_pattern(&config.issuer_url)?;
    let kind = match config.kind {
        IssuerKind::Email => IssuerType::Email { skip_verification: config.skip_email_verification },
        IssuerKind::Kubernetes => IssuerType::Kubernetes,
        IssuerKind::Uri => IssuerType::Uri { domain: subject_domain(config, &issuer)? },
        IssuerKind::CiProvider => IssuerType::CiProvider(ci_provider(config, ci)?),
    };
    Ok(Rules { client_id: config.client_id.clone(), kind })
}

fn issuer_url(config: &IssuerConfig) -> Result<Url, IssuerError> {
    let refused = || IssuerError::Url { url: config.issuer_url.clone() };
    let url = Url::parse(&config.issuer_url.replace('*', "x")).map_err(|_| refused())?;
    let plain = url.username().is_empty() && url.password().is_none() && url.query().is_none() && url.fragment().is_none();
    if plain && url.has_host() && ["http", "https"].contains(&url.scheme()) { Ok(url) } else { Err(refused()) }
}

/// What stands for `*` is chosen by whoever sends a token, who may own the domain that it makes.
fn check_pattern(url: &str) -> Result<(), IssuerError> {
    let authority = url.split("://").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or_default();
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    if host.rsplit('.').take(2).any(|label| label.contains('*')) {
        return Err(IssuerError::Pattern { url: url.to_owned() });
    }
    Ok(())
}

/// A field that its type does not read is a misunderstanding: better found now than by a certificate that lacks its effect.
fn refuse_foreign_fields(config: &IssuerConfig) -> Result<(), IssuerError> {
    let (kind, field) = match config.kind {
        IssuerKind::CiProvider if config.subject_domain.is_some() => ("ci-provider", "subject_domain"),
        IssuerKind::CiProvider if config.skip_email_verification => ("ci-provider", "skip_email_verification"),
        IssuerKind::Email if config.subject_domain.is_some() => ("email", "subject_domain"),
        IssuerKind::Email if config.ci_provider.is_some() => ("email", "ci_provider"),
        IssuerKind::Kubernetes if config.subject_domain.is_some() => ("kubernetes", "subject_domain"),
        IssuerKind::Kubernetes if config.ci_provider.is_some() => ("kubernetes", "ci_provider"),
        IssuerKind::Kubernetes if config.skip_email_verification => ("kubernetes", "skip_email_verification"),
        IssuerKind::Uri if config.ci_provider.is_some() => ("uri", "ci_provider"),
        IssuerKind::Uri if config.skip_email_verification => ("uri", "skip_email_verification"),
        IssuerKind::Uri if config.issuer_url.contains('*') => ("uri", "* in issuer_url"),
        // Any tenant of such an issuer could claim any address.
        IssuerKind::Email if config.skip_email_verification && config.issuer_url.contains('*') => {
            ("email", "skip_email_verification beside a * in issuer_url")
        }
        IssuerKind::CiProvider | IssuerKind::Email | IssuerKind::Kubernetes | IssuerKind::Uri => return Ok(()),
    };
    Err(IssuerError::Foreign { url: config.issuer_url.clone(), kind, field })
}

/// An issuer speaks for its own host, or for hosts with the same last two labels.
fn subject_domain(config: &IssuerConfig, issuer: &Url) -> Result<AbsoluteUri, IssuerError> {
    let url = || config.issuer_url.clone();
    let Some(found) = &config.subject_domain else {
        return Err(IssuerError::Needs { url: url(), kind: "uri", field: "subject_domain, such as https://corp.example" });
    };
    let refused = |expected| IssuerError::SubjectDomain { url: url(), found: found.clone(), expected };
    let domain = AbsoluteUri::parse(found, &["https", "http"])
        .map_err(|_| refused("expected scheme and host, such as https://corp.example"))?;
    if domain.scheme() != issuer.scheme() {
        return Err(refused("expected the scheme of the issuer"));
    }
    if !speaks_for(issuer.host_str().unwrap_or_default(), domain.host_name()) {
        return Err(refused("expected the host of the issuer, or one with the same last two labels"));
    }
    Ok(domain)
}

fn speaks_for(issuer: &str, domain: &str) -> bool {
    let last_two = |host: &str| host.rsplitn(3, '.').take(2).map(str::to_ascii_lowercase).collect::<Vec<_>>();
    let (one, other) = (last_two(issuer), last_two(domain));
    issuer.trim_matches(['[', ']']) == domain || (one.len() == 2 && one == other)
}

fn ci_provider(config: &IssuerConfig, ci: &BTreeMap<String, CiProviderConfig>) -> Result<CiProvider, IssuerError> {
    let url = || config.issuer_url.clone();
    let github = CiProviderConfig { template: Some("github".into()), ..CiProviderConfig::default() };
    let given = match &config.ci_provider {
        None => return Err(IssuerError::Needs { url: url(), kind: "ci-provider", field: "ci_provider: a name or a template" }),
        Some(CiProviderRef::Inline(inline)) => inline,
        Some(CiProviderRef::Named(name)) => match ci.get(name) {
            Some(provider) => provider,
            None if name == "github" => &github,
            None => {
                let known =
                    if ci.is_empty() { "(none configured)".into() } else { ci.keys().cloned().collect::<Vec<_>>().join(", ") };
                return Err(IssuerError::CiProviderName { url: url(), name: name.clone(), known });
            }
        },
    };
    let expanded = builtin::expand(given).map_err(|source| IssuerError::Builtin { url: url(), source })?;
    let name = expanded.subject_alternative_name.as_deref().unwrap_or_default();
    CiProvider::compile(&expanded.defaults, name, &expanded.extensions)
        .map_err(|source| IssuerError::CiProvider { url: url(), source })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn check(issuer: Value) -> Result<Rules, IssuerError> {
        rules(&serde_json::from_value(issuer).unwrap(), &BTreeMap::new())
    }

    #[test]
    fn patterns_span_one_label() {
        let fits = |url: &str| pattern("https://token.actions.githubusercontent.com/*").unwrap().is_match(url);
        assert!(fits("https://token.actions.githubusercontent.com/octo-corp"));
        for url in [
            "https://token.actions.githubusercontent.com/",
            "https://token.actions.githubusercontent.com/octo/x",
            "https://token.actions.githubusercontent.com/octo?x",
            "http://evil?https://token.actions.githubusercontent.com/octo",
            "https://token.actions.githubusercontent.com.evil.org/octo",
            "https://token.actions.githubusercontent.com/octo\n",
            "https://tokenXactions.githubusercontent.com/octo",
        ] {
            assert!(!fits(url), "{url}");
        }
    }

    #[test]
    fn fields_belong_to_their_type() {
        let url = "https://sso.corp.example";
        for (issuer, message) in [
            (json!({ "issuer_url": "ftp://x", "type": "email" }), "not an http or https URL"),
            (json!({ "issuer_url": "https://x?y", "type": "email" }), "not an http or https URL"),
            (json!({ "issuer_url": url, "type": "email", "client_id": "" }), "client_id"),
            (json!({ "issuer_url": url, "type": "email", "subject_domain": url }), "knows no subject_domain"),
            (json!({ "issuer_url": url, "type": "uri" }), "needs subject_domain"),
            (json!({ "issuer_url": "https://*.x", "type": "uri", "subject_domain": url }), "knows no * in issuer_url"),
            (json!({ "issuer_url": url, "type": "uri", "subject_domain": "corp.example" }), "expected scheme and host"),
            (json!({ "issuer_url": url, "type": "uri", "subject_domain": "http://corp.example" }), "expected the scheme"),
            (json!({ "issuer_url": url, "type": "uri", "subject_domain": "https://other.example" }), "same last two labels"),
            (
                json!({ "issuer_url": url, "type": "kubernetes", "skip_email_verification": true }),
                "knows no skip_email_verification",
            ),
            (
                json!({ "issuer_url": "https://login.corp.example/*", "type": "email", "skip_email_verification": true }),
                "knows no skip_email_verification beside",
            ),
            (json!({ "issuer_url": "https://*.example", "type": "email" }), "last two labels"),
            (json!({ "issuer_url": "https://sso.*:8443/x", "type": "kubernetes" }), "last two labels"),
            (json!({ "issuer_url": "https://*/x", "type": "kubernetes" }), "last two labels"),
            (json!({ "issuer_url": url, "type": "ci-provider" }), "needs ci_provider"),
            (json!({ "issuer_url": url, "type": "ci-provider", "ci_provider": "jenkins" }), "refers to ci_provider jenkins"),
            (json!({ "issuer_url": url, "type": "ci-provider", "ci_provider": {} }), "subject_alternative_name is missing"),
            (json!({ "issuer_url": url, "type": "ci-provider", "ci_provider": { "template": "x" } }), "does not exist"),
        ] {
            let text = chassis::reason::chain(&check(issuer.clone()).unwrap_err());
            assert!(text.contains(message), "{issuer}: {text}");
        }
    }

    #[test]
    fn good_issuers_are_taken() {
        let url = "https://sso.corp.example";
        for issuer in [
            json!({ "issuer_url": url, "type": "email", "skip_email_verification": true }),
            json!({ "issuer_url": url, "type": "uri", "subject_domain": "https://build.corp.example" }),
            json!({ "issuer_url": "http://127.0.0.1:8888/claims", "type": "uri", "subject_domain": "http://127.0.0.1:8888" }),
            json!({ "issuer_url": "http://dex:5556", "type": "uri", "subject_domain": "http://dex" }),
            json!({ "issuer_url": "https://oidc.eks.*.amazonaws.com/id/*", "type": "kubernetes" }),
            json!({ "issuer_url": "https://*.clusters.corp.example:6443/*", "type": "kubernetes" }),
            json!({ "issuer_url": url, "type": "ci-provider", "ci_provider": "github" }),
        ] {
            check(issuer.clone()).unwrap_or_else(|error| panic!("{issuer}: {error}"));
        }
    }

    #[test]
    fn single_labels_speak_for_themselves_only() {
        assert!(speaks_for("dex", "dex"));
        assert!(!speaks_for("dex", "box"));
        assert!(!speaks_for("dex.a", "a"));
        assert!(speaks_for("a.b.c", "x.B.c"));
        assert!(!speaks_for("b.c", "bb.c"));
    }

    proptest! {
        #[test]
        fn a_pattern_without_star_is_its_own_text(url in "[ -~]{0,30}", other in "[ -~]{0,30}") {
            let url = url.replace('*', "+");
            let regex = pattern(&url).unwrap();
            prop_assert!(regex.is_match(&url));
            prop_assert_eq!(regex.is_match(&other), url == other);
        }
    }
}
