//! The certificate authority: proven identity in, logged certificate out.
//!
//! | to find | look at |
//! | --- | --- |
//! | the steps of issuing, in order | [`issuance`] |
//! | how a token becomes an identity | [`identity`] |
//! | templates of `ci-provider` issuers | `template` |
//! | the issuing key and its chain | `authority` |
//! | the certificate log, as its client | `ctl` |
//! | routes, gRPC, JSON, errors | `api` |
//! | every option | [`config::Config`] |
//! | the parsers of requests, to be fuzzed | [`fuzz`] |
//!
//! [`open`] checks everything that can be checked before the first request; [`Fulcio::router`] is the service.

mod api;
mod authority;
pub mod config;
mod ctl;
pub mod identity;
pub mod issuance;
mod metric;
pub mod proto;
mod start;
mod template;

use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use chassis::ReadyCheck;
use clock::Clock;
use jiff::SignedDuration;
use keys::Signer;
use pki::{Certificate, KeyKind, PublicKey};
use tokio::task::JoinHandle;

pub use self::api::fuzz;
use self::authority::Authority;
pub use self::authority::AuthorityError;
pub use self::config::Config;
use self::ctl::CtLog;
pub use self::ctl::CtLogError;
use self::identity::{IssuerSummary, Issuers};
use self::issuance::journal::Journal;
pub use self::issuance::journal::JournalError;
use self::issuance::{IssueError, Issued, Issuer, Request};
pub use self::start::StartError;

/// The certificate authority, ready to serve.
#[derive(Debug)]
pub struct Fulcio {
    app: Arc<App>,
    warm_up: JoinHandle<()>,
}

/// What handlers work with.
#[derive(Debug)]
pub(crate) struct App(Issuer);

/// Creates the file that records certificates, empty. For `init`, once.
///
/// # Errors
/// [`JournalError`]; an existing file is never touched.
pub async fn create(database: &Path) -> Result<(), JournalError> {
    Journal::create(database).await
}

/// Checks all that [`open`] checks before it opens its database.
///
/// # Errors
/// [`StartError`].
pub fn check(config: &Config, signer: Arc<dyn Signer>, clock: &Arc<dyn Clock>) -> Result<(), StartError> {
    prepare(config, signer, clock).map(drop)
}

/// Chain, key, log key and issuers.
fn prepare(
    config: &Config,
    signer: Arc<dyn Signer>,
    clock: &Arc<dyn Clock>,
) -> Result<(Authority, CtLog, Arc<Issuers>), StartError> {
    let skew = SignedDuration::try_from(config.not_before_skew.as_std()).unwrap_or(SignedDuration::MAX);
    let authority = Authority::open(config.certificate_chain.as_path(), signer, skew, clock.now())?;
    let ct_log = ct_log(config, &authority)?;
    let issuers = Arc::new(Issuers::new(config, Arc::clone(clock))?);
    Ok((authority, ct_log, issuers))
}

/// Checks configuration, chain, key, log key and database, and opens the service. `signer` holds the key of the chain's first
/// certificate. Nothing is fetched: issuers and the log may come up later.
///
/// # Errors
/// [`StartError`].
pub async fn open(config: &Config, signer: Arc<dyn Signer>, clock: Arc<dyn Clock>) -> Result<Fulcio, StartError> {
    let (authority, ct_log, issuers) = prepare(config, signer, &clock)?;
    let journal = Journal::open(config.database.as_path()).await?;
    let permitted = config.client_signing_algorithms.clone();
    metric::announce();
    let warm_up = tokio::spawn({
        let issuers = Arc::clone(&issuers);
        async move { issuers.warm_up().await }
    });
    let app = Arc::new(App(Issuer { issuers, authority, ct_log, journal, permitted, clock, policy: issuance::Policy }));
    tokio::spawn(watch_expiry(Arc::downgrade(&app)));
    Ok(Fulcio { app, warm_up })
}

fn ct_log(config: &Config, authority: &Authority) -> Result<CtLog, StartError> {
    let path = config.ct_log.public_key.as_path();
    let text = std::fs::read_to_string(path).map_err(|source| StartError::CtLogKeyUnreadable { path: path.into(), source })?;
    let key = PublicKey::from_pem(&text).map_err(|source| StartError::CtLogKey { path: path.into(), source })?;
    if key.kind() != KeyKind::P256 {
        return Err(StartError::CtLogKeyKind { path: path.into(), kind: key.kind() });
    }
    let url = &config.ct_log.url;
    if !url::Url::parse(url).is_ok_and(|url| ["http", "https"].contains(&url.scheme()) && url.query().is_none()) {
        return Err(StartError::CtLogUrl { url: url.clone() });
    }
    let authorities: Vec<_> = config.ct_log.ca_cert.iter().map(|path| path.as_path().to_owned()).collect();
    let client = chassis::http_client(&authorities).map_err(StartError::CtLogClient)?;
    Ok(CtLog::new(client, url, key, authority.chain()))
}

/// Until the service is gone.
async fn watch_expiry(app: Weak<App>) {
    const HOUR: Duration = Duration::from_secs(3600);
    while let Some(app) = app.upgrade() {
        let Issuer { authority, clock, .. } = &app.0;
        let left = |certificate: &Certificate| certificate.not_after().duration_since(clock.now()).as_secs_f64();
        if let [intermediate, .., root] = authority.chain() {
            metric::expiry(left(intermediate), left(root));
        }
        drop(app);
        tokio::time::sleep(HOUR).await;
    }
}

impl Fulcio {
    /// HTTP and gRPC, with their layers; for one port.
    pub fn router(&self) -> Router {
        api::router(&self.app)
    }

    /// What must hold for the service to work.
    #[must_use]
    pub fn ready(&self) -> Vec<Arc<dyn ReadyCheck>> {
        vec![Arc::new(RecordReadable(Arc::clone(&self.app))), Arc::new(ChainValid(Arc::clone(&self.app)))]
    }

    /// Whose tokens are accepted, in the order of the configuration.
    #[must_use]
    pub fn issuers(&self) -> &[IssuerSummary] {
        self.app.issuers()
    }

    /// Commits what is being recorded and closes the file. Call it when no request is left; one that comes after all is refused.
    pub async fn close(self) {
        self.warm_up.abort();
        self.app.0.journal.close().await;
    }
}

impl App {
    async fn issue(&self, request: Request) -> Result<Issued, IssueError> {
        self.0.issue(request).await
    }

    /// The chain as PEM, each with its final newline.
    fn trust_bundle(&self) -> Vec<String> {
        self.chain_pems().iter().map(|pem| format!("{pem}\n")).collect()
    }

    /// The chain as PEM, without final newlines.
    fn chain_pems(&self) -> &[String] {
        self.0.authority.chain_pems()
    }

    fn issuers(&self) -> &[IssuerSummary] {
        self.0.issuers.summaries()
    }
}

struct RecordReadable(Arc<App>);

#[async_trait]
impl ReadyCheck for RecordReadable {
    fn name(&self) -> &str {
        "record of certificates"
    }

    async fn check(&self) -> Result<(), String> {
        self.0.0.journal.check().await.map_err(|error| chassis::reason::chain(&error))
    }
}

struct ChainValid(Arc<App>);

#[async_trait]
impl ReadyCheck for ChainValid {
    fn name(&self) -> &str {
        "issuing chain valid"
    }

    async fn check(&self) -> Result<(), String> {
        let issuer = &self.0.0;
        issuer.authority.validity_at(issuer.clock.now()).map(drop).map_err(|error| error.to_string())
    }
}
