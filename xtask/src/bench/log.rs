//! The log engine beside rekor-tiles and Tessera, each with the same load on the same disk in one run.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::{Section, machine, write};
use crate::layout;
use crate::process;
use crate::tools;

/// What `cargo xtask bench log` takes.
#[derive(Debug, clap::Args)]
pub(super) struct Options {
    /// How long each run may last, in seconds
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Entries that each log gets before it is measured once more; 0 leaves that out
    #[arg(long, default_value_t = 1_000_000)]
    later: u64,
    /// What to build with: `dist` is what is released, `release` is quicker to build
    #[arg(long, default_value = "dist")]
    profile: String,
    /// A folder of programs that were built before, to measure those
    #[arg(long, value_name = "FOLDER")]
    built: Option<PathBuf>,
    /// Leave rekor-tiles and Tessera out
    #[arg(long)]
    without_upstream: bool,
    /// Put the tables into docs/benchmarks.md as well
    #[arg(long)]
    write: bool,
}

/// Clients of the table about the engine alone; bytes of an entry in it.
const CLIENTS: [u64; 4] = [1, 64, 1_024, 4_096];
const BYTES: u64 = 1_024;

/// `cargo xtask bench log`.
pub(super) fn run(options: &Options) -> Result<()> {
    if !options.without_upstream {
        tools::install_for_log_bench()?;
    }
    let built = options.built.clone().map_or_else(|| build(&options.profile), Ok)?;
    let target = built.parent().context("programs are built in a folder of a folder")?;

    // The data goes where the build went: to a disk, which a temporary folder may not be on.
    let mut bench = Command::new(built.join("bench"));
    bench.stderr(Stdio::inherit()).arg("--log").arg("--dir").arg(target).arg("--loader").arg(built.join("examples/load"));
    bench.args(["--seconds", &options.seconds.to_string(), "--later", &options.later.to_string()]);
    if !options.without_upstream {
        bench.arg("--upstream");
    }
    let mut table = process::output(&mut bench)?;
    table.push('\n');
    table.push_str(&engine(&built, &target.join("engine"), options)?);
    let profile = built.file_name().unwrap_or_default().display();
    let text = format!("Profile `{profile}`, {} s for each row. {}\n\n{table}", options.seconds, machine(target)?);
    println!("{text}");
    if options.write { write(&Section::LOG, &text) } else { Ok(()) }
}

/// Builds everything that is run; the folder it is in.
fn build(profile: &str) -> Result<PathBuf> {
    // What is built with `release` anyway is there already.
    let target = if profile == "release" { layout::target() } else { layout::target().join("bench") };
    let mut cargo = tools::cargo();
    cargo.current_dir(layout::repository()).args(["build", "--profile", profile, "--locked", "--workspace", "--bins"]);
    cargo.args(["--example", "append", "--example", "load"]);
    process::run(cargo.env("CARGO_TARGET_DIR", &target))?;
    Ok(target.join(profile))
}

/// Appends without HTTP and signatures: our engine, and Tessera by a program of ours.
fn engine(built: &Path, folder: &Path, options: &Options) -> Result<String> {
    let mut table = format!(
        "| bare append of {BYTES} bytes | clients | per second | p50 | p99 | CPU per entry | written per entry |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n"
    );
    let seconds = options.seconds.to_string();
    let mut row = |program: &Path, clients: u64, more: Option<u64>| -> Result<()> {
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        eprintln!("measuring {} with {clients} clients", program.display());
        let mut command = Command::new(program);
        command.stderr(Stdio::null()).arg(folder).args([&clients.to_string(), &seconds, &BYTES.to_string()]);
        table.push_str(&process::output(command.args(more.map(|more| more.to_string())))?);
        Ok(())
    };
    let ours = built.join("examples/append");
    for clients in CLIENTS {
        row(&ours, clients, None)?;
    }
    if options.later > 0 {
        row(&ours, CLIENTS[3], Some(options.later))?;
    }
    if !options.without_upstream {
        let tessera = tessera(built)?;
        for clients in CLIENTS {
            row(&tessera, clients, None)?;
        }
    }
    let _ = fs::remove_dir_all(folder);
    Ok(table)
}

/// Builds the program that appends to Tessera.
fn tessera(built: &Path) -> Result<PathBuf> {
    let program = built.join("tessera-append");
    let mut go = Command::new("go");
    go.current_dir(layout::repository().join("integration/peers/tessera"));
    go.env("GOTOOLCHAIN", "local").env("GOFLAGS", "-buildvcs=false");
    go.args(["build", "-mod=readonly", "-trimpath", "-ldflags", "-s -w", "-o"]).arg(&program).arg(".");
    process::run(&mut go)?;
    Ok(program)
}
