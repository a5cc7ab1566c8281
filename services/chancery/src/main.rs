//! Chancery: a private Sigstore and registry in one binary.

mod anchors;
mod check;
mod cli;
mod compare;
mod completion;
mod config;
mod failure;
mod gateway_command;
mod health;
mod image;
mod init;
mod lab;
mod layout;
mod log_command;
mod names;
mod output;
mod serve;
mod verify_command;
mod witness_command;

use std::process::ExitCode;

use chassis::telemetry::{self, Telemetry};
use clap::Parser as _;

use cli::{
    Cli, Command, ConfigCommand, GatewayArgs, GatewayCommand, LabArgs, LabCommand, LogCommand, LogFormat, WitnessArgs,
    WitnessCommand,
};
use failure::{Failure, Outcome};

fn main() -> ExitCode {
    chassis::crypto::install();
    let cli = Cli::parse();
    let output = cli.output;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome = match runtime {
        Ok(runtime) => runtime.block_on(run(cli)),
        Err(error) => Err(Failure::because("runtime", "the process cannot start its threads", &error)),
    };
    outcome.unwrap_or_else(|failure| failure.report(output))
}

async fn run(cli: Cli) -> Outcome<ExitCode> {
    let Cli { command, output: out, log_format, log } = cli;
    let telemetry = |default: &str| start_telemetry(log_format, log.as_deref().unwrap_or(default));
    if let Some((services, config)) = command.services() {
        return serve::run(config, Some(services), telemetry(telemetry::DEFAULT_FILTER)?).await;
    }
    match command {
        Command::Serve(args) => return serve::run(&args.config, None, telemetry(telemetry::DEFAULT_FILTER)?).await,
        Command::Lab(LabArgs { command: Some(LabCommand::Token(args)), .. }) => lab::token::run(args, out).await?,
        // The lab has a screen of its own: only what goes wrong is logged beside it.
        Command::Lab(args) => return lab::run(args, out, telemetry("warn")?).await,
        Command::Env(args) => lab::print_env(&args, out)?,
        Command::Init(args) => init::run(args, out).await?,
        Command::Gateway(GatewayArgs { command: Some(GatewayCommand::Add(args)), .. }) => {
            gateway_command::run_add(&args, out).await?;
        }
        Command::Log(LogCommand::List(args)) => log_command::run_list(&args, out).await?,
        Command::Witness(WitnessArgs { command: Some(WitnessCommand::Add(args)), .. }) => {
            witness_command::run_add(&args, out).await?;
        }
        Command::Log(LogCommand::Add(args)) => log_command::run_add(&args, out).await?,
        Command::Log(LogCommand::Fsck(args)) => log_command::fsck::run(&args, out).await?,
        Command::Log(LogCommand::AcceptRollback(args)) => log_command::rollback::run(&args, out).await?,
        Command::Log(LogCommand::NewShard(args)) => log_command::run_new_shard(&args, out).await?,
        Command::Log(LogCommand::Freeze(args)) => log_command::run_freeze(&args, out).await?,
        Command::Promote(args) => return image::promote::run(&args, out).await,
        Command::Tree(args) => image::tree::run(&args, out).await?,
        Command::Verify(args) => match &args.bundle {
            Some(bundle) => verify_command::run(&args, bundle, out)?,
            None => image::verify::run(&args, out).await?,
        },
        Command::Health(args) => health::run(&args, out).await?,
        Command::Config(ConfigCommand::Check(args)) => check::run(&args.config, out).await?,
        Command::Config(ConfigCommand::Print(args)) => check::print(&args.config)?,
        Command::Fulcio(_)
        | Command::Ctlog(_)
        | Command::Rekor(_)
        | Command::Tsa(_)
        | Command::Tuf(_)
        | Command::Gateway(_)
        | Command::Witness(_) => {
            unreachable!("one service alone is run above")
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn start_telemetry(format: LogFormat, filter: &str) -> Outcome<Telemetry> {
    let format = match format {
        LogFormat::Text => telemetry::LogFormat::Text,
        LogFormat::Json => telemetry::LogFormat::Json,
    };
    telemetry::start(format, filter)
        .map_err(|error| Failure::usage("log_filter", error.to_string()).advise("A filter looks like: info,rekor=debug"))
}
