//! `dev.sigstore.trustroot.v1.SigningConfig` v0.2 and `ClientTrustConfig`: where to sign.

use serde::{Deserialize, Serialize};

use crate::error::{Document, DocumentError, Rule};
use crate::media_type::media_type;
use crate::publish::Publishable;
use crate::trusted_root::{TrustedRoot, ValidFor};
use crate::wire::nullable;

/// The media type of a signing config; the v0.1 shape is dead.
pub const SIGNING_CONFIG_MEDIA_TYPE: &str = "application/vnd.dev.sigstore.signingconfig.v0.2+json";

/// The media type of a client trust config.
pub const CLIENT_TRUST_CONFIG_MEDIA_TYPE: &str = "application/vnd.dev.sigstore.clienttrustconfig.v0.1+json";

media_type!(SigningConfigMediaType, SIGNING_CONFIG_MEDIA_TYPE);
media_type!(ClientTrustConfigMediaType, CLIENT_TRUST_CONFIG_MEDIA_TYPE);

/// A signing config, v0.2.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SigningConfig {
    media_type: SigningConfigMediaType,
    /// Fulcio, base URLs. `majorApiVersion` is 1 although the path is `/api/v2/…`.
    #[serde(default, deserialize_with = "nullable")]
    pub ca_urls: Vec<Service>,
    /// Issuers of identity tokens.
    #[serde(default, deserialize_with = "nullable")]
    pub oidc_urls: Vec<Service>,
    /// Rekor, base URLs; version 1 or 2.
    #[serde(default, deserialize_with = "nullable")]
    pub rekor_tlog_urls: Vec<Service>,
    /// How many logs to write to. cosign panics without it.
    pub rekor_tlog_config: ServiceConfiguration,
    /// Timestamp authorities, whole URLs of the endpoint.
    #[serde(default, deserialize_with = "nullable")]
    pub tsa_urls: Vec<Service>,
    /// How many timestamps to take.
    pub tsa_config: ServiceConfiguration,
}

impl SigningConfig {
    /// A config whose clients take any one log and any one TSA: the only form that all clients accept.
    #[must_use]
    pub fn new(ca: Vec<Service>, oidc: Vec<Service>, rekor: Vec<Service>, tsa: Vec<Service>) -> Self {
        Self {
            media_type: SigningConfigMediaType,
            ca_urls: ca,
            oidc_urls: oidc,
            rekor_tlog_urls: rekor,
            rekor_tlog_config: ServiceConfiguration::ANY,
            tsa_urls: tsa,
            tsa_config: ServiceConfiguration::ANY,
        }
    }

    /// Reads a signing config.
    ///
    /// # Errors
    /// [`DocumentError::Shape`].
    pub fn from_json(text: &[u8]) -> Result<Self, DocumentError> {
        serde_json::from_slice(text).map_err(|source| DocumentError::Shape { document: Document::SigningConfig, source })
    }

    /// Checks it against the strictest of every released client.
    ///
    /// # Errors
    /// [`DocumentError::Unpublishable`] with the first broken rule.
    pub fn publishable(self) -> Result<Publishable<Self>, DocumentError> {
        check_services("caUrls", &self.ca_urls, &VersionRule { allowed: &[1], expected: "1" }, Endpoint::Base, Listed::Needed)?;
        check_services(
            "oidcUrls",
            &self.oidc_urls,
            &VersionRule { allowed: &[1], expected: "1" },
            Endpoint::Base,
            Listed::Optional,
        )?;
        let rekor = VersionRule { allowed: &[1, 2], expected: "1 or 2" };
        check_services("rekorTlogUrls", &self.rekor_tlog_urls, &rekor, Endpoint::Base, Listed::Needed)?;
        check_services(
            "tsaUrls",
            &self.tsa_urls,
            &VersionRule { allowed: &[1], expected: "1" },
            Endpoint::Whole,
            Listed::Needed,
        )?;
        for (at, config) in [("rekorTlogConfig", &self.rekor_tlog_config), ("tsaConfig", &self.tsa_config)] {
            if (config.selector == Selector::Exact) != config.count.is_some_and(|count| count > 0) {
                return Err(refused(format!("{at}.count"), Rule::Count));
            }
        }
        Ok(Publishable::checked(self))
    }
}

