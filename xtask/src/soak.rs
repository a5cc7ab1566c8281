//! The long form of the durability test.

use anyhow::{Context, Result};

use crate::{process, programs, tools};

/// What `cargo xtask soak` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How often everything is killed
    #[arg(long, default_value_t = 3_000)]
    kills: u32,
}

/// `cargo xtask soak`.
pub(crate) fn run(options: &Options) -> Result<()> {
    let _ = tools::Installing::begin(false)?.finish()?;
    let built = programs::build()?;
    let durability = built.iter().find(|program| program.krate == "integration" && program.target == "durability");
    let durability = durability.context("integration/tests/durability.rs was not built")?;
    let mut command = durability.command("nothing_answered_is_lost_by_kill_9_under_load", &tools::folders(false)?);
    command.env("CHANCERY_KILLS", options.kills.to_string());
    process::run(&mut command)?;
    println!("killed {} times: nothing that was answered was lost, and nothing forked", options.kills);
    Ok(())
}
