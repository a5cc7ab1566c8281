//! Why a promotion was not done, by who erred. That a policy denies it is no error: it is an answer.

use oci::{Digest, ReferenceError, RepositoryName, Tag};

use crate::access::AccessError;
use crate::contents::ReadError;
use crate::store::{PutError, StoreError};

/// A promotion was not done.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PromotionError {
    /// Who asks may not promote.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// What is asked for makes no sense.
    #[error(transparent)]
    Request(#[from] RequestError),
    /// The source.
    #[error(transparent)]
    Gather(#[from] GatherError),
    /// Somebody else moved the target tag.
    #[error("tag {tag} of {repository} {}, expected {}; look at what is there and promote again", points(.found), to(.expected))]
    TagMoved {
        /// The repository.
        repository: RepositoryName,
        /// The tag.
        tag: Tag,
        /// Where it points.
        found: Option<Digest>,
        /// Where it was expected to point.
        expected: Option<Digest>,
    },
    /// What was attached meanwhile made the policy deny it.
    #[error("so much was attached while the promotion was under way that the policy cannot be met any more; promote again")]
    Overtaken,
    /// Too many at once.
    #[error("{limit} promotions are under way, and no more are taken at once; try again")]
    Busy {
        /// How many are.
        limit: usize,
    },
    /// It took too long.
    #[error(
        "the promotion took longer than {minutes} minutes and was given up before the tag was set; try again, it goes on where it was"
    )]
    Slow {
        /// The limit.
        minutes: u64,
    },
    /// A record that nobody made.
    #[error("there is no promotion {id}")]
    Unknown {
        /// What was asked for.
        id: String,
    },
    /// Writing the copy.
    #[error(transparent)]
    Put(#[from] PutError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is asked for makes no sense.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RequestError {
    /// Not the document that is expected.
    #[error("the body is not a promotion; expected JSON with source, target and perhaps dry_run and expected_previous")]
    Malformed(#[source] serde_json::Error),
    /// It names a policy.
    #[error("the request names a policy; the target alone selects it")]
    PolicyNamed,
    /// A reference.
    #[error("{which} is no reference: {source}")]
    Reference {
        /// Which of the two.
        which: &'static str,
        /// What is wrong with it.
        source: ReferenceError,
    },
    /// Another registry.
    #[error(
        "{which} is in the registry {found}, and this is {expected}; leave the host out, or promote from a proxied repository"
    )]
    OtherRegistry {
        /// Which of the two.
        which: &'static str,
        /// The registry it names.
        found: String,
        /// This one.
        expected: String,
    },
    /// The target is a digest.
    #[error("target {target} names a digest; a promotion sets a tag, so write NAME:TAG")]
    TargetDigest {
        /// What was written.
        target: String,
    },
    /// The target is not ours to write to.
    #[error("target repository {repository} is seen through from another registry; promote to one that is hosted here")]
    TargetProxied {
        /// The repository.
        repository: RepositoryName,
    },
    /// The target's tag is one of those that name what they are attached to.
    #[error("target tag {tag} names something attached to a digest; such tags come along with their image")]
    TargetTag {
        /// The tag.
        tag: Tag,
    },
}

/// There is nothing whole to promote.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GatherError {
    /// The source does not exist.
    #[error("there is no {reference} here; push it first")]
    Unknown {
        /// What was to be promoted.
        reference: String,
    },
    /// A part of it does not exist.
    #[error("the image is not whole: {digest} is missing; push the image again")]
    Missing {
        /// What is missing.
        digest: Digest,
    },
    /// A part of it is not what its digest says, or no manifest.
    #[error("{digest} is not a manifest that can be promoted; push the image again")]
    Unreadable {
        /// What it is.
        digest: Digest,
    },
    /// Beyond a limit.
    #[error("the image and what is attached to it have more than {limit} {what}")]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// It could not be read now.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A blob broke off while it was read.
    #[error("a blob could not be read to its end")]
    Bytes {
        /// What happened.
        source: std::io::Error,
    },
}

impl RequestError {
    pub(crate) const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "promotion_request",
            Self::PolicyNamed => "promotion_policy_named",
            Self::Reference { .. } | Self::OtherRegistry { .. } | Self::TargetDigest { .. } | Self::TargetTag { .. } => {
                "promotion_reference"
            }
            Self::TargetProxied { .. } => "promotion_target_proxied",
        }
    }
}

fn points(found: &Option<Digest>) -> String {
    found.as_ref().map_or_else(|| "does not exist".to_owned(), |digest| format!("points to {digest}"))
}

fn to(expected: &Option<Digest>) -> String {
    expected.as_ref().map_or_else(|| "that it does not exist".to_owned(), ToString::to_string)
}