/// One service a client may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Service {
    /// Base URL, or for a TSA the whole endpoint.
    pub url: String,
    /// Version of its API.
    pub major_api_version: u32,
    /// When to use it. A service is listed only once it is live: sigstore-js ignores a start in the future.
    pub valid_for: ValidFor,
    /// Who runs it; clients take one service per operator.
    #[serde(default)]
    pub operator: String,
}

/// How many of the listed services a client uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceConfiguration {
    /// The rule.
    pub selector: Selector,
    /// How many, with [`Selector::Exact`] only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u32>,
}

impl ServiceConfiguration {
    /// Any one.
    pub const ANY: Self = Self { selector: Selector::Any, count: None };
}

/// `ServiceSelector`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Selector {
    /// One of every operator.
    All,
    /// One.
    Any,
    /// As many operators as `count` says.
    Exact,
}

/// What `sigstore --trust-config` takes: trusted root and signing config in one file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClientTrustConfig {
    media_type: ClientTrustConfigMediaType,
    /// What to believe.
    pub trusted_root: TrustedRoot,
    /// Where to sign.
    pub signing_config: SigningConfig,
}

impl ClientTrustConfig {
    /// Joins two checked documents; nothing is left to check.
    #[must_use]
    pub fn new(trusted_root: &Publishable<TrustedRoot>, signing_config: &Publishable<SigningConfig>) -> Publishable<Self> {
        Publishable::checked(Self {
            media_type: ClientTrustConfigMediaType,
            trusted_root: trusted_root.document().clone(),
            signing_config: signing_config.document().clone(),
        })
    }

    /// Reads a client trust config.
    ///
    /// # Errors
    /// [`DocumentError::Shape`].
    pub fn from_json(text: &[u8]) -> Result<Self, DocumentError> {
        serde_json::from_slice(text).map_err(|source| DocumentError::Shape { document: Document::ClientTrustConfig, source })
    }
}

struct VersionRule {
    allowed: &'static [u32],
    expected: &'static str,
}

#[derive(Clone, Copy, PartialEq)]
enum Endpoint {
    Base,
    Whole,
}

#[derive(Clone, Copy, PartialEq)]
enum Listed {
    Needed,
    Optional,
}

fn check_services(
    list: &str,
    services: &[Service],
    versions: &VersionRule,
    endpoint: Endpoint,
    listed: Listed,
) -> Result<(), DocumentError> {
    if services.is_empty() && listed == Listed::Needed {
        return Err(refused(list.to_owned(), Rule::Empty));
    }
    for (position, service) in services.iter().enumerate() {
        let at = |member: &str| format!("{list}[{position}].{member}");
        if let Some(rule) = url_rule(&service.url, endpoint) {
            return Err(refused(at("url"), rule));
        }
        if !versions.allowed.contains(&service.major_api_version) {
            let rule = Rule::ApiVersion { found: service.major_api_version, expected: versions.expected };
            return Err(refused(at("majorApiVersion"), rule));
        }
        if service.operator.is_empty() {
            return Err(refused(at("operator"), Rule::Operator));
        }
        if service.valid_for.end.is_some_and(|end| end < service.valid_for.start) {
            return Err(refused(at("validFor"), Rule::ValidFor));
        }
    }
    Ok(())
}

/// Clients append paths to a base as it is, and post to a TSA's URL as it is.
fn url_rule(url: &str, endpoint: Endpoint) -> Option<Rule> {
    let expected = match endpoint {
        Endpoint::Base => "an http(s) URL without a trailing slash",
        Endpoint::Whole => "the whole http(s) URL of the endpoint, such as https://tsa.example/api/v1/timestamp",
    };
    let well_formed =
        crate::url::host(url).is_some() && !url.ends_with('/') && (endpoint == Endpoint::Base || crate::url::path(url).is_some());
    (!well_formed).then(|| Rule::Url { found: url.to_owned(), expected })
}

