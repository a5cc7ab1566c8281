//! The command line.

mod image;
mod log;

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::lab::identity::Repository;
use crate::names::{PublicUrl, ServiceName};
pub(crate) use image::{PlaceArgs, PromoteArgs, TreeArgs, VerifyArgs};
pub(crate) use log::{
    AcceptRollbackArgs, AddedLog, LogAddArgs, LogCommand, LogFreezeArgs, LogFsckArgs, NewShardArgs, ShardedLog,
};

/// A private Sigstore and registry: certificate authority, transparency logs, timestamps, trust root and images in one binary.
#[derive(Debug, Parser)]
#[command(name = "chancery", version, about, long_about = None, propagate_version = true, max_term_width = 110)]
#[command(after_help = "Try it:  chancery lab        then, in another shell:  eval \"$(chancery env)\"")]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Where the program says what it did: `text` for people, `json` for programs (one document on stdout).
    #[arg(long, global = true, value_enum, default_value_t = Output::Text)]
    pub output: Output,
    /// The form of log lines on stderr.
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// What to log, for example `info,rekor=debug`.
    #[arg(long, global = true, value_name = "FILTER", env = "CHANCERY_LOG")]
    pub log: Option<String>,
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// How log lines are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogFormat {
    /// One readable line per event.
    Text,
    /// One JSON object per event.
    Json,
}

/// Every subcommand.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start a complete private Sigstore and registry on this machine, for trying things out
    Lab(LabArgs),
    /// Print the environment that lets clients use a lab
    Env(EnvArgs),
    /// Create, once, every key and anchor of an installation
    Init(InitArgs),
    /// Run every service of an installation
    Serve(ConfigArgs),
    /// Run the certificate authority alone
    Fulcio(ConfigArgs),
    /// Run the certificate transparency log alone
    Ctlog(ConfigArgs),
    /// Run the transparency logs alone
    Rekor(ConfigArgs),
    /// Run the timestamp authority alone
    Tsa(ConfigArgs),
    /// Serve the trust root alone
    Tuf(ConfigArgs),
    /// Run the registry alone, or give one to an installation without
    Gateway(GatewayArgs),
    /// Watch the logs of others alone, or become able to
    Witness(WitnessArgs),
    /// Look after transparency logs: show and check them, give one to an installation without, or let one follow another
    #[command(subcommand)]
    Log(LogCommand),
    /// Copy an image with everything attached to it to another repository, if its policy allows it
    Promote(PromoteArgs),
    /// Show an image and everything attached to it
    Tree(TreeArgs),
    /// Verify an image in a registry, or a Sigstore bundle offline
    Verify(VerifyArgs),
    /// Ask a running process whether it is ready, as health checks do
    Health(HealthArgs),
    /// Check a configuration file without starting anything
    #[command(subcommand)]
    Config(ConfigCommand),
}

/// `chancery config …`
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Read the file and the environment, and say what is wrong with them
    Check(ConfigArgs),
    /// Show what the file and the environment come to, defaults included; secrets are in files of their own, of which the paths are shown
    Print(ConfigArgs),
}

/// Which installation's folder.
#[derive(Debug, Args)]
pub(crate) struct DirArgs {
    /// The lab's folder
    #[arg(long, value_name = "DIR", default_value = DEFAULT_LAB_DIR)]
    pub dir: PathBuf,
}

/// `chancery env`
#[derive(Debug, Args)]
pub(crate) struct EnvArgs {
    /// Which lab.
    #[command(flatten)]
    pub lab: DirArgs,
    /// Also what clients from before bundles take: where to sign, and whom to trust as one file per service. Not for cosign 3
    #[arg(long)]
    pub cosign2: bool,
}

/// Where a lab lives unless told otherwise.
pub(crate) const DEFAULT_LAB_DIR: &str = "./.chancery-lab";

/// Which configuration file.
#[derive(Debug, Args)]
pub(crate) struct ConfigArgs {
    /// The file that `chancery init` wrote
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
}

/// `chancery health`
#[derive(Debug, Args)]
#[command(after_help = "Example:  chancery health --config /var/lib/chancery/chancery.yaml\n\n\
    Exit codes: 0 ready, 1 not ready or no answer, 2 wrong configuration.")]
