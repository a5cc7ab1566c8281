//! Reads: from memory, or in one statement.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use oci::{Digest, RepositoryName, Tag};

use super::cache::{Key, Value};
use super::error::failed;
use super::{Referrer, Store, StoreError, StoredManifest, Tagged, rows};

const MANIFEST: &str = "SELECT m.media_type, m.artifact_type, m.subject, b.bytes \
    FROM manifest m JOIN manifest_bytes b ON b.digest = m.digest \
    WHERE m.repository = (SELECT id FROM repository WHERE name = $1) AND m.digest = $2";

const TAG: &str = "SELECT digest, version, updated FROM tag \
    WHERE repository = (SELECT id FROM repository WHERE name = $1) AND name = $2";

/// Oldest first: verifiers take the last one for the newest.
pub(super) const REFERRERS: &str = "SELECT digest, artifact_type, descriptor FROM manifest \
    WHERE repository = (SELECT id FROM repository WHERE name = $1) AND subject = $2 ORDER BY id";

const BLOB: &str = "SELECT b.size FROM blob_link l JOIN blob b ON b.digest = l.digest \
    WHERE l.repository = (SELECT id FROM repository WHERE name = $1) AND l.digest = $2";

const TAGS: &str = "SELECT name FROM tag WHERE repository = $1 AND name > $2 ORDER BY name LIMIT $3";

const REPOSITORIES: &str = "SELECT name FROM repository WHERE name > $1 ORDER BY name LIMIT $2";

/// Every statement here, for the test that none of them scans a table.
#[cfg(test)]
pub(super) const EVERY: [&str; 5] = [MANIFEST, TAG, REFERRERS, BLOB, TAGS];

