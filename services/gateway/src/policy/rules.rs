//! The policies of the configuration, checked: what cannot be meant does not start.

use std::collections::BTreeSet;
use std::sync::Arc;

use evidence::{Evidence, predicate};
use oci::{PatternError, RepositoryName, RepositoryPattern};
use verify::{IdentityPolicy, Matcher, Refusal};

use crate::{IdentityConfig, PolicyConfig, Require, UpstreamConfig};

/// Every policy of this gateway. A repository is under one of them or under none.
#[derive(Debug, Default)]
pub(crate) struct Policies(Vec<Arc<Policy>>);

/// What an image must carry before it may be promoted into some repositories.
#[derive(Debug)]
pub(crate) struct Policy {
    /// How people speak of it.
    pub(crate) name: String,
    /// Predicate types that must be attested, each once.
    pub(crate) attestations: Vec<String>,
    /// On which manifests each clause must be met.
    pub(crate) require: Require,
    repositories: RepositoryPattern,
    signers: Vec<IdentityPolicy>,
}

impl Policies {
    /// Checks the configuration.
    ///
    /// Two policies that select one repository are refused: which of them holds would depend on an order that nobody sees. So is a
    /// policy over repositories of an upstream: their tags are the upstream's to set, and no promotion stands before them.
    ///
    /// # Errors
    /// [`PolicyError`].
    pub(crate) fn read(policies: &[PolicyConfig], upstreams: &[UpstreamConfig]) -> Result<Self, PolicyError> {
        let mut read: Vec<Arc<Policy>> = Vec::new();
        for config in policies {
            let policy = Policy::read(config)?;
            for earlier in &read {
                let names = [earlier.name.clone(), policy.name.clone()];
                if earlier.name == policy.name {
                    return Err(PolicyError::Name { name: policy.name });
                }
                if earlier.repositories.overlaps(&policy.repositories) {
                    return Err(PolicyError::Overlap { names });
                }
            }
            if let Some(upstream) = upstreams.iter().find(|upstream| policy.selects_below(&upstream.prefix)) {
                return Err(PolicyError::Upstream { name: policy.name, prefix: upstream.prefix.clone() });
            }
            read.push(Arc::new(policy));
        }
        Ok(Self(read))
    }

    /// The policy that `repository` is under.
    pub(crate) fn governing(&self, repository: &RepositoryName) -> Option<&Arc<Policy>> {
        self.0.iter().find(|policy| policy.repositories.matches(repository))
    }

    /// Whether there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Policy {
    fn read(config: &PolicyConfig) -> Result<Self, PolicyError> {
        let name = config.name.clone();
        if name.trim().is_empty() || name.chars().any(char::is_control) {
            return Err(PolicyError::Name { name });
        }
        let repositories =
            config.repositories.parse().map_err(|source| PolicyError::Repositories { name: name.clone(), source })?;
        if config.identities.is_empty() {
            return Err(PolicyError::NoIdentity { name });
        }
        let signers = config
            .identities
            .iter()
            .map(|identity| signer(identity).map_err(|what| PolicyError::Identity { name: name.clone(), what }))
            .collect::<Result<_, _>>()?;
        let mut seen = BTreeSet::new();
        for predicate_type in &config.attestations {
            if !predicate_type.contains(':') || predicate_type.chars().any(|c| c.is_whitespace() || c.is_control()) {
                return Err(PolicyError::Attestation { name, found: predicate_type.clone(), what: "is no URI" });
            }
            if predicate_type == predicate::SIGNATURE {
                let what = "is what a signature states, and a signature is always asked for";
                return Err(PolicyError::Attestation { name, found: predicate_type.clone(), what });
            }
            if !seen.insert(predicate_type) {
                return Err(PolicyError::Attestation { name, found: predicate_type.clone(), what: "stands there twice" });
            }
        }
        Ok(Self { name, attestations: config.attestations.clone(), require: config.require, repositories, signers })
    }

    /// Whether the policy accepts the word of whoever signed this.
    ///
    /// # Errors
    /// What is wrong: with the issuer if the name fits, else with the name.
    pub(crate) fn accepts(&self, evidence: &Evidence) -> Result<(), Refusal> {
        let mut closest = None;
        for signer in &self.signers {
            match signer.check(&evidence.signer) {
                Ok(()) => return Ok(()),
                Err(refusal @ Refusal::Issuer { .. }) => closest = Some(refusal),
                Err(_) => {}
            }
        }
        Err(closest.unwrap_or_else(|| Refusal::Identity { found: evidence.identity().to_owned(), expected: self.expected() }))
    }

