//! What registries behind this one said last, so that it can be served when they say nothing any more.

use std::sync::Arc;

use jiff::Timestamp;
use oci::{Digest, RepositoryName, Tag};

use super::error::failed;
use super::{Referrer, Store, StoreError, rows};

const TAG: &str = "SELECT digest, seen FROM proxy_tag \
    WHERE repository = (SELECT id FROM repository WHERE name = $1) AND origin = $2 AND name = $3";

const TAGS: &str = "SELECT name FROM proxy_tag \
    WHERE repository = (SELECT id FROM repository WHERE name = $1) AND origin = $2 AND name > $3 ORDER BY name LIMIT $4";

const SEEN_REFERRERS: &str = "SELECT seen FROM proxy_referrers \
    WHERE repository = (SELECT id FROM repository WHERE name = $1) AND origin = $2 AND subject = $3";

/// In the upstream's order.
const REFERRERS: &str = "SELECT m.digest, m.artifact_type, m.descriptor \
    FROM proxy_referrers p JOIN json_each(p.digests) listed \
    JOIN manifest m ON m.repository = p.repository AND m.digest = listed.value \
    WHERE p.repository = (SELECT id FROM repository WHERE name = $1) AND p.subject = $2 AND m.subject = $2 \
    ORDER BY listed.key";

/// Every statement here, for the test that none of them scans a table.
#[cfg(test)]
pub(super) const EVERY: [&str; 4] = [TAG, TAGS, SEEN_REFERRERS, REFERRERS];

/// A repository here, and the registry whose word about it counts, by its base URL.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Behind<'a> {
    /// By its name here.
    pub(crate) repository: &'a RepositoryName,
    /// What another registry said under the same name counts for nothing.
    pub(crate) origin: &'a str,
}

/// Where an upstream's tag pointed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeenTag {
    /// The manifest, which is here.
    pub(crate) digest: Digest,
    /// When the upstream said so.
    pub(crate) seen: Timestamp,
}

/// What an upstream had attached to something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SeenReferrers {
    /// In its order. Each manifest is here.
    pub(crate) referrers: Arc<[Referrer]>,
    /// When it said so.
    pub(crate) seen: Timestamp,
}

impl Store {
    /// Where the upstream's tag pointed when it was asked last.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn seen_tag(&self, behind: Behind<'_>, tag: &Tag) -> Result<Option<SeenTag>, StoreError> {
        let query = sqlx::query_as(TAG).bind(behind.repository.as_str()).bind(behind.origin).bind(tag.as_str());
        let found: Option<(String, i64)> = query.fetch_optional(self.readers()).await.map_err(failed("reading a proxied tag"))?;
        let Some((digest, seen)) = found else { return Ok(None) };
        Ok(Some(SeenTag { digest: rows::digest(&digest)?, seen: rows::time(seen)? }))
    }

    /// At most `n` tags behind `last` that were asked for, in the order of their bytes.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn seen_tags(&self, behind: Behind<'_>, last: Option<&Tag>, n: usize) -> Result<Vec<Tag>, StoreError> {
        let list = sqlx::query_scalar(TAGS);
        let list = list.bind(behind.repository.as_str()).bind(behind.origin);
        let list = list.bind(last.map_or("", Tag::as_str)).bind(rows::to_sql(n as u64));
        let names: Vec<String> = list.fetch_all(self.readers()).await.map_err(failed("listing proxied tags"))?;
        names.iter().map(|name| rows::tag(name)).collect()
    }

    /// Notes where the upstream says that its tag points now: to a manifest that is here.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn see_tag(&self, behind: Behind<'_>, tag: &Tag, digest: &Digest) -> Result<SeenTag, StoreError> {
        const DOING: &str = "noting a proxied tag";
        const NOTE: &str = "INSERT INTO proxy_tag (repository, name, digest, origin, seen) VALUES ($1, $2, $3, $4, $5) \
            ON CONFLICT (repository, name) DO UPDATE SET digest = excluded.digest, origin = excluded.origin, seen = excluded.seen";
        let (store, repository, origin) = (self.clone(), behind.repository.clone(), behind.origin.to_owned());
        let (tag, digest) = (tag.clone(), digest.clone());
        self.settled(async move {
            let mut write = store.begin(DOING).await?;
            let repository = write.repository(&repository).await?;
            let seen = rows::time(write.now())?;
            let note =
                sqlx::query(NOTE).bind(repository.id).bind(tag.as_str()).bind(digest.as_str()).bind(origin).bind(write.now());
            note.execute(write.connection()).await.map_err(failed(DOING))?;
            write.commit(DOING).await?;
            Ok(SeenTag { digest, seen })
        })
        .await
    }

    /// Forgets a tag that the upstream has no more.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn forget_tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<(), StoreError> {
        const DOING: &str = "forgetting a proxied tag";
        const FORGET: &str = "DELETE FROM proxy_tag WHERE repository = (SELECT id FROM repository WHERE name = $1) AND name = $2";
        let (store, repository, tag) = (self.clone(), repository.clone(), tag.clone());
        self.settled(async move {
            let mut write = store.begin(DOING).await?;
            let forget = sqlx::query(FORGET).bind(repository.as_str()).bind(tag.as_str());
            forget.execute(write.connection()).await.map_err(failed(DOING))?;
            write.commit(DOING).await
        })
        .await
    }

    /// What the upstream had attached to `subject` when it was asked last.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn seen_referrers(&self, behind: Behind<'_>, subject: &Digest) -> Result<Option<SeenReferrers>, StoreError> {
        let failed = failed("reading proxied referrers");
        let seen = sqlx::query_scalar(SEEN_REFERRERS).bind(behind.repository.as_str()).bind(behind.origin).bind(subject.as_str());
        let Some(seen): Option<i64> = seen.fetch_optional(self.readers()).await.map_err(&failed)? else { return Ok(None) };
        let list = sqlx::query_as(REFERRERS).bind(behind.repository.as_str()).bind(subject.as_str());
        let found: Vec<(String, Option<String>, String)> = list.fetch_all(self.readers()).await.map_err(&failed)?;
        let referrer = |(digest, artifact_type, descriptor): (String, _, String)| {
            Ok(Referrer { digest: rows::digest(&digest)?, artifact_type, descriptor: descriptor.into() })
        };
        let referrers = found.into_iter().map(referrer).collect::<Result<Arc<[_]>, StoreError>>()?;
        Ok(Some(SeenReferrers { referrers, seen: rows::time(seen)? }))
    }

    /// Notes what the upstream has attached to `subject` now: manifests that are here and have that subject, in its order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn see_referrers(&self, behind: Behind<'_>, subject: &Digest, digests: &[Digest]) -> Result<(), StoreError> {
        const DOING: &str = "noting proxied referrers";
        const NOTE: &str = "INSERT INTO proxy_referrers (repository, subject, digests, origin, seen) VALUES ($1, $2, $3, $4, $5) \
            ON CONFLICT (repository, subject) \
            DO UPDATE SET digests = excluded.digests, origin = excluded.origin, seen = excluded.seen";
        let (store, repository, origin) = (self.clone(), behind.repository.clone(), behind.origin.to_owned());
        let subject = subject.clone();
        let digests = serde_json::to_string(digests).expect("a list of texts always serialises");
        self.settled(async move {
            let mut write = store.begin(DOING).await?;
            let repository = write.repository(&repository).await?;
            let note = sqlx::query(NOTE).bind(repository.id).bind(subject.as_str()).bind(digests).bind(origin).bind(write.now());
            note.execute(write.connection()).await.map_err(failed(DOING))?;
            write.commit(DOING).await
        })
        .await
    }
}
