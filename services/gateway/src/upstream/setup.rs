//! From the configuration to clients.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clock::Clock;
use jiff::SignedDuration;
use moka::sync::Cache;
use oci::RepositoryName;
use registry::{Credentials, Registry, Settings};
use url::{Host, Url};

use super::downloads::Downloads;
use super::metric::Counting;
use super::{Asking, Upstream, UpstreamSetupError, Upstreams};
use crate::UpstreamConfig;
use crate::blobs::Blobs;
use crate::store::Store;

/// How many tags, and how many lists of referrers, are remembered without asking the database.
const REMEMBERED: u64 = 10_000;
/// The longest that it is believed that something is not there.
const LONGEST_ABSENCE: Duration = Duration::from_secs(60);
/// For how long an upstream is not asked again whether it has a blob: as long as a client takes from asking to fetching.
const SIZES: Duration = Duration::from_secs(60);

/// Upstreams as they are configured, with a client for each.
#[derive(Debug, Default)]
pub(crate) struct UpstreamClients(Vec<Client>);

#[derive(Debug)]
struct Client {
    prefix: RepositoryName,
    origin: String,
    registry: Registry,
    offline: bool,
    ttl: Duration,
}

impl UpstreamClients {
    /// Reads the configuration. No upstream is called.
    ///
    /// # Errors
    /// [`UpstreamSetupError`].
    pub(crate) fn read(configured: &[UpstreamConfig]) -> Result<Self, UpstreamSetupError> {
        let mut clients: Vec<Client> = Vec::with_capacity(configured.len());
        for config in configured {
            let prefix = config.prefix.parse::<RepositoryName>();
            let prefix = prefix.map_err(|source| UpstreamSetupError::Prefix { prefix: config.prefix.clone(), source })?;
            if clients.iter().any(|client| client.prefix == prefix) {
                return Err(UpstreamSetupError::PrefixTwice { prefix: config.prefix.clone() });
            }
            let (registry, ttl) = (client(config)?, config.manifest_ttl.as_std());
            let origin = config.url.trim_end_matches('/').to_owned();
            clients.push(Client { prefix, origin, registry, offline: config.offline, ttl });
        }
        // One prefix may lie below another: the longer is looked at first.
        clients.sort_by_key(|client| std::cmp::Reverse(client.prefix.as_str().len()));
        Ok(Self(clients))
    }

    /// What lies below these is not written to here.
    pub(crate) fn prefixes(&self) -> Vec<RepositoryName> {
        self.0.iter().map(|client| client.prefix.clone()).collect()
    }
}

impl Upstreams {
    /// Keeps in `store` and `blobs` what comes from `clients`.
    pub(crate) fn new(clients: UpstreamClients, store: &Store, blobs: &Blobs, clock: &Arc<dyn Clock>) -> Self {
        let upstream = |client| Arc::new(upstream(client, store.clone(), blobs.clone(), Arc::clone(clock)));
        Self(clients.0.into_iter().map(upstream).collect())
    }
}

fn upstream(client: Client, store: Store, blobs: Blobs, clock: Arc<dyn Clock>) -> Upstream {
    let Client { prefix, origin, registry, offline, ttl } = client;
    Upstream {
        prefix,
        origin,
        registry,
        offline,
        ttl: SignedDuration::try_from(ttl).unwrap_or(SignedDuration::MAX),
        store,
        blobs,
        clock,
        tags: Cache::new(REMEMBERED),
        referrers: Cache::new(REMEMBERED),
        absent: Cache::builder().max_capacity(REMEMBERED).time_to_live(ttl.min(LONGEST_ABSENCE)).build(),
        sizes: Cache::builder().max_capacity(REMEMBERED).time_to_live(SIZES).build(),
        asking: Asking::default(),
        downloads: Downloads::default(),
    }
}

