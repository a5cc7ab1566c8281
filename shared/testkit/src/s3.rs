//! An S3 service in a scratch folder: the released versitygw, over files.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::client::pinned;
use crate::peer::free_port;
use crate::{Relay, TestCa};

/// A service at loopback with one account, over TLS with a certificate that only its own authority vouches for; and over plain HTTP behind
/// a relay that can be slow, cut, or down.
///
/// It is stopped, and its folder removed, when it is dropped or the test's process ends, however that ends.
#[derive(Debug)]
pub struct S3 {
    folder: PathBuf,
    port: u16,
    authority: PathBuf,
    buckets: AtomicU32,
    /// The service, with whoever waits for the end of this process beside it.
    guardian: Child,
}

const KEY_ID: &str = "chancery";
const SECRET: &str = "correct-horse-battery-staple";
/// Some time on a machine that builds something else.
const PATIENCE: Duration = Duration::from_secs(60);

impl S3 {
    /// The service that all tests of this process share, each with buckets of its own.
    ///
    /// # Panics
    /// As [`S3::start`].
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<S3> = OnceLock::new();
        SHARED.get_or_init(|| Self::start(true))
    }

    /// A service of one's own, with TLS or without.
    ///
    /// # Panics
    /// versitygw is not installed, and the panic says by which command it is; or it does not start.
    #[must_use]
    pub fn start(tls: bool) -> Self {
        let program = pinned("versitygw");
        let folder = TempDir::with_prefix("chancery-s3-").expect("a temporary folder can be made").keep();
        let ca = TestCa::new("objects");
        let authority = ca.write(&folder, "ca");
        let (certificate, key) = ca.server(&["127.0.0.1", "localhost"]).write(&folder, "server");
        fs::write(folder.join("secret"), SECRET).expect("the folder can be written");
        fs::create_dir(folder.join("data")).expect("the folder can be written");
        // The port is free when it is chosen and may be taken when it is used: then another one.
        for _ in 0..5 {
            let port = free_port();
            let mut service = vec![program.clone().into_os_string(), "--port".into(), format!("127.0.0.1:{port}").into()];
            service.extend(["--quiet".into(), "--health".into(), "/health".into()]);
            if tls {
                service.extend(["--cert".into(), certificate.clone().into(), "--key".into(), key.clone().into()]);
            }
            service.extend(["posix".into(), folder.join("data").into()]);
            let guardian = guard(&folder, service);
            let mut server =
                Self { folder: folder.clone(), port, authority: authority.clone(), buckets: AtomicU32::new(0), guardian };
            if server.answers() {
                return server;
            }
        }
        panic!("versitygw does not start: {}", fs::read_to_string(folder.join("log")).unwrap_or_default())
    }

    /// `https://127.0.0.1:PORT`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("https://127.0.0.1:{}", self.port)
    }

    /// A relay in front of a service without TLS.
    #[must_use]
    pub fn relay(&self) -> Relay {
        Relay::to(&format!("127.0.0.1:{}", self.port))
    }

    /// A new, empty bucket.
    ///
    /// # Panics
    /// It cannot be made.
    #[must_use]
    pub fn bucket(&self) -> String {
        let name = format!("test-{}", self.buckets.fetch_add(1, Ordering::Relaxed));
        // To the service every folder is a bucket.
        fs::create_dir(self.folder.join("data").join(&name)).expect("the folder can be written");
        name
    }

    /// Where the service keeps the objects of a bucket: files of their names.
    #[must_use]
    pub fn files(&self, bucket: &str) -> PathBuf {
        self.folder.join("data").join(bucket)
    }

    /// The key id of the one account.
    #[must_use]
    pub const fn access_key_id(&self) -> &'static str {
        KEY_ID
    }

    /// A file with its secret.
    #[must_use]
    pub fn secret_access_key_file(&self) -> PathBuf {
        self.folder.join("secret")
    }

    /// A file with the certificate of its authority.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.authority.clone()
    }

    /// Waits until it listens; false if it ended.
    fn answers(&mut self) -> bool {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if self.guardian.try_wait().is_ok_and(|status| status.is_some()) {
                return false;
            }
            if std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("versitygw does not listen: {}", fs::read_to_string(self.folder.join("log")).unwrap_or_default())
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        drop(self.guardian.stdin.take());
        let _ = self.guardian.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The service, and a shell beside it that stops it and removes its folder when this process has ended. Ends by itself if the service
/// does, and then leaves the folder, which has its log.
fn guard(folder: &PathBuf, service: Vec<std::ffi::OsString>) -> Child {
    // The shell's input is this process's end; a background command's would be nothing, so it is handed on by number.
    let script = "folder=$1; shift; exec 3<&0; \"$@\" < /dev/null 3<&- & service=$!; \
        (cat <&3 > /dev/null; kill $service; rm -rf \"$folder\") > /dev/null 2>&1 & exec 3<&-; wait $service";
    let log = File::create(folder.join("log")).expect("the folder can be written");
    // In a session of its own: a Ctrl-C that ends the tests is not meant for it.
    let mut command = Command::new("setsid");
    command.args(["sh", "-c", script, "sh"]).arg(folder).args(service);
    command.env_clear().envs([("PATH", "/usr/bin:/bin"), ("ROOT_ACCESS_KEY", KEY_ID), ("ROOT_SECRET_KEY", SECRET)]);
    command.current_dir("/").stdin(Stdio::piped()).stdout(log.try_clone().expect("an open file")).stderr(log);
    command.spawn().expect("a shell can be started")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_listens_and_leaves_nothing_behind() {
        let server = S3::start(true);
        let (folder, port) = (server.folder.clone(), server.port);
        assert!(server.files(&server.bucket()).is_dir());
        drop(server);
        assert!(!folder.exists());
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            assert!(begun.elapsed() < PATIENCE, "it still listens");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}
