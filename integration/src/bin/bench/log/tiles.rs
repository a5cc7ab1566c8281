//! Upstream's Rekor v2, rekor-tiles, on a POSIX file system.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use integration::rekor::new_key;
use testkit::{free_port, http, pinned, wait_until};

use crate::process::Usage;

/// Its process. It is killed when it is dropped.
pub(crate) struct Tiles {
    child: Child,
    port: u16,
}

impl Tiles {
    /// Starts a log that is empty, at the settings with which it answers soonest: batches close after 5 ms, not 250, and a checkpoint, for
    /// which every answer waits, comes every 100 ms, which is the least it takes, and not every 10 s. Duplicates are looked for in memory only.
    pub(crate) async fn start(folder: &Path) -> Self {
        std::fs::create_dir_all(folder).expect("the folder can be written");
        let key = new_key().to_pkcs8v1().expect("a key can be encoded");
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", STANDARD.encode(key.as_ref()));
        std::fs::write(folder.join("key.pem"), pem).expect("the folder can be written");
        let (port, grpc, metrics) = (free_port(), free_port(), free_port());
        let log = File::create(folder.join("log")).expect("the folder can be written");
        let mut command = Command::new(pinned("rekor-tiles"));
        command.args(["serve", "--http-address", "127.0.0.1", "--hostname", "127.0.0.1", "--log-level", "error"]);
        command.args(["--batch-max-age", "5ms", "--checkpoint-interval", "100ms"]);
        for (flag, port) in [("--http-port", port), ("--grpc-port", grpc), ("--http-metrics-port", metrics)] {
            command.arg(flag).arg(port.to_string());
        }
        command.arg("--storage-dir").arg(folder.join("tiles")).arg("--signer-filepath").arg(folder.join("key.pem"));
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("an open file")).stderr(log);
        let child = command.spawn().unwrap_or_else(|error| panic!("rekor-tiles: {error}"));
        let (http, health) = (http(&[]), format!("http://127.0.0.1:{port}/healthz"));
        wait_until("rekor-tiles answers", Duration::from_secs(60), async || {
            http.get(&health).send().await.is_ok_and(|answer| answer.status() == 200)
        })
        .await;
        Self { child, port }
    }

    /// Where entries go.
    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/api/v2/log/entries", self.port)
    }

    /// What it has used.
    pub(crate) fn usage(&self) -> Usage {
        Usage::of(self.child.id())
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
