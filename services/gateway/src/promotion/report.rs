//! What a promotion is asked for and answers: the documents of `POST /api/v1/promotions` and `GET /api/v1/promotions/{id}`.

use oci::{Digest, RepositoryName, Tag};
use serde::{Deserialize, Serialize};

use crate::policy::PolicyReport;

/// The body of `POST /api/v1/promotions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromotionRequest {
    /// What to promote: `[HOST/]NAME:TAG` or `[HOST/]NAME@DIGEST`, hosted here or proxied.
    pub source: String,
    /// Where to: `[HOST/]NAME:TAG`, hosted here. It alone selects the policy.
    pub target: String,
    /// Say what would be done, and write nothing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dry_run: bool,
    /// Where the target tag must point: absent is wherever it points now, `null` is nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "present")]
    pub expected_previous: Option<Option<Digest>>,
}

/// The answer to a promotion, done or denied, and its record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promotion {
    /// The record's name; none for a dry run, which leaves no record.
    pub id: Option<String>,
    /// SHA-256 over the plan: the sorted list of everything that is to be at the target. The same for every run over the same
    /// content.
    pub plan: Digest,
    /// What became of it.
    pub state: PromotionState,
    /// Who asked for it: a promoter's name.
    pub actor: String,
    /// From where.
    pub source: Source,
    /// To where.
    pub target: Destination,
    /// What was promoted.
    pub digest: Digest,
    /// Where the target tag pointed before.
    pub previous: Option<Digest>,
    /// The tag pointed to this digest already; what was attached meanwhile was copied all the same.
    pub unchanged: bool,
    /// Manifests of the image itself: an index, and every manifest in it.
    pub manifests: u64,
    /// What the image runs on, as far as an index says so: `linux/amd64`.
    pub platforms: Vec<String>,
    /// Manifests that are attached to them, and to each other.
    pub attached: u64,
    /// Signatures among these that were verified, in bundles or in the form of cosign 2.
    pub signatures: u64,
    /// Attestations among these that were verified, by predicate type.
    pub attestations: Vec<AttestationCount>,
    /// Those that prove nothing. They are copied all the same; no policy was met by them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unverified: Vec<Unverified>,
    /// Blobs of all of these manifests.
    pub blobs: u64,
    /// Bytes of these blobs and manifests together.
    pub bytes: u64,
    /// Attached manifests that appeared while the promotion was under way, or were not at the target when it was promoted before.
    pub late_referrers: u64,
    /// What the target's policy says; `null` where no policy governs the target.
    pub policy: Option<PolicyReport>,
    /// What a person should know although it stopped nothing, one line each.
    pub warnings: Vec<String>,
}

/// What became of a promotion. It only moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PromotionState {
    /// A dry run: it would be done.
    Planned,
    /// Allowed, and being copied.
    Copying,
    /// The tag points to a complete copy.
    Done,
    /// The policy denies it; nothing was written.
    Denied,
    /// It stopped before the tag was set. What was copied is untagged, and asking again completes it.
    Failed,
}

/// Where an image was promoted from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The repository.
    pub repository: RepositoryName,
    /// The tag that was resolved, once; none when a digest was given.
    pub tag: Option<Tag>,
    /// What it pointed to then.
    pub digest: Digest,
}

/// Where an image was promoted to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destination {
    /// The repository.
    pub repository: RepositoryName,
    /// The tag.
    pub tag: Tag,
}

/// How many attestations of one kind there are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttestationCount {
    /// What kind: a predicate type.
    pub predicate_type: String,
    /// How many.
    pub count: u64,
}

/// Something that claims to be signed and proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unverified {
    /// The manifest that carries it.
    pub digest: Digest,
    /// Which of its layers, where each is a signature or attestation of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<Digest>,
    /// What it is attached to.
    pub subject: Digest,
    /// Why, as a stable code.
    pub code: String,
    /// Why, in a line.
    pub reason: String,
}

/// A member that may be absent, `null`, or a value, each with a meaning of its own.
mod present {
    use oci::Digest;
    use serde::{Deserialize as _, Deserializer, Serialize as _, Serializer};

    pub(super) fn serialize<S: Serializer>(value: &Option<Option<Digest>>, serializer: S) -> Result<S::Ok, S::Error> {
        value.as_ref().and_then(Option::as_ref).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Digest>>, D::Error> {
        Option::deserialize(deserializer).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn absent_and_null_are_two_things() {
        let read = |more: serde_json::Value| {
            let mut body = json!({"source": "a:1", "target": "b:1"});
            body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            serde_json::from_value::<PromotionRequest>(body).map(|request| request.expected_previous)
        };
        let digest = Digest::of(b"{}");
        assert_eq!(read(json!({})).unwrap(), None);
        assert_eq!(read(json!({"expected_previous": null})).unwrap(), Some(None));
        assert_eq!(read(json!({"expected_previous": digest})).unwrap(), Some(Some(digest)));
        assert!(read(json!({"expected_previous": "latest"})).is_err());
        for expected_previous in [None, Some(None), Some(Some(Digest::of(b"{}")))] {
            let request = PromotionRequest { source: "a:1".into(), target: "b:1".into(), dry_run: false, expected_previous };
            let text = serde_json::to_string(&request).unwrap();
            assert_eq!(serde_json::from_str::<PromotionRequest>(&text).unwrap(), request, "{text}");
        }
    }
}
