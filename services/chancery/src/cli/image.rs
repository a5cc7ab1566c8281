//! `chancery promote`, `tree` and `verify`.

use std::path::PathBuf;

use clap::Args;

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
