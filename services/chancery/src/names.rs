//! The public names of an installation. All but the registry's go into origins, the trusted root and signing configs, and never
//! change again.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use url::Url;

/// A service with a public URL of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum ServiceName {
    /// The certificate authority.
    Fulcio,
    /// The certificate transparency log.
    Ctlog,
    /// The Rekor v2 log.
    #[serde(rename = "rekor-v2")]
    RekorV2,
    /// The Rekor v1 log.
    #[serde(rename = "rekor-v1")]
    RekorV1,
    /// The timestamp authority.
    Tsa,
    /// The trust root.
    Tuf,
    /// The registry gateway.
    Registry,
    /// The witness of other people's logs.
    Witness,
}

impl ServiceName {
    /// Every service that `init` makes, in the order people read them. A witness is made by who wants one.
    pub(crate) const ALL: [Self; 7] =
        [Self::Fulcio, Self::Ctlog, Self::RekorV2, Self::RekorV1, Self::Tsa, Self::Tuf, Self::Registry];

    /// Whether the public URL is part of something signed. The registry's is part of image names alone, and a signature is over an
    /// image's digest, so it may move, and an installation made before there was a registry is whole without one.
    pub(crate) const fn is_anchored(self) -> bool {
        !matches!(self, Self::Registry | Self::Witness)
    }

    /// The name on the command line and in `anchors.json`.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Fulcio => "fulcio",
            Self::Ctlog => "ctlog",
            Self::RekorV2 => "rekor-v2",
            Self::RekorV1 => "rekor-v1",
            Self::Tsa => "tsa",
            Self::Tuf => "tuf",
            Self::Registry => "registry",
            Self::Witness => "witness",
        }
    }

    /// The name of its section in `chancery.yaml`, and so in logs, metrics and advice.
    pub(crate) const fn section(self) -> &'static str {
        match self {
            Self::RekorV2 => "rekor_v2",
            Self::RekorV1 => "rekor_v1",
            Self::Registry => "gateway",
            other => other.as_str(),
        }
    }

    /// What it is, in words.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Fulcio => "certificate authority",
            Self::Ctlog => "certificate log",
            Self::RekorV2 => "transparency log v2",
            Self::RekorV1 => "transparency log v1",
            Self::Tsa => "timestamp authority",
            Self::Tuf => "trust root (TUF)",
            Self::Registry => "registry",
            Self::Witness => "witness",
        }
    }

    /// The port it listens on unless told otherwise.
    pub(crate) const fn port(self) -> u16 {
        match self {
            Self::Fulcio => 5555,
            Self::Ctlog => 6962,
            Self::RekorV2 => 3003,
            Self::RekorV1 => 3000,
            Self::Tsa => 3004,
            Self::Tuf => 8080,
            Self::Registry => 5000,
            Self::Witness => 7380,
        }
    }

    /// Its public URL unless told otherwise.
    pub(crate) fn url_below(self, domain: &str) -> String {
        format!("https://{}.{domain}", self.host())
    }

    /// The host name below a domain. A Rekor v2 log's origin is its host, so each shard needs a name of its own.
    const fn host(self) -> &'static str {
        match self {
            Self::RekorV2 => "log1.rekor",
            other => other.as_str(),
        }
    }
}

impl fmt::Display for ServiceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A name or URL that cannot be used; says what would be.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NameError {
    /// Not one of the services.
    #[error("{0} is not a service; expected one of fulcio, ctlog, rekor-v2, rekor-v1, tsa, tuf, registry, witness")]
    UnknownService(String),
    /// Not `SERVICE=URL`.
    #[error("{0} is not of the form SERVICE=URL, for example fulcio=https://fulcio.corp.example")]
    NotAPair(String),
    /// Not a usable base URL.
    #[error("{url} cannot be the public URL of {service}: {reason}")]
    BadUrl {
        /// Whose it would be.
        service: ServiceName,
        /// As given.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Neither a domain nor a URL for a service.
    #[error("{0} has no public URL; give --domain DOMAIN, or --public-url {0}=URL")]
    Missing(ServiceName),
    /// A service that is made by a command of its own.
    #[error("a witness is made afterwards, with: chancery witness add --dir DIR --public-url witness=URL")]
    Witness,
    /// Not a domain name.
    #[error("{0} is not a domain name; expected something like sigstore.corp.example")]
    BadDomain(String),
}

impl FromStr for ServiceName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::ALL
            .into_iter()
            .chain([Self::Witness])
            .find(|name| name.as_str() == text)
            .ok_or_else(|| NameError::UnknownService(text.to_owned()))
    }
}