pub(crate) struct HealthArgs {
    /// The folder of an installation or lab; a lab is ready when its proof has passed, too
    #[arg(long, value_name = "DIR", default_value = DEFAULT_LAB_DIR)]
    pub dir: PathBuf,
    /// The configuration that names the admin listener, where it lies elsewhere
    #[arg(long, value_name = "FILE", conflicts_with_all = ["dir", "url"])]
    pub config: Option<PathBuf>,
    /// The admin listener itself
    #[arg(long, value_name = "URL", conflicts_with = "dir")]
    pub url: Option<String>,
}

/// `chancery lab`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct LabArgs {
    /// Mint a token instead of starting anything
    #[command(subcommand)]
    pub command: Option<LabCommand>,
    /// The lab's folder; created on the first start
    #[arg(long, value_name = "DIR", default_value = DEFAULT_LAB_DIR)]
    pub dir: PathBuf,
    /// `default` takes the well-known ports, `auto` free ones; asked when a service is created, kept from then on
    #[arg(long, value_enum)]
    pub ports: Option<Ports>,
}

/// How the lab chooses its ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Ports {
    /// 5555, 6962, 3003, 3000, 3004, 8080, 5000, 8888 and 2112.
    Default,
    /// Whatever is free.
    Auto,
}

/// `chancery lab …`
#[derive(Debug, Subcommand)]
pub(crate) enum LabCommand {
    /// Print an identity token of the lab's issuer, valid 10 minutes
    Token(TokenArgs),
}

/// `chancery lab token`
#[derive(Debug, Args)]
#[command(after_help = "Example:  export SIGSTORE_ID_TOKEN=$(chancery lab token --ghes platform/hello)")]
pub(crate) struct TokenArgs {
    /// A person
    #[arg(long, value_name = "ADDRESS", group = "subject")]
    pub email: Option<String>,
    /// A workflow of github.com
    #[arg(long, value_name = "OWNER/REPO", group = "subject")]
    pub github: Option<Repository>,
    /// A workflow of the lab's GitHub Enterprise Server
    #[arg(long, value_name = "OWNER/REPO", group = "subject")]
    pub ghes: Option<Repository>,
    /// The git ref that the workflow runs on
    #[arg(long = "ref", value_name = "REF", default_value = "refs/heads/main")]
    pub git_ref: String,
    /// A JSON object of claims that replace or add to the others; null removes one
    #[arg(long, value_name = "FILE")]
    pub claims: Option<PathBuf>,
    /// The lab's folder
    #[arg(long, value_name = "DIR", default_value = DEFAULT_LAB_DIR)]
    pub dir: PathBuf,
}

/// `chancery init`
#[derive(Debug, Args)]
#[command(
    after_help = "Example:  chancery init --dir /srv/chancery --domain sigstore.corp.example --ghes https://ghe.corp.example"
)]
pub(crate) struct InitArgs {
    /// The folder to create
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// Gives every service a public URL of its own: SERVICE.DOMAIN over https
    #[arg(long, value_name = "DOMAIN")]
    pub domain: Option<String>,
    /// The public URL of one service: fulcio, ctlog, rekor-v2, rekor-v1, tsa, tuf or registry
    #[arg(long, value_name = "SERVICE=URL")]
    pub public_url: Vec<PublicUrl>,
    /// The organization named in certificates
    #[arg(long, value_name = "NAME")]
    pub organization: Option<String>,
    /// A GitHub Enterprise Server whose workflows may sign
    #[arg(long, value_name = "URL")]
    pub ghes: Option<String>,
    /// The provider that people log in with: an OpenID Connect issuer with e-mail addresses
    #[arg(long, value_name = "URL")]
    pub oidc_issuer: Option<String>,
    /// The kind of key of the Rekor v2 log; Ed25519 is for those who want witnesses, and shuts out clients that know ECDSA only
    #[arg(long, value_enum, default_value_t = LogKey::EcdsaP256)]
    pub rekor_v2_key: LogKey,
    /// An empty Postgres database for the Rekor logs, which several processes may then serve: postgres://USER@HOST/NAME
    #[arg(long, value_name = "URL")]
    pub rekor_database: Option<String>,
    /// The same for the certificate log, in another database
    #[arg(long, value_name = "URL")]
    pub ctlog_database: Option<String>,
    /// A file with the password for these databases
    #[arg(long, value_name = "FILE")]
    pub database_password_file: Option<PathBuf>,
}

