//! Developer commands: everything CI runs, the pinned tools it runs it with, and the benchmarks.
//!
//! It depends on none of our crates, so that it builds when all else is broken.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks on its terminal")]

mod bench;
mod ci;
mod codes;
mod deps;
mod fuzz;
mod image;
mod layout;
mod process;
mod programs;
mod readme;
mod soak;
mod tools;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Developer commands of Chancery.
///
/// Example: `cargo xtask ci` runs everything CI runs, `cargo xtask ci unit` one part of it.
#[derive(Debug, Parser)]
#[command(bin_name = "cargo xtask", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run what CI runs, in its order; stop at the first part that fails
    Ci(ci::Options),
    /// Install the pinned clients and tools that are missing, and print where they are
    Tools {
        /// Also those that only `ci --all` uses
        #[arg(long)]
        all: bool,
    },
    /// Run the shell blocks of README.md in a scratch folder
    Readme {
        /// Also the blocks tagged `all`
        #[arg(long)]
        all: bool,
    },
    /// Check which crate depends on which, and that `cargo run` and the tests build one feature set
    CheckDeps,
    /// Kill the services under load, again and again, and check after each time that nothing that was answered is lost
    Soak(soak::Options),
    /// Fuzz every parser of outside bytes, each for a while
    Fuzz(fuzz::Options),
    /// Build the static binary and fill the folder that its image is made of
    Image(image::Options),
    /// Measure rate, latency, memory, start-up time and size of an optimised build
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Ci(options) => ci::run(&options),
        Command::Tools { all } => tools::command(all),
        Command::Readme { all } => readme::command(all),
        Command::CheckDeps => deps::command(),
        Command::Soak(options) => soak::run(&options),
        Command::Fuzz(options) => fuzz::run(&options),
        Command::Image(options) => image::command(&options),
        Command::Bench(options) => bench::run(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
