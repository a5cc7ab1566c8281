//! The identities that the lab's issuer hands out: claims shaped like those of the real providers.

use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value, json};

/// How long a minted token lives.
pub(crate) const TOKEN_LIFETIME: SignedDuration = SignedDuration::from_mins(10);

/// The identity that the lab's proof signs with and the lab's policy wants: the workflow of `platform/hello` at the lab's GitHub
/// Enterprise Server.
pub(crate) const PROVEN: &str = "https://ghe.lab/platform/hello/.github/workflows/build.yml@refs/heads/main";

/// The audience that every Sigstore client asks for.
const AUDIENCE: &str = "sigstore";

/// One of the four issuers behind the lab's one listener. An issuer URL has exactly one type in Fulcio's contract, hence four.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Issuer {
    /// People: type `email`.
    Email,
    /// Workflows of github.com: type `ci-provider`.
    Github,
    /// Workflows of a GitHub Enterprise Server called `ghe.lab`: type `ci-provider`.
    Ghes,
    /// Anything: type `uri`.
    Claims,
}

impl Issuer {
    /// All of them.
    pub(crate) const ALL: [Self; 4] = [Self::Email, Self::Github, Self::Ghes, Self::Claims];

    /// The path below the listener's base URL; empty for the first.
    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Email => "",
            Self::Github => "/github",
            Self::Ghes => "/ghe/_services/token",
            Self::Claims => "/claims",
        }
    }

    /// The `iss` value: no trailing slash.
    pub(crate) fn url(self, base: &str) -> String {
        format!("{base}{}", self.path())
    }
}

/// `OWNER/REPO`, as GitHub spells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Repository {
    owner: String,
    name: String,
}

impl FromStr for Repository {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let plain = |part: &str| {
            !part.is_empty()
                && part.len() <= 100
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        match text.split_once('/') {
            Some((owner, name)) if plain(owner) && plain(name) => Ok(Self { owner: owner.to_owned(), name: name.to_owned() }),
            _ => Err(format!("{text} is not of the form OWNER/REPO, for example platform/hello")),
        }
    }
}

/// Whom a token speaks for.
#[derive(Debug, Clone)]
pub(crate) enum Subject {
    /// A person.
    Email(String),
    /// A workflow of github.com.
    Github(Repository, String),
    /// A workflow of the lab's GitHub Enterprise Server.
    Ghes(Repository, String),
    /// Whatever the caller's claims say.
    Claims,
}

impl Subject {
    /// The issuer that vouches for this subject.
    pub(crate) const fn issuer(&self) -> Issuer {
        match self {
            Self::Email(_) => Issuer::Email,
            Self::Github(..) => Issuer::Github,
            Self::Ghes(..) => Issuer::Ghes,
            Self::Claims => Issuer::Claims,
        }
    }

    /// The complete claims of a token from the issuer at `base`, valid from `now` for [`TOKEN_LIFETIME`].
    /// `overrides` replaces or adds any claim; `null` removes one.
    pub(crate) fn claims(&self, base: &str, now: Timestamp, overrides: Map<String, Value>) -> Map<String, Value> {
        let issued = now.as_second();
        let mut claims = object(json!({
            "iss": self.issuer().url(base),
            "aud": AUDIENCE,
            "iat": issued,
            "nbf": issued,
            "exp": issued + TOKEN_LIFETIME.as_secs(),
        }));
        claims.extend(match self {
            Self::Email(address) => object(json!({ "sub": address, "email": address, "email_verified": true })),
            Self::Github(repository, git_ref) => workflow_claims(repository, git_ref, "github-hosted"),
            Self::Ghes(repository, git_ref) => workflow_claims(repository, git_ref, "self-hosted"),
            Self::Claims => object(json!({ "sub": format!("{base}/claims/someone") })),
        });
        for (name, value) in overrides {
            if value.is_null() {
                claims.remove(&name);
            } else {
                claims.insert(name, value);
            }
        }
        claims
    }
}

/// The claims of a push to `git_ref` built by `.github/workflows/build.yml`. Numbers and commits are derived from the names, so
/// that a token for the same workflow is the same each time.
fn workflow_claims(repository: &Repository, git_ref: &str, runner: &str) -> Map<String, Value> {
    let Repository { owner, name } = repository;
    let workflow_ref = format!("{owner}/{name}/.github/workflows/build.yml@{git_ref}");
    let commit = derived_hex(&format!("{owner}/{name}@{git_ref}"));
    object(json!({
        "sub": format!("repo:{owner}/{name}:ref:{git_ref}"),
        "repository": format!("{owner}/{name}"),
        "repository_id": derived_number(&format!("{owner}/{name}")),
        "repository_owner": owner,
        "repository_owner_id": derived_number(owner),
        "repository_visibility": "internal",
        "ref": git_ref,
        "ref_type": if git_ref.starts_with("refs/tags/") { "tag" } else { "branch" },
        "ref_protected": "true",
        "sha": commit,
        "workflow": "build",
        "workflow_ref": workflow_ref,
        "workflow_sha": commit,
        "job_workflow_ref": workflow_ref,
        "job_workflow_sha": commit,
        "event_name": "push",
        "actor": owner,
        "actor_id": derived_number(&format!("actor {owner}")),
        "run_id": "1",
        "run_number": "1",
        "run_attempt": "1",
        "head_ref": "",
        "base_ref": "",
        "runner_environment": runner,
    }))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

fn derived_hex(name: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, name.as_bytes());
    hex::encode(&digest.as_ref()[..20])
}

fn derived_number(name: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, name.as_bytes());
    let bytes = digest.as_ref();
    u32::from_be_bytes([bytes[0] >> 2, bytes[1], bytes[2], bytes[3]]).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: &str = "http://127.0.0.1:8888";

    fn now() -> Timestamp {
        Timestamp::from_second(1_800_000_000).unwrap()
    }

    #[test]
    fn ghes_claims_name_the_workflow() {
        let subject = Subject::Ghes("platform/hello".parse().unwrap(), "refs/heads/main".into());
        let claims = subject.claims(BASE, now(), Map::new());
        assert_eq!(claims["iss"], "http://127.0.0.1:8888/ghe/_services/token");
        assert_eq!(claims["sub"], "repo:platform/hello:ref:refs/heads/main");
        assert_eq!(claims["job_workflow_ref"], "platform/hello/.github/workflows/build.yml@refs/heads/main");
        assert_eq!(claims["runner_environment"], "self-hosted");
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 600);
        assert_eq!(claims["sha"].as_str().unwrap().len(), 40);
    }

    #[test]
    fn overrides_win_and_null_removes() {
        let overrides = object(json!({ "aud": "other", "exp": 5, "nbf": null, "x": [1] }));
        let claims = Subject::Email("a@b.c".into()).claims(BASE, now(), overrides);
        assert_eq!((claims["aud"].as_str(), claims["exp"].as_i64()), (Some("other"), Some(5)));
        assert!(!claims.contains_key("nbf"));
        assert_eq!(claims["x"], json!([1]));
        assert_eq!(claims["iss"], BASE);
    }

    #[test]
    fn a_repository_has_two_plain_parts() {
        for text in ["hello", "a/b/c", "/b", "a/", "a b/c", "a/b@c"] {
            assert!(text.parse::<Repository>().is_err(), "{text}");
        }
    }
}
