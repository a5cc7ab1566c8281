//! Running other programs: what was run is part of every error.

use std::fmt;
use std::fs;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// Runs a program to its end with our terminal.
///
/// # Errors
/// The program cannot be started, or ended other than with 0.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start: {}", shown(command)))?;
    if status.success() { Ok(()) } else { bail!("{} by: {}", ended(status), shown(command)) }
}

/// Runs a program to its end and returns what it wrote to its standard output.
///
/// # Errors
/// As [`run`]; then with what it wrote to its standard error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start: {}", shown(command)))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("{} by: {}\n{}", ended(output.status), shown(command), said.trim_end());
    }
    String::from_utf8(output.stdout).with_context(|| format!("not UTF-8, the output of: {}", shown(command)))
}

/// Runs a program to its end and shows what it wrote only if it failed.
///
/// # Errors
/// As [`run`].
pub(crate) fn quiet(command: &mut Command) -> Result<()> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start: {}", shown(command)))?;
    if output.status.success() {
        return Ok(());
    }
    eprintln!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    bail!("{} by: {}", ended(output.status), shown(command))
}

/// Waits for a child, but not longer than `limit`; then kills it with everything it has started. `None` says that it was killed.
pub(crate) fn wait_at_most(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if begun.elapsed() > limit {
            signal("KILL", &descendants(child.id()));
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// Sends a signal to processes; those that are gone already are no error.
pub(crate) fn signal(name: &str, processes: &[u32]) {
    for process in processes {
        // The shell's own kill, so that no package is needed for it.
        let _ = Command::new("sh").args(["-c", &format!("kill -{name} {process} 2>/dev/null")]).status();
    }
}

/// Everything a process has started and that still runs, nearest first.
pub(crate) fn descendants(ancestor: u32) -> Vec<u32> {
    let parents: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let process: u32 = entry.file_name().to_str()?.parse().ok()?;
            let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
            // The second field is the program's name in brackets and may contain anything; the parent is the second after it.
            let parent = stat.rsplit_once(") ")?.1.split(' ').nth(1)?.parse().ok()?;
            Some((process, parent))
        })
        .collect();
    let mut found = vec![ancestor];
    let mut next = 0;
    while let Some(&parent) = found.get(next) {
        found.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(process, _)| process));
        next += 1;
    }
    found.split_off(1)
}

/// A command as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let quoted = words.map(|word| {
        let word = word.to_string_lossy();
        if word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./=:@,+%".contains(c)) {
            word.into_owned()
        } else {
            format!("'{word}'")
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// How a program ended, as the beginning of a sentence.
pub(crate) fn ended(status: ExitStatus) -> String {
    match status.code() {
        Some(code) => format!("exit code {code}"),
        None => "ended by a signal".to_owned(),
    }
}

/// A duration as `41 ms`, `2.1 s` or `3 min 05 s`.
pub(crate) struct Took(pub(crate) Duration);

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let text = if self.0 < Duration::from_secs(1) {
            format!("{} ms", self.0.as_millis())
        } else if seconds < 60 {
            format!("{:.1} s", self.0.as_secs_f64())
        } else {
            format!("{} min {:02} s", seconds / 60, seconds % 60)
        };
        f.pad(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        for (milliseconds, expected) in
            [(41, "41 ms"), (999, "999 ms"), (2_100, "2.1 s"), (59_900, "59.9 s"), (185_000, "3 min 05 s")]
        {
            assert_eq!(Took(Duration::from_millis(milliseconds)).to_string(), expected);
        }
    }

    #[test]
    fn a_failure_names_the_command() {
        let error = run(Command::new("sh").args(["-c", "exit 7"])).unwrap_err();
        assert_eq!(error.to_string(), "exit code 7 by: sh -c 'exit 7'");
    }

    #[test]
    fn a_program_that_hangs_is_killed_with_its_children() {
        let mut child = Command::new("sh").args(["-c", "sleep 600 & sleep 600"]).spawn().unwrap();
        let begun = Instant::now();
        while descendants(child.id()).len() < 2 {
            assert!(begun.elapsed() < Duration::from_secs(20), "the shell did not start its children");
            thread::sleep(Duration::from_millis(5));
        }
        let children = descendants(child.id());
        assert!(wait_at_most(&mut child, Duration::ZERO).unwrap().is_none());
        let runs = |process: &u32| {
            let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
            stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
        };
        let begun = Instant::now();
        while children.iter().any(runs) {
            assert!(begun.elapsed() < Duration::from_secs(20), "a child survived");
            thread::sleep(Duration::from_millis(5));
        }
    }
}
