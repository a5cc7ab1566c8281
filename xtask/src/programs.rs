//! Building everything once, and running the test programs that came out of it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::layout;
use crate::process::{self, Took};
use crate::tools;

/// A test program that runs longer is killed: nothing here waits for a person.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// As [`LIMIT`], of a program with long runs in it.
const LONG_LIMIT: Duration = Duration::from_secs(60 * 60);

/// The one selection everything is built with: another one would resolve other features and build most dependencies again.
pub(crate) const SELECTION: &[&str] = &["--release", "--locked", "--workspace", "--all-targets"];

/// A program with tests in it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TestProgram {
    /// The crate it belongs to.
    pub(crate) krate: String,
    /// Its library, binary or file of tests.
    pub(crate) target: String,
    executable: PathBuf,
    /// The crate's folder: where tests run, as with `cargo test`.
    folder: PathBuf,
}

/// Builds the whole workspace, programs and tests, and lists the tests.
///
/// # Errors
/// Something does not compile.
pub(crate) fn build() -> Result<Vec<TestProgram>> {
    let mut cargo = tools::cargo();
    cargo.current_dir(layout::repository()).args(["build", "--message-format", "json-render-diagnostics"]).args(SELECTION);
    let mut child = cargo.stdout(Stdio::piped()).spawn().context("cannot start cargo build")?;
    let stdout = child.stdout.take().expect("it was piped");
    let mut programs = Vec::new();
    for line in BufReader::new(stdout).lines() {
        programs.extend(test_program(&line?));
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("{} by: {}", process::ended(status), process::shown(&cargo));
    }
    Ok(programs)
}

/// Reads one of cargo's messages; most are not about test programs.
fn test_program(message: &str) -> Option<TestProgram> {
    let message: Value = serde_json::from_str(message).ok()?;
    if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
        return None;
    }
    let folder = Path::new(message["manifest_path"].as_str()?).parent()?;
    Some(TestProgram {
        krate: folder.file_name()?.to_str()?.to_owned(),
        target: message["target"]["name"].as_str()?.to_owned(),
        executable: message["executable"].as_str()?.into(),
        folder: folder.to_path_buf(),
    })
}

/// What a run of test programs needs to know.
#[derive(Debug, Default)]
pub(crate) struct Environment {
    /// Folders in front of `PATH`.
    pub(crate) path: Vec<PathBuf>,
    /// Whether long runs are wanted.
    pub(crate) all: bool,
    /// Where scratch files go, if not where the system has them.
    pub(crate) scratch: Option<PathBuf>,
}

/// A folder in memory where syncing takes no time, if there is one with room from which programs may be run. What a test writes and
/// syncs is the same there; only waiting for the disk is saved.
pub(crate) fn memory() -> Option<PathBuf> {
    const FOLDER: &str = "/dev/shm";
    const ROOM: u64 = 4 << 30;
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    let free = process::output(Command::new("df").args(["--output=avail", "--block-size=1", FOLDER])).ok()?;
    let free: u64 = free.lines().last()?.trim().parse().ok()?;
    (runs_programs(&mounts, FOLDER) && free >= ROOM).then(|| PathBuf::from(FOLDER))
}

/// Whether a folder is mounted in memory, and not so that nothing in it may be run.
fn runs_programs(mounts: &str, folder: &str) -> bool {
    let mut lines = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    lines.any(|line| matches!(line[..], [_, at, "tmpfs", options, ..] if at == folder && !options.split(',').any(|one| one == "noexec")))
}

/// Runs programs one after the other, each with a line of its own, and says how many tests passed.
///
/// # Errors
/// A test failed: its program's whole output has been printed.
pub(crate) fn run<'a>(programs: impl Iterator<Item = &'a TestProgram>, environment: &Environment) -> Result<usize> {
    let mut passed = 0;
    for program in programs {
        passed += program.run(environment)?;
    }
    if passed == 0 { bail!("no test was found; the programs that should have some did not run") } else { Ok(passed) }
}

impl TestProgram {
    /// A command that runs the tests whose names contain `filter`, however long they take.
    pub(crate) fn command(&self, filter: &str, path: &[PathBuf]) -> Command {
        let mut command = Command::new(&self.executable);
        command.current_dir(&self.folder).env("CARGO_MANIFEST_DIR", &self.folder).env("PATH", layout::path_with(path));
        command.args([filter, "--nocapture"]);
        command
    }

