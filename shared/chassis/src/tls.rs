//! TLS from PEM files, read again when they change.
//!
//! Certificates are replaced under a running service by cert-manager, certbot or a person with `cp`, sometimes the certificate
//! a moment before its key. The files' content is compared every two seconds (a ConfigMap swaps symlinks, a copy may keep the
//! time of change: content alone is exact). A pair that does not fit is not taken; the old one stays until a good one comes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::listen::TlsFiles;
use crate::reason::chain;
use crate::report::Explain;

/// How often the files are compared.
const POLL: Duration = if cfg!(test) { Duration::from_millis(20) } else { Duration::from_secs(2) };

/// The TLS side of a listener.
pub(crate) struct Tls {
    service: &'static str,
    files: TlsFiles,
    current: ArcSwap<ServerConfig>,
    loaded: Pem,
}

impl Tls {
    /// Reads the pair for the first time: here, one that does not fit is an error.
    pub(crate) fn load(service: &'static str, files: &TlsFiles) -> Result<Arc<Self>, TlsError> {
        let loaded = Pem::read(files)?;
        let current = ArcSwap::new(loaded.server_config(files)?);
        Ok(Arc::new(Self { service, files: files.clone(), current, loaded }))
    }

    /// What the next connection is accepted with.
    pub(crate) fn acceptor(&self) -> TlsAcceptor {
        TlsAcceptor::from(self.current.load_full())
    }

    /// Takes changed files until `stopped`.
    pub(crate) async fn watch(self: Arc<Self>, stopped: CancellationToken) {
        let mut seen = Ok(self.loaded.clone());
        while stopped.run_until_cancelled(tokio::time::sleep(POLL)).await.is_some() {
            let files = self.files.clone();
            let read = tokio::task::spawn_blocking(move || Pem::read(&files).map_err(|error| chain(&error)));
            // The task only reads two files; it is cancelled when the runtime goes.
            let Ok(now) = read.await else { return };
            if now != seen {
                self.take(&now);
                seen = now;
            }
        }
    }

    fn take(&self, pem: &Result<Pem, String>) {
        let fitting = pem.as_ref().map_err(Clone::clone);
        match fitting.and_then(|pem| pem.server_config(&self.files).map_err(|error| chain(&error))) {
            Ok(config) => {
                self.current.store(config);
                metrics::counter!("tls_reloads_total", "service" => self.service, "result" => "taken").increment(1);
                tracing::info!(service = self.service, certificate = %self.files.certificate.display(), "took the new TLS certificate");
            }
            Err(reason) => {
                metrics::counter!("tls_reloads_total", "service" => self.service, "result" => "refused").increment(1);
                tracing::warn!(service = self.service, reason, "kept the old TLS certificate: the changed files do not fit");
            }
        }
    }
}

/// The two files as they lie there. No `Debug`: one is a private key.
#[derive(Clone, PartialEq, Eq)]
struct Pem {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Pem {
    fn read(files: &TlsFiles) -> Result<Self, TlsError> {
        let read = |path: &PathBuf| std::fs::read(path).map_err(|source| TlsError::Unreadable { path: path.clone(), source });
        Ok(Self { certificate: read(&files.certificate.to_path_buf())?, key: read(&files.key.to_path_buf())? })
    }

    /// The pair, checked: the key belongs to the first certificate.
    fn server_config(&self, files: &TlsFiles) -> Result<Arc<ServerConfig>, TlsError> {
        let (certificate, key) = (files.certificate.to_path_buf(), files.key.to_path_buf());
        let certificates = CertificateDer::pem_slice_iter(&self.certificate).collect::<Result<Vec<_>, _>>();
        let certificates = certificates.ok().filter(|chain| !chain.is_empty());
        let certificates = certificates.ok_or_else(|| TlsError::NoCertificate { path: certificate.clone() })?;
        let private_key = PrivateKeyDer::from_pem_slice(&self.key).map_err(|_| TlsError::NoKey { path: key.clone() })?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, private_key))
            .map_err(|source| TlsError::Mismatch { certificate, key, source })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

/// The TLS files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read the TLS file {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No certificate in the file.
    #[error("no PEM certificate in {}", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// No private key in the file.
    #[error("no PEM private key in {}", path.display())]
    NoKey {
        /// The file.
        path: PathBuf,
    },
    /// The two do not belong together, or are of a kind that TLS cannot use.
    #[error("the TLS key {} does not fit the certificate {}", key.display(), certificate.display())]
    Mismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What the TLS library said.
        source: rustls::Error,
    },
}

impl Explain for TlsError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "tls_file_unreadable",
            Self::NoCertificate { .. } => "tls_no_certificate",
            Self::NoKey { .. } => "tls_no_key",
            Self::Mismatch { .. } => "tls_key_mismatch",
        }
    }

    fn advice(&self) -> Option<String> {
        Some(match self {
            Self::Unreadable { .. } => "Check the path and who may read it.".into(),
            Self::NoCertificate { .. } => "Expected BEGIN CERTIFICATE, the leaf first, then the intermediates.".into(),
            Self::NoKey { .. } => "Expected BEGIN PRIVATE KEY (or EC, RSA), not encrypted.".into(),
            Self::Mismatch { .. } => "Put the leaf first in the certificate file, and its own key into the key file.".into(),
        })
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tls").field("service", &self.service).field("files", &self.files).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
