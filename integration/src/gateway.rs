//! The registry gateway as a process of its own, and promotions as its clients ask for them.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{Chancery, Ended, Launch, TestCa};

use crate::registry::{Answer, Registry};

/// `chancery gateway --config FILE`, with none of the other services beside it.
#[derive(Debug)]
pub struct Gateway {
    /// The process's own files; for an installation of its own, that too.
    folder: TempDir,
    dir: PathBuf,
    config: Value,
    running: Option<Chancery>,
}

impl Gateway {
    /// A new installation, of which only the gateway is ever run. Upstreams and policies can be given before it starts.
    ///
    /// # Panics
    /// `init` fails.
    #[must_use]
    pub fn init() -> Self {
        let folder = TempDir::with_prefix("gateway-").expect("a temporary folder can be made");
        let dir = folder.path().join("D");
        // Both at once, so that they differ.
        let bound = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").expect("loopback has free ports"));
        let [registry, admin] = bound.each_ref().map(|listener| listener.local_addr().expect("a bound socket has an address"));
        let mut command = Chancery::command();
        command.arg("init").arg("--dir").arg(&dir).args(["--domain", "corp.example", "--public-url"]);
        let _ = Chancery::run(command.arg(format!("registry=http://localhost:{}", registry.port()))).ok();
        let mut gateway = Self { folder, config: read(&dir), dir, running: None };
        *gateway.config("/gateway/http") = json!({"listen": [registry]});
        *gateway.config("/admin/http") = json!({"listen": [admin]});
        gateway
    }

    /// As [`Self::init`], at `https://localhost:PORT` with a certificate by a private authority.
    ///
    /// # Panics
    /// `init` fails.
    #[must_use]
    pub fn https(ca: &TestCa) -> Self {
        let mut gateway = Self::init();
        let (certificate, key) = ca.server(&["localhost", "127.0.0.1"]).write(gateway.folder.path(), "server");
        let url = format!("https://{}", gateway.host());
        *gateway.config("/gateway/public_url") = url.into();
        gateway.config("/gateway/http")["tls"] = json!({"certificate": certificate, "key": key});
        gateway
    }

    /// The gateway of an installation, or of a lab, that does not run.
    ///
    /// # Panics
    /// The folder holds none.
    #[must_use]
    pub fn of(dir: &Path) -> Self {
        let folder = TempDir::with_prefix("gateway-").expect("a temporary folder can be made");
        Self { folder, config: read(dir), dir: dir.to_path_buf(), running: None }
    }

    /// A place in the configuration, by JSON pointer; what is changed counts from the next start.
    ///
    /// # Panics
    /// There is none.
    #[must_use]
    pub fn config(&mut self, pointer: &str) -> &mut Value {
        self.config.pointer_mut(pointer).unwrap_or_else(|| panic!("the configuration has no {pointer}"))
    }

    /// Shows the registry at `url` below a prefix, asking it again about a tag each time.
    pub fn proxy(&mut self, prefix: &str, url: &str) {
        let section = self.config("/gateway");
        if section["upstreams"].is_null() {
            section["upstreams"] = json!([]);
        }
        let upstreams = section["upstreams"].as_array_mut().expect("upstreams are a list");
        upstreams.push(json!({"prefix": prefix, "url": url, "manifest_ttl": "0s"}));
    }

    /// Starts it, the first time or again.
    ///
    /// # Panics
    /// It does not start.
    pub async fn start(&mut self) {
        let started = self.launch().start_in(self.folder.path()).await;
        self.running = Some(started.unwrap_or_else(|ended| panic!("the gateway does not start: {ended}")));
    }

    /// How it starts, with the configuration written; for those who start it under another program.
    ///
    /// # Panics
    /// The folder cannot be written.
    #[must_use]
    pub fn launch(&self) -> Launch {
        let file = self.dir.join("chancery.yaml");
        // JSON is YAML.
        std::fs::write(&file, self.config.to_string()).expect("the folder can be written");
        Launch::service("gateway", &file, &format!("http://{}", self.listens_at("admin")))
    }

    /// As the power goes: SIGKILL, and no more.
    ///
    /// # Panics
    /// It does not run.
    pub fn kill(&mut self) {
        self.process().kill();
        self.running = None;
    }

    /// SIGTERM.
    ///
    /// # Panics
    /// It does not run, or does not end as asked.
    pub fn stop(&mut self) -> Ended {
        let ended = self.process().stop();
        assert_eq!(ended.code, Some(0), "{ended}");
        self.running = None;
        ended
    }

    /// The process.
    ///
    /// # Panics
    /// It does not run.
    pub fn process(&mut self) -> &mut Chancery {
        self.running.as_mut().expect("the gateway runs")
    }

    /// `D/`.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The registry it is, over plain HTTP.
    #[must_use]
    pub fn registry(&self) -> Registry {
        Registry::at(&format!("http://{}", self.listens_at("gateway")))
    }

    /// How image names begin: `localhost:PORT`.
    #[must_use]
    pub fn host(&self) -> String {
        host(&format!("http://localhost:{}", self.listens_at("gateway").rsplit(':').next().unwrap_or_default()))
    }

    /// Whoever may promote here.
    ///
    /// # Panics
    /// There is nobody.
    #[must_use]
    pub fn promoter(&self) -> Promoter {
        Promoter::new(self.registry(), &self.dir.join("keys/promotion.token"))
    }

    fn listens_at(&self, section: &str) -> &str {
        self.config[section]["http"]["listen"][0].as_str().expect("it listens")
    }
}

fn read(dir: &Path) -> Value {
    let file = dir.join("chancery.yaml");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

/// The registry part of image names for a registry at a base URL.
///
/// # Panics
/// It is no URL.
#[must_use]
pub fn host(url: &str) -> String {
    url.split("://").nth(1).expect("a URL has a host").trim_end_matches('/').to_owned()
}

/// Somebody with a promotion token.
#[derive(Debug, Clone)]
pub struct Promoter {
    registry: Registry,
    token: String,
}

impl Promoter {
    /// With the token in a file.
    ///
    /// # Panics
    /// The file cannot be read.
    #[must_use]
    pub fn new(registry: Registry, token_file: &Path) -> Self {
        let token = std::fs::read_to_string(token_file).unwrap_or_else(|error| panic!("{}: {error}", token_file.display()));
        Self { registry, token: token.trim_end().to_owned() }
    }

    /// In a lab.
    #[must_use]
    pub fn of(lab: &Chancery) -> Self {
        Self::new(Registry::of(lab), &lab.env().path("CHANCERY_TOKEN_FILE"))
    }

    /// With another token.
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        token.clone_into(&mut self.token);
        self
    }

    /// Asks for a promotion, whatever is answered.
    ///
    /// # Panics
    /// No answer.
    pub async fn promote(&self, source: &str, target: &str) -> Answer {
        self.ask(&json!({"source": source, "target": target})).await
    }

    /// Sends a request as it is.
    ///
    /// # Panics
    /// No answer.
    pub async fn ask(&self, request: &Value) -> Answer {
        self.try_ask(request).await.unwrap_or_else(|error| panic!("{request}: {error:?}"))
    }

    /// As [`Self::ask`], for a server that may be gone.
    ///
    /// # Errors
    /// No answer.
    pub async fn try_ask(&self, request: &Value) -> reqwest::Result<Answer> {
        let bearer = format!("Bearer {}", self.token);
        let mut headers = vec![("content-type", "application/json")];
        if !self.token.is_empty() {
            headers.push(("authorization", &bearer));
        }
        self.registry.try_send(Method::POST, "/api/v1/promotions", &headers, request.to_string().into_bytes()).await
    }
}
