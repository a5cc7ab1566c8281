//! Starting: key and chain from their files, checked against each other.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use chassis::{Explain, ReadyCheck};
use clock::Clock;
use keys::{FileKey, Signer as _};

use crate::{CertificateChain, ChainError, Config, Rules, Tsa, metrics};

/// Reads key and chain and starts an authority that signs with them. Never makes a key or certificate of its own.
///
/// # Errors
/// [`StartError`]: a file that cannot be read, or a chain whose tokens verifiers would refuse.
pub async fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<Tsa, StartError> {
    let key = FileKey::load(&config.key).map_err(StartError::Key)?;
    let pem = tokio::fs::read_to_string(&config.certificate_chain)
        .await
        .map_err(|source| StartError::ChainUnreadable { path: config.certificate_chain.as_path().to_owned(), source })?;
    let rules = Rules { now: clock.now(), enforce_intermediate_eku: config.enforce_intermediate_eku };
    let chain = CertificateChain::check(&pem, key.public_key(), &rules)
        .map_err(|source| StartError::Chain { path: config.certificate_chain.as_path().to_owned(), source })?;
    let tsa = Tsa::new(config, chain, Arc::new(key), clock);
    metrics::watch_chain(tsa.authority());
    Ok(tsa)
}

impl Tsa {
    /// What must hold before the process is ready: the clock has not stepped back and the chain is valid.
    #[must_use]
    pub fn ready_checks(&self) -> Vec<Arc<dyn ReadyCheck>> {
        vec![Arc::new(CanIssue(self.clone()))]
    }
}

struct CanIssue(Tsa);

#[async_trait]
impl ReadyCheck for CanIssue {
    fn name(&self) -> &str {
        "clock and certificate chain"
    }

    async fn check(&self) -> Result<(), String> {
        self.0.authority().check().map_err(|error| chassis::reason::chain(&error))
    }
}

/// Why the authority did not start. Always the operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The key's file.
    #[error("the timestamp authority's key cannot be used")]
    Key(#[source] keys::KeyFileError),
    /// The chain's file.
    #[error("cannot read the timestamp authority's certificate chain {}", path.display())]
    ChainUnreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The chain.
    #[error("the timestamp authority's certificate chain {} cannot be used", path.display())]
    Chain {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ChainError,
    },
}

impl Explain for StartError {
    fn code(&self) -> &'static str {
        match self {
            Self::Key(_) => "tsa_key",
            Self::ChainUnreadable { .. } => "tsa_chain_unreadable",
            Self::Chain { source, .. } => source.code(),
        }
    }

    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::Key(_) | Self::ChainUnreadable { .. } => {
                "Restore the file from the backup; a new key would break the trust root.".into()
            }
            Self::Chain { source, .. } => source.advice().into(),
        })
    }
}