/// Kinds of keys for a Rekor v2 log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum LogKey {
    /// Accepted by every client.
    EcdsaP256,
    /// Needed by witnesses.
    Ed25519,
}

/// `chancery gateway`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct GatewayArgs {
    /// Complete an installation instead of running anything
    #[command(subcommand)]
    pub command: Option<GatewayCommand>,
    /// The file that `chancery init` wrote
    #[arg(long, value_name = "FILE", required = true)]
    pub config: Option<PathBuf>,
}

/// `chancery gateway …`
#[derive(Debug, Subcommand)]
pub(crate) enum GatewayCommand {
    /// Give a registry to an installation that was made without one
    Add(AddArgs),
}

/// `chancery gateway add`
#[derive(Debug, Args)]
#[command(after_help = "Example:  chancery gateway add --dir /srv/chancery\n\n\
    Makes what is missing and appends one section to chancery.yaml; nothing that exists is overwritten, so it may be run again.")]
pub(crate) struct AddArgs {
    /// The installation's folder
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// What clients call it, as registry=URL; registry.DOMAIN over https where the services are below one domain
    #[arg(long, value_name = "registry=URL")]
    pub public_url: Option<PublicUrl>,
}

/// `chancery witness`
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct WitnessArgs {
    /// Complete an installation instead of running anything
    #[command(subcommand)]
    pub command: Option<WitnessCommand>,
    /// The file that `chancery init` wrote
    #[arg(long, value_name = "FILE", required = true)]
    pub config: Option<PathBuf>,
}

/// `chancery witness …`
#[derive(Debug, Subcommand)]
pub(crate) enum WitnessCommand {
    /// Give an installation a witness, which watches the logs of others
    Add(WitnessAddArgs),
}

/// `chancery witness add`
#[derive(Debug, Args)]
#[command(after_help = "Example:  chancery witness add --dir /srv/chancery\n\n\
    Makes key and database and appends one section to chancery.yaml; nothing that exists is overwritten, so it may be run again.\n\
    A witness is worth something to the logs of others: this installation's own log needs one that somebody else runs.")]
pub(crate) struct WitnessAddArgs {
    /// The installation's folder
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// What logs call it, as witness=URL; witness.DOMAIN over https where the services are below one domain
    #[arg(long, value_name = "witness=URL")]
    pub public_url: Option<PublicUrl>,
    /// Its name on cosignatures, for ever; its URL without the scheme unless told otherwise
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
}

impl Command {
    /// The services that the subcommand runs, if it runs some of them alone.
    pub(crate) fn services(&self) -> Option<(&'static [ServiceName], &Path)> {
        match self {
            Self::Fulcio(args) => Some((&[ServiceName::Fulcio], &args.config)),
            Self::Ctlog(args) => Some((&[ServiceName::Ctlog], &args.config)),
            Self::Rekor(args) => Some((&[ServiceName::RekorV2, ServiceName::RekorV1], &args.config)),
            Self::Tsa(args) => Some((&[ServiceName::Tsa], &args.config)),
            Self::Tuf(args) => Some((&[ServiceName::Tuf], &args.config)),
            Self::Gateway(args) => args.config.as_deref().map(|config| (&[ServiceName::Registry] as &[ServiceName], config)),
            Self::Witness(args) => args.config.as_deref().map(|config| (&[ServiceName::Witness] as &[ServiceName], config)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    /// A name that a global flag has too is found by nothing but a command line.
    #[test]
    fn the_commands_of_log_are_read() {
        for line in [
            "log list --dir d",
            "log add rekor-v1 --dir d --offline-keys k",
            "log new-shard rekor-v2 --dir d --public-url rekor-v2=https://log2.rekor.corp.example --starts-in 24h",
            "log new-shard ctlog --dir d --public-url ctlog=https://ctlog.corp.example/2027",
            "log freeze rekor-v1 --dir d --shard 1 --now --log info",
            "log freeze ctlog --dir d",
            "log accept-rollback rekor-v2 --config c --published 3",
            "log accept-rollback ctlog --shard 2 --config c --published 3",
            "log fsck --deep https://log1.rekor.corp.example",
        ] {
            let words = std::iter::once("chancery").chain(line.split(' '));
            assert!(matches!(Cli::try_parse_from(words).unwrap().command, Command::Log(_)), "{line}");
        }
    }
}
