//! The built binary as a process: started, killed, stopped and started again like on a person's machine.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::Environment;
use crate::client::{self, Ran};
use crate::wait::http;

/// How long a start may take on a slow and busy machine.
const START: Duration = Duration::from_secs(90);

/// How long it may take to end when asked to.
const STOP: Duration = Duration::from_secs(40);

/// How to start the binary.
#[derive(Debug, Clone)]
pub struct Launch {
    arguments: Vec<OsString>,
    /// What to run it under, for example `strace` with its flags.
    under: Vec<OsString>,
    variables: Vec<(OsString, OsString)>,
    ready: Ready,
}

/// How to see that it is ready.
#[derive(Debug, Clone)]
enum Ready {
    /// By the lab's `env` file, its admin listener, and the last line of its screen, which comes after the proof.
    Lab(PathBuf),
    /// By the admin listener alone.
    Admin(String),
}

impl Launch {
    /// `chancery lab --dir DIR --ports auto`.
    #[must_use]
    pub fn lab(dir: &Path) -> Self {
        let arguments = vec!["lab".into(), "--dir".into(), dir.into(), "--ports".into(), "auto".into()];
        Self { arguments, under: Vec::new(), variables: Vec::new(), ready: Ready::Lab(dir.to_path_buf()) }
    }

    /// `chancery serve --config FILE`, ready when the admin listener at `admin` says so.
    #[must_use]
    pub fn serve(config: &Path, admin: &str) -> Self {
        Self::service("serve", config, admin)
    }

    /// `chancery SERVICE --config FILE`, one service of an installation: `gateway`, for example. Ready as [`Self::serve`] is.
    #[must_use]
    pub fn service(name: &str, config: &Path, admin: &str) -> Self {
        let arguments = vec![name.into(), "--config".into(), config.into()];
        Self { arguments, under: Vec::new(), variables: Vec::new(), ready: Ready::Admin(admin.to_owned()) }
    }

    /// Runs it under another program. That program must become the binary (`exec`) or stay out of the way (`strace -D`): signals
    /// go to the process that was started.
    #[must_use]
    pub fn under<W: Into<OsString>>(mut self, words: impl IntoIterator<Item = W>) -> Self {
        self.under = words.into_iter().map(Into::into).collect();
        self
    }

    /// Sets a variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<OsString>) -> Self {
        self.variables.push((name.into(), value.into()));
        self
    }

    /// Starts it and waits until it is ready, with files of its own in `folder`.
    ///
    /// # Errors
    /// It ended instead: that is how, and what it said.
    ///
    /// # Panics
    /// It neither ends nor becomes ready.
    pub async fn start_in(self, folder: &Path) -> Result<Chancery, Ended> {
        let process = Process::start(&self, folder);
        let mut chancery = Chancery { launch: self, folder: folder.to_path_buf(), temporary: None, process, environment: None };
        chancery.ready().await?;
        Ok(chancery)
    }
}

/// A running Chancery. It is killed when dropped; when the test is failing, its log is shown.
#[derive(Debug)]
pub struct Chancery {
    launch: Launch,
    folder: PathBuf,
    /// Removed with the handle.
    temporary: Option<TempDir>,
    process: Process,
    environment: Option<Environment>,
}

/// How the binary ended by itself.
pub type Ended = Ran;

impl Chancery {
    /// A new lab in a temporary folder.
    ///
    /// # Panics
    /// It does not start.
    pub async fn lab() -> Self {
        let temporary = TempDir::with_prefix("chancery-").expect("a temporary folder can be made");
        let launch = Launch::lab(&temporary.path().join("lab"));
        let mut lab = launch.start_in(temporary.path()).await.unwrap_or_else(|ended| panic!("the lab did not start: {ended}"));
        lab.temporary = Some(temporary);
        lab
    }

    /// The lab's `D/`.
    ///
    /// # Panics
    /// It is not a lab.
    #[must_use]
    pub fn dir(&self) -> &Path {
        match &self.launch.ready {
            Ready::Lab(dir) => dir,
            Ready::Admin(_) => panic!("this is not a lab"),
        }
    }

    /// What `D/env` exports.
    ///
    /// # Panics
    /// It is not a lab.
    #[must_use]
    pub fn env(&self) -> &Environment {
        self.environment.as_ref().expect("a lab that is ready has written it")
    }

    /// What it has logged in this run.
    #[must_use]
    pub fn log(&self) -> String {
        text(&self.process.stderr)
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.child.id()
    }

    /// A token of the lab's issuer: `token(&["--email", "dev@corp.example"])`.
    ///
    /// # Panics
    /// It is refused.
    #[must_use]
    pub fn token(&self, arguments: &[&str]) -> String {
        let mut command = Self::command();
        command.args(["lab", "token", "--dir"]).arg(self.dir()).args(arguments);
        client::run(&mut command).ok().stdout
    }

    /// The binary, in an environment of its own; a test adds arguments and runs it with [`Self::run`].
    #[must_use]
    pub fn command() -> Command {
        let mut command = Command::new(binary());
        clean(&mut command);
        command
    }

    /// Runs the binary to its end.
    #[must_use]
    pub fn run(command: &mut Command) -> Ran {
        client::run(command)
    }

    /// As the power goes: SIGKILL, and no more.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// SIGTERM, and how it ended.
    ///
    /// # Panics
    /// It does not end in time.
    pub fn stop(&mut self) -> Ended {
        self.process.stop("TERM")
    }

    /// Ctrl-C, and how it ended.
    ///
    /// # Panics
    /// It does not end in time.
    pub fn interrupt(&mut self) -> Ended {
        self.process.stop("INT")
    }

