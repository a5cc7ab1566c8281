//! What CI runs, part by part, with the time of each.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::{self, Took};
use crate::programs::{self, Environment, SELECTION, TestProgram};
use crate::{codes, deps, image, layout, readme, tools};

/// What `cargo xtask ci` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Also the heavy clients and the long runs
    #[arg(long)]
    all: bool,
    /// Only these parts, in CI's order
    #[arg(value_enum)]
    parts: Vec<Part>,
}

impl Options {
    /// What was asked for by name; otherwise everything, short of what only the heavy clients use.
    fn wants(&self, part: Part) -> bool {
        if self.parts.is_empty() { self.all || part != Part::Image } else { self.parts.contains(&part) }
    }
}

/// What the image is tried with: it differs from what is shipped in optimisation alone, and builds sooner.
const IMAGE_PROFILE: &str = "release";

/// A part of the run. The quick ones come first; what a part needs is an earlier part's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Rust sources are formatted
    Format,
    /// Dependencies point down
    Deps,
    /// Programs of the distribution are there
    Packages,
    /// Everything compiles, tests too
    Build,
    /// No lint fires
    Lint,
    /// Tests beside the code, and examples in its documentation
    Unit,
    /// Every public item is documented and every link leads somewhere
    Docs,
    /// Pinned tools are installed
    Tools,
    /// The static binary builds, and what its image is made of is there (with `--all`)
    Image,
    /// Licences, bans and sources of dependencies
    Deny,
    /// README.md does what it says
    Readme,
    /// Released clients against the built binary
    Integration,
}

const PARTS: &[Part] = &[
    Part::Format,
    Part::Deps,
    Part::Packages,
    Part::Build,
    Part::Lint,
    Part::Unit,
    Part::Docs,
    Part::Tools,
    Part::Image,
    Part::Deny,
    Part::Readme,
    Part::Integration,
];

impl Part {
    const fn name(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::Deps => "deps",
            Self::Packages => "packages",
            Self::Build => "build",
            Self::Lint => "lint",
            Self::Unit => "unit",
            Self::Docs => "docs",
            Self::Tools => "tools",
            Self::Image => "image",
            Self::Deny => "deny",
            Self::Readme => "readme",
            Self::Integration => "integration",
        }
    }

    /// What to do when it fails.
    const fn advice(self) -> &'static str {
        match self {
            Self::Format => "run cargo fmt --all",
            Self::Deps => "remove the edge, or argue for it in the table of xtask/src/deps.rs",
            Self::Packages => "run the line above",
            Self::Build => "the first error above is the one to read",
            Self::Lint => "follow the lint, or allow it at that line with a reason",
            Self::Unit => "the output of the failing program is above",
            Self::Docs => "document the item, or mend the link",
            Self::Tools => "cargo xtask tools tries again; the log it names has the whole story",
            Self::Image => "cargo xtask image --profile release does the same",
            Self::Deny => "every exception in deny.toml states its reason",
            Self::Readme => "README.md promises what did not happen: mend one of them",
            Self::Integration => "the output of the failing program, with the server's log, is above",
        }
    }

    /// Whether it uses a pinned tool.
    const fn wants_tools(self) -> bool {
        matches!(self, Self::Tools | Self::Deny | Self::Readme | Self::Integration)
    }
}

/// `cargo xtask ci`.
pub(crate) fn run(options: &Options) -> Result<()> {
    let begun = Instant::now();
    let wanted: Vec<Part> = PARTS.iter().copied().filter(|part| options.wants(*part)).collect();
    // Installing is slow and mostly waits for the network or for one core: it runs beside the build.
    let installing = if wanted.iter().any(|part| part.wants_tools()) {
        tools::Installing::begin(options.all)?
    } else {
        tools::Installing::default()
    };
    let mut run = Run { all: options.all, installing, programs: None, tests: 0 };
    let mut rows = Vec::new();
    for part in wanted {
        eprintln!("\n== {}", part.name());
        let started = Instant::now();
        let result = run.part(part);
        let took = started.elapsed();
        match result {
            Ok(note) => {
                eprintln!(
                    "   {} ok in {}{}",
                    part.name(),
                    Took(took),
                    if note.is_empty() { String::new() } else { format!(": {note}") }
                );
                rows.push((part.name(), took, note));
            }
            Err(error) => {
                eprintln!("   {} failed after {}: {error:#}", part.name(), Took(took));
                rows.push((part.name(), took, "failed".to_owned()));
                print_table(&rows);
                bail!(
                    "ci failed at {} after {}: {}; again with: {}",
                    part.name(),
                    Took(begun.elapsed()),
                    part.advice(),
                    again(part, options)
                );
            }
        }
    }
    print_table(&rows);
    let tests = if run.tests > 0 { format!(", {} tests", run.tests) } else { String::new() };
    println!("ci passed in {}: {} parts{tests}", Took(begun.elapsed()), rows.len());
    Ok(())
}

