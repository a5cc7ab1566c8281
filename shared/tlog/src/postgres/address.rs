use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr as _;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

/// Where a database is: `postgres://USER@HOST:PORT/NAME`, without a password in it.
///
/// The line to any host but this one is TLS with a certificate that is checked, name and all, unless the URL says `sslmode=verify-ca` or
/// `sslmode=disable`. The modes that encrypt and believe anybody are refused: they look like protection and are none. Believed are the
/// authorities in the file `sslrootcert`, or, where none is named, those of this machine; besides, always, the public ones.
#[derive(Clone)]
pub struct Address {
    options: Box<PgConnectOptions>,
    shown: String,
    /// Parameter and path.
    files: Vec<(&'static str, PathBuf)>,
}

/// A text that is no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Not a URL of Postgres.
    #[error("it is no postgres:// URL: {0}")]
    Url(String),
    /// A secret where it would be shown.
    #[error("it contains a password; put that into a file of its own and name it as database_password_file")]
    Password,
    /// A URL without the name of a database.
    #[error("it names no database; expected postgres://USER@HOST/NAME")]
    Name,
    /// A URL that leaves the host to the environment.
    #[error("it names no host; expected postgres://USER@HOST/NAME, or a socket's folder as ?host=/run/postgresql")]
    Host,
    /// A parameter that is not taken.
    #[error("it has the parameter {0}; expected only host, sslmode, sslrootcert, sslcert and sslkey")]
    Parameter(String),
    /// A file that would be looked for wherever the process was started.
    #[error("it has {0} with a relative path; expected an absolute one")]
    RelativeFile(&'static str),
    /// A mode of TLS that does not protect.
    #[error("it has sslmode={0}, which does not check whom it talks to; expected verify-full, verify-ca or disable")]
    TlsMode(String),
}

/// What a URL may say after its question mark.
const PARAMETERS: [&str; 5] = ["host", "sslmode", "sslrootcert", "sslcert", "sslkey"];

/// Those that name a file, PEM.
const FILES: [&str; 3] = ["sslrootcert", "sslcert", "sslkey"];

impl Address {
    /// Whether this is meant to be an address of Postgres, right or wrong, rather than the path of a file.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        text.starts_with("postgres:") || text.starts_with("postgresql:")
    }

    /// Reads a URL.
    ///
    /// # Errors
    /// [`AddressError`], without what is secret in the URL.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let url = Url::parse(text).map_err(|error| AddressError::Url(error.to_string()))?;
        if !Self::is_meant(text) {
            return Err(AddressError::Url("its scheme is another".to_owned()));
        }
        if url.password().is_some() || url.query_pairs().any(|(key, _)| key == "password") {
            return Err(AddressError::Password);
        }
        if let Some((key, _)) = url.query_pairs().find(|(key, _)| !PARAMETERS.contains(&key.as_ref())) {
            return Err(AddressError::Parameter(key.into_owned()));
        }
        if url.path().trim_start_matches('/').is_empty() {
            return Err(AddressError::Name);
        }
        let host = host(&url).ok_or(AddressError::Host)?;
        let mode = tls_mode(&url, &host)?;
        let files = files(&url)?;
        let options = PgConnectOptions::from_str(text).map_err(|error| AddressError::Url(error.to_string()))?;
        let options = options.ssl_mode(mode).application_name("chancery");
        Ok(Self { shown: shown(&options), options: Box::new(options), files })
    }

    /// With the password of its user.
    #[must_use]
    pub fn with_password(self, password: &str) -> Self {
        Self { options: Box::new(self.options.password(password)), ..self }
    }

    /// How to connect. Reads the machine's authorities where they count.
    pub(super) fn options(&self) -> PgConnectOptions {
        let options = self.options.as_ref().clone();
        let checked = matches!(options.get_ssl_mode(), PgSslMode::VerifyCa | PgSslMode::VerifyFull);
        if checked && !self.files.iter().any(|(parameter, _)| *parameter == "sslrootcert") {
            options.ssl_root_cert_from_pem(machine_authorities())
        } else {
            options
        }
    }

    /// Looks whether each file that was named can be read and is PEM: otherwise a connection fails in words that name none of them, and
    /// a file without any certificate is taken for an authority less.
    pub(super) fn check_files(&self) -> Result<(), String> {
        for (parameter, path) in &self.files {
            let text = std::fs::read_to_string(path).map_err(|error| format!("{parameter} {}: {error}", path.display()))?;
            let begins = if *parameter == "sslkey" { "PRIVATE KEY-----" } else { "-----BEGIN CERTIFICATE-----" };
            if !text.contains(begins) {
                return Err(format!("{parameter} {}: there is no {} in it", path.display(), begins.trim_matches('-')));
            }
        }
        Ok(())
    }
}

/// As it may be shown: without parameters, and there is never a password in it.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Address").field(&self.shown).finish()
    }
}

/// The host as sqlx finds it: what a parameter says counts.
fn host(url: &Url) -> Option<String> {
    let parameter = url.query_pairs().find(|(key, _)| key == "host").map(|(_, host)| host.into_owned());
    parameter.or_else(|| url.host_str().map(ToOwned::to_owned)).filter(|host| !host.is_empty())
}