fn refused(at: String, rule: Rule) -> DocumentError {
    DocumentError::Unpublishable { document: Document::SigningConfig, at, rule }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn service(url: &str, version: u32) -> Service {
        let valid_for = ValidFor::since("2026-11-22T09:14:03.5Z".parse().unwrap());
        Service { url: url.into(), major_api_version: version, valid_for, operator: "example".into() }
    }

    fn good() -> SigningConfig {
        SigningConfig::new(
            vec![service("https://fulcio.example", 1)],
            vec![service("https://issuer.example/oidc", 1)],
            vec![service("https://log1.rekor.example", 2)],
            vec![service("https://tsa.example/api/v1/timestamp", 1)],
        )
    }

    #[test]
    fn the_form_that_every_client_accepts() {
        let json = good().publishable().unwrap().to_json();
        assert_eq!(std::str::from_utf8(&json).unwrap(), include_str!("../testdata/signing_config.v0.2.json"));
        assert_eq!(SigningConfig::from_json(&json).unwrap(), good());
    }

    #[test]
    fn each_known_trap_is_refused() {
        type Change = fn(&mut SigningConfig);
        let cases: [(&str, Change); 13] = [
            ("caUrls is empty", |c| c.ca_urls.clear()),
            ("caUrls[0].majorApiVersion is 2", |c| c.ca_urls[0].major_api_version = 2),
            ("caUrls[0].url is https://fulcio.example/;", |c| c.ca_urls[0].url.push('/')),
            ("caUrls[0].url is fulcio.example;", |c| c.ca_urls[0].url = "fulcio.example".into()),
            ("caUrls[0].operator is empty", |c| c.ca_urls[0].operator.clear()),
            ("oidcUrls[0].majorApiVersion is 0", |c| c.oidc_urls[0].major_api_version = 0),
            ("rekorTlogUrls is empty", |c| c.rekor_tlog_urls.clear()),
            ("rekorTlogUrls[0].majorApiVersion is 3", |c| c.rekor_tlog_urls[0].major_api_version = 3),
            ("rekorTlogConfig.count must", |c| c.rekor_tlog_config.selector = Selector::Exact),
            ("tsaUrls is empty", |c| c.tsa_urls.clear()),
            ("tsaUrls[0].url is https://tsa.example;", |c| c.tsa_urls[0].url = "https://tsa.example".into()),
            ("tsaUrls[0].validFor ends before", |c| {
                c.tsa_urls[0].valid_for.end = Some(crate::Time::whole_second("2026-11-22T09:14:02Z".parse().unwrap()));
            }),
            ("tsaConfig.count must", |c| c.tsa_config.count = Some(1)),
        ];
        for (expected, change) in cases {
            let mut config = good();
            change(&mut config);
            let error = config.publishable().unwrap_err();
            assert!(error.to_string().contains(expected), "{error} should say: {expected}");
            assert_eq!(error.code(), "signing_config_invalid");
        }
        let mut config = good();
        config.oidc_urls.clear();
        config.publishable().unwrap();
    }

    #[test]
    fn what_cosign_panics_on_does_not_parse() {
        for change in ["rekorTlogConfig", "tsaConfig", "mediaType"] {
            let mut value = serde_json::to_value(good()).unwrap();
            value.as_object_mut().unwrap().remove(change);
            assert!(SigningConfig::from_json(value.to_string().as_bytes()).is_err(), "{change}");
        }
        let mut value = serde_json::to_value(good()).unwrap();
        value["tsaConfig"] = json!({});
        assert!(SigningConfig::from_json(value.to_string().as_bytes()).is_err());
        value["tsaConfig"] = json!({"selector": "SERVICE_SELECTOR_UNDEFINED"});
        assert!(SigningConfig::from_json(value.to_string().as_bytes()).is_err());
    }
}