impl Store {
    /// A manifest, if this repository has it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Arc<StoredManifest>>, StoreError> {
        self.cached(Key::manifest(repository, digest), self.read_manifest(repository, digest)).await
    }

    /// Where a tag points.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<Tagged>, StoreError> {
        self.cached(Key::tag(repository, tag), self.read_tag(repository, tag)).await
    }

    /// What is attached to `subject`, whether that is here or not, in the order in which it came.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn referrers(&self, repository: &RepositoryName, subject: &Digest) -> Result<Arc<[Referrer]>, StoreError> {
        let found = self.cached(Key::referrers(repository, subject), self.read_referrers(repository, subject)).await?;
        Ok(found.unwrap_or_else(|| Arc::new([])))
    }

    /// The size of a blob in bytes, if this repository has it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn blob_size(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<u64>, StoreError> {
        self.cached(Key::blob(repository, digest), self.read_blob_size(repository, digest)).await
    }

    /// At most `n` tags behind `last`, in the order of their bytes. Nothing for a repository that never was.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn tags(
        &self,
        repository: &RepositoryName,
        last: Option<&Tag>,
        n: usize,
    ) -> Result<Option<Vec<Tag>>, StoreError> {
        let failed = failed("listing tags");
        let find = sqlx::query_scalar("SELECT id FROM repository WHERE name = $1").bind(repository.as_str());
        let Some(id): Option<i64> = find.fetch_optional(self.readers()).await.map_err(&failed)? else { return Ok(None) };
        let list = sqlx::query_scalar(TAGS).bind(id).bind(last.map_or("", Tag::as_str)).bind(rows::to_sql(n as u64));
        let names: Vec<String> = list.fetch_all(self.readers()).await.map_err(&failed)?;
        names.iter().map(|name| rows::tag(name)).collect::<Result<_, _>>().map(Some)
    }

    /// At most `n` repositories behind `last`, in the order of their bytes.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn repositories(&self, last: Option<&RepositoryName>, n: usize) -> Result<Vec<RepositoryName>, StoreError> {
        let list = sqlx::query_scalar(REPOSITORIES);
        let list = list.bind(last.map_or("", RepositoryName::as_str)).bind(rows::to_sql(n as u64));
        let names: Vec<String> = list.fetch_all(self.readers()).await.map_err(failed("listing repositories"))?;
        names.iter().map(|name| rows::repository(name)).collect()
    }

    /// What is in memory under `key`, or what `read` finds; that is kept.
    async fn cached<T: Cached>(
        &self,
        key: Key,
        read: impl Future<Output = Result<Option<T>, StoreError>>,
    ) -> Result<Option<T>, StoreError> {
        if let Some(found) = self.0.cache.get(&key).and_then(T::of) {
            return Ok(Some(found));
        }
        // The ticket comes first: a future does nothing before it is awaited.
        let ticket = self.0.cache.ticket(key);
        let found = read.await?;
        if let Some(value) = &found {
            self.0.cache.fill(ticket, value.clone().into_value());
        }
        Ok(found)
    }

    async fn read_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<Option<Arc<StoredManifest>>, StoreError> {
        type Row = (String, Option<String>, Option<String>, Vec<u8>);
        let query = sqlx::query_as(MANIFEST).bind(repository.as_str()).bind(digest.as_str());
        let found: Option<Row> = query.fetch_optional(self.readers()).await.map_err(failed("reading a manifest"))?;
        let Some((media_type, artifact_type, subject, bytes)) = found else { return Ok(None) };
        // What the disk has changed must not go out under the old name.
        if !digest.verify(&bytes) {
            return Err(rows::corrupt("a manifest with other bytes", digest.as_str()));
        }
        let (subject, bytes) = (rows::optional_digest(subject.as_deref())?, Bytes::from(bytes));
        Ok(Some(Arc::new(StoredManifest { digest: digest.clone(), media_type, artifact_type, subject, bytes })))
    }

    pub(super) async fn read_tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<Option<Tagged>, StoreError> {
        let query = sqlx::query_as(TAG).bind(repository.as_str()).bind(tag.as_str());
        let found: Option<(String, i64, i64)> = query.fetch_optional(self.readers()).await.map_err(failed("reading a tag"))?;
        let Some((digest, version, updated)) = found else { return Ok(None) };
        Ok(Some(Tagged { digest: rows::digest(&digest)?, version, updated: rows::time(updated)? }))
    }

    async fn read_referrers(&self, repository: &RepositoryName, subject: &Digest) -> Result<Option<Arc<[Referrer]>>, StoreError> {
        let query = sqlx::query_as(REFERRERS).bind(repository.as_str()).bind(subject.as_str());
        let found: Vec<(String, Option<String>, String)> =
            query.fetch_all(self.readers()).await.map_err(failed("listing referrers"))?;
        let referrer = |(digest, artifact_type, descriptor): (String, _, String)| {
            Ok(Referrer { digest: rows::digest(&digest)?, artifact_type, descriptor: descriptor.into() })
        };
        found.into_iter().map(referrer).collect::<Result<Arc<[_]>, _>>().map(Some)
    }

    async fn read_blob_size(&self, repository: &RepositoryName, digest: &Digest) -> Result<Option<u64>, StoreError> {
        let query = sqlx::query_scalar(BLOB).bind(repository.as_str()).bind(digest.as_str());
        let found: Option<i64> = query.fetch_optional(self.readers()).await.map_err(failed("finding a blob"))?;
        found.map(rows::size).transpose()
    }
}

/// What the cache keeps.
trait Cached: Clone {
    fn into_value(self) -> Value;
    fn of(value: Value) -> Option<Self>;
}

macro_rules! cached {
    ($type:ty, $value:ident) => {
        impl Cached for $type {
            fn into_value(self) -> Value {
                Value::$value(self)
            }

            fn of(value: Value) -> Option<Self> {
                if let Value::$value(found) = value { Some(found) } else { None }
            }
        }
    };
}

cached!(Arc<StoredManifest>, Manifest);
cached!(Tagged, Tag);
cached!(Arc<[Referrer]>, Referrers);
cached!(u64, Blob);
