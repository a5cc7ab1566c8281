//! cosign, when the person has it: a second opinion from the released client.

use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::process::Command;

use super::Identity;
use crate::failure::{Failure, Outcome};

/// How long cosign may take before the proof gives up on it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A cosign on the PATH.
#[derive(Debug)]
pub(super) struct Cosign {
    /// Its version without the leading `v`.
    pub version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    git_version: String,
}

/// Whether there is one at all: nothing is run to find out.
pub(super) fn is_on_path() -> bool {
    std::env::var_os("PATH").is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join("cosign").is_file()))
}

/// Looks for a cosign that says its version; one that cannot is treated as absent.
pub(super) async fn find() -> Option<Cosign> {
    let mut command = Command::new("cosign");
    command.args(["version", "--json"]).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.ok()?.ok()?;
    let version: Version = serde_json::from_slice(&output.stdout).ok()?;
    Some(Cosign { version: version.git_version.trim_start_matches('v').to_owned() })
}

impl Cosign {
    /// `cosign verify` on an image in the registry, with a HOME of its own, so that the person's `~/.sigstore` is not touched.
    pub(super) async fn verify(&self, image: &str, root: &str, identity: &Identity) -> Outcome {
        let home = tempfile::tempdir().map_err(|error| self.disagrees(error.to_string()))?;
        let mut command = Command::new("cosign");
        command.args(["verify", "--certificate-identity", &identity.subject, "--certificate-oidc-issuer", &identity.issuer]);
        command.args(["--trusted-root", root, image]);
        command
            .env("HOME", home.path())
            .env_remove("TUF_ROOT")
            .env_remove("DOCKER_CONFIG")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        match tokio::time::timeout(PATIENCE, command.output()).await {
            Ok(Ok(output)) if output.status.success() => Ok(()),
            Ok(Ok(output)) => Err(self.disagrees(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
            Ok(Err(error)) => Err(self.disagrees(error.to_string())),
            Err(_) => Err(self.disagrees(format!("no answer within {} s", PATIENCE.as_secs()))),
        }
    }

    fn disagrees(&self, why: String) -> Failure {
        Failure::new("proof_failed", format!("cosign {} does not verify what the lab signed", self.version)).detail(why)
    }
}
