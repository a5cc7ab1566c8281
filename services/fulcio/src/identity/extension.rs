//! The fields that `ci-provider` templates fill: extensions under 1.3.6.1.4.1.57264.1.

use serde::{Deserialize, Serialize};

/// A certificate extension that a template may fill. Issuer (.1, .8) and token subject (.24) are not among them: they always
/// come from the token itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum ExtensionField {
    /// `.2`: what triggered the workflow.
    GithubWorkflowTrigger = 2,
    /// `.3`: the commit.
    GithubWorkflowSha = 3,
    /// `.4`: the workflow's name.
    GithubWorkflowName = 4,
    /// `.5`: `OWNER/REPO`.
    GithubWorkflowRepository = 5,
    /// `.6`: the git ref.
    GithubWorkflowRef = 6,
    /// `.9`: the build instructions of the signer.
    BuildSignerUri = 9,
    /// `.10`: their commit.
    BuildSignerDigest = 10,
    /// `.11`: who owns the machine that built.
    RunnerEnvironment = 11,
    /// `.12`: the source repository.
    SourceRepositoryUri = 12,
    /// `.13`: its commit.
    SourceRepositoryDigest = 13,
    /// `.14`: its ref.
    SourceRepositoryRef = 14,
    /// `.15`: its number, which survives renaming.
    SourceRepositoryIdentifier = 15,
    /// `.16`: its owner.
    SourceRepositoryOwnerUri = 16,
    /// `.17`: the owner's number.
    SourceRepositoryOwnerIdentifier = 17,
    /// `.18`: the top-level build configuration.
    BuildConfigUri = 18,
    /// `.19`: its commit.
    BuildConfigDigest = 19,
    /// `.20`: what triggered the build.
    BuildTrigger = 20,
    /// `.21`: this run.
    RunInvocationUri = 21,
    /// `.22`: whether the source was public.
    SourceRepositoryVisibilityAtSigning = 22,
    /// `.23`: the deployment environment.
    DeploymentEnvironment = 23,
}

impl ExtensionField {
    /// The last arc of its object identifier.
    #[must_use]
    pub const fn arc(self) -> u8 {
        self as u8
    }
}
