//! Debian's Docker engine, and the folder that the image is made of.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use testkit::{Client, on_path, pinned, wait_until};

/// A Docker engine with files of its own and no network of its own; asked to end, it ends what it started.
#[derive(Debug)]
pub struct Engine {
    folder: TempDir,
    child: Child,
}

impl Engine {
    /// Starts it.
    ///
    /// # Panics
    /// It does not start; it wants root.
    pub async fn start() -> Self {
        let folder = TempDir::with_prefix("engine-").expect("a temporary folder can be made");
        let path = |name: &str| folder.path().join(name).into_os_string();
        let log = File::create(path("log")).expect("the folder can be written");
        let mut command = Command::new(on_path("dockerd"));
        command.args(["--bridge", "none", "--iptables=false", "--ip-masq=false", "--host"]).arg(socket(folder.path()));
        for (flag, name) in [("--data-root", "data"), ("--exec-root", "exec"), ("--pidfile", "pid"), ("--config-file", "config")]
        {
            command.arg(flag).arg(path(name));
        }
        std::fs::write(path("config"), "{}").expect("the folder can be written");
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("HOME", folder.path());
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a file can be shared")).stderr(log);
        let child = command.spawn().unwrap_or_else(|error| panic!("dockerd: {error}"));
        let mut engine = Self { folder, child };
        let docker = engine.docker();
        wait_until("the Docker engine answers (it wants root)", Duration::from_secs(60), async || {
            let ended = engine.child.try_wait().is_ok_and(|status| status.is_some());
            assert!(!ended, "{}", engine.log());
            docker.run(["version"]).code == Some(0)
        })
        .await;
        engine
    }

    /// Its client.
    ///
    /// # Panics
    /// The client is not installed.
    #[must_use]
    pub fn docker(&self) -> Client {
        Client::new(on_path("docker")).with("DOCKER_HOST", socket(self.folder.path()))
    }

    /// As [`Self::docker`], with the pinned compose as `docker compose`.
    ///
    /// # Panics
    /// One of them is not installed.
    #[must_use]
    pub fn docker_with_compose(&self) -> Client {
        let docker = self.docker();
        let plugins = pinned("docker-compose").parent().expect("a program lies in a folder").to_path_buf();
        std::fs::create_dir_all(docker.home().join(".docker")).expect("the home can be written");
        docker.file(".docker/config.json", serde_json::json!({"cliPluginsExtraDirs": [plugins]}).to_string());
        docker
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = Command::new("sh").args(["-c", &format!("kill -TERM {}", self.child.id())]).status();
        let _ = self.child.wait();
    }
}

fn socket(folder: &Path) -> String {
    format!("unix://{}", folder.join("socket").display())
}

/// What `cargo xtask image` filled: the context of `docker build`.
///
/// # Panics
/// It has not.
#[must_use]
pub fn image_folder() -> PathBuf {
    let test = std::env::current_exe().expect("a running program has a path");
    // target/release/deps/TEST-HASH.
    let target = test.ancestors().nth(3).expect("tests lie three folders deep");
    let folder = target.join("image");
    assert!(folder.join("chancery").exists(), "{} is not filled; run: cargo xtask image", folder.display());
    folder
}

/// The repository.
#[must_use]
pub fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}
