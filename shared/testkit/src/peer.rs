//! Other people's registries as processes: upstreams of ours, and peers to be measured beside it.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::client::pinned;
use crate::wait::{http, wait_until};

/// A released registry on loopback with a folder of its own. It is killed when dropped; its data stays with the folder.
#[derive(Debug)]
pub struct Peer {
    kind: Kind,
    folder: PathBuf,
    port: u16,
    child: Option<Child>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Has the referrers API.
    Olareg,
    /// The reference implementation, which has none.
    Distribution,
}

impl Peer {
    /// olareg, which has the referrers API, with its data in a folder.
    ///
    /// # Panics
    /// It does not start.
    pub async fn olareg(folder: &Path) -> Self {
        Self::start(Kind::Olareg, folder).await
    }

    /// distribution, the reference implementation, which has no referrers API, with its data in a folder.
    ///
    /// # Panics
    /// It does not start.
    pub async fn distribution(folder: &Path) -> Self {
        Self::start(Kind::Distribution, folder).await
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// `localhost:PORT`, as it stands in image names: clients speak plain HTTP to that name without being told.
    #[must_use]
    pub fn host(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// Its process.
    ///
    /// # Panics
    /// It was stopped.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// Kills it.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    async fn start(kind: Kind, folder: &Path) -> Self {
        std::fs::create_dir_all(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let http = http(&[]);
        // The port is free when it is chosen and may be taken when it is used: then another one.
        for _ in 0..5 {
            let mut peer = Self { kind, folder: folder.to_path_buf(), port: free_port(), child: None };
            let mut child = peer.command().spawn().unwrap_or_else(|error| panic!("{kind:?}: {error}"));
            let ping = format!("{}/v2/", peer.url());
            let mut ended = false;
            wait_until("the peer registry answers or ends", Duration::from_secs(60), async || {
                ended = child.try_wait().is_ok_and(|status| status.is_some());
                ended || http.get(&ping).send().await.is_ok_and(|answer| answer.status() == 200)
            })
            .await;
            // Whoever has the port may have answered in its place.
            if !ended && child.try_wait().is_ok_and(|status| status.is_none()) {
                peer.child = Some(child);
                return peer;
            }
        }
        panic!("{kind:?} does not start: see {}", folder.join("log").display())
    }

    fn command(&self) -> Command {
        let log = File::create(self.folder.join("log")).expect("the folder can be written");
        let data = self.folder.join("data");
        let mut command = match self.kind {
            Kind::Olareg => {
                let mut command = Command::new(pinned("olareg"));
                command.args(["serve", "--addr", "127.0.0.1", "--api-delete", "--api-blob-delete", "--port"]);
                command.arg(self.port.to_string()).arg("--dir").arg(data);
                command
            }
            Kind::Distribution => {
                let config = self.folder.join("config.yml");
                // JSON is YAML.
                let text = serde_json::json!({
                    "version": 0.1,
                    "log": {"level": "warn", "accesslog": {"disabled": true}},
                    "storage": {"filesystem": {"rootdirectory": data}, "delete": {"enabled": true}},
                    "http": {"addr": self.address()},
                });
                std::fs::write(&config, text.to_string()).expect("the folder can be written");
                let mut command = Command::new(pinned("distribution"));
                command.arg("serve").arg(config);
                command
            }
        };
        command.env_clear().envs([("PATH", "/usr/bin:/bin"), ("OTEL_TRACES_EXPORTER", "none")]).env("HOME", &self.folder);
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("an open file")).stderr(log);
        command
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A port that was free a moment ago.
///
/// # Panics
/// Loopback has none.
#[must_use]
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.local_addr().expect("a bound socket has an address").port()
}