    /// Whose word counts, in a line.
    pub(crate) fn expected(&self) -> String {
        let all: Vec<String> = self.signers.iter().map(|signer| format!("{} of {}", signer.identity, signer.issuer)).collect();
        all.join(" or ")
    }

    /// Whether it selects a repository whose name begins with these components.
    fn selects_below(&self, prefix: &str) -> bool {
        let below = [prefix.to_owned(), format!("{prefix}/*")];
        below.iter().filter_map(|text| text.parse().ok()).any(|pattern: RepositoryPattern| self.repositories.overlaps(&pattern))
    }
}

/// One of exact and pattern, for issuer and subject each.
fn signer(config: &IdentityConfig) -> Result<IdentityPolicy, String> {
    let matcher = |what: &str, exact: &Option<String>, pattern: &Option<String>| match (exact, pattern) {
        (Some(exact), None) if !exact.is_empty() => Ok(Matcher::Exact(exact.clone())),
        (None, Some(pattern)) if !pattern.is_empty() => {
            Matcher::pattern(pattern).map_err(|error| format!("{what}_pattern: {error}"))
        }
        (Some(_), Some(_)) => Err(format!("has both {what} and {what}_pattern; one of them says who is meant")),
        _ => Err(format!("has neither {what} nor {what}_pattern, or an empty one; a name without its issuer means nothing")),
    };
    Ok(IdentityPolicy {
        identity: matcher("subject", &config.subject, &config.subject_pattern)?,
        issuer: matcher("issuer", &config.issuer, &config.issuer_pattern)?,
    })
}

/// A policy of the configuration cannot be meant. The operator's to mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// No name, or that of another.
    #[error("a policy is called `{name}`; each needs a name of its own")]
    Name {
        /// What it is called.
        name: String,
    },
    /// Not a pattern of repositories.
    #[error("policy {name} does not say which repositories it is for")]
    Repositories {
        /// The policy.
        name: String,
        /// What is wrong with the pattern.
        #[source]
        source: PatternError,
    },
    /// Nobody could ever meet it.
    #[error("policy {name} names no identity, so that no signature could meet it")]
    NoIdentity {
        /// The policy.
        name: String,
    },
    /// An identity that names nobody, or two.
    #[error("an identity of policy {name} {what}")]
    Identity {
        /// The policy.
        name: String,
        /// What is wrong with it.
        what: String,
    },
    /// Not a predicate type that can be asked for.
    #[error("policy {name} asks for the attestation `{found}`, which {what}")]
    Attestation {
        /// The policy.
        name: String,
        /// What it asks for.
        found: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Two for one repository.
    #[error("policies {} and {} select the same repositories", .names[0], .names[1])]
    Overlap {
        /// Both.
        names: [String; 2],
    },
    /// Over repositories whose tags are somebody else's.
    #[error("policy {name} selects repositories of the upstream {prefix}, whose tags no promotion sets")]
    Upstream {
        /// The policy.
        name: String,
        /// The upstream's prefix.
        prefix: String,
    },
}

