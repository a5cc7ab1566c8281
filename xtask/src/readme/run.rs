//! Running blocks as a reader would: one shell from top to bottom, and one more for each block that stays.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::blocks::Block;
use crate::layout;
use crate::process;

/// No block waits for a person; the slowest one compiles.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// How long a block that stays may take to end when it is interrupted.
const GRACE: Duration = Duration::from_secs(30);

/// Variables that would make commands behave otherwise than on a reader's machine.
const REMOVED: &[&str] = &["CHANCERY_", "COSIGN_", "SIGSTORE_", "TUF_"];

/// Runs the blocks in a fresh scratch folder.
///
/// The folder lies below the repository, so that `cargo run` works in it as it does in a clone, and has its own `HOME`.
pub(crate) fn run(blocks: &[Block], path: &[PathBuf]) -> Result<()> {
    let scratch = scratch()?;
    let mut shell = Shell::start(&scratch, path)?;
    let mut staying = Vec::new();
    for block in blocks {
        eprintln!("-- README.md:{}", block.line);
        let at = || format!("README.md:{} did not do what it says", block.line);
        match &block.until {
            Some(words) => staying.push((block, Staying::start(&scratch, path, block, words).with_context(at)?)),
            None => shell.run(block).with_context(at)?,
        }
    }
    for (block, mut staying) in staying.into_iter().rev() {
        staying.interrupt().with_context(|| format!("README.md:{} did not end well when interrupted", block.line))?;
    }
    Ok(())
}

fn scratch() -> Result<PathBuf> {
    let scratch = layout::repository().join("target").join("readme");
    if scratch.exists() {
        fs::remove_dir_all(&scratch).with_context(|| format!("cannot empty {}", scratch.display()))?;
    }
    fs::create_dir_all(scratch.join(".home")).with_context(|| format!("cannot create {}", scratch.display()))?;
    // So that ./target/release/chancery is where a reader finds it.
    symlink(layout::target(), scratch.join("target"))?;
    Ok(scratch)
}

fn bash(scratch: &Path, path: &[PathBuf]) -> Result<Command> {
    let mut bash = Command::new("bash");
    // Aliases are off in scripts; a reader has them.
    bash.args(["--norc", "--noprofile", "-O", "expand_aliases", "-euo", "pipefail"]).current_dir(scratch);
    for (name, _) in std::env::vars_os() {
        if REMOVED.iter().any(|prefix| name.to_string_lossy().starts_with(prefix)) {
            bash.env_remove(name);
        }
    }
    let home = layout::home()?;
    for (name, folder) in [("CARGO_HOME", ".cargo"), ("RUSTUP_HOME", ".rustup")] {
        if std::env::var_os(name).is_none() {
            bash.env(name, home.join(folder));
        }
    }
    bash.env("HOME", scratch.join(".home")).env("PATH", layout::path_with(path)).env("CARGO_TARGET_DIR", layout::target());
    Ok(bash)
}

fn written(scratch: &Path, block: &Block) -> Result<PathBuf> {
    let script = scratch.join(format!(".line-{}.sh", block.line));
    fs::write(&script, &block.script).with_context(|| format!("cannot write {}", script.display()))?;
    Ok(script)
}

/// The reader's shell: what one block exports or defines is there in the next.
struct Shell {
    scratch: PathBuf,
    bash: Child,
}

impl Shell {
    fn start(scratch: &Path, path: &[PathBuf]) -> Result<Self> {
        let bash = bash(scratch, path)?.arg("-s").stdin(Stdio::piped()).spawn().context("cannot start bash")?;
        Ok(Self { scratch: scratch.to_path_buf(), bash })
    }

    /// Has the shell source the block and leave a mark behind; where it ends instead, a command failed.
    fn run(&mut self, block: &Block) -> Result<()> {
        let script = written(&self.scratch, block)?;
        let mark = script.with_extension("done");
        let stdin = self.bash.stdin.as_mut().context("the shell has ended")?;
        writeln!(stdin, ". '{}' </dev/null\n: >'{}'", script.display(), mark.display())?;
        let begun = Instant::now();
        while !mark.exists() {
            if let Some(status) = self.bash.try_wait()? {
                bail!("a command failed: {}", process::ended(status));
            }
            if begun.elapsed() > LIMIT {
                bail!("still running after {} s", LIMIT.as_secs());
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        end(&mut self.bash);
    }
}

/// A block in a shell of its own that goes on while the next ones run.
struct Staying(Child);

impl Staying {
    fn start(scratch: &Path, path: &[PathBuf], block: &Block, words: &str) -> Result<Self> {
        let script = written(scratch, block)?;
        let mut bash = bash(scratch, path)?;
        let mut child = bash.arg(script).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
        let (sender, lines) = mpsc::channel();
        echo(child.stdout.take().expect("it was piped"), sender.clone());
        echo(child.stderr.take().expect("it was piped"), sender);
        let staying = Self(child);
        wait_for(words, &lines)?;
        Ok(staying)
    }

    /// What Ctrl-C does: the programs get it, and the shell goes on to the end of its script.
    fn interrupt(&mut self) -> Result<()> {
        process::signal("INT", &process::descendants(self.0.id()));
        match process::wait_at_most(&mut self.0, GRACE)? {
            Some(status) if status.success() => Ok(()),
            Some(status) => bail!("{}", process::ended(status)),
            None => bail!("still running {} s later", GRACE.as_secs()),
        }
    }
}

impl Drop for Staying {
    fn drop(&mut self) {
        end(&mut self.0);
    }
}

/// Ends a shell and what it started; nothing to do where it has ended by itself.
fn end(shell: &mut Child) {
    if matches!(shell.try_wait(), Ok(None)) {
        process::signal("KILL", &process::descendants(shell.id()));
        let _ = shell.kill();
        let _ = shell.wait();
    }
}

fn echo(from: impl Read + Send + 'static, to: mpsc::Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            eprintln!("   | {line}");
            // Nobody listens any more once the words were found.
            let _ = to.send(line);
        }
    });
}

fn wait_for(words: &str, lines: &Receiver<String>) -> Result<()> {
    let until = Instant::now() + LIMIT;
    loop {
        match lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(line) if line.contains(words) => return Ok(()),
            Ok(_) => {}
            Err(RecvTimeoutError::Timeout) => bail!("it did not print \"{words}\" within {} s", LIMIT.as_secs()),
            Err(RecvTimeoutError::Disconnected) => bail!("it ended without printing \"{words}\""),
        }
    }
}