/// One `--public-url SERVICE=URL`.
#[derive(Debug, Clone)]
pub(crate) struct PublicUrl(pub ServiceName, pub String);

impl FromStr for PublicUrl {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let (service, url) = text.split_once('=').ok_or_else(|| NameError::NotAPair(text.to_owned()))?;
        let service = service.parse()?;
        Ok(Self(service, base_url(service, url)?))
    }
}

/// The public URL of every service: absolute, no trailing slash, no query.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct PublicUrls(BTreeMap<ServiceName, String>);

impl PublicUrls {
    /// `https://SERVICE.domain` for each service, except where `overrides` says otherwise.
    ///
    /// # Errors
    /// A service without a URL, or a domain that is none.
    pub(crate) fn new(domain: Option<&str>, overrides: &[PublicUrl]) -> Result<Self, NameError> {
        let mut urls = BTreeMap::new();
        if let Some(domain) = domain {
            check_domain(domain)?;
            for service in ServiceName::ALL {
                urls.insert(service, service.url_below(domain));
            }
        }
        for PublicUrl(service, url) in overrides {
            if *service == ServiceName::Witness {
                return Err(NameError::Witness);
            }
            urls.insert(*service, url.clone());
        }
        match ServiceName::ALL.into_iter().find(|service| !urls.contains_key(service)) {
            Some(missing) => Err(NameError::Missing(missing)),
            None => Ok(Self(urls)),
        }
    }

    /// One service's base URL.
    pub(crate) fn of(&self, service: ServiceName) -> &str {
        &self.0[&service]
    }

    /// One service's base URL; none when the installation was made before there was such a service.
    pub(crate) fn get(&self, service: ServiceName) -> Option<&str> {
        self.0.get(&service).map(String::as_str)
    }

    /// With one more service.
    pub(crate) fn with(mut self, service: ServiceName, url: &str) -> Self {
        self.0.insert(service, url.to_owned());
        self
    }

    /// Those that can never change.
    pub(crate) fn anchored(&self) -> Self {
        Self(self.0.iter().filter(|(service, _)| service.is_anchored()).map(|(service, url)| (*service, url.clone())).collect())
    }

    /// The domain that all of them are below, named as [`PublicUrls::new`] names them; none when one is elsewhere.
    pub(crate) fn domain(&self) -> Option<&str> {
        let mut domains = self.0.iter().map(|(service, url)| below(*service, url));
        let first = domains.next()??;
        domains.all(|domain| domain == Some(first)).then_some(first)
    }

    /// The full URL that timestamp requests go to.
    pub(crate) fn timestamp_endpoint(&self) -> String {
        format!("{}/api/v1/timestamp", self.of(ServiceName::Tsa))
    }
}

/// A base URL without its scheme: what image names begin with.
pub(crate) fn host_of(url: &str) -> &str {
    url.split_once("://").map_or(url, |(_, host)| host)
}

fn below(service: ServiceName, url: &str) -> Option<&str> {
    url.strip_prefix("https://")?.strip_prefix(service.host())?.strip_prefix('.')
}

fn check_domain(domain: &str) -> Result<(), NameError> {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if domain.len() <= 200 && domain.split('.').all(label) { Ok(()) } else { Err(NameError::BadDomain(domain.to_owned())) }
}

