//! Fuzzing: `fuzz/` has a target for each parser of outside bytes, and the corpus that was found so far.
//!
//! What a run finds and is worth keeping is minimised into `fuzz/corpus` by hand (`cargo fuzz cmin TARGET`); every run of the tests
//! tries it.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{layout, process};

/// What `cargo xtask fuzz` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only these targets
    targets: Vec<String>,
    /// How long each is fuzzed
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    seconds: u32,
}

/// `cargo xtask fuzz`.
pub(crate) fn run(options: &Options) -> Result<()> {
    let folder = layout::repository().join("fuzz");
    let installed = Command::new("cargo").args(["+nightly", "fuzz", "--version"]).output();
    if !installed.is_ok_and(|output| output.status.success()) {
        bail!(
            "fuzzing takes a nightly compiler and cargo-fuzz: rustup toolchain install nightly, cargo +nightly install cargo-fuzz"
        );
    }
    let files = fs::read_dir(folder.join("fuzz_targets")).context("fuzz/fuzz_targets cannot be read")?;
    let names = files.filter_map(|file| file.ok()?.path().file_stem()?.to_str().map(str::to_owned));
    let mut targets: Vec<String> = names.filter(|name| options.targets.is_empty() || options.targets.contains(name)).collect();
    targets.sort();
    if targets.is_empty() {
        bail!("no such target; fuzz/fuzz_targets has one file for each");
    }
    for target in &targets {
        println!("== {target}");
        let mut fuzz = Command::new("cargo");
        // rust-toolchain.toml pins a stable compiler, which `+nightly` overrules; what is found first goes to a scratch corpus.
        let scratch = layout::target().join("fuzz-corpus").join(target);
        fs::create_dir_all(&scratch).with_context(|| format!("cannot create {}", scratch.display()))?;
        fuzz.current_dir(layout::repository()).args(["+nightly", "fuzz", "run", target]).arg(&scratch);
        fuzz.arg(folder.join("corpus").join(target)).arg("--").arg(format!("-max_total_time={}", options.seconds));
        process::run(&mut fuzz).with_context(|| format!("{target} failed; fuzz/artifacts/{target} has the input"))?;
    }
    println!("fuzzed {} targets for {} s each, none failed", targets.len(), options.seconds);
    Ok(())
}
