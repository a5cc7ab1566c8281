//! README.md does what it says: its shell blocks run, from top to bottom, as a reader would type them.
//!
//! The info string of a fenced block says who runs it: `sh ci` is run every time, `sh all` by `--all` only. Blocks share one shell
//! and one scratch folder. A block that stays, like a server, is tagged with the words it prints when the reader may go on to the
//! next block, and is interrupted at the end: `sh ci until="ready in"`.

mod blocks;
mod run;

use std::fs;

use anyhow::{Context, Result};

use crate::layout;
use crate::process::Took;
use crate::tools;
use blocks::Block;

/// `cargo xtask readme`.
pub(crate) fn command(all: bool) -> Result<()> {
    tools::packages(all)?;
    tools::Installing::begin(all)?.finish()?;
    println!("README.md: {}", run(all)?);
    Ok(())
}

/// Checks that every shell block is tagged, without running any.
///
/// # Errors
/// One line per block that is not.
pub(crate) fn check_tags() -> Result<String> {
    Ok(format!("{} README blocks", read()?.len()))
}

/// Runs the blocks of this tier, and says how many.
///
/// # Errors
/// A block failed.
pub(crate) fn run(all: bool) -> Result<String> {
    let blocks: Vec<Block> = read()?.into_iter().filter(|block| all || !block.only_all).collect();
    let begun = std::time::Instant::now();
    run::run(&blocks, &tools::folders(all)?)?;
    Ok(format!("{} blocks in {}", blocks.len(), Took(begun.elapsed())))
}

fn read() -> Result<Vec<Block>> {
    let readme = layout::repository().join("README.md");
    let text = fs::read_to_string(&readme).with_context(|| format!("cannot read {}", readme.display()))?;
    blocks::parse(&text)
}
