//! What can go wrong in the store, by who erred.

use oci::{Digest, Tag};

use super::Condition;

/// The database failed: ours or the operator's to mend. The caller may send the request again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The disk is full, or a quota is used up. Nothing was written.
    #[error("no space is left for the registry's database ({doing})")]
    Full {
        /// What was being done.
        doing: &'static str,
    },
    /// SQLite failed. A write may have happened or not: sending it again is safe.
    #[error("the registry's database failed ({doing})")]
    Failed {
        /// What was being done.
        doing: &'static str,
        /// What SQLite said.
        #[source]
        source: sqlx::Error,
    },
    /// A row is not what this program writes.
    #[error("the registry's database holds {what} that cannot be: {found}")]
    Corrupt {
        /// Which kind of row.
        what: &'static str,
        /// What is in it.
        found: String,
    },
}

/// A manifest was not stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PutError {
    /// It refers to content that the repository does not have.
    #[error("the manifest refers to {} blobs and manifests that are not in the repository", .0.len())]
    Missing(Vec<Digest>),
    /// More is attached to its subject than may be.
    #[error("{limit} manifests are attached to {subject}, and no more may be")]
    TooManyReferrers {
        /// What it was to be attached to.
        subject: Digest,
        /// The most that is allowed.
        limit: u64,
    },
    /// A tag points elsewhere than expected.
    #[error(transparent)]
    Moved(#[from] TagMoved),
    /// A condition of the write.
    #[error(transparent)]
    Unmet(#[from] Unmet),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A manifest was not deleted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeleteError {
    /// A condition of the write.
    #[error(transparent)]
    Unmet(#[from] Unmet),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A tag points elsewhere than the writer expected: someone else was first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("tag {tag} points {}", where_to(.found.as_ref()))]
pub(crate) struct TagMoved {
    /// The tag.
    pub(crate) tag: Tag,
    /// Where it points.
    pub(crate) found: Option<Digest>,
}

/// A [`Condition`] did not hold when it was time to write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", unmet(.condition, .tag.as_ref()))]
pub(crate) struct Unmet {
    /// Which.
    pub(crate) condition: Condition,
    /// The tag that reaches the manifest, where none should.
    pub(crate) tag: Option<Tag>,
}

/// Names what was being done when SQLite failed.
pub(super) fn failed(doing: &'static str) -> impl Fn(sqlx::Error) -> StoreError {
    /// `SQLITE_FULL`.
    const FULL: &str = "13";
    move |source| match source.as_database_error().and_then(|error| error.code()) {
        Some(code) if code == FULL => StoreError::Full { doing },
        _ => StoreError::Failed { doing, source },
    }
}

fn where_to(found: Option<&Digest>) -> String {
    found.map_or_else(|| "nowhere".to_owned(), |digest| format!("to {digest}"))
}

fn unmet(condition: &Condition, tag: Option<&Tag>) -> String {
    match (condition, tag) {
        (Condition::Present(digest), _) => format!("{digest} is not in the repository"),
        (Condition::Unreached(digest), Some(tag)) => format!("tag {tag} reaches {digest}"),
        (Condition::Unreached(digest), None) => format!("a tag reaches {digest}"),
        (Condition::Attached { digest, to: None }, _) => format!("{digest} is not in the repository as something attached"),
        (Condition::Attached { digest, to: Some(to) }, _) => format!("{digest} is not attached to {to} in the repository"),
    }
}
