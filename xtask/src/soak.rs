//! The long forms of the tests that kill.

use anyhow::{Context, Result};

use crate::{process, programs, tools};

/// What `cargo xtask soak` takes.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// How often everything is killed
    #[arg(long, default_value_t = 3_000)]
    kills: u32,
    /// For how long one of three replicas is killed every second
    #[arg(long, default_value_t = 900, value_name = "SECONDS")]
    replicas: u32,
}

/// Whose long form it is: file, test, and the variable that says how long.
const TESTS: [(&str, &str, &str); 2] = [
    ("durability", "nothing_answered_is_lost_by_kill_9_under_load", "CHANCERY_KILLS"),
    ("replicas", "replicas_that_are_killed_one_after_the_other_lose_and_fork_nothing", "CHANCERY_REPLICA_SECONDS"),
];

/// `cargo xtask soak`.
pub(crate) fn run(options: &Options) -> Result<()> {
    tools::packages(false)?;
    let _ = tools::Installing::begin(false)?.finish()?;
    let built = programs::build()?;
    for ((file, test, variable), length) in TESTS.into_iter().zip([options.kills, options.replicas]) {
        if length == 0 {
            continue;
        }
        let program = built.iter().find(|program| program.krate == "integration" && program.target == file);
        let program = program.with_context(|| format!("integration/tests/{file}.rs was not built"))?;
        let mut command = program.command(test, &tools::folders(false)?);
        process::run(command.env(variable, length.to_string()))?;
    }
    println!(
        "killed everything {} times, and replicas for {} s: nothing that was answered was lost, and nothing forked",
        options.kills, options.replicas
    );
    Ok(())
}