fn base_url(service: ServiceName, text: &str) -> Result<String, NameError> {
    let bad = |reason: &str| NameError::BadUrl { service, url: text.to_owned(), reason: reason.to_owned() };
    let url = Url::parse(text).map_err(|error| bad(&error.to_string()))?;
    if !matches!(url.scheme(), "https" | "http") {
        return Err(bad("expected https:// (or http:// on loopback)"));
    }
    if url.host_str().is_none() || !url.username().is_empty() || url.password().is_some() {
        return Err(bad("expected a host and no user name"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad("a base URL has no query and no fragment"));
    }
    if matches!(service, ServiceName::RekorV2 | ServiceName::RekorV1) && url.path() != "/" {
        return Err(bad("a Rekor log's origin is made of its host, so its URL has no path"));
    }
    if service == ServiceName::Registry && url.path() != "/" {
        return Err(bad("image names begin with the registry's host and nothing else, so its URL has no path"));
    }
    if service == ServiceName::Fulcio && url.path() != "/" {
        return Err(bad(
            "gRPC and sigstore-python reach a certificate authority at the root of its host, so its URL has no path",
        ));
    }
    Ok(text.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_names_every_service() {
        let urls = PublicUrls::new(Some("corp.example"), &[]).unwrap();
        assert_eq!(urls.of(ServiceName::Fulcio), "https://fulcio.corp.example");
        assert_eq!(urls.of(ServiceName::RekorV2), "https://log1.rekor.corp.example");
        assert_eq!(urls.of(ServiceName::RekorV1), "https://rekor-v1.corp.example");
        assert_eq!(urls.of(ServiceName::Registry), "https://registry.corp.example");
        assert_eq!(urls.timestamp_endpoint(), "https://tsa.corp.example/api/v1/timestamp");
    }

    #[test]
    fn the_registry_is_no_anchor_and_finds_its_domain() {
        let urls = PublicUrls::new(Some("corp.example"), &["registry=https://r.example".parse().unwrap()]).unwrap();
        assert_eq!((urls.domain(), urls.anchored().domain()), (None, Some("corp.example")));
        let anchored = serde_json::to_value(urls.anchored()).unwrap();
        assert_eq!(anchored.as_object().unwrap().len(), ServiceName::ALL.len() - 1);
        let read: PublicUrls = serde_json::from_value(anchored).unwrap();
        assert_eq!(read, urls.anchored(), "an installation that was made before there was a registry");
    }

    #[test]
    fn single_urls_override_and_lose_their_slash() {
        let one: PublicUrl = "rekor-v2=https://log.example:8443/".parse().unwrap();
        let urls = PublicUrls::new(Some("corp.example"), &[one]).unwrap();
        assert_eq!(urls.of(ServiceName::RekorV2), "https://log.example:8443");
    }

    #[test]
    fn what_cannot_be_a_name_is_refused_with_the_reason() {
        for (text, expected) in [
            ("rekor=https://x", "rekor is not a service; expected one of fulcio"),
            ("fulcio", "not of the form SERVICE=URL"),
            ("fulcio=ftp://x", "expected https://"),
            ("fulcio=https://u@x", "no user name"),
            ("fulcio=https://x/y", "no path"),
            ("rekor-v2=https://x/y", "no path"),
            ("rekor-v1=https://x/y", "no path"),
            ("registry=https://x/y", "no path"),
            ("tsa=https://x/?a", "no query"),
            ("tsa=nonsense", "cannot be the public URL of tsa"),
        ] {
            let error = text.parse::<PublicUrl>().unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
        let witness: PublicUrl = "witness=https://w.example".parse().unwrap();
        assert!(PublicUrls::new(Some("corp.example"), &[witness]).unwrap_err().to_string().contains("chancery witness add"));
        assert!(PublicUrls::new(None, &[]).unwrap_err().to_string().contains("--public-url fulcio=URL"));
        for domain in ["", "a..b", "Corp.example", "-x.example", "x y", "https://corp.example"] {
            assert!(PublicUrls::new(Some(domain), &[]).is_err(), "{domain}");
        }
    }
}
