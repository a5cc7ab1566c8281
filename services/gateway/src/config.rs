//! The `gateway` section of the configuration.

use chassis::config::{Duration, FilePath, ListenConfig};
use serde::{Deserialize, Serialize};

/// What a gateway is configured with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The URL clients use, without a path. Its host is the registry part of every image name.
    pub public_url: String,
    /// Where it listens. Beyond loopback [`push_token_file`](Self::push_token_file) is mandatory.
    pub http: ListenConfig,
    /// Repositories, manifests, tags and promotions. Created by `init`, never by serving.
    pub database: FilePath,
    /// The folder of blobs and of uploads in progress. Created by `init`, never by serving.
    pub blobs: FilePath,
    /// The trusted root that policies verify with; needed as soon as there is a policy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trusted_root: Option<FilePath>,
    /// Registries seen through this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upstreams: Vec<UpstreamConfig>,
    /// What an image must carry before it may be promoted. No two may select the same repository.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<PolicyConfig>,
    /// Who may promote.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub promoters: Vec<PromoterConfig>,
    /// A file with the secret that writes need, as the password of any user name or as a bearer token.
    ///
    /// Without it everybody who can reach the listener may read and write, so it may be absent only where that is this machine
    /// alone: listeners on loopback that no proxy stands in front of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub push_token_file: Option<FilePath>,
    /// Whether reads need no secret where writes need one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub anonymous_pull: bool,
}

impl Config {
    /// What stands before the names of repositories, in image names and in challenges: the host of the public URL with its port.
    #[must_use]
    pub fn host(&self) -> &str {
        let url = self.public_url.as_str();
        url.split_once("://").map_or(url, |(_, host)| host).trim_end_matches('/')
    }
}

/// A registry whose repositories appear here under a prefix.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamConfig {
    /// First components of the repositories here: with `hub`, `hub/library/alpine` is `library/alpine` there. The longest that
    /// matches wins.
    pub prefix: String,
    /// Base URL of the registry, without `/v2`.
    pub url: String,
    /// Certificate authorities to believe besides the system's, PEM.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ca_files: Vec<FilePath>,
    /// The account to read with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// A file with its password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_file: Option<FilePath>,
    /// Hosts besides the registry's own that it may name as its token service, and redirect to although their addresses are private:
    /// they are shown the account's password when the registry says so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trusted_hosts: Vec<String>,
    /// For how long a tag or a list of referrers is believed before the upstream is asked again.
    #[serde(default = "default_manifest_ttl")]
    pub manifest_ttl: Duration,
    /// Serve what is cached and never call the upstream.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub offline: bool,
}

/// What an image must carry before it may be promoted into some repositories. Those take tags only by promotion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyConfig {
    /// How people speak of it: in refusals, reports and logs.
    pub name: String,
    /// Which repositories: one name, `prod/*` for every name below `prod/`, or `*` for all.
    pub repositories: String,
    /// What a violation means.
    pub mode: Mode,
    /// Who must have signed; one of them is enough. Signatures and attestations are held to the same list.
    pub identities: Vec<IdentityConfig>,
    /// Predicate types that must be attested, each by one of the identities.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attestations: Vec<String>,
    /// On which manifests each of these must be.
    #[serde(default)]
    pub require: Require,
}

/// What a violation of a policy means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// The promotion is refused.
    Enforce,
}

/// One accepted signer: an issuer and a subject, each exact or as a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityConfig {
    /// The issuer of the identity token, exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// A regular expression that the whole issuer must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer_pattern: Option<String>,
    /// The certificate's subject: an e-mail address or the URI of a workflow, exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// A regular expression that the whole subject must match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_pattern: Option<String>,
}

/// Which manifests of an image must satisfy each clause of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Require {
    /// The promoted manifest only.
    #[serde(rename = "root")]
    Root,
    /// The promoted manifest and, if it is an index, every platform in it.
    #[default]
    #[serde(rename = "root+children")]
    RootAndChildren,
}

/// Somebody who may promote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromoterConfig {
    /// Recorded with every promotion.
    pub name: String,
    /// A file with the bearer token.
    pub token_file: FilePath,
}

fn default_manifest_ttl() -> Duration {
    Duration::from_secs(60)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: &str = r#"{"public_url":"http://localhost:5000","http":{"listen":["127.0.0.1:5000"]},"database":"db/gateway.db","blobs":"blobs"}"#;

    #[test]
    fn the_least_that_must_be_said() {
        let config: Config = serde_json::from_str(LEAST).unwrap();
        assert!(!config.anonymous_pull && config.push_token_file.is_none());
        assert_eq!(serde_json::to_string(&config).unwrap(), LEAST);
        let unknown = LEAST.replace("\"blobs\"", "\"blob\"");
        assert!(serde_json::from_str::<Config>(&unknown).unwrap_err().to_string().contains("unknown field `blob`"));
    }

    #[test]
    fn upstreams_policies_and_promoters() {
        let more = r#","upstreams":[{"prefix":"hub","url":"https://registry.example"}],
            "policies":[{"name":"prod","repositories":"prod/*","mode":"enforce","identities":[{"issuer":"i","subject":"s"}]}],
            "promoters":[{"name":"ops","token_file":"t"}]}"#;
        let text = LEAST.strip_suffix('}').unwrap().to_owned() + more;
        let config: Config = serde_json::from_str(&text).unwrap();
        assert_eq!(config.upstreams[0].manifest_ttl, Duration::from_secs(60));
        assert_eq!(config.policies[0].require, Require::RootAndChildren);
        let audit = serde_json::from_str::<Config>(&text.replace("enforce", "audit")).unwrap_err().to_string();
        assert!(audit.contains("unknown variant `audit`, expected `enforce`"), "{audit}");
    }
}
