//! Storing and deleting a manifest.

use std::collections::BTreeSet;

use oci::{Digest, Manifest, RepositoryName};
use sqlx::Row as _;

use super::cache::Key;
use super::error::failed;
use super::rows::json;
use super::transaction::{Repository, Write};
use super::{
    Condition, DeleteError, MOST_REFERRERS, NamedManifest, Put, PutError, PutManifest, References, Store, StoreError, rows,
};

impl Store {
    /// Stores a manifest and points tags to it. Durable when this returns; storing it again changes nothing.
    ///
    /// # Errors
    /// [`PutError`]: nothing was written, except that a failed database leaves that open.
    pub(crate) async fn put_manifest(&self, put: PutManifest) -> Result<Put, PutError> {
        let store = self.clone();
        self.settled(async move { store.put(&put).await }).await
    }

    async fn put(&self, put: &PutManifest) -> Result<Put, PutError> {
        const DOING: &str = "storing a manifest";
        let mut write = self.begin(DOING).await?;
        let repository = write.repository(&put.repository).await?;
        // 1. What must hold, holds, and nobody else can write until the end.
        write.require::<PutError>(&repository, &put.conditions).await?;
        // 2. What it refers to is here; the subject never need be (distribution-spec, "Pushing Manifests with Subject").
        if put.references == References::Required {
            let missing = write.missing(&repository, put.manifest.manifest()).await?;
            if !missing.is_empty() {
                return Err(PutError::Missing(missing));
            }
        }
        // 3. The bytes, the manifest, its edges to its members and its subject.
        let created = write.insert_manifest(&repository, &put.manifest, &put.actor).await?;
        let referrers = match put.manifest.manifest().subject() {
            Some(subject) => write.count_referrers(&repository, &subject.digest).await?,
            None => 0,
        };
        if created && let Some(subject) = put.manifest.manifest().subject().filter(|_| referrers > MOST_REFERRERS) {
            return Err(PutError::TooManyReferrers { subject: subject.digest.clone(), limit: MOST_REFERRERS });
        }
        // 4. The tags, each by compare-and-swap.
        let mut tags = Vec::with_capacity(put.tags.len());
        for tag in &put.tags {
            tags.push(write.move_tag::<PutError>(&repository, tag, put.manifest.digest(), &put.expect, &put.actor).await?);
        }
        // 5. All of it at once. A crash before leaves nothing, a crash after is a client that asks again and finds it done.
        write.commit(DOING).await?;
        Ok(Put { created, tags, referrers })
    }

    /// Deletes a manifest and every tag that points to it. What is attached to it stays. False if it is not here.
    ///
    /// # Errors
    /// [`DeleteError`]: nothing was deleted, except that a failed database leaves that open.
    pub(crate) async fn delete_manifest(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        conditions: Vec<Condition>,
        actor: &str,
    ) -> Result<bool, DeleteError> {
        let (store, repository, digest, actor) = (self.clone(), repository.clone(), digest.clone(), actor.to_owned());
        self.settled(async move { store.delete(&repository, &digest, &conditions, &actor).await }).await
    }

    async fn delete(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        conditions: &[Condition],
        actor: &str,
    ) -> Result<bool, DeleteError> {
        const DOING: &str = "deleting a manifest";
        let mut write = self.begin(DOING).await?;
        let Some(repository) = write.known(repository).await? else { return Ok(false) };
        // 1. Where it is not, no condition is worth a refusal.
        if !write.has_manifest(&repository, digest).await? {
            return Ok(false);
        }
        write.require::<DeleteError>(&repository, conditions).await?;
        // 2. The tags, so that none is left that points nowhere.
        for tag in write.tags_on(&repository, digest).await? {
            write.remove_tag(&repository, &tag, actor).await?;
        }
        // 3. The manifest and its edges; its bytes too, if no other repository has it.
        write.remove_manifest(&repository, digest).await?;
        // 4. All of it at once.
        write.commit(DOING).await?;
        Ok(true)
    }
}

impl Write {
    pub(super) async fn has_manifest(&mut self, repository: &Repository, digest: &Digest) -> Result<bool, StoreError> {
        let query = sqlx::query("SELECT 1 FROM manifest WHERE repository = $1 AND digest = $2");
        let found = query.bind(repository.id).bind(digest.as_str()).fetch_optional(self.connection()).await;
        Ok(found.map_err(failed("finding a manifest"))?.is_some())
    }

    /// What a manifest of this repository is attached to.
    pub(super) async fn subject_of(&mut self, repository: &Repository, digest: &Digest) -> Result<Option<Digest>, StoreError> {
        let query = sqlx::query_scalar("SELECT subject FROM manifest WHERE repository = $1 AND digest = $2");
        let found = query.bind(repository.id).bind(digest.as_str()).fetch_optional(self.connection()).await;
        let found: Option<Option<String>> = found.map_err(failed("finding what a manifest is attached to"))?;
        rows::optional_digest(found.flatten().as_deref())
    }

