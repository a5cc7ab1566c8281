//! What a policy says about an image, for people and programs.

use oci::Digest;
use serde::{Deserialize, Serialize};

/// What the target's policy says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyReport {
    /// The policy's name.
    pub name: String,
    /// Whether the image may be promoted.
    pub result: PolicyResult,
    /// Everything that the policy asks for, met or not: a signature, its log entry, then each predicate type.
    pub clauses: Vec<Clause>,
}

/// Whether an image may be promoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PolicyResult {
    /// Every clause is met.
    Allow,
    /// At least one is not.
    Deny,
}

/// One thing that a policy asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clause {
    /// What is asked for.
    #[serde(flatten)]
    pub requires: Requirement,
    /// Whether it is there, on every manifest that the policy looks at.
    pub met: bool,
    /// One line: what was found, or what is missing.
    pub text: String,
    /// Manifests that lack it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing_on: Vec<Place>,
    /// Manifests that have it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub present_on: Vec<Place>,
    /// Manifests that have it in the form of cosign 2 alone, from before bundles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub legacy_on: Vec<Place>,
    /// What is attached where it is missing, and why each does not count.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
    /// Commands that attach what is missing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub advice: Vec<String>,
}

/// What a clause asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "requires", rename_all = "snake_case")]
pub enum Requirement {
    /// A signature by one of the policy's identities.
    Signature,
    /// That signature in a transparency log, with a time somebody trustworthy saw it at.
    Logged,
    /// An attestation by one of the policy's identities.
    Attestation {
        /// Of what kind.
        predicate_type: String,
    },
}

/// A manifest of the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Which.
    pub digest: Digest,
    /// What it is in the image: `index`, `linux/arm64`, or `manifest` where no index says.
    pub role: String,
}

/// Something that is attached and does not count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// What it is attached to.
    pub on: Place,
    /// The attached manifest.
    pub attached: Digest,
    /// Which of its layers, where each is a signature or attestation of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<Digest>,
    /// Why it does not count, as a stable code.
    pub code: String,
    /// Why it does not count, in a line.
    pub text: String,
}

impl PolicyReport {
    /// How many clauses are met, and how many there are.
    #[must_use]
    pub fn met(&self) -> (usize, usize) {
        (self.clauses.iter().filter(|clause| clause.met).count(), self.clauses.len())
    }
}
