//! Released clients as processes, unmodified and without any flag that weakens them.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::{Environment, Outside};

/// No call of a client takes longer on a slow machine.
const LIMIT: Duration = Duration::from_secs(180);

/// Beginnings of arguments and variables that switch checks off: a test with one of them would prove less than it says.
const FORBIDDEN: &[&str] =
    &["--insecure", "--allow-", "--private-infrastructure", "COSIGN_INSECURE", "COSIGN_ALLOW", "COSIGN_PRIVATE"];

/// Names and versions of the clients that `cargo xtask tools` installs.
const VERSIONS: &str = include_str!("../../../xtask/tools/versions");

/// A client with a `HOME` of its own, kept from call to call.
#[derive(Debug)]
pub struct Client {
    program: PathBuf,
    home: TempDir,
    variables: Vec<(OsString, OsString)>,
    outside: Outside,
}

impl Client {
    /// A client for a program: [`pinned`] or [`on_path`].
    ///
    /// # Panics
    /// There is no room for a folder.
    #[must_use]
    pub fn new(program: PathBuf) -> Self {
        let home = TempDir::with_prefix("client-").expect("a temporary folder can be made");
        Self { program, home, variables: Vec::new(), outside: Outside::watch() }
    }

    /// The pinned cosign.
    #[must_use]
    pub fn cosign() -> Self {
        Self::new(pinned("cosign"))
    }

    /// The pinned cosign of the generation before.
    #[must_use]
    pub fn cosign2() -> Self {
        Self::new(pinned("cosign2"))
    }

    /// The pinned rekor-cli.
    #[must_use]
    pub fn rekor_cli() -> Self {
        Self::new(pinned("rekor-cli"))
    }

    /// The pinned sigstore-python; its messages are not broken at the width of a terminal.
    #[must_use]
    pub fn sigstore_python() -> Self {
        Self::new(pinned("sigstore-python")).with("COLUMNS", "2000")
    }

    /// The pinned crane.
    #[must_use]
    pub fn crane() -> Self {
        Self::new(pinned("crane"))
    }

    /// The pinned oras.
    #[must_use]
    pub fn oras() -> Self {
        Self::new(pinned("oras"))
    }

    /// The system's openssl.
    #[must_use]
    pub fn openssl() -> Self {
        Self::new(on_path("openssl"))
    }

    /// Sets a variable for every later call.
    ///
    /// # Panics
    /// The variable weakens the client.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        refuse_weakening(OsStr::new(name));
        self.variables.push((name.into(), value.as_ref().to_owned()));
        self
    }

    /// Sets what `chancery env` prints.
    #[must_use]
    pub fn with_environment(self, environment: &Environment) -> Self {
        environment.iter().fold(self, |client, (name, value)| client.with(name, value))
    }

    /// Its home, which is also where it runs: relative paths are below it.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// Writes a file into its home and returns the path.
    ///
    /// # Panics
    /// The file cannot be written.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.home().join(name);
        std::fs::write(&path, content).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        path
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// An argument weakens it, it takes too long, or it tried to reach any machine but this one.
    #[must_use]
    pub fn run<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Ran {
        self.start(arguments).end()
    }

    /// Starts it, for those who have something to do while it waits for them.
    ///
    /// # Panics
    /// An argument weakens it, or it cannot be started.
    #[must_use]
    pub fn start<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Running<'_> {
        let mut command = Command::new(&self.program);
        for argument in arguments {
            refuse_weakening(argument.as_ref());
            command.arg(argument);
        }
        command.env_clear().envs([("HOME", self.home().as_os_str()), ("TMPDIR", self.home().as_os_str())]);
        // Where registry clients keep what they log in with.
        command.env("DOCKER_CONFIG", self.home().join(".docker"));
        command.envs([("PATH", "/usr/bin:/bin"), ("LC_ALL", "C"), ("TZ", "UTC")]);
        command.envs(self.outside.variables()).envs(self.variables.iter().cloned());
        Running { process: Process::start(command.current_dir(self.home())), outside: &self.outside }
    }
}

/// A client that runs.
#[derive(Debug)]
pub struct Running<'client> {
    process: Process,
    outside: &'client Outside,
}

impl Running<'_> {
    /// What it has said so far, on both ways.
    #[must_use]
    pub fn said(&self) -> String {
        format!("{}{}", self.process.read("stdout"), self.process.read("stderr"))
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// It takes too long, or it tried to reach any machine but this one.
    #[must_use]
    pub fn end(self) -> Ran {
        let ran = self.process.end();
        self.outside.assert_untouched(&ran.command);
        ran
    }
}

/// How a program ended, and what it said.
#[derive(Debug)]
pub struct Ran {
    /// What was run.
    pub command: String,
    /// Its exit code; `None` for a signal.
    pub code: Option<i32>,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
}

