//! What a tag reaches: the manifest it points to, the members of an index, and what is attached to any of these, however deep.

use oci::{Digest, RepositoryName, Tag};
use sqlx::SqliteExecutor;

#[cfg(test)]
use super::Store;
use super::error::failed;
use super::{StoreError, rows};

/// From the manifest upwards. UNION drops what was seen already, so indexes that contain each other end too.
pub(super) const REACHED: &str = "WITH RECURSIVE \
    here (id) AS (SELECT id FROM repository WHERE name = $1), \
    up (digest) AS ( \
        VALUES ($2) \
        UNION \
        SELECT parent.digest FROM up \
        JOIN child ON child.repository = (SELECT id FROM here) AND child.digest = up.digest \
        JOIN manifest parent ON parent.id = child.parent \
        UNION \
        SELECT attached.subject FROM up \
        JOIN manifest attached ON attached.repository = (SELECT id FROM here) AND attached.digest = up.digest \
        WHERE attached.subject IS NOT NULL \
    ) \
    SELECT tag.name FROM up JOIN tag ON tag.repository = (SELECT id FROM here) AND tag.digest = up.digest \
    ORDER BY tag.name LIMIT 1";

#[cfg(test)]
impl Store {
    /// The first tag, by name, that reaches this manifest.
    ///
    /// True at the moment of reading only: a write that depends on it names it as a [`Condition`](super::Condition).
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn reached_by_tag(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<Tag>, StoreError> {
        tag_that_reaches(self.readers(), repository, digest).await
    }
}

pub(super) async fn tag_that_reaches(
    database: impl SqliteExecutor<'_>,
    repository: &RepositoryName,
    digest: &Digest,
) -> Result<Option<Tag>, StoreError> {
    let found: Option<String> = sqlx::query_scalar(REACHED)
        .bind(repository.as_str())
        .bind(digest.as_str())
        .fetch_optional(database)
        .await
        .map_err(failed("finding what reaches a manifest"))?;
    found.as_deref().map(rows::tag).transpose()
}
