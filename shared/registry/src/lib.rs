//! A client of other people's registries (OCI distribution-spec 1.1).
//!
//! [`Registry`] is one registry and one account. Whatever it returns was checked: manifests and blobs against their digests, listings
//! of referrers against what a listing is. Every answer is bounded in bytes and every wait in time; transient failures are tried
//! again, and a blob whose connection is cut continues where it was. The other side decides nothing beyond its own content: it may
//! not choose who sees the account's password, nor which hosts of the private network are called.

mod auth;
mod blob;
mod challenge;
mod error;
mod exchange;
mod link;
mod manifest;
mod observe;
mod patience;
mod push;
mod reach;
mod referrers;
mod tags;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use oci::RepositoryName;
use reqwest::{ClientBuilder, Url};
use tokio::sync::Semaphore;

pub use auth::Credentials;
pub use blob::{BlobStream, MAX_BLOB_BYTES};
pub use error::{RegistryError, SetupError};
pub use manifest::{Fetched, Resolved};
pub use observe::{Kind, Observer};
pub use push::PushedManifest;
pub use referrers::{Referrers, Source};
pub use tags::TagPage;

use auth::Authenticator;
use patience::{Breaker, Patience};
use reach::{Guarded, Reach};

/// How many blobs come from one registry at a time.
const STREAMS: usize = 16;
/// How many documents are asked of one registry at a time.
const DOCUMENTS: usize = 64;
/// For how long it is remembered whether a repository is served with the referrers API.
const API: Duration = Duration::from_secs(600);
/// Repositories that this is remembered of.
const REMEMBERED: u64 = 10_000;

/// One registry as one account sees it. Cheap to clone; clones share connections, tokens and limits.
#[derive(Debug, Clone)]
pub struct Registry {
    inner: Arc<Inner>,
    patience: Patience,
}

#[derive(Debug)]
struct Inner {
    http: reqwest::Client,
    /// Without a trailing slash.
    base: Url,
    /// `host:port` as people know it, for messages.
    name: String,
    reach: Reach,
    auth: Authenticator,
    streams: Arc<Semaphore>,
    documents: Semaphore,
    breaker: Breaker,
    /// Whether a repository is served with the API. Once it was, a single answer to the contrary is not believed of the others.
    referrers_api: Cache<RepositoryName, bool>,
    observer: Arc<dyn Observer>,
}

/// Where a registry is and how it is talked to.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The base URL, without `/v2`.
    pub url: String,
    /// The account, if any.
    pub credentials: Option<Credentials>,
    /// Hosts that may be given the account's password as token services, and may be redirected to although they are private. The
    /// registry's own host is always one of them.
    pub trusted_hosts: Vec<String>,
    /// How long to wait before the first repetition of a call; each further wait is twice as long, up to 15 times this.
    pub pause: Duration,
}

impl Settings {
    /// The registry at `url`, without an account.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), credentials: None, trusted_hosts: Vec::new(), pause: Duration::from_millis(200) }
    }
}

impl Registry {
    /// A client built from `http`, which brings the certificate authorities; redirects, name resolution and time limits are ours.
    ///
    /// # Errors
    /// The URL is none, or the client cannot be built.
    pub fn new(http: ClientBuilder, settings: Settings) -> Result<Self, SetupError> {
        Self::observed(http, settings, Arc::new(observe::Nobody))
    }

    /// The same, and `observer` is told what happens.
    ///
    /// # Errors
    /// As [`Registry::new`].
    pub fn observed(http: ClientBuilder, settings: Settings, observer: Arc<dyn Observer>) -> Result<Self, SetupError> {
        const CONNECT: Duration = Duration::from_secs(10);
        const READ: Duration = Duration::from_secs(30);
        let base = base_url(&settings.url)?;
        let reach = Reach::new(&base, &settings.trusted_hosts);
        let http = http
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .dns_resolver(Arc::new(Guarded::new(reach.clone())))
            .connect_timeout(CONNECT)
            .read_timeout(READ)
            .build()
            .map_err(SetupError::Client)?;
        let inner = Inner {
            name: host_and_port(&base),
            auth: Authenticator::new(settings.credentials),
            streams: Arc::new(Semaphore::new(STREAMS)),
            documents: Semaphore::new(DOCUMENTS),
            breaker: Breaker::default(),
            referrers_api: Cache::builder().max_capacity(REMEMBERED).time_to_live(API).build(),
            http,
            base,
            reach,
            observer,
        };
        Ok(Self { inner: Arc::new(inner), patience: Patience::patient(settings.pause) })
    }

    /// `HOST:PORT`, as it stands in image names.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The same registry for who has something else to answer with: one attempt, five seconds, and none at all while the registry is
    /// known not to answer.
    #[must_use]
    pub fn hasty(&self) -> Self {
        Self { inner: Arc::clone(&self.inner), patience: self.patience.hasty() }
    }

    /// `{base}/v2/{repository}/{rest}`. All parts are checked names or digests, so nothing needs escaping.
    fn url(&self, repository: &RepositoryName, rest: &str) -> Url {
        let text = format!("{}/v2/{repository}/{rest}", self.inner.base.as_str().trim_end_matches('/'));
        Url::parse(&text).expect("a base URL with path segments behind it is a URL")
    }
}

fn base_url(text: &str) -> Result<Url, SetupError> {
    let wrong = |reason: &str| SetupError::Url { url: text.to_owned(), reason: reason.to_owned() };
    let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("expected http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(SetupError::Url { url: host_and_port(&url), reason: "a URL may not carry an account".to_owned() });
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("expected no query and no fragment"));
    }
    Ok(url)
}

fn host_and_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