impl Ran {
    /// Asserts that it succeeded.
    ///
    /// # Panics
    /// It did not; with all it said.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{self}");
        self
    }

    /// Asserts that it failed, with `reason` in what it said.
    ///
    /// # Panics
    /// It succeeded, or gave another reason.
    #[track_caller]
    pub fn refused(self, reason: &str) -> Self {
        assert_ne!(self.code, Some(0), "succeeded, but should have been refused because of: {reason}\n{self}");
        assert!(self.stderr.contains(reason) || self.stdout.contains(reason), "refused, but not because of: {reason}\n{self}");
        self
    }

    /// Asserts one exit code.
    ///
    /// # Panics
    /// It ended with another.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }
}

impl std::fmt::Display for Ran {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { command, code, stdout, stderr } = self;
        write!(f, "{command}\nexit code {code:?}\n-- stdout\n{stdout}\n-- stderr\n{stderr}")
    }
}

/// A client that is installed at a pinned version; of a tool with several programs, `TOOL/PROGRAM`.
///
/// # Panics
/// It is not installed; says how.
#[must_use]
pub fn pinned(name: &str) -> PathBuf {
    let (name, program) = name.split_once('/').unwrap_or((name, name));
    let version = VERSIONS.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    let version = version.unwrap_or_else(|| panic!("{name} is not in xtask/tools/versions"));
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache"));
    let program = cache.join("chancery/tools").join(format!("{name}-{version}/bin/{program}"));
    assert!(program.exists(), "{name} {version} is not installed; run: cargo xtask tools (--all for heavy clients)");
    program
}

/// A program of the system.
///
/// # Panics
/// It is not installed; says how.
#[must_use]
pub fn on_path(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Daemons lie where only root's PATH leads.
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let found = folders.map(|folder| folder.join(name)).find(|program| program.is_file());
    found.unwrap_or_else(|| panic!("{name} is not installed; run: apt-get install {}", package(name)))
}

/// The Debian package that has a program.
fn package(program: &str) -> &str {
    match program {
        "docker" | "dockerd" => "docker.io",
        "ssh-agent" | "ssh-add" | "ssh-keygen" => "openssh-client",
        other => other,
    }
}

fn refuse_weakening(word: &OsStr) {
    let text = word.to_string_lossy();
    assert!(
        !FORBIDDEN.iter().any(|beginning| text.starts_with(beginning)),
        "{text} weakens the client: the test would prove nothing"
    );
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Ran {
    Process::start(command).end()
}

/// A process with its output in files, so that a child that outlives it cannot block us. It is killed when dropped.
#[derive(Debug)]
struct Process {
    shown: String,
    child: Child,
    files: TempDir,
}

impl Process {
    fn start(command: &mut Command) -> Self {
        let words: Vec<_> =
            std::iter::once(command.get_program()).chain(command.get_args()).map(OsStr::to_string_lossy).collect();
        let shown = words.join(" ");
        let files = TempDir::new().expect("a temporary folder can be made");
        let file = |name: &str| File::create(files.path().join(name)).expect("a temporary file can be made");
        command.stdin(Stdio::null()).stdout(file("stdout")).stderr(file("stderr"));
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {shown}: {error}"));
        Self { shown, child, files }
    }

    fn read(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.files.path().join(name)).unwrap_or_default()).into_owned()
    }

    fn end(mut self) -> Ran {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                break Some(status);
            }
            if begun.elapsed() > LIMIT {
                break None;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let ran = Ran {
            command: self.shown.clone(),
            code: status.and_then(|status| status.code()),
            stdout: self.read("stdout"),
            stderr: self.read("stderr"),
        };
        assert!(status.is_some(), "killed after {} s: {ran}", LIMIT.as_secs());
        ran
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell() -> Client {
        Client::new(on_path("sh"))
    }

    #[test]
    fn a_client_sees_its_own_home_and_nothing_of_ours() {
        let client = shell().with("GIVEN", "yes");
        client.file("here", "content");
        let ran = client.run(["-c", "echo $GIVEN; cat here; test \"$HOME\" = \"$PWD\"; test -z \"$CARGO_MANIFEST_DIR\""]).ok();
        assert_eq!(ran.stdout, "yes\ncontent");
        shell().run(["-c", "echo why >&2; exit 7"]).refused("why").exits(7);
    }

    #[test]
    #[should_panic(expected = "--insecure-ignore-tlog weakens the client")]
    fn weakening_arguments_are_refused() {
        let _ = shell().run(["--insecure-ignore-tlog"]);
    }

    #[test]
    #[should_panic(expected = "COSIGN_ALLOW_HTTP_REGISTRY weakens the client")]
    fn weakening_variables_are_refused() {
        let _ = shell().with("COSIGN_ALLOW_HTTP_REGISTRY", "true");
    }

    #[test]
    #[should_panic(expected = "tried to reach another machine: [\"GET http://somewhere.example/\"]")]
    fn a_client_that_leaves_this_machine_fails_the_test() {
        let proxy = "exec 3<>/dev/tcp/${HTTP_PROXY#http://127.0.0.1:}";
        let script = format!(
            "{}; printf 'GET http://somewhere.example/ HTTP/1.1\\r\\n\\r\\n' >&3; cat <&3",
            proxy.replace("tcp/", "tcp/127.0.0.1/")
        );
        let _ = Client::new(on_path("bash")).run(["-c", &script]);
    }
}