fn tls_mode(url: &Url, host: &str) -> Result<PgSslMode, AddressError> {
    let said = url.query_pairs().find(|(key, _)| key == "sslmode").map(|(_, mode)| mode.into_owned());
    match said.as_deref() {
        Some("disable") => Ok(PgSslMode::Disable),
        Some("verify-ca") => Ok(PgSslMode::VerifyCa),
        Some("verify-full") => Ok(PgSslMode::VerifyFull),
        Some(other) => Err(AddressError::TlsMode(other.to_owned())),
        None if is_here(host) => Ok(PgSslMode::Disable),
        None => Ok(PgSslMode::VerifyFull),
    }
}

fn files(url: &Url) -> Result<Vec<(&'static str, PathBuf)>, AddressError> {
    let named = |parameter: &'static str| {
        let (_, path) = url.query_pairs().find(|(key, _)| *key == parameter)?;
        Some((parameter, PathBuf::from(path.into_owned())))
    };
    let files: Vec<_> = FILES.into_iter().filter_map(named).collect();
    match files.iter().find(|(_, path)| !path.is_absolute()) {
        Some((parameter, _)) => Err(AddressError::RelativeFile(parameter)),
        None => Ok(files),
    }
}

/// As everything else here trusts them: the system's, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`. What cannot be read is left out.
fn machine_authorities() -> Vec<u8> {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!(%error, "a part of the machine's certificate store cannot be read");
    }
    let pem = |der: &[u8]| pem::encode(&pem::Pem::new("CERTIFICATE", der));
    found.certs.iter().map(|certificate| pem(certificate)).collect::<String>().into_bytes()
}

/// Whether the line stays on this machine: a socket's folder, or loopback.
fn is_here(host: &str) -> bool {
    let socket = host.starts_with('/') || host.to_ascii_lowercase().starts_with("%2f");
    let loopback = host.trim_matches(['[', ']']).parse().is_ok_and(|address: IpAddr| address.is_loopback());
    socket || loopback || host == "localhost"
}

fn shown(options: &PgConnectOptions) -> String {
    let host = match options.get_socket() {
        Some(folder) => folder.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    };
    format!("postgres://{}@{host}/{}", options.get_username(), options.get_database().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(url: &str) -> PgSslMode {
        Address::parse(url).unwrap().options.get_ssl_mode()
    }

    #[test]
    fn a_line_that_leaves_the_machine_is_checked() {
        assert!(matches!(mode("postgres://u@db.corp.example/logs"), PgSslMode::VerifyFull));
        assert!(matches!(mode("postgres://u@10.0.0.7:5433/logs?sslrootcert=/ca.pem"), PgSslMode::VerifyFull));
        assert!(matches!(mode("postgresql://u@db/logs?sslmode=verify-ca"), PgSslMode::VerifyCa));
        assert!(matches!(mode("postgres://u@db/logs?sslmode=disable"), PgSslMode::Disable));
        for here in ["u@localhost/logs", "u@127.0.0.1:5433/logs", "u@[::1]/logs", "u@%2Frun%2Fpostgresql/logs", "/logs?host=/run"]
        {
            assert!(matches!(mode(&format!("postgres://{here}")), PgSslMode::Disable), "{here}");
        }
        assert!(matches!(mode("postgres://u@localhost/logs?host=db"), PgSslMode::VerifyFull), "the parameter is where it goes");
        for refused in ["require", "prefer", "allow", "none", ""] {
            let error = Address::parse(&format!("postgres://u@db/logs?sslmode={refused}")).unwrap_err();
            assert_eq!(error, AddressError::TlsMode(refused.to_owned()));
        }
    }

    #[test]
    fn what_is_no_address_is_refused_without_its_secret() {
        for (text, expected) in [
            ("postgres://u:secret@db/logs", AddressError::Password),
            ("postgres://u@db/logs?password=secret", AddressError::Password),
            ("postgres://u@db", AddressError::Name),
            ("postgres://u@db/", AddressError::Name),
            ("postgres:///logs", AddressError::Host),
            ("postgres://u@db/logs?options=-csynchronous_commit%3Doff", AddressError::Parameter("options".into())),
            ("postgres://u@db/logs?sslrootcert=ca.pem", AddressError::RelativeFile("sslrootcert")),
            ("postgres://u@db/logs?sslcert=/a.pem&sslkey=b.pem", AddressError::RelativeFile("sslkey")),
            ("mysql://u@db/logs", AddressError::Url("its scheme is another".into())),
        ] {
            let error = Address::parse(text).unwrap_err();
            assert_eq!(error, expected, "{text}");
            assert!(!error.to_string().contains("secret"));
        }
        assert!(matches!(Address::parse("postgres://u@db:port/logs"), Err(AddressError::Url(_))));
        assert!(!Address::is_meant("db/rekor.db") && Address::is_meant("postgres:/typo"));
    }

    #[test]
    fn it_is_shown_without_password_and_parameters() {
        let address =
            Address::parse("postgres://rekor@db.corp.example/logs?sslrootcert=/ca.pem").unwrap().with_password("secret");
        assert_eq!(address.to_string(), "postgres://rekor@db.corp.example:5432/logs");
        assert_eq!(format!("{address:?}"), "Address(\"postgres://rekor@db.corp.example:5432/logs\")");
        let socket = Address::parse("postgres://rekor@%2Frun%2Fpostgresql/logs").unwrap();
        assert_eq!(socket.to_string(), "postgres://rekor@/run/postgresql/logs");
    }
}
