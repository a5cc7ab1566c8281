//! Fuzzing: `fuzz/` has a target for each parser of outside bytes, and the corpus that was found so far.
//!
//! The compiler is the pinned one: sanitizers are among its unstable features, which `RUSTC_BOOTSTRAP` turns on, and it has their
//! runtime. What a run finds and is worth keeping goes into `fuzz/corpus` by hand; every run of the tests tries it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::process::{self, Took};
use crate::{layout, tools};

/// What `cargo xtask fuzz` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only these targets
    targets: Vec<String>,
    /// How long each is fuzzed
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    seconds: u32,
}

/// A single input that takes longer is a finding.
const SLOW_SECONDS: u32 = 10;

/// `cargo xtask fuzz`.
pub(crate) fn run(options: &Options) -> Result<()> {
    let targets = chosen(&targets()?, &options.targets)?;
    let fuzzer = Fuzzer { tool: tools::install_for_fuzzing()?, target: layout::target().join("fuzz") };
    eprintln!("building the targets with a sanitizer; the first time this takes minutes");
    // Each by its name: without one, all of them would be linked.
    for target in &targets {
        process::run(fuzzer.cargo("build", target).stdin(Stdio::null()))?;
    }
    for target in &targets {
        let begun = Instant::now();
        let executed = fuzzer.fuzz(target, options.seconds)?;
        println!("{target:<20} {executed:>12} inputs in {}", Took(begun.elapsed()));
    }
    println!("fuzzed {} targets for {} s each, none failed", targets.len(), options.seconds);
    Ok(())
}

/// Every target, by name.
fn targets() -> Result<BTreeSet<String>> {
    let folder = layout::repository().join("fuzz/fuzz_targets");
    let files = fs::read_dir(&folder).with_context(|| format!("{} cannot be read", layout::shown(&folder)))?;
    Ok(files.filter_map(|file| file.ok()?.path().file_stem()?.to_str().map(str::to_owned)).collect())
}

/// Those that were named; all, if none was.
fn chosen(targets: &BTreeSet<String>, named: &[String]) -> Result<Vec<String>> {
    if let Some(stranger) = named.iter().find(|name| !targets.contains(*name)) {
        let known = targets.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        bail!("there is no target {stranger}; expected one of {known}");
    }
    let wanted = |name: &&String| named.is_empty() || named.contains(name);
    Ok(targets.iter().filter(wanted).cloned().collect())
}

struct Fuzzer {
    /// Where `cargo-fuzz` is.
    tool: PathBuf,
    /// What is built goes here, apart from everything else: it is built with a sanitizer.
    target: PathBuf,
}

impl Fuzzer {
    fn cargo(&self, subcommand: &str, target: &str) -> Command {
        let mut cargo = Command::new("cargo");
        cargo.current_dir(layout::repository()).env("PATH", layout::path_with(std::slice::from_ref(&self.tool)));
        cargo.env("RUSTC_BOOTSTRAP", "1").args(["fuzz", subcommand, "--target-dir"]).arg(&self.target).arg(target);
        cargo
    }

    /// Fuzzes a target, and says how many inputs it was given.
    fn fuzz(&self, target: &str, seconds: u32) -> Result<String> {
        // What is found first goes to the first folder; the corpus is only read.
        let found = self.target.join("corpus").join(target);
        let log = self.target.join(format!("{target}.log"));
        fs::create_dir_all(&found).with_context(|| format!("cannot create {}", found.display()))?;
        let written = File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
        let mut fuzz = self.cargo("run", target);
        fuzz.arg(&found).arg(layout::repository().join("fuzz/corpus").join(target)).arg("--");
        fuzz.args([format!("-max_total_time={seconds}"), format!("-timeout={SLOW_SECONDS}"), "-print_final_stats=1".to_owned()]);
        fuzz.stdin(Stdio::null()).stdout(written.try_clone()?).stderr(written);
        if let Err(error) = process::run(&mut fuzz) {
            eprintln!("{}", tools::last_lines(&log, 60));
            return Err(error.context(format!(
                "{target} failed; once its parser is mended, keep the input of fuzz/artifacts/{target} in fuzz/corpus/{target}"
            )));
        }
        Ok(executed(&fs::read_to_string(&log).unwrap_or_default()).unwrap_or("?").to_owned())
    }
}

/// How many inputs the fuzzer says it tried.
fn executed(log: &str) -> Option<&str> {
    log.lines().rev().find_map(|line| line.strip_prefix("stat::number_of_executed_units:")).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_that_is_not_there_is_an_error_and_none_is_all() {
        let targets = BTreeSet::from(["note".to_owned(), "vkey".to_owned()]);
        assert_eq!(chosen(&targets, &[]).unwrap(), ["note", "vkey"]);
        assert_eq!(chosen(&targets, &["vkey".to_owned()]).unwrap(), ["vkey"]);
        let error = chosen(&targets, &["vkey".to_owned(), "keys".to_owned()]).unwrap_err().to_string();
        assert_eq!(error, "there is no target keys; expected one of note, vkey");
        assert!(super::targets().unwrap().contains("note"));
    }

    #[test]
    fn the_fuzzer_says_how_much_it_tried() {
        assert_eq!(executed("#1\nstat::number_of_executed_units: 4711\nstat::peak_rss_mb:  41\n"), Some("4711"));
        assert_eq!(executed("#1\n"), None);
    }
}