    /// Starts it again as it was started before, and waits until it is ready.
    ///
    /// # Errors
    /// It ended instead.
    ///
    /// # Panics
    /// It still runs, or neither ends nor becomes ready.
    pub async fn restart(&mut self) -> Result<(), Ended> {
        assert!(self.process.has_ended(), "stop it before starting it again");
        self.process = Process::start(&self.launch, &self.folder);
        self.ready().await
    }

    async fn ready(&mut self) -> Result<(), Ended> {
        let http = http(&[]);
        let begun = Instant::now();
        loop {
            if self.process.has_ended() {
                return Err(self.process.ended());
            }
            if let Some(admin) = self.admin()
                && http.get(format!("{admin}/readyz")).send().await.is_ok_and(|answer| answer.status() == 200)
                && (matches!(self.launch.ready, Ready::Admin(_)) || self.process.stdout().contains("\nready in "))
            {
                if let Ready::Lab(dir) = &self.launch.ready {
                    // It may have been completed by this start.
                    self.environment = Some(Environment::read(&dir.join("env")));
                }
                return Ok(());
            }
            assert!(begun.elapsed() < START, "not ready after {} s", START.as_secs());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Where the admin listener is, as soon as that is known.
    fn admin(&mut self) -> Option<String> {
        match &self.launch.ready {
            Ready::Admin(url) => Some(url.clone()),
            Ready::Lab(dir) => {
                let file = dir.join("env");
                if self.environment.is_none() && file.exists() {
                    self.environment = Some(Environment::read(&file));
                }
                self.environment.as_ref().map(|environment| environment.get("CHANCERY_ADMIN_URL").to_owned())
            }
        }
    }
}

impl Drop for Chancery {
    #[allow(clippy::print_stderr, reason = "the test harness shows it below the failing test")]
    fn drop(&mut self) {
        self.process.kill();
        if std::thread::panicking() {
            eprintln!("{}", self.process.ended());
        }
    }
}

/// One run of the binary.
#[derive(Debug)]
struct Process {
    child: Child,
    shown: String,
    /// Where its output goes.
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Process {
    fn start(launch: &Launch, folder: &Path) -> Self {
        let mut words = launch.under.clone();
        words.push(binary().into_os_string());
        words.extend(launch.arguments.iter().cloned());
        let (stdout, stderr) = (folder.join("stdout"), folder.join("stderr"));
        let file = |path: &Path| File::create(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut command = Command::new(&words[0]);
        clean(&mut command);
        command.args(&words[1..]).env("HOME", folder).envs(launch.variables.iter().cloned()).current_dir(folder);
        command.stdin(Stdio::null()).stdout(file(&stdout)).stderr(file(&stderr));
        let shown = words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
        let child = command.spawn().unwrap_or_else(|error| panic!("cannot start {shown}: {error}"));
        Self { child, shown, stdout, stderr }
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn stop(&mut self, signal: &str) -> Ended {
        // The shell's own kill: the standard library sends SIGKILL only.
        let sent = Command::new("sh").args(["-c", &format!("kill -{signal} {}", self.child.id())]).status();
        assert!(sent.is_ok_and(|sent| sent.success()), "it has ended before it was asked to: {}", self.ended());
        let begun = Instant::now();
        while !self.has_ended() {
            assert!(begun.elapsed() < STOP, "still running {} s after SIG{signal}", STOP.as_secs());
            std::thread::sleep(Duration::from_millis(5));
        }
        self.ended()
    }

    fn stdout(&self) -> String {
        text(&self.stdout)
    }

    fn ended(&mut self) -> Ended {
        let code = self.child.try_wait().ok().flatten().and_then(|status| status.code());
        Ran { command: self.shown.clone(), code, stdout: self.stdout(), stderr: text(&self.stderr) }
    }
}

fn text(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// Nothing of the developer's environment reaches the binary.
fn clean(command: &mut Command) {
    command.env_clear().envs([("PATH", "/usr/bin:/bin"), ("LC_ALL", "C"), ("TZ", "UTC"), ("RUST_BACKTRACE", "1")]);
}

/// The binary under test: `$CHANCERY_BINARY`, or the one that was built along with the test that is running.
fn binary() -> PathBuf {
    const BUILD: &str = "cargo build --release --workspace --all-targets";
    if let Some(given) = std::env::var_os("CHANCERY_BINARY") {
        return given.into();
    }
    let test = std::env::current_exe().expect("a running program has a path");
    // target/release/deps/TEST-HASH, or target/release/PROGRAM.
    let folder = test.parent().expect("a program lies in a folder");
    let folder = if folder.ends_with("deps") { folder.parent().expect("deps lies in a folder") } else { folder };
    let binary = folder.join("chancery");
    assert!(binary.exists(), "{} is not built; run: {BUILD}", binary.display());
    if let Some(source) = newer_source(&binary) {
        panic!("{} is older than {source}; run: {BUILD}", binary.display());
    }
    binary
}

/// A test does not rebuild the binary of another crate, so look whether that was forgotten: cargo lists the binary's sources in a
/// make rule beside it.
fn newer_source(binary: &Path) -> Option<String> {
    let rule = fs::read_to_string(binary.with_extension("d")).ok()?;
    let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    let built = modified(binary)?;
    let (_, sources) = rule.split_once(": ")?;
    let source =
        sources.split_whitespace().find(|source| modified(Path::new(source)).is_some_and(|modified| modified > built))?;
    Some(source.to_owned())
}
