//! `chancery verify --bundle`.

use std::fs::File;
use std::path::Path;
use std::str::FromStr as _;

use serde_json::json;
use verify::{Artifact, ArtifactDigest, IdentityPolicy, Matcher, Policy, SignerReport, Verified, VerifyError};

use crate::cli::{Output, VerifyArgs};
use crate::failure::{Exit, Failure, Outcome};
use crate::image;
use crate::output::{self, Style};

/// Verifies one bundle, offline.
pub(crate) fn run(args: &VerifyArgs, bundle: &Path, out: Output) -> Outcome {
    let verifier = image::place::verifier(&image::place::trusted_root(&args.place, args.trusted_root.as_deref())?)?;
    let bundle = read(bundle)?;
    let policy = policy(args)?;
    let mut file;
    // A name is a file if there is one; only then may it look like a digest.
    let artifact = match args.artifact.starts_with("sha256:") && !Path::new(&args.artifact).exists() {
        true => Artifact::Digest(digest(&args.artifact)?),
        false => {
            file = File::open(&args.artifact).map_err(|error| unreadable(Path::new(&args.artifact), &error))?;
            Artifact::Reader(&mut file)
        }
    };
    let verified = verifier.verify(bundle.as_bytes(), artifact, &policy).map_err(|error| refused(&args.artifact, &error))?;
    match out {
        Output::Text => output::print(&text(&args.artifact, &verified, Style::of_stdout())),
        Output::Json => output::print_json(&json!({ "verified": true, "artifact": args.artifact, "proof": verified })),
    }
    Ok(())
}

fn policy(args: &VerifyArgs) -> Outcome<Policy> {
    match (&args.key, &args.certificate_identity, &args.certificate_oidc_issuer) {
        (Some(path), _, _) => {
            let key = pki::PublicKey::from_pem(&read(path)?).map_err(|error| {
                Failure::because("key_unusable", format!("{} is not a public key", path.display()), &error)
                    .advise("Expected PEM that begins with -----BEGIN PUBLIC KEY-----.")
            })?;
            Ok(Policy::key(key))
        }
        (None, Some(identity), Some(issuer)) => Ok(Policy::identity(IdentityPolicy {
            identity: Matcher::Exact(identity.clone()),
            issuer: Matcher::Exact(issuer.clone()),
        })),
        _ => Err(Failure::usage(
            "usage",
            "who must have signed? give --certificate-identity and --certificate-oidc-issuer, or --key",
        )),
    }
}

fn digest(text: &str) -> Outcome<ArtifactDigest> {
    ArtifactDigest::from_str(text)
        .map_err(|error| Failure::usage("usage", format!("{text} is not a digest")).detail(error.to_string()))
}

fn read(path: &Path) -> Outcome<String> {
    std::fs::read_to_string(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::because("file_unreadable", format!("{} cannot be read", path.display()), error)
}

fn refused(artifact: &str, error: &VerifyError) -> Failure {
    match error {
        VerifyError::Refused(refusal) => {
            let mut failure = Failure::because(refusal.code(), format!("{artifact} does not verify"), refusal);
            failure.set_exit(Exit::Refused);
            failure
        }
        VerifyError::Artifact(source) => unreadable(Path::new(artifact), source),
    }
}

fn text(artifact: &str, verified: &Verified, style: Style) -> String {
    let mut text = format!("{} {artifact}\n", style.ok("verified"));
    let mut line = |what: &str, value: &str| text.push_str(&format!("  {what:<9} {value}\n"));
    match &verified.signer {
        SignerReport::Identity { identity, issuer, .. } => {
            line("signed by", identity);
            line("issuer", issuer.as_deref().unwrap_or("none"));
        }
        SignerReport::Key { key_sha256 } => line("signed by", &format!("key {}", output::short(key_sha256))),
    }
    for entry in &verified.log_entries {
        line("logged", &format!("entry {} of {}", entry.index, entry.log));
    }
    for time in &verified.times {
        line("at", &format!("{:.0} by {}", time.time, time.by));
    }
    if let Some(statement) = &verified.statement {
        line("statement", &statement.predicate_type);
    }
    text
}
