//! cosign, when the person has it: a second opinion from the released client.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use tokio::process::Command;

use super::proof::Identity;
use crate::failure::{Failure, Outcome};

/// How long cosign may take before the proof gives up on it.
const PATIENCE: Duration = Duration::from_secs(60);

/// A cosign on the PATH.
#[derive(Debug)]
pub(crate) struct Cosign {
    /// Its version without the leading `v`.
    pub version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    git_version: String,
}

/// Looks for a cosign that says its version; one that cannot is treated as absent.
pub(crate) async fn find() -> Option<Cosign> {
    let mut command = Command::new("cosign");
    command.args(["version", "--json"]).stdin(Stdio::null()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output()).await.ok()?.ok()?;
    let version: Version = serde_json::from_slice(&output.stdout).ok()?;
    Some(Cosign { version: version.git_version.trim_start_matches('v').to_owned() })
}

impl Cosign {
    /// `cosign verify-blob` with a HOME of its own, so that the person's `~/.sigstore` is not touched.
    pub(crate) async fn verify_blob(
        &self,
        home: &Path,
        bundle: &Path,
        artifact: &Path,
        root: &Path,
        identity: &Identity,
    ) -> Outcome {
        let mut command = Command::new("cosign");
        command.args(["verify-blob", "--certificate-identity", &identity.subject, "--certificate-oidc-issuer", &identity.issuer]);
        command.arg("--bundle").arg(bundle).arg("--trusted-root").arg(root).arg(artifact);
        command.env("HOME", home).env_remove("TUF_ROOT").stdin(Stdio::null()).kill_on_drop(true);
        let failed = |why: String| {
            Failure::new("proof_failed", format!("cosign {} does not verify what the lab signed", self.version)).detail(why)
        };
        match tokio::time::timeout(PATIENCE, command.output()).await {
            Ok(Ok(output)) if output.status.success() => Ok(()),
            Ok(Ok(output)) => Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned())),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(failed(format!("no answer within {} s", PATIENCE.as_secs()))),
        }
    }
}
