//! Measurements of an optimised build, as a table with the machine they were made on.

mod log;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

use crate::layout;
use crate::process::{self, Took};
use crate::tools;

/// What `cargo xtask bench` takes.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    #[command(subcommand)]
    part: Option<Part>,
    /// How long each run may last, in seconds
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// Build from nothing in a folder of its own, to measure the build too
    #[arg(long)]
    fresh: bool,
    /// How many leaves the largest log of the table about growth has; 10^8 takes 4 GB of disk
    #[arg(long, default_value_t = 10_000_000)]
    leaves: u64,
    /// Leave upstream Rekor out, which takes long to install the first time
    #[arg(long)]
    without_upstream: bool,
    /// Put the table into docs/benchmarks.md as well
    #[arg(long)]
    write: bool,
}

#[derive(Debug, clap::Subcommand)]
enum Part {
    /// The log engine, on SQLite and on PostgreSQL, beside rekor-tiles and Tessera
    Log(log::Options),
}

/// Two lines of docs/benchmarks.md, and what was measured stands between them.
struct Section {
    begin: &'static str,
    end: &'static str,
}

impl Section {
    const ALL: Self = Self { begin: "<!-- measured: cargo xtask bench --write -->\n", end: "<!-- end of what was measured -->" };
    const LOG: Self = Self {
        begin: "<!-- measured: cargo xtask bench log --write -->\n",
        end: "<!-- end of what was measured of the logs -->",
    };
}

/// `cargo xtask bench`.
pub(crate) fn run(options: &Options) -> Result<()> {
    if let Some(Part::Log(options)) = &options.part {
        return log::run(options);
    }
    let target = layout::target().join(if options.fresh { "bench-fresh" } else { "bench" });
    if options.fresh && target.exists() {
        fs::remove_dir_all(&target).with_context(|| format!("cannot empty {}", target.display()))?;
    }
    if !options.without_upstream {
        tools::install_for_bench()?;
    }
    let begun = Instant::now();
    let mut cargo = tools::cargo();
    cargo.current_dir(layout::repository()).args([
        "build",
        "--profile",
        "dist",
        "--locked",
        "--workspace",
        "--bins",
        "--example",
        "growth",
    ]);
    process::run(cargo.env("CARGO_TARGET_DIR", &target))?;
    let built = begun.elapsed();

    let binary = target.join("dist/chancery");
    let size = fs::metadata(&binary).with_context(|| format!("cannot read {}", binary.display()))?.len();
    // The data goes where the build went: to a disk, which a temporary folder may not be on.
    let mut bench = Command::new(target.join("dist/bench"));
    bench.stderr(std::process::Stdio::inherit()).args(["--seconds", &options.seconds.to_string(), "--dir"]).arg(&target);
    if !options.without_upstream {
        // Its Postgres has an account of its own, which may not reach the folder of the build: its data goes to the temporary folder.
        // Where that is memory, upstream writes faster than it would on the disk.
        bench.arg("--upstream");
    }
    let mut table = process::output(&mut bench)?;
    table.push_str(&format!("| binary, profile `dist` | {:.1} MB |\n", size as f64 / 1e6));
    if options.fresh {
        table.push_str(&format!("| build of it from nothing | {} |\n", Took(built)));
    }
    table.push('\n');
    table.push_str(&growth(&target, options.leaves)?);
    let text = format!("{}\n\n{table}", machine(&target)?);
    println!("{text}");
    if options.write { write(&Section::ALL, &text) } else { Ok(()) }
}

/// What an append and a proof cost as the log grows, on the disk of the build.
fn growth(target: &Path, leaves: u64) -> Result<String> {
    let folder = target.join("growth");
    // What a run that was broken off left would be taken for a log.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut growth = Command::new(target.join("dist/examples/growth"));
    growth.stderr(std::process::Stdio::inherit()).arg(&folder).arg(leaves.to_string());
    process::output(&mut growth)
}

/// One paragraph about where the figures come from.
fn machine(folder: &Path) -> Result<String> {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").context("cannot read /proc/cpuinfo")?;
    let values = |name: &str| {
        cpuinfo
            .lines()
            .filter_map(|line| line.strip_prefix(name)?.split_once(": "))
            .map(|(_, value)| value.to_owned())
            .collect::<Vec<_>>()
    };
    let models = values("model name");
    let memory = fs::read_to_string("/proc/meminfo").context("cannot read /proc/meminfo")?;
    let kib: f64 = memory
        .split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse().ok())
        .context("/proc/meminfo does not begin with the total")?;
    let said = |program: &str, arguments: &[&str]| -> Result<String> {
        Ok(process::output(Command::new(program).args(arguments).current_dir(folder))?.trim().to_owned())
    };
    Ok(format!(
        "Commit {} on {} × {}, {:.0} GiB of memory, file system {}, Linux {}, {}. The generator ran on the same cores.",
        said("git", &["-C", &layout::repository().display().to_string(), "rev-parse", "--short=12", "HEAD"])?,
        models.len(),
        models.first().map_or("unknown processor", String::as_str),
        kib / 1024.0 / 1024.0,
        said("stat", &["-f", "-c", "%T", "."])?,
        said("uname", &["-r"])?,
        said("rustc", &["--version"])?,
    ))
}

fn write(Section { begin, end }: &Section, text: &str) -> Result<()> {
    let file = layout::repository().join("docs/benchmarks.md");
    let old = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let Some((before, rest)) = old.split_once(begin) else { bail!("{} has no line {}", file.display(), begin.trim()) };
    let Some((_, after)) = rest.split_once(end) else { bail!("{} has no line {end}", file.display()) };
    fs::write(&file, format!("{before}{begin}\n{text}\n{end}{after}")).with_context(|| format!("cannot write {}", file.display()))
}