fn again(part: Part, options: &Options) -> String {
    format!("cargo xtask ci {}{}", if options.all { "--all " } else { "" }, part.name())
}

fn print_table(rows: &[(&str, Duration, String)]) {
    println!("\n{:<12} {:>12}", "part", "time");
    for (name, took, note) in rows {
        println!("{}", format!("{name:<12} {:>12}  {note}", Took(*took)).trim_end());
    }
}

struct Run {
    all: bool,
    installing: tools::Installing,
    programs: Option<Vec<TestProgram>>,
    tests: usize,
}

impl Run {
    /// Runs one part; what it returns is worth a place in the table.
    fn part(&mut self, part: Part) -> Result<String> {
        let installed = if part.wants_tools() { self.installing.finish()? } else { Vec::new() };
        match part {
            Part::Format => cargo(&["fmt", "--all", "--check"], &[]),
            Part::Deps => Ok(format!("{}; {}; {}", deps::check()?, codes::check()?, readme::check_tags()?)),
            Part::Packages => tools::packages(self.all).map(|()| String::new()),
            Part::Build => self.build(),
            Part::Lint => cargo(&["clippy"], &[SELECTION, &["--", "-D", "warnings"]]),
            Part::Unit => self.unit(),
            Part::Docs => docs(),
            Part::Tools => Ok(installed.join(", ")),
            Part::Image => image::build(IMAGE_PROFILE).map(|folder| layout::shown(&folder)),
            Part::Deny => deny(self.all),
            Part::Readme => readme::run(self.all),
            Part::Integration => self.integration(),
        }
    }

    fn build(&mut self) -> Result<String> {
        let programs = programs::build()?;
        let note = format!("{} test programs", programs.len());
        self.programs = Some(programs);
        Ok(note)
    }

    /// The programs of this run's build; where that part was not asked for, it is run now.
    fn programs(&mut self) -> Result<&[TestProgram]> {
        if self.programs.is_none() {
            self.build()?;
        }
        Ok(self.programs.as_deref().unwrap_or_default())
    }

    fn unit(&mut self) -> Result<String> {
        let environment = Environment { path: Vec::new(), all: self.all, scratch: programs::memory() };
        let passed = programs::run(self.programs()?.iter().filter(|program| program.krate != "integration"), &environment)?;
        self.tests += passed;
        let mut examples = tools::cargo();
        examples.current_dir(layout::repository()).args(["test", "--release", "--locked", "--workspace", "--doc"]);
        process::quiet(&mut examples)?;
        Ok(format!("{passed} tests"))
    }

    fn integration(&mut self) -> Result<String> {
        // On a real disk: some of these are about what is on it.
        let environment = Environment { path: tools::folders(self.all)?, all: self.all, scratch: None };
        let passed = programs::run(self.programs()?.iter().filter(|program| program.krate == "integration"), &environment)?;
        self.tests += passed;
        Ok(format!("{passed} tests"))
    }
}

fn cargo(subcommand: &[&str], more: &[&[&str]]) -> Result<String> {
    let mut cargo = tools::cargo();
    cargo.current_dir(layout::repository()).args(subcommand).args(more.concat());
    process::run(&mut cargo).map(|()| String::new())
}

fn docs() -> Result<String> {
    let mut cargo = tools::cargo();
    // `--examples` makes test dependencies count, as they do in every other part: the same features again.
    cargo.current_dir(layout::repository()).args([
        "doc",
        "--release",
        "--locked",
        "--workspace",
        "--no-deps",
        "--lib",
        "--bins",
        "--examples",
    ]);
    process::run(cargo.env("RUSTDOCFLAGS", "-D warnings")).map(|()| String::new())
}

fn deny(all: bool) -> Result<String> {
    let folder = tools::folders(all)?.into_iter().find(|folder: &PathBuf| folder.join("cargo-deny").exists());
    let program = folder.context("cargo-deny is not installed; run: cargo xtask tools")?.join("cargo-deny");
    let mut command = Command::new(program);
    command.current_dir(layout::repository()).args(["--locked", "check", "bans", "licenses", "sources"]);
    process::run(&mut command).map(|()| String::new())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn every_part_runs_and_is_named_as_it_is_typed() {
        assert_eq!(PARTS, Part::value_variants());
        for part in PARTS {
            assert_eq!(part.to_possible_value().unwrap().get_name(), part.name());
        }
    }
}