fn client(config: &UpstreamConfig) -> Result<Registry, UpstreamSetupError> {
    let prefix = || config.prefix.clone();
    let authorities: Vec<PathBuf> = config.ca_files.iter().map(|path| path.as_path().to_owned()).collect();
    let http = chassis::http_client_builder(&authorities);
    let http = http.map_err(|source| UpstreamSetupError::Authorities { prefix: prefix(), source })?;
    let settings = Settings {
        credentials: account(config)?,
        trusted_hosts: config.trusted_hosts.clone(),
        ..Settings::new(config.url.clone())
    };
    let counting = Arc::new(Counting { upstream: prefix() });
    Registry::observed(http, settings, counting).map_err(|source| UpstreamSetupError::Registry { prefix: prefix(), source })
}

fn account(config: &UpstreamConfig) -> Result<Option<Credentials>, UpstreamSetupError> {
    let prefix = || config.prefix.clone();
    let (username, path) = match (&config.username, &config.password_file) {
        (None, None) => return Ok(None),
        (Some(username), Some(path)) => (username.clone(), path.as_path()),
        _ => return Err(UpstreamSetupError::HalfAnAccount { prefix: prefix() }),
    };
    if !is_private_to_us(&config.url) {
        return Err(UpstreamSetupError::Unencrypted { prefix: prefix() });
    }
    let password = std::fs::read_to_string(path);
    let password = password.map_err(|source| UpstreamSetupError::Password { prefix: prefix(), path: path.to_owned(), source })?;
    Ok(Some(Credentials { username, password: password.trim().to_owned().into() }))
}

/// Whether nobody on the way can read along: TLS, or no way at all.
fn is_private_to_us(url: &str) -> bool {
    let Ok(url) = Url::parse(url) else { return true };
    let here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() == "https" || here
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(more: &str) -> UpstreamConfig {
        serde_json::from_str(&format!(r#"{{"prefix":"hub","url":"https://registry.example"{more}}}"#)).unwrap()
    }

    fn refused(config: &UpstreamConfig) -> String {
        use chassis::Explain as _;
        let error = client(config).unwrap_err();
        assert!(error.advice().is_some());
        format!("[{}] {error}", error.code())
    }

    #[test]
    fn the_longest_prefix_is_looked_at_first_and_each_is_there_once() {
        let named = |prefix: &str| UpstreamConfig { prefix: prefix.into(), ..config("") };
        let clients = UpstreamClients::read(&[named("hub"), named("hub/library"), named("h")]).unwrap();
        assert_eq!(clients.prefixes().iter().map(RepositoryName::as_str).collect::<Vec<_>>(), ["hub/library", "hub", "h"]);
        let twice = UpstreamClients::read(&[named("hub"), named("hub")]).unwrap_err();
        assert!(matches!(twice, UpstreamSetupError::PrefixTwice { .. }));
        assert!(matches!(UpstreamClients::read(&[named("Hub")]), Err(UpstreamSetupError::Prefix { .. })));
    }

    #[test]
    fn what_cannot_be_meant() {
        assert_eq!(
            refused(&config(r#","username":"u""#)),
            "[upstream_account] the upstream of hub has a user name or a password, but not both"
        );
        let account = r#","username":"u","password_file":"/nowhere""#;
        assert!(refused(&config(account)).starts_with("[upstream_account] the password for the upstream of hub cannot be read"));
        let mut clear = config(account);
        clear.url = "http://registry.example".into();
        assert!(refused(&clear).contains("unencrypted"));
        clear.url = "http://127.0.0.1:5000".into();
        assert!(refused(&clear).contains("cannot be read"), "on this machine nobody reads along");
        let mut url = config("");
        url.url = "registry.example".into();
        assert!(refused(&url).starts_with("[upstream_url]"));
        let mut authorities = config("");
        authorities.ca_files = vec![PathBuf::from("/nowhere").into()];
        assert!(refused(&authorities).starts_with("[ca_file_unreadable]"));
    }
}