    /// What a manifest refers to and this repository does not have, each once. Content that lives elsewhere, and the subject, may be
    /// absent. A member of an index may be a manifest or a blob.
    pub(super) async fn missing(&mut self, repository: &Repository, manifest: &Manifest) -> Result<Vec<Digest>, StoreError> {
        const BLOBS: &str = "SELECT value FROM json_each($2) WHERE NOT EXISTS \
            (SELECT 1 FROM blob_link WHERE repository = $1 AND digest = value)";
        const MEMBERS: &str = "SELECT value FROM json_each($2) WHERE NOT EXISTS \
            (SELECT 1 FROM manifest WHERE repository = $1 AND digest = value) AND NOT EXISTS \
            (SELECT 1 FROM blob_link WHERE repository = $1 AND digest = value)";
        let here = |all: &mut dyn Iterator<Item = &oci::Descriptor>| -> BTreeSet<Digest> {
            all.filter(|descriptor| !descriptor.is_external()).map(|descriptor| descriptor.digest.clone()).collect()
        };
        let mut missing = Vec::new();
        for (statement, digests) in [(BLOBS, here(&mut manifest.contents())), (MEMBERS, here(&mut manifest.manifests().iter()))] {
            if digests.is_empty() {
                continue;
            }
            let query = sqlx::query_scalar(statement).bind(repository.id).bind(json(&digests));
            let absent: Vec<String> =
                query.fetch_all(self.connection()).await.map_err(failed("finding what a manifest refers to"))?;
            for digest in &absent {
                missing.push(rows::digest(digest)?);
            }
        }
        Ok(missing)
    }

    /// Stores the manifest, unless it is here: then it stays as it is, its place among the referrers included.
    pub(super) async fn insert_manifest(
        &mut self,
        repository: &Repository,
        named: &NamedManifest,
        actor: &str,
    ) -> Result<bool, StoreError> {
        const BYTES: &str = "INSERT INTO manifest_bytes (digest, bytes) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        const MANIFEST: &str = "INSERT INTO manifest \
            (repository, digest, media_type, artifact_type, subject, pushed, actor, descriptor) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING RETURNING id";
        let failed = failed("storing a manifest");
        let (digest, manifest) = (named.digest(), named.manifest());
        let bytes = sqlx::query(BYTES).bind(digest.as_str()).bind(&manifest.bytes()[..]);
        bytes.execute(self.connection()).await.map_err(&failed)?;
        let subject = manifest.subject().map(|subject| subject.digest.clone());
        let inserted = sqlx::query_scalar(MANIFEST)
            .bind(repository.id)
            .bind(digest.as_str())
            .bind(manifest.media_type())
            .bind(manifest.artifact_type())
            .bind(subject.as_ref().map(Digest::as_str))
            .bind(self.now())
            .bind(actor)
            .bind(subject.as_ref().map(|_| manifest.referrer_descriptor(digest.clone()).to_json()));
        let id: Option<i64> = inserted.fetch_optional(self.connection()).await.map_err(&failed)?;
        let Some(id) = id else { return Ok(false) };
        self.insert_members(repository, id, manifest).await?;
        self.touch(&Key::manifest(&repository.name, digest));
        if let Some(subject) = &subject {
            self.touch(&Key::referrers(&repository.name, subject));
        }
        Ok(true)
    }

    async fn insert_members(&mut self, repository: &Repository, parent: i64, manifest: &Manifest) -> Result<(), StoreError> {
        const MEMBERS: &str = "INSERT INTO child (repository, digest, parent) SELECT $1, value, $2 FROM json_each($3)";
        let members: BTreeSet<Digest> = manifest.manifests().iter().map(|member| member.digest.clone()).collect();
        if members.is_empty() {
            return Ok(());
        }
        let insert = sqlx::query(MEMBERS).bind(repository.id).bind(parent).bind(json(&members));
        insert.execute(self.connection()).await.map(drop).map_err(failed("storing the members of an index"))
    }

    pub(super) async fn count_referrers(&mut self, repository: &Repository, subject: &Digest) -> Result<u64, StoreError> {
        let query = sqlx::query_scalar("SELECT count(*) FROM manifest WHERE repository = $1 AND subject = $2");
        let count = query.bind(repository.id).bind(subject.as_str()).fetch_one(self.connection()).await;
        rows::size(count.map_err(failed("counting referrers"))?)
    }

    async fn remove_manifest(&mut self, repository: &Repository, digest: &Digest) -> Result<(), StoreError> {
        const MANIFEST: &str = "DELETE FROM manifest WHERE repository = $1 AND digest = $2 RETURNING subject";
        const BYTES: &str =
            "DELETE FROM manifest_bytes WHERE digest = $1 AND NOT EXISTS (SELECT 1 FROM manifest WHERE digest = $1)";
        let failed = failed("deleting a manifest");
        let removed = sqlx::query(MANIFEST).bind(repository.id).bind(digest.as_str());
        let removed = removed.fetch_one(self.connection()).await.map_err(&failed)?;
        let subject: Option<String> = removed.try_get(0).map_err(&failed)?;
        self.touch(&Key::manifest(&repository.name, digest));
        if let Some(subject) = rows::optional_digest(subject.as_deref())? {
            self.touch(&Key::referrers(&repository.name, &subject));
        }
        let bytes = sqlx::query(BYTES).bind(digest.as_str());
        bytes.execute(self.connection()).await.map(drop).map_err(&failed)
    }
}
