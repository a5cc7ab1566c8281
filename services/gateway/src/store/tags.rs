//! Tags: moved by compare-and-swap, every change kept.

use oci::{Digest, RepositoryName, Tag};

use super::cache::Key;
use super::error::failed;
use super::transaction::{Repository, Write};
use super::{Store, StoreError, TagChange, TagExpectation, TagMoved, rows};

impl Store {
    /// Deletes a tag and nothing else. False if it is not here.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn delete_tag(&self, repository: &RepositoryName, tag: &Tag, actor: &str) -> Result<bool, StoreError> {
        const DOING: &str = "deleting a tag";
        let (store, repository, tag, actor) = (self.clone(), repository.clone(), tag.clone(), actor.to_owned());
        self.settled(async move {
            let mut write = store.begin(DOING).await?;
            let Some(repository) = write.known(&repository).await? else { return Ok(false) };
            let removed = write.remove_tag(&repository, &tag, &actor).await?;
            write.commit(DOING).await?;
            Ok(removed)
        })
        .await
    }
}

impl Write {
    /// Points a tag to a manifest that is here. Where it points there already, nothing is written.
    pub(super) async fn move_tag<E>(
        &mut self,
        repository: &Repository,
        tag: &Tag,
        digest: &Digest,
        expect: &TagExpectation,
        actor: &str,
    ) -> Result<TagChange, E>
    where
        E: From<TagMoved> + From<StoreError>,
    {
        const MOVE: &str = "INSERT INTO tag (repository, name, digest, version, previous, actor, updated) \
            VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (repository, name) DO UPDATE SET \
            digest = excluded.digest, version = excluded.version, previous = excluded.previous, actor = excluded.actor, updated = excluded.updated";
        let current = self.current(repository, tag).await?;
        let found = current.as_ref().map(|(digest, _)| digest);
        let as_expected = match expect {
            TagExpectation::Any => true,
            TagExpectation::Absent => current.is_none(),
            TagExpectation::Digest(expected) => found == Some(expected),
            TagExpectation::Version(expected) => current.as_ref().is_some_and(|(_, version)| version == expected),
        };
        if !as_expected {
            return Err(TagMoved { tag: tag.clone(), found: found.cloned() }.into());
        }
        if let Some((previous, version)) = current.clone().filter(|(found, _)| found == digest) {
            return Ok(TagChange { tag: tag.clone(), version, previous: Some(previous), unchanged: true });
        }
        let previous = current.map(|(digest, _)| digest);
        let version = self.record(repository, tag, Some(digest), previous.as_ref(), actor).await?;
        let moved = sqlx::query(MOVE)
            .bind(repository.id)
            .bind(tag.as_str())
            .bind(digest.as_str())
            .bind(version)
            .bind(previous.as_ref().map(Digest::as_str))
            .bind(actor)
            .bind(self.now());
        moved.execute(self.connection()).await.map_err(failed("moving a tag"))?;
        self.touch(&Key::tag(&repository.name, tag));
        Ok(TagChange { tag: tag.clone(), version, previous, unchanged: false })
    }

    /// Deletes a tag. False if it is not here.
    pub(super) async fn remove_tag(&mut self, repository: &Repository, tag: &Tag, actor: &str) -> Result<bool, StoreError> {
        let Some((previous, _)) = self.current(repository, tag).await? else { return Ok(false) };
        self.record(repository, tag, None, Some(&previous), actor).await?;
        let removed = sqlx::query("DELETE FROM tag WHERE repository = $1 AND name = $2").bind(repository.id).bind(tag.as_str());
        removed.execute(self.connection()).await.map_err(failed("deleting a tag"))?;
        self.touch(&Key::tag(&repository.name, tag));
        Ok(true)
    }

    /// The tags that point to this very manifest.
    pub(super) async fn tags_on(&mut self, repository: &Repository, digest: &Digest) -> Result<Vec<Tag>, StoreError> {
        let query = sqlx::query_scalar("SELECT name FROM tag WHERE repository = $1 AND digest = $2 ORDER BY name");
        let names = query.bind(repository.id).bind(digest.as_str()).fetch_all(self.connection()).await;
        let names: Vec<String> = names.map_err(failed("finding the tags of a manifest"))?;
        names.iter().map(|name| rows::tag(name)).collect()
    }

    /// Where a tag points, and its version.
    pub(super) async fn current(&mut self, repository: &Repository, tag: &Tag) -> Result<Option<(Digest, i64)>, StoreError> {
        let query = sqlx::query_as("SELECT digest, version FROM tag WHERE repository = $1 AND name = $2");
        let found = query.bind(repository.id).bind(tag.as_str()).fetch_optional(self.connection()).await;
        let found: Option<(String, i64)> = found.map_err(failed("reading a tag"))?;
        found.map(|(digest, version)| Ok((rows::digest(&digest)?, version))).transpose()
    }

    /// Adds a change to the history, and says its version: one more than the last, of a tag that was deleted too.
    async fn record(
        &mut self,
        repository: &Repository,
        tag: &Tag,
        digest: Option<&Digest>,
        previous: Option<&Digest>,
        actor: &str,
    ) -> Result<i64, StoreError> {
        const RECORD: &str = "INSERT INTO tag_history (repository, name, version, digest, previous, actor, updated) \
            VALUES ($1, $2, 1 + coalesce((SELECT max(version) FROM tag_history WHERE repository = $1 AND name = $2), 0), $3, $4, $5, $6) \
            RETURNING version";
        let record = sqlx::query_scalar(RECORD)
            .bind(repository.id)
            .bind(tag.as_str())
            .bind(digest.map(Digest::as_str))
            .bind(previous.map(Digest::as_str))
            .bind(actor)
            .bind(self.now());
        record.fetch_one(self.connection()).await.map_err(failed("recording the change of a tag"))
    }
}
