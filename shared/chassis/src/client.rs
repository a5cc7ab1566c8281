//! The client for outgoing calls.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::redirect::{Action, Attempt, Policy};
use reqwest::{Certificate, Client, ClientBuilder};

use crate::crypto;
use crate::report::Explain;

/// A client that trusts the machine's roots (also those of `SSL_CERT_FILE` and `SSL_CERT_DIR`) and the PEM files in
/// `authorities`, follows redirects within one origin only, uses no proxy, and gives up after 30 s.
///
/// # Errors
/// [`ClientError`] names the file that cannot be used.
pub fn http_client(authorities: &[PathBuf]) -> Result<Client, ClientError> {
    const CONNECT: Duration = Duration::from_secs(10);
    const WHOLE: Duration = Duration::from_secs(30);
    http_client_builder(authorities)?
        .redirect(Policy::custom(within_origin))
        .connect_timeout(CONNECT)
        .timeout(WHOLE)
        .build()
        .map_err(ClientError::Build)
}

/// What every client for outgoing calls begins with: whom it trusts, who it is, and no proxy. Redirects and time limits are for the
/// caller to decide.
///
/// A machine without roots is no error: inside a private network, or on loopback, the files may be all there is.
///
/// # Errors
/// [`ClientError`] names the file that cannot be used.
pub fn http_client_builder(authorities: &[PathBuf]) -> Result<ClientBuilder, ClientError> {
    crypto::install();
    let mut roots = native_roots();
    for path in authorities {
        roots.extend(read(path)?);
    }
    let agent = concat!("chancery/", env!("CARGO_PKG_VERSION"));
    Ok(Client::builder().tls_certs_only(roots).referer(false).no_proxy().user_agent(agent))
}

/// The client for outgoing calls cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// A file with certificate authorities cannot be read.
    #[error("cannot read the certificate authorities in {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file holds no usable certificate.
    #[error("no usable PEM certificate in {}", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
        /// What the library said, when it said something.
        source: Option<reqwest::Error>,
    },
    /// The library refused: our bug.
    #[error("cannot build the HTTP client")]
    Build(#[source] reqwest::Error),
}

impl Explain for ClientError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "ca_file_unreadable",
            Self::NoCertificate { .. } => "ca_file_empty",
            Self::Build(_) => "internal",
        }
    }

    fn advice(&self) -> Option<String> {
        match self {
            Self::Unreadable { .. } => Some("Check the path and who may read it.".into()),
            Self::NoCertificate { .. } => Some("Expected one or more BEGIN CERTIFICATE blocks.".into()),
            Self::Build(_) => None,
        }
    }
}

/// What the machine trusts; certificates that our library cannot read are left out, as other programs do.
fn native_roots() -> Vec<Certificate> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!(%error, "a part of the machine's certificate store cannot be read");
    }
    let mut store = rustls::RootCertStore::empty();
    let usable = |der: &rustls::pki_types::CertificateDer<'static>| store.add(der.clone()).is_ok();
    found.certs.into_iter().filter(usable).filter_map(|der| Certificate::from_der(&der).ok()).collect()
}

fn read(path: &PathBuf) -> Result<Vec<Certificate>, ClientError> {
    let pem = std::fs::read(path).map_err(|source| ClientError::Unreadable { path: path.clone(), source })?;
    let refused = |source| ClientError::NoCertificate { path: path.clone(), source };
    let certificates = Certificate::from_pem_bundle(&pem).map_err(|source| refused(Some(source)))?;
    if certificates.is_empty() { Err(refused(None)) } else { Ok(certificates) }
}

/// A service that redirects elsewhere would choose who sees a token or whose keys we believe.
fn within_origin(attempt: Attempt<'_>) -> Action {
    const MOST: usize = 5;
    let same = attempt.previous().first().is_some_and(|first| first.origin() == attempt.url().origin());
    if !same {
        let target = attempt.url().host_str().unwrap_or("nowhere").to_owned();
        attempt.error(format!("redirected to another origin ({target})"))
    } else if attempt.previous().len() > MOST {
        attempt.error("redirected too often")
    } else {
        attempt.follow()
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::response::Redirect;
    use axum::routing::get;

    use super::*;
    use crate::listen::{ListenConfig, Listener};
    use crate::reason::chain;
    use crate::serve::{Limits, Serving};

    #[tokio::test]
    async fn redirects_stay_within_one_origin() {
        let elsewhere = Listener::bind("elsewhere", &ListenConfig::loopback(0)).await.unwrap();
        let target = elsewhere.url();
        let listener = Listener::bind("here", &ListenConfig::loopback(0)).await.unwrap();
        let url = listener.url();
        let routes = Router::new()
            .route("/near", get(async || Redirect::temporary("/end")))
            .route("/far", get(async move || Redirect::temporary(&target)))
            .route("/loop", get(async || Redirect::temporary("/loop")))
            .route("/end", get(async || "end"));
        let _serving = Serving::start(listener, routes, Limits::default());
        let client = http_client(&[]).unwrap();
        let get = async |path: &str| client.get(format!("{url}{path}")).send().await;
        assert_eq!(get("/near").await.unwrap().text().await.unwrap(), "end");
        assert!(chain(&get("/far").await.unwrap_err()).contains("another origin (127.0.0.1)"));
        assert!(chain(&get("/loop").await.unwrap_err()).contains("too often"));
    }

    #[test]
    fn unusable_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        assert_eq!(http_client(std::slice::from_ref(&path)).unwrap_err().code(), "ca_file_unreadable");
        std::fs::write(&path, "no certificate").unwrap();
        let error = http_client(&[path]).unwrap_err();
        assert_eq!((error.code(), error.to_string().contains("ca.pem")), ("ca_file_empty", true));
    }
}
