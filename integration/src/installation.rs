//! A Chancery that was set up by `init`, as for real use, with every service at `https://localhost:PORT` behind a private authority.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::TcpListener;
use std::path::PathBuf;

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{Chancery, Client, Ended, Launch, TestCa};

/// The services with a public URL: how `init` calls them, and their section of the configuration.
const SERVICES: &[(&str, &str)] = &[
    ("fulcio", "fulcio"),
    ("ctlog", "ctlog"),
    ("rekor-v2", "rekor_v2"),
    ("rekor-v1", "rekor_v1"),
    ("tsa", "tsa"),
    ("tuf", "tuf"),
    ("registry", "gateway"),
];

/// An installation in a temporary folder.
#[derive(Debug)]
pub struct Installation {
    folder: TempDir,
    ports: BTreeMap<&'static str, u16>,
    config: Value,
}

impl Installation {
    /// Runs `init` with more arguments, for example the issuers, and then names TLS files and listeners in the configuration.
    ///
    /// # Panics
    /// `init` fails, or wrote a configuration that is not understood.
    #[must_use]
    pub fn init(ca: &TestCa, arguments: &[&str]) -> Self {
        let folder = TempDir::with_prefix("installation-").expect("a temporary folder can be made");
        let ports = free_ports();
        let dir = folder.path().join("D");
        let mut command = Chancery::command();
        command.arg("init").arg("--dir").arg(&dir);
        for (name, port) in &ports {
            if *name != "admin" {
                command.arg("--public-url").arg(format!("{name}=https://localhost:{port}"));
            }
        }
        let _ = Chancery::run(command.args(arguments)).ok();
        let config = std::fs::read_to_string(dir.join("chancery.yaml")).expect("init wrote it");
        let config = serde_saphyr::from_str(&config).unwrap_or_else(|error| panic!("chancery.yaml: {error}"));
        let mut installation = Self { folder, ports, config };
        installation.replace_certificate(ca);
        installation.trust(&[ca]);
        installation.listen();
        installation
    }

    /// `D/`.
    #[must_use]
    pub fn dir(&self) -> PathBuf {
        self.folder.path().join("D")
    }

    /// Where a service is.
    #[must_use]
    pub fn url(&self, service: &str) -> String {
        format!("https://localhost:{}", self.ports[service])
    }

    /// A place in the configuration, by JSON pointer; what is changed counts from the next start.
    ///
    /// # Panics
    /// There is none.
    #[must_use]
    pub fn config(&mut self, pointer: &str) -> &mut Value {
        self.config.pointer_mut(pointer).unwrap_or_else(|| panic!("the configuration has no {pointer}"))
    }

    /// Writes a certificate by `ca`, and its key, over what every listener serves.
    pub fn replace_certificate(&self, ca: &TestCa) {
        let _ = ca.server(&["localhost", "127.0.0.1"]).write(self.folder.path(), "server");
    }

    /// Writes the authorities that clients, and the services among themselves, are to trust; returns the file.
    ///
    /// # Panics
    /// The folder cannot be written.
    pub fn trust(&self, authorities: &[&TestCa]) -> PathBuf {
        let file = self.folder.path().join("authorities.pem");
        let pem: String = authorities.iter().map(|ca| ca.pem()).collect();
        std::fs::write(&file, pem).expect("the folder can be written");
        file
    }

    /// Starts it.
    ///
    /// # Errors
    /// It ended instead.
    ///
    /// # Panics
    /// The configuration cannot be written.
    pub async fn serve(&self) -> Result<Chancery, Ended> {
        let file = self.dir().join("chancery.yaml");
        // JSON is YAML.
        std::fs::write(&file, self.config.to_string()).expect("the folder can be written");
        Launch::serve(&file, &format!("http://127.0.0.1:{}", self.ports["admin"])).start_in(self.folder.path()).await
    }

    /// A cosign that knows the trust root by the three `TUF_` variables, and the private authority by `SSL_CERT_FILE`.
    #[must_use]
    pub fn cosign(&self) -> Client {
        let client = Client::cosign().with("SSL_CERT_FILE", self.folder.path().join("authorities.pem"));
        let cache: OsString = client.home().join("cache").into();
        client
            .with("TUF_MIRROR", self.url("tuf"))
            .with("TUF_ROOT_JSON", self.dir().join("trust/root.json"))
            .with("TUF_ROOT", cache)
    }

    fn listen(&mut self) {
        let tls = |name: &str| self.folder.path().join(name).display().to_string();
        let tls = json!({"certificate": tls("server.crt"), "key": tls("server.key")});
        for (name, section) in SERVICES {
            let address = format!("127.0.0.1:{}", self.ports[name]);
            *self.config(&format!("/{section}/http")) = json!({"listen": [address], "tls": tls});
        }
        let admin = format!("127.0.0.1:{}", self.ports["admin"]);
        *self.config("/admin/http") = json!({"listen": [admin]});
        let authorities = self.folder.path().join("authorities.pem").display().to_string();
        let url = self.url("ctlog");
        let public_key = self.config("/fulcio/ct_log/public_key").clone();
        *self.config("/fulcio/ct_log") = json!({"url": url, "public_key": public_key, "ca_cert": authorities});
    }
}

/// A free port per service. They are bound all at once, so that they differ.
fn free_ports() -> BTreeMap<&'static str, u16> {
    let names = SERVICES.iter().map(|(name, _)| *name).chain(["admin"]);
    let bound: Vec<_> = names.map(|name| (name, TcpListener::bind("127.0.0.1:0").expect("loopback has free ports"))).collect();
    bound.iter().map(|(name, listener)| (*name, listener.local_addr().expect("a bound socket has an address").port())).collect()
}