impl PolicyError {
    /// A stable name for programs, an anchor in `docs/errors.md`.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Name { .. } => "policy_name",
            Self::Repositories { .. } => "policy_repositories",
            Self::NoIdentity { .. } | Self::Identity { .. } => "policy_identity",
            Self::Attestation { .. } => "policy_attestation",
            Self::Overlap { .. } => "policy_overlap",
            Self::Upstream { .. } => "policy_upstream",
        }
    }

    /// What to do about it.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Name { .. } => "Give each entry of gateway.policies a name that refusals and reports can speak of.",
            Self::Repositories { .. } => "Write one name, prod/* for every name below prod/, or * for all.",
            Self::NoIdentity { .. } | Self::Identity { .. } => {
                "Each identity has a subject or subject_pattern, and an issuer or issuer_pattern; a pattern must match the whole."
            }
            Self::Attestation { .. } => "List predicate types as statements carry them, such as https://spdx.dev/Document.",
            Self::Overlap { .. } => "Narrow one of them: a repository is under one policy or under none.",
            Self::Upstream { .. } => {
                "Give the upstream a prefix that no policy selects, and promote from there into hosted repositories."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn config(change: impl FnOnce(&mut Value)) -> PolicyConfig {
        let mut config = json!({
            "name": "prod-images", "repositories": "prod/*", "mode": "enforce",
            "identities": [{"issuer": "https://ghe.example", "subject": "https://ghe.example/platform/app"}],
        });
        change(&mut config);
        serde_json::from_value(config).unwrap()
    }

    fn read(configs: &[PolicyConfig]) -> Result<Policies, PolicyError> {
        Policies::read(configs, &[])
    }

    fn code(change: impl FnOnce(&mut Value)) -> &'static str {
        let error = read(&[config(change)]).unwrap_err();
        assert!(!error.to_string().contains('\n') && !error.advice().is_empty(), "{error}");
        error.code()
    }

    #[test]
    fn what_is_governed() {
        let policies =
            read(&[config(|_| {}), config(|c| (c["name"], c["repositories"]) = (json!("b"), json!("base/os")))]).unwrap();
        let governing = |name: &str| policies.governing(&name.parse().unwrap()).map(|policy| policy.name.clone());
        assert_eq!(governing("prod/app").as_deref(), Some("prod-images"));
        assert_eq!(governing("prod/team/app").as_deref(), Some("prod-images"));
        assert_eq!(governing("base/os").as_deref(), Some("b"));
        for free in ["prod", "products/app", "staging/prod/app", "base/os/x", "base"] {
            assert_eq!(governing(free), None, "{free}");
        }
    }

    #[test]
    fn what_cannot_be_meant() {
        assert_eq!(code(|c| c["name"] = json!(" ")), "policy_name");
        assert_eq!(code(|c| c["repositories"] = json!("Prod/*")), "policy_repositories");
        assert_eq!(code(|c| c["repositories"] = json!("")), "policy_repositories");
        assert_eq!(code(|c| c["identities"] = json!([])), "policy_identity");
        for identity in [
            json!({}),
            json!({"issuer": "i"}),
            json!({"subject": "s"}),
            json!({"issuer": "i", "subject": ""}),
            json!({"issuer": "i", "subject": "s", "subject_pattern": "s"}),
            json!({"issuer": "i", "issuer_pattern": "i", "subject": "s"}),
            json!({"issuer": "i", "subject_pattern": "("}),
            json!({"issuer": "i", "subject_pattern": "a)|(?:b"}),
        ] {
            assert_eq!(code(|c| c["identities"] = json!([identity])), "policy_identity", "{identity}");
        }
        for attestations in [json!([""]), json!(["spdx"]), json!([predicate::SIGNATURE]), json!(["a:b", "a:b"]), json!(["a: b"])]
        {
            assert_eq!(code(|c| c["attestations"] = attestations.clone()), "policy_attestation", "{attestations}");
        }
    }

    #[test]
    fn a_repository_is_under_one_policy() {
        let other = |repositories: &str| config(|c| (c["name"], c["repositories"]) = (json!("other"), json!(repositories)));
        for overlapping in ["*", "prod/*", "prod/app", "prod/team/*"] {
            let error = read(&[config(|_| {}), other(overlapping)]).unwrap_err();
            assert_eq!(error.code(), "policy_overlap", "{overlapping}");
        }
        read(&[config(|_| {}), other("prod")]).unwrap();
        assert_eq!(read(&[config(|_| {}), config(|c| c["repositories"] = json!("other/*"))]).unwrap_err().code(), "policy_name");
    }

    #[test]
    fn no_policy_over_what_an_upstream_tags() {
        let upstream = |prefix: &str| serde_json::from_value(json!({"prefix": prefix, "url": "https://up.example"})).unwrap();
        for prefix in ["prod", "prod/hub", "prod/team/hub"] {
            let error = Policies::read(&[config(|_| {})], &[upstream("hub"), upstream(prefix)]).unwrap_err();
            assert_eq!(error.code(), "policy_upstream", "{prefix}");
        }
        Policies::read(&[config(|_| {})], &[upstream("hub"), upstream("products")]).unwrap();
        let exact = |name: &str| config(|c| c["repositories"] = json!(name));
        assert_eq!(Policies::read(&[exact("hub/library/app")], &[upstream("hub")]).unwrap_err().code(), "policy_upstream");
        assert_eq!(Policies::read(&[exact("*")], &[upstream("hub")]).unwrap_err().code(), "policy_upstream");
    }
}
