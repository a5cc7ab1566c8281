//! Making the gateway, once, and opening it.

use std::sync::Arc;

use async_trait::async_trait;
use axum::Router;
use chassis::ReadyCheck;
use chassis::reason::chain;
use clock::Clock;
use oci::MAX_NAME_LENGTH;

use crate::access::Access;
use crate::blobs::{Blobs, UploadLimits};
use crate::contents::Contents;
use crate::policy::{Guard, Policies, Trusted};
use crate::promotion::{self, Promoter};
use crate::store::Store;
use crate::upstream::{UpstreamClients, Upstreams};
use crate::writes::Writes;
use crate::{App, Config, StartError, TrustError, api};

/// Makes what `config` names: the folder of blobs, then the database. Never overwrites.
///
/// A crash in between leaves a folder without a database: whoever calls this works in a folder that counts only when all of it is there,
/// and starts over.
///
/// # Errors
/// [`StartError`]: something is there already, or cannot be written.
pub async fn create(config: &Config) -> Result<(), StartError> {
    check_addresses(config)?;
    Blobs::create(&config.blobs).await?;
    Store::create(&config.database).await?;
    Ok(())
}

/// Checks all that can be checked without opening anything: addresses, secrets, policies, upstreams and the trusted root.
///
/// # Errors
/// [`StartError`], naming what does not fit.
pub fn check(config: &Config) -> Result<(), StartError> {
    check_addresses(config)?;
    Access::load(config)?;
    let policies = Policies::read(&config.policies, &config.upstreams)?;
    UpstreamClients::read(&config.upstreams)?;
    trusted_root(config, &policies)?;
    Ok(())
}

/// Opens what [`create`] made.
///
/// # Errors
/// [`StartError`], naming what is missing or does not fit.
pub async fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<Gateway, StartError> {
    check_addresses(config)?;
    let access = Access::load(config)?;
    let policies = Arc::new(Policies::read(&config.policies, &config.upstreams)?);
    let clients = UpstreamClients::read(&config.upstreams)?;
    let proxied = clients.prefixes();
    let trust = trusted_root(config, &policies)?;
    if let Some(trust) = &trust {
        trust.announce();
    }
    let store = Store::open(&config.database, clock.clone()).await?;
    let blobs = Blobs::open(&config.blobs, store.clone(), clock.clone(), UploadLimits::default()).await?;
    let upstreams = Upstreams::new(clients, &store, &blobs, &clock);
    let contents = Contents::new(store.clone(), blobs.clone(), upstreams);
    let writes = Writes::new(store.clone(), blobs.clone(), Guard::new(Arc::clone(&policies)), proxied.clone());
    let promoter = Promoter::open(store.clone(), contents.clone(), policies, trust, proxied, config.host()).await;
    let promoter = Arc::new(promoter.map_err(|error| StartError::Contents(error.into()))?);
    let longest_name = MAX_NAME_LENGTH.saturating_sub(config.host().len() + 1);
    Ok(Gateway { app: Arc::new(App { access, contents, writes, promoter, clock, longest_name }), store, blobs })
}

/// A running gateway: a handle, cheap to clone.
#[derive(Debug, Clone)]
pub struct Gateway {
    app: Arc<App>,
    store: Store,
    blobs: Blobs,
}

impl Gateway {
    /// Everything it answers, layers included.
    pub fn router(&self) -> Router {
        api::router(Arc::clone(&self.app)).merge(promotion::router(Arc::clone(&self.app)))
    }

    /// What must hold before the process is ready.
    #[must_use]
    pub fn ready_checks(&self) -> Vec<Arc<dyn ReadyCheck>> {
        vec![Arc::new(DatabaseAnswers(self.store.clone()))]
    }

    /// Finishes what is under way, keeps what has arrived of uploads, and lets go of the database.
    pub async fn close(self) {
        self.app.promoter.close().await;
        self.blobs.close();
        self.store.close().await;
    }
}

/// What policies verify with. Where there is no policy it is used if it is there: a report then says what was verified.
fn trusted_root(config: &Config, policies: &Policies) -> Result<Option<Trusted>, TrustError> {
    match &config.trusted_root {
        Some(path) => Trusted::open(path).map(Some),
        None if policies.is_empty() => Ok(None),
        None => Err(TrustError::Missing),
    }
}

struct DatabaseAnswers(Store);

#[async_trait]
impl ReadyCheck for DatabaseAnswers {
    fn name(&self) -> &str {
        "database answers"
    }

    async fn check(&self) -> Result<(), String> {
        self.0.check().await.map_err(|error| chain(&error))
    }
}

/// What can be refused from the configuration alone.
fn check_addresses(config: &Config) -> Result<(), StartError> {
    let http = ["http://", "https://"].iter().any(|scheme| config.public_url.starts_with(scheme));
    if !http || config.host().is_empty() || config.host().contains(['/', '?', '#', '@', '"', ' ']) {
        return Err(StartError::PublicUrl { url: config.public_url.clone() });
    }
    if config.push_token_file.is_some() {
        return Ok(());
    }
    if config.http.behind_proxy {
        return Err(StartError::PushToken { listener: "a proxy in front".into() });
    }
    match config.http.listen.iter().find(|address| !address.ip().is_loopback()) {
        Some(address) => Err(StartError::PushToken { listener: address.to_string() }),
        None => Ok(()),
    }
}
