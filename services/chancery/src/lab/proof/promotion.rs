//! Asking for a promotion: one request and the members of its answer that the proof looks at.

use oci::Digest;
use serde::Deserialize;
use serde_json::json;

/// Somebody who may promote.
pub(super) struct Promoter {
    http: reqwest::Client,
    url: String,
    token: String,
}

/// What the registry answered.
#[derive(Debug, Deserialize)]
pub(super) struct Answer {
    /// `done` or `denied`.
    pub state: String,
    /// What was promoted, or was to be.
    pub digest: Digest,
    /// Manifests of the image.
    pub manifests: u64,
    /// Verified signatures on them.
    pub signatures: u64,
    /// Verified attestations on them, by predicate type.
    pub attestations: Vec<Attestations>,
    /// What the policy says.
    pub policy: Policy,
}

/// See [`Answer::attestations`].
#[derive(Debug, Deserialize)]
pub(super) struct Attestations {
    pub predicate_type: String,
    pub count: u64,
}

/// See [`Answer::policy`].
#[derive(Debug, Deserialize)]
pub(super) struct Policy {
    pub clauses: Vec<Clause>,
}

/// One thing that a policy asks for.
#[derive(Debug, Deserialize)]
pub(super) struct Clause {
    /// `signature`, `logged` or `attestation`.
    pub requires: String,
    pub met: bool,
    /// Where it lacks.
    #[serde(default)]
    pub missing_on: Vec<Place>,
}

/// A manifest of the image.
#[derive(Debug, Deserialize)]
pub(super) struct Place {
    /// `index` or a platform.
    pub role: String,
}

/// No answer, or one that says neither done nor denied.
#[derive(Debug, thiserror::Error)]
pub(super) enum PromotionError {
    #[error("the registry does not answer")]
    Unreachable(#[from] reqwest::Error),
    #[error("the registry answers {status}: {body}")]
    Answer { status: u16, body: String },
}

impl Promoter {
    /// Somebody with `token` at the registry `base`.
    pub(super) fn new(http: reqwest::Client, base: &str, token: &str) -> Self {
        Self { http, url: format!("{base}/api/v1/promotions"), token: token.to_owned() }
    }

    /// Asks for `source` to be promoted to `target`.
    pub(super) async fn promote(&self, source: &str, target: &str) -> Result<Answer, PromotionError> {
        let body = json!({ "source": source, "target": target });
        let answer = self.http.post(&self.url).bearer_auth(&self.token).json(&body).send().await?;
        let status = answer.status().as_u16();
        let body = answer.bytes().await?;
        match serde_json::from_slice(&body) {
            Ok(answer) if matches!(status, 200 | 403) => Ok(answer),
            _ => Err(PromotionError::Answer { status, body: String::from_utf8_lossy(&body[..body.len().min(500)]).into_owned() }),
        }
    }
}

impl Answer {
    /// How many attestations of a kind are on the image.
    pub(super) fn attestations_of(&self, predicate_type: &str) -> u64 {
        self.attestations.iter().filter(|some| some.predicate_type == predicate_type).map(|some| some.count).sum()
    }

    /// What lacks a signature.
    pub(super) fn unsigned(&self) -> Vec<&str> {
        let clauses = self.policy.clauses.iter().filter(|clause| clause.requires == "signature" && !clause.met);
        clauses.flat_map(|clause| &clause.missing_on).map(|place| place.role.as_str()).collect()
    }
}
