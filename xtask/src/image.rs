//! The image's folder: a static binary, certificate authorities and the Dockerfile, ready for `docker build`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::layout;
use crate::process;
use crate::tools;

/// What `cargo xtask image` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Which optimisation: `dist` as shipped, `release` is quicker to build
    #[arg(long, value_name = "NAME", default_value = "dist")]
    profile: String,
}

/// Debian's list of public certificate authorities.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// `cargo xtask image`.
pub(crate) fn command(options: &Options) -> Result<()> {
    tools::image_packages()?;
    let folder = build(&options.profile)?;
    let shown = layout::shown(&folder);
    println!("{shown} holds the image; make it with: docker build --tag chancery {shown}");
    println!("or start a lab with: CHANCERY_IMAGE={shown} docker compose up --build --wait");
    Ok(())
}

/// Builds the binary and fills the folder, which it returns.
///
/// # Errors
/// The target cannot be installed, something does not compile, or the binary would need something of the system.
pub(crate) fn build(profile: &str) -> Result<PathBuf> {
    let triple = format!("{}-unknown-linux-musl", std::env::consts::ARCH);
    install(&triple)?;
    let mut cargo = tools::cargo();
    cargo.current_dir(layout::repository()).args(["build", "--locked", "--package", "chancery", "--profile", profile]);
    cargo.args(["--target", &triple]);
    // The C parts, SQLite and the cryptography, are compiled against the same C library.
    cargo.env(format!("CC_{}", triple.replace('-', "_")), "musl-gcc");
    process::run(&mut cargo)?;
    let binary = layout::target().join(&triple).join(profile).join("chancery");
    check_static(&binary)?;
    fill(&layout::target().join("image"), &binary)
}

/// Adds the target to the toolchain. What is there already is not asked for again, so that this works without a network.
fn install(triple: &str) -> Result<()> {
    let installed =
        process::output(Command::new("rustup").current_dir(layout::repository()).args(["target", "list", "--installed"]))
            .context("rustup installs the target that static binaries are built for")?;
    if installed.lines().any(|line| line == triple) {
        return Ok(());
    }
    process::run(Command::new("rustup").current_dir(layout::repository()).args(["target", "add", triple]))
}

/// An empty image has no loader: a binary that asks for one would not start, and say only "no such file".
fn check_static(binary: &Path) -> Result<()> {
    let bytes = fs::read(binary).with_context(|| format!("cannot read {}", binary.display()))?;
    if names_loader(&bytes) {
        bail!("{} wants a dynamic loader, and the image has none", binary.display());
    }
    Ok(())
}

/// Whether a 64-bit little-endian ELF file has a program header of type `PT_INTERP`.
fn names_loader(elf: &[u8]) -> bool {
    const INTERPRETER: usize = 3;
    let number = |at: usize, size: usize| -> Option<usize> {
        let bytes = elf.get(at..at.checked_add(size)?)?;
        Some(bytes.iter().rev().fold(0, |value, byte| (value << 8) | usize::from(*byte)))
    };
    let Some(((table, size), count)) = number(32, 8).zip(number(54, 2)).zip(number(56, 2)) else { return false };
    (0..count).filter_map(|index| number(table.checked_add(index * size)?, 4)).any(|kind| kind == INTERPRETER)
}

fn fill(folder: &Path, binary: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let dockerfile = layout::repository().join("Dockerfile");
    let parts = [(binary, "chancery"), (Path::new(AUTHORITIES), "ca-certificates.crt"), (&dockerfile, "Dockerfile")];
    for (from, name) in parts {
        fs::copy(from, folder.join(name)).with_context(|| format!("cannot copy {} to {}", from.display(), folder.display()))?;
    }
    Ok(folder.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_wants_a_loader_is_told() {
        let tests = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(names_loader(&tests), "tests are linked to the system's C library");
        let mut without = tests;
        // No program headers.
        without[56..58].fill(0);
        assert!(!names_loader(&without));
        assert!(!names_loader(b"#!/bin/sh\n"));
    }
}
