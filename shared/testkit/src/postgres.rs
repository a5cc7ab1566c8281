//! A Postgres server of the distribution's package, in a scratch folder.

use std::ffi::OsString;
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use tempfile::TempDir;

use crate::TestCa;
use crate::peer::free_port;

/// A server with one superuser, `chancery`, that listens at a socket in its folder, where everybody is believed, and at loopback, where
/// the password counts. Everything is synced to disk, as in earnest.
///
/// It is stopped, and its folder removed, when it is dropped or the test's process ends, however that ends.
#[derive(Debug)]
pub struct Postgres {
    folder: PathBuf,
    port: u16,
    programs: PathBuf,
    databases: AtomicU32,
    /// Who vouches for its certificate, where it has one.
    authority: Option<PathBuf>,
    /// Waits for the end of its input, which comes with the end of this process if not before, and cleans up.
    guardian: Child,
}

const USER: &str = "chancery";

/// What its programs need another user for, when the tests run as root.
const UNPRIVILEGED: &str = "postgres";

const INSTALL: &str = "sudo apt-get install -y postgresql";

impl Postgres {
    /// The server that all tests of this process share, each with databases of its own.
    ///
    /// # Panics
    /// As [`Postgres::start`].
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Postgres> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// A server of one's own, to be restarted.
    ///
    /// # Panics
    /// Postgres is not installed, and the panic says by which command it is; or it does not start.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(None)
    }

    /// One that offers TLS at loopback, with a certificate for these names or addresses.
    ///
    /// # Panics
    /// As [`Postgres::start`].
    #[must_use]
    pub fn start_with_tls(names: &[&str]) -> Self {
        Self::start_with(Some(names))
    }

    fn start_with(names: Option<&[&str]>) -> Self {
        let programs = programs();
        let folder = TempDir::with_prefix("chancery-postgres-").expect("a temporary folder can be made").keep();
        let (guardian, port) = (guard(&programs, &folder), free_port());
        let mut server = Self { folder, port, programs, databases: AtomicU32::new(0), authority: None, guardian };
        fs::write(server.password_file(), "correct horse").expect("the password can be written");
        let owned_by_them = if is_root() { user_id() } else { None };
        let mut theirs = vec![server.folder.clone(), server.password_file()];
        if let Some(names) = names {
            let authority = TestCa::new("databases");
            let (certificate, key) = authority.server(names).write(&server.folder, "server");
            // It refuses a key that others may read.
            fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("a new file's rights can be changed");
            server.authority = Some(authority.write(&server.folder, "ca"));
            theirs.extend([certificate, key]);
        }
        for path in theirs {
            chown(path, owned_by_them, None).expect("a new file can be given away");
        }
        let mut initdb = server.program("initdb");
        initdb.args(["--auth-local=trust", "--auth-host=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "-U", USER]);
        initdb.arg("-D").arg(server.data()).arg(format!("--pwfile={}", server.password_file().display()));
        server.run(initdb);
        server.control("start", "immediate");
        server
    }

    /// A new, empty database, and its URL over the socket.
    ///
    /// # Panics
    /// It cannot be made.
    pub fn database(&self) -> String {
        let name = format!("test{}", self.databases.fetch_add(1, Ordering::Relaxed));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        let folder = self.folder.display().to_string().replace('/', "%2F");
        format!("postgres://{USER}@{folder}:{}/{name}", self.port)
    }

    /// The URL over TCP, where the password is asked for, of the database with this URL over the socket.
    #[must_use]
    pub fn over_tcp(&self, url: &str) -> String {
        format!("postgres://{USER}@{}/{}", self.address(), name_of(url))
    }

    /// `HOST:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The server's first process, of which all others are children.
    ///
    /// # Panics
    /// It does not run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        let file = fs::read_to_string(self.data().join("postmaster.pid")).expect("a server that runs has such a file");
        file.lines().next().and_then(|line| line.parse().ok()).expect("its first line is a number")
    }

    /// A file with the password of the one user.
    #[must_use]
    pub fn password_file(&self) -> PathBuf {
        self.folder.join("password")
    }

    /// The certificate of the authority that vouches for its certificate.
    ///
    /// # Panics
    /// It was started without one.
    #[must_use]
    pub fn ca_file(&self) -> &Path {
        self.authority.as_deref().expect("it was started with TLS")
    }

    /// Runs statements in the database with this name or URL, and returns what they select, one row a line.
    ///
    /// # Panics
    /// They fail.
    pub fn sql(&self, database: &str, statements: &str) -> String {
        let mut psql = Command::new(self.programs.join("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", USER, "-d", name_of(database), "-c", statements]);
        psql.arg("-h").arg(&self.folder).arg("-p").arg(self.port.to_string());
        let output = psql.output().expect("psql runs");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
        assert!(output.status.success(), "{statements}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    /// Ends every session in a database, as an administrator does. Returns how many there were.
    ///
    /// # Panics
    /// The server does not answer.
    pub fn end_sessions(&self, database: &str) -> usize {
        let sessions = format!("FROM pg_stat_activity WHERE datname = '{}'", name_of(database));
        self.sql("postgres", &format!("SELECT pg_terminate_backend(pid) {sessions}")).lines().count()
    }

    /// Restarts the server as after a crash: what was committed is there, and nothing else.
    ///
    /// # Panics
    /// It does not start.
    pub fn restart(&self) {
        self.control("restart", "immediate");
    }

    /// Restarts the server as a standby, which can be read and not written to.
    ///
    /// # Panics
    /// It does not start.
    pub fn become_standby(&self) {
        fs::write(self.data().join("standby.signal"), "").expect("the data folder can be written");
        // What was running is undone first: a standby answers as soon as it is in agreement with itself.
        self.control("restart", "fast");
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn control(&self, what: &str, mode: &str) {
        let mut control = self.program("pg_ctl");
        let folder = self.folder.display();
        let mut listen = format!("-k {folder} -p {} -c listen_addresses=127.0.0.1 -c max_connections=200", self.port);
        if self.authority.is_some() {
            listen += &format!(" -c ssl=on -c ssl_cert_file={folder}/server.crt -c ssl_key_file={folder}/server.key");
        }
        control.arg(what).arg("-D").arg(self.data()).arg("-l").arg(self.folder.join("log"));
        control.args(["-m", mode, "-w", "-t", "60", "-o", &listen]);
        self.run(control);
    }

    /// One of its programs, as a user that it runs as: never as root.
    fn program(&self, name: &str) -> Command {
        let mut words = as_user();
        words.push(self.programs.join(name).into());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        command
    }

    fn run(&self, mut command: Command) {
        // In a file, not in a pipe: the server inherits it, and a pipe would end with the server.
        let output = self.folder.join("output");
        let file = File::create(&output).expect("a file can be made");
        command.stdout(file.try_clone().expect("a handle can be copied")).stderr(file).stdin(Stdio::null());
        // Not in the folder of the tests, which that user may not be allowed to enter.
        let status = command.current_dir(&self.folder).status().expect("the programs of Postgres run");
        let said = || [output.clone(), self.folder.join("log")].map(|file| fs::read_to_string(file).unwrap_or_default()).concat();
        assert!(status.success(), "{command:?}: {status}\n{}", said());
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        drop(self.guardian.stdin.take());
        let _ = self.guardian.wait();
    }
}

/// A process that outlives this one by as long as it takes to stop the server and to remove its folder.
fn guard(programs: &Path, folder: &Path) -> Child {
    // In a session of its own: a Ctrl-C that ends the tests is not meant for it.
    let script =
        "cat > /dev/null; folder=$1; shift; \"$@\" -D \"$folder/data\" -m immediate stop > /dev/null 2>&1; rm -rf \"$folder\"";
    let mut command = Command::new("setsid");
    command.args(["sh", "-c", script, "sh"]).arg(folder).args(as_user()).arg(programs.join("pg_ctl"));
    command.current_dir("/").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("a shell can be started")
}

/// The words that a command of Postgres begins with: it refuses to run as root.
fn as_user() -> Vec<OsString> {
    if !is_root() {
        return vec!["env".into()];
    }
    let user = format!("--reuid={UNPRIVILEGED}");
    let group = format!("--regid={UNPRIVILEGED}");
    vec!["setpriv".into(), user.into(), group.into(), "--clear-groups".into(), "--".into()]
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0)
}

/// The unprivileged user, whom the package makes.
fn user_id() -> Option<u32> {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let line = passwd.lines().find_map(|line| line.strip_prefix(UNPRIVILEGED)?.strip_prefix(':').map(ToOwned::to_owned));
    let id = line.as_ref().and_then(|line| line.split(':').nth(1)?.parse().ok());
    Some(id.unwrap_or_else(|| panic!("there is no user {UNPRIVILEGED}; install it with: {INSTALL}")))
}

/// The folder of the newest server's programs.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let version = |entry: &fs::DirEntry| entry.file_name().to_str()?.parse::<u32>().ok();
    let newest = versions.filter_map(|entry| Some((version(&entry)?, entry.path().join("bin")))).max();
    let on_path = || std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect::<Vec<_>>();
    let mut folders = newest.map(|(_, folder)| folder).into_iter().chain(on_path());
    let found = folders.find(|folder| folder.join("initdb").is_file());
    found.unwrap_or_else(|| panic!("the programs of a Postgres server are missing; install them with: {INSTALL}"))
}

/// The name of the database in a URL, or the name itself.
fn name_of(database: &str) -> &str {
    database.rsplit_once('/').map_or(database, |(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_what_was_written_when_it_is_restarted_and_leaves_nothing_behind() {
        let server = Postgres::start();
        let folder = server.folder.clone();
        let (one, two) = (server.database(), server.database());
        server.sql(&one, "CREATE TABLE a (b int); INSERT INTO a VALUES (7)");
        server.restart();
        assert_eq!(server.sql(&one, "SELECT b FROM a"), "7");
        assert_eq!(server.sql(&two, "SHOW fsync"), "on");
        assert_eq!(server.over_tcp(&one), format!("postgres://chancery@{}/test0", server.address()));
        drop(server);
        assert!(!folder.exists());
    }
}
