//! The command line.

use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::lab::identity::Repository;
use crate::names::{PublicUrl, ServiceName};

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

/// `chancery log …`
#[derive(Debug, Subcommand)]
pub(crate) enum LogCommand {
    /// Show the logs and their shards
    List(DirArgs),
    /// Give a transparency log to an installation that was made without it
    Add(LogAddArgs),
    /// Check everything that a log has against what it signed
    Fsck(LogFsckArgs),
    /// Go on with an older database than was published, knowing what that costs
    AcceptRollback(AcceptRollbackArgs),
    /// Make the log that is to follow another, with a key of its own
    NewShard(NewShardArgs),
    /// Let a log take no more entries; it is read and believed as before
    Freeze(LogFreezeArgs),
}

/// `chancery log fsck`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  chancery log fsck https://log1.rekor.corp.example --trusted-root trusted_root.json\n  \
    chancery log fsck --deep /srv/chancery/chancery.yaml\n\n\
    Every entry is hashed again, every tile compared with what those hashes make of it, and the root with the signed checkpoint.\n\
    A URL may be any log that is published as tiles (C2SP tlog-tiles), running or not ours. The databases of a configuration are\n\
    checked while nothing serves them.\n\n\
    Exit codes: 0 in order, 1 could not be checked, 2 usage, 3 something does not agree; the screen says what.")]
pub(crate) struct LogFsckArgs {
    /// A log's URL, a folder with its tiles, or a chancery.yaml, all of whose logs are checked
    #[arg(value_name = "URL|FOLDER|CONFIG")]
    pub target: String,
    /// Also compute each tile by a second implementation, and look up each entry by what it is found by
    #[arg(long)]
    pub deep: bool,
    /// Whose keys are believed; $CHANCERY_TRUSTED_ROOT or the lab's unless told otherwise
    #[arg(long, value_name = "FILE", conflicts_with = "key")]
    pub trusted_root: Option<PathBuf>,
    /// The log's public key, PEM
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// The first line of its checkpoints; the host of the URL unless told otherwise
    #[arg(long, value_name = "NAME")]
    pub origin: Option<String>,
    /// A certificate authority to trust for TLS besides the machine's, PEM
    #[arg(long, value_name = "FILE")]
    pub ca_cert: Option<PathBuf>,
}

/// `chancery log accept-rollback`
#[derive(Debug, Args)]
#[command(
    after_help = "Example:  chancery log accept-rollback rekor-v2 --config /srv/chancery/chancery.yaml --published 48120\n\n\
    A log refuses to start from a database that is older than its newest published checkpoint, because going on costs trust:\n\
    the entries that the database lacks are lost; clients hold proofs of them that no tree of this log contains any more; and the log\n\
    will sign other entries under the same indexes, so whoever kept a newer checkpoint, a monitor or a witness, sees a fork and is right.\n\
    Look for a newer backup first. A new log, with a new key, costs less than a fork where anybody watches.\n\n\
    The signed checkpoint that is given up is kept beside the new record, as evidence."
)]
pub(crate) struct AcceptRollbackArgs {
    /// Which log
    #[arg(value_enum, value_name = "LOG")]
    pub which: RecordedLog,
    /// Which shard of it
    #[arg(long, value_name = "NUMBER", default_value_t = 1)]
    pub shard: u32,
    /// The file that `chancery init` wrote
    #[arg(long, value_name = "FILE")]
    pub config: PathBuf,
    /// How many entries the log had published, as the refused start said: all beyond the database's are given up
    #[arg(long, value_name = "ENTRIES")]
    pub published: u64,
}

/// Logs with a record of what they published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum RecordedLog {
    /// The certificate log.
    Ctlog,
    /// The transparency log.
    #[value(name = "rekor-v2")]
    RekorV2,
    /// The log that older clients speak.
    #[value(name = "rekor-v1")]
    RekorV1,
}

/// `chancery log new-shard`
#[derive(Debug, Args)]
#[command(
    after_help = "Example:  chancery log new-shard rekor-v2 --dir /srv/chancery --public-url rekor-v2=https://log2.rekor.corp.example\n\n\
    Stop the transparency log first. Makes key and log, signs the trust root anew with the log in it, and appends one item to a list in\n\
    chancery.yaml. It may be run again."
)]
pub(crate) struct NewShardArgs {
    /// Which log
    #[arg(value_enum, value_name = "LOG")]
    pub which: ShardedLog,
    /// The installation's folder
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// What clients call a shard of rekor-v2, on a host without a log; the host logN.rekor.DOMAIN where the services are below one domain
    #[arg(long, value_name = "rekor-v2=URL")]
    pub public_url: Option<PublicUrl>,
    /// How long clients get to learn of it; as long as they may keep an old trust root, seven days, unless told otherwise
    #[arg(long, value_name = "DURATION")]
    pub starts_in: Option<chassis::config::Duration>,
    /// Where tuf-targets.pem is, the key that was taken offline; keys/offline in the installation's folder unless told otherwise
    #[arg(long, value_name = "DIR")]
    pub offline_keys: Option<PathBuf>,
}

/// `chancery log freeze`
#[derive(Debug, Args)]
#[command(after_help = "Example:  chancery log freeze rekor-v1 --dir /srv/chancery\n\n\
    Stop the transparency log first. This cannot be undone. It may be run again.")]