    fn run(&self, environment: &Environment) -> Result<usize> {
        let begun = Instant::now();
        let log = layout::target().join("xtask").join(format!("{}-{}.log", self.krate, self.target));
        fs::create_dir_all(log.parent().expect("joined above"))?;
        let written = File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
        let mut command = Command::new(&self.executable);
        command
            .current_dir(&self.folder)
            .env("CARGO_MANIFEST_DIR", &self.folder)
            .env("PATH", layout::path_with(&environment.path));
        command.stdin(Stdio::null()).stdout(written.try_clone()?).stderr(written);
        if let Some(scratch) = &environment.scratch {
            command.env("TMPDIR", scratch);
        }
        if environment.all {
            command.env("CHANCERY_TESTS", "all").env("PROPTEST_CASES", "4096");
            // Tests with heavy clients are ignored otherwise.
            command.arg("--include-ignored");
        }
        let mut child = command.spawn().with_context(|| format!("cannot start {}", self.executable.display()))?;
        let limit = if environment.all { LONG_LIMIT } else { LIMIT };
        let status = process::wait_at_most(&mut child, limit)?;
        let output = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        let problem = match status {
            Some(status) if status.success() => {
                let passed = count_passed(&output).with_context(|| format!("{} ended without a result", self.name()))?;
                if passed > 0 {
                    eprintln!("  {:<28} {passed:>4} passed  {:>8}", self.name(), Took(begun.elapsed()));
                }
                return Ok(passed);
            }
            Some(status) => process::ended(status),
            None => format!("killed after {}", Took(limit)),
        };
        eprintln!("{output}");
        bail!("{}: {problem}; run it alone with: {}", self.name(), self.alone())
    }

    fn name(&self) -> String {
        if self.krate == self.target { self.krate.clone() } else { format!("{}/{}", self.krate, self.target) }
    }

    /// The command for one program; it selects the whole workspace so that nothing is compiled with other features.
    fn alone(&self) -> String {
        let filter = if self.krate == "integration" { format!("--test {}", self.target) } else { "--all-targets".to_owned() };
        format!("cargo test --release --workspace {filter}")
    }
}

/// The number in the test harness's last line.
fn count_passed(output: &str) -> Option<usize> {
    let result = output.lines().rev().find_map(|line| line.strip_prefix("test result: ok. "))?;
    result.split_once(" passed")?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn test_programs_are_told_from_other_artifacts() {
        let artifact = |test: bool| {
            serde_json::json!({
                "reason": "compiler-artifact", "manifest_path": "/w/integration/Cargo.toml", "target": {"name": "cosign"},
                "profile": {"test": test}, "executable": "/t/release/deps/cosign-1",
            })
            .to_string()
        };
        let program = test_program(&artifact(true)).unwrap();
        assert_eq!((program.name(), program.folder.as_path()), ("integration/cosign".to_owned(), Path::new("/w/integration")));
        assert_eq!(program.alone(), "cargo test --release --workspace --test cosign");
        assert_eq!(test_program(&artifact(false)), None);
        assert_eq!(test_program("warning: not a message"), None);
    }

    #[test]
    fn a_folder_in_memory_is_used_where_programs_may_run() {
        let mounts = |options: &str| format!("proc /proc proc rw 0 0\ntmpfs /dev/shm tmpfs {options} 0 0\n");
        assert!(runs_programs(&mounts("rw,relatime"), "/dev/shm"));
        assert!(!runs_programs(&mounts("rw,nosuid,noexec,relatime"), "/dev/shm"));
        assert!(!runs_programs(&mounts("rw"), "/dev/shm/x") && !runs_programs("/dev/vda /dev/shm ext4 rw 0 0", "/dev/shm"));
    }

    #[test]
    fn passed_tests_are_counted() {
        assert_eq!(count_passed("running 2 tests\n..\n\ntest result: ok. 31 passed; 0 failed; 0 ignored\n\n"), Some(31));
        assert_eq!(count_passed("test result: FAILED. 1 passed; 1 failed"), None);
        assert_eq!(count_passed(""), None);
    }
}