pub(crate) struct LogFreezeArgs {
    /// Which log
    #[arg(value_enum, value_name = "LOG")]
    pub which: ShardedLog,
    /// The installation's folder
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// Which shard of it; the oldest that takes entries unless told otherwise
    #[arg(long, value_name = "NUMBER")]
    pub shard: Option<u32>,
    /// Also before all clients know of the next one
    #[arg(long)]
    pub now: bool,
    /// Where tuf-targets.pem is, the key that was taken offline; keys/offline in the installation's folder unless told otherwise
    #[arg(long, value_name = "DIR")]
    pub offline_keys: Option<PathBuf>,
}

/// Logs that can have several shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ShardedLog {
    /// Each shard at a host of its own.
    #[value(name = "rekor-v2")]
    RekorV2,
    /// All trees at one URL.
    #[value(name = "rekor-v1")]
    RekorV1,
}

/// `chancery log add`
#[derive(Debug, Args)]
#[command(after_help = "Example:  chancery log add rekor-v1 --dir /srv/chancery --offline-keys /media/offline\n\n\
    Stop the transparency log first. Makes key and log, signs the trust root anew with the log in it, and appends one section to\n\
    chancery.yaml; who trusts this installation trusts it as before, and it may be run again.")]
pub(crate) struct LogAddArgs {
    /// Which log
    #[arg(value_enum, value_name = "LOG")]
    pub which: AddedLog,
    /// The installation's folder
    #[arg(long, value_name = "DIR")]
    pub dir: PathBuf,
    /// What clients call it, as rekor-v1=URL; the host rekor-v1.DOMAIN where the services are below one domain
    #[arg(long, value_name = "rekor-v1=URL")]
    pub public_url: Option<PublicUrl>,
    /// Where tuf-targets.pem is, the key that was taken offline; keys/offline in the installation's folder unless told otherwise
    #[arg(long, value_name = "DIR")]
    pub offline_keys: Option<PathBuf>,
}

/// Logs that an installation may have been made without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum AddedLog {
    /// The log that older clients speak.
    #[value(name = "rekor-v1")]
    RekorV1,
}

/// Which registry is meant, and whom to trust.
#[derive(Debug, Args)]
pub(crate) struct PlaceArgs {
    /// The folder of an installation or lab: says where the registry is and whom to trust
    ///
    /// Without it the environment says so (see `chancery env`), or the lab in ./.chancery-lab
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// The registry, where the reference names none
    #[arg(long, value_name = "URL")]
    pub registry: Option<String>,
    /// A file with the secret that the registry wants
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
}

/// `chancery promote`
#[derive(Debug, Args)]
#[command(after_help = "Example:  chancery promote staging/app:2.1 prod/app:2.1\n\n\
    Exit codes: 0 promoted, 3 refused by the policy (nothing was written), 1 failed, 2 wrong reference.")]
pub(crate) struct PromoteArgs {
    /// The image, as [REGISTRY/]REPOSITORY:TAG or [REGISTRY/]REPOSITORY@DIGEST
    #[arg(value_name = "SOURCE")]
    pub source: String,
    /// Where it goes, as [REGISTRY/]REPOSITORY:TAG
    #[arg(value_name = "TARGET")]
    pub target: String,
    /// Ask the policy and say what would be done; write nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Which registry.
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// `chancery tree`
#[derive(Debug, Args)]
#[command(after_help = "Example:  chancery tree prod/app:2.1")]
pub(crate) struct TreeArgs {
    /// The image, as [REGISTRY/]REPOSITORY:TAG or [REGISTRY/]REPOSITORY@DIGEST
    #[arg(value_name = "IMAGE")]
    pub image: String,
    /// Whom to trust
    #[arg(long, value_name = "FILE")]
    pub trusted_root: Option<PathBuf>,
    /// Which registry.
    #[command(flatten)]
    pub place: PlaceArgs,
}

/// `chancery verify`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    chancery verify --certificate-identity dev@corp.example --certificate-oidc-issuer https://login.corp.example prod/app:2.1\n  \
    chancery verify --certificate-identity dev@corp.example --certificate-oidc-issuer https://login.corp.example \\\n    \
    --bundle app.sigstore.json --trusted-root trusted_root.json app.tar.gz")]
pub(crate) struct VerifyArgs {
    /// The bundle of a file; without it, ARTIFACT is an image in a registry
    #[arg(long, value_name = "FILE")]
    pub bundle: Option<PathBuf>,
    /// Whom to trust
    #[arg(long, value_name = "FILE")]
    pub trusted_root: Option<PathBuf>,
    /// Who must have signed: the exact subject alternative name
    #[arg(
        long,
        value_name = "IDENTITY",
        requires = "certificate_oidc_issuer",
        required_unless_present = "key",
        conflicts_with = "key"
    )]
    pub certificate_identity: Option<String>,
    /// Who must vouch for the signer: the exact issuer URL
    #[arg(long, value_name = "URL", requires = "certificate_identity", conflicts_with = "key")]
    pub certificate_oidc_issuer: Option<String>,
    /// The public key that must have signed, PEM
    #[arg(long, value_name = "FILE", requires = "bundle")]
    pub key: Option<PathBuf>,
    /// Which registry.
    #[command(flatten)]
    pub place: PlaceArgs,
    /// The image, as [REGISTRY/]REPOSITORY:TAG; with --bundle the file that was signed, or its digest as sha256:HEX
    #[arg(value_name = "ARTIFACT")]
    pub artifact: String,
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
            "log freeze rekor-v1 --dir d --shard 1 --now --log info",
            "log accept-rollback rekor-v2 --config c --published 3",
            "log fsck --deep https://log1.rekor.corp.example",
        ] {
            let words = std::iter::once("chancery").chain(line.split(' '));
            assert!(matches!(Cli::try_parse_from(words).unwrap().command, Command::Log(_)), "{line}");
        }
    }
}
