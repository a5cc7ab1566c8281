//! What a promotion writes: an image with everything attached in one transaction, then its tag with the record in another.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use oci::{Digest, Manifest, RepositoryName, Tag};

use super::error::failed;
use super::transaction::{Repository, Write};
use super::{MOST_REFERRERS, NamedManifest, PutError, Store, StoreError, TagChange, TagExpectation, rows};

/// An image and everything attached to it, for one repository. The bytes of every blob are durable and have a row.
#[derive(Debug)]
pub(crate) struct Transfer {
    /// Where to.
    pub(crate) repository: RepositoryName,
    /// The manifests, in the order in which attached ones are to be listed.
    pub(crate) manifests: Vec<NamedManifest>,
    /// Everything else that they refer to, but for what lives elsewhere.
    pub(crate) blobs: BTreeSet<Digest>,
    /// Tags whose names say what they are attached to.
    pub(crate) tags: Vec<(Tag, Digest)>,
    /// Who does it.
    pub(crate) actor: String,
}

/// What a transfer did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Transferred {
    /// Manifests that were not there.
    pub(crate) created: BTreeSet<Digest>,
    /// Tags of [`Transfer::tags`] that were left as they are, because they hold what the new one does not.
    pub(crate) kept: BTreeSet<Tag>,
}

/// The end of a promotion.
#[derive(Debug)]
pub(crate) struct Finish {
    /// Everything, once more: what was deleted since it was copied is there again.
    pub(crate) transfer: Arc<Transfer>,
    /// The tag.
    pub(crate) tag: Tag,
    /// What it is to point to.
    pub(crate) digest: Digest,
    /// Where it must point before. Pointing to [`Finish::digest`] already will do, too.
    pub(crate) expect: TagExpectation,
    /// What was found attached, if the source is in this store.
    pub(crate) listed: Option<Listed>,
    /// The record.
    pub(crate) id: String,
}

/// What was found attached to the manifests of a repository.
#[derive(Debug)]
pub(crate) struct Listed {
    /// Where.
    pub(crate) repository: RepositoryName,
    /// To what.
    pub(crate) subjects: BTreeSet<Digest>,
    /// What.
    pub(crate) attached: BTreeSet<Digest>,
}

/// What the end of a promotion did.
#[derive(Debug)]
pub(crate) struct Finished {
    /// The tag.
    pub(crate) tag: TagChange,
    /// What had to be copied again.
    pub(crate) transferred: Transferred,
}

/// The record of a promotion.
#[derive(Debug, Clone)]
pub(crate) struct PromotionRow {
    /// Its name.
    pub(crate) id: String,
    /// How far it came: a state of the table.
    pub(crate) state: &'static str,
    /// Who asked for it.
    pub(crate) actor: String,
    /// From where.
    pub(crate) source: RepositoryName,
    /// To where.
    pub(crate) target: RepositoryName,
    /// Under which tag.
    pub(crate) tag: Tag,
    /// What.
    pub(crate) digest: Digest,
    /// The plan.
    pub(crate) plan: Digest,
    /// The document for the caller.
    pub(crate) report: String,
}

impl Store {
    /// Records a promotion that begins, or one that was denied.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn record_promotion(&self, row: PromotionRow) -> Result<(), StoreError> {
        const DOING: &str = "recording a promotion";
        const RECORD: &str = "INSERT INTO promotion (id, state, actor, source, target, tag, digest, plan, begun, updated, report) \
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, $10)";
        let store = self.clone();
        self.settled(async move {
            let mut write = store.begin(DOING).await?;
            let record = sqlx::query(RECORD)
                .bind(row.id)
                .bind(row.state)
                .bind(row.actor)
                .bind(row.source.as_str())
                .bind(row.target.as_str())
                .bind(row.tag.as_str())
                .bind(row.digest.as_str())
                .bind(row.plan.as_str())
                .bind(write.now())
                .bind(row.report);
            record.execute(write.connection()).await.map_err(failed(DOING))?;
            write.commit(DOING).await
        })
        .await
    }

    /// Ends the record of a promotion that came to nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn fail_promotion(&self, id: &str) -> Result<(), StoreError> {
        self.fail_promotions(
            "UPDATE promotion SET state = 'failed', updated = $1, report = json_set(report, '$.state', 'failed') \
            WHERE state = 'copying' AND id = $2",
            id.to_owned(),
        )
        .await
    }

    /// Ends the records of promotions that the end of a process cut off. Called before there are new ones.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn fail_interrupted_promotions(&self) -> Result<(), StoreError> {
        self.fail_promotions(
            "UPDATE promotion SET state = 'failed', updated = $1, report = json_set(report, '$.state', 'failed') \
            WHERE state = 'copying' AND $2 = ''",
            String::new(),
        )
        .await
    }

    async fn fail_promotions(&self, statement: &'static str, id: String) -> Result<(), StoreError> {
        const DOING: &str = "ending a promotion";
        let store = self.clone();
        self.settled(async move {
            let mut write = store.begin(DOING).await?;
            let end = sqlx::query(statement).bind(write.now()).bind(id);
            end.execute(write.connection()).await.map_err(failed(DOING))?;
            write.commit(DOING).await
        })
        .await
    }

    /// What the caller of a promotion was told.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn promotion(&self, id: &str) -> Result<Option<String>, StoreError> {
        let report =
            sqlx::query_scalar("SELECT report FROM promotion WHERE id = $1").bind(id).fetch_optional(self.readers()).await;
        report.map_err(failed("reading a promotion"))
    }

    /// The states of all records, sorted.
    #[cfg(test)]
    pub(crate) async fn promotion_states(&self) -> Vec<String> {
        let states = sqlx::query_scalar("SELECT state FROM promotion ORDER BY state").fetch_all(self.readers());
        states.await.expect("a test's database can be read")
    }

    /// Copies everything but the tag, in one transaction. A crash leaves all of it or nothing; all of it is an image by digest alone,
    /// which a second run finds there.
    ///
    /// # Errors
    /// [`PutError`].
    pub(crate) async fn transfer(&self, transfer: Arc<Transfer>) -> Result<Transferred, PutError> {
        const DOING: &str = "copying an image";
        let store = self.clone();
        self.settled(async move {
            let mut write = store.begin(DOING).await?;
            let transferred = write.transfer(&transfer).await?;
            write.commit(DOING).await?;
            Ok(transferred)
        })
        .await
    }

    /// Sets the tag of a promotion; `report` makes the record's document of what was done, and what is returned. Nothing, and nothing
    /// done, if something was attached at the source that was not listed.
    ///
    /// # Errors
    /// [`PutError`]: nothing was written, except that a failed database leaves that open.
    pub(crate) async fn finish_promotion<T, R>(&self, finish: Finish, report: R) -> Result<Option<T>, PutError>
    where
        T: Send + 'static,
        R: FnOnce(&Finished) -> (String, T) + Send + 'static,
    {
        let store = self.clone();
        self.settled(async move { store.finish(&finish, report).await }).await
    }

    async fn finish<T>(&self, finish: &Finish, report: impl FnOnce(&Finished) -> (String, T)) -> Result<Option<T>, PutError> {
        const DOING: &str = "promoting an image";
        const DONE: &str = "UPDATE promotion SET state = 'done', updated = $2, report = $3 WHERE id = $1";
        let mut write = self.begin(DOING).await?;
        // 1. What was found attached at the source is all that is.
        if let Some(listed) = &finish.listed
            && write.is_more_attached(listed).await?
        {
            return Ok(None);
        }
        // 2. Everything is at the target, whatever was deleted there since it was copied.
        let transferred = write.transfer(&finish.transfer).await?;
        // 3. The tag, by compare-and-swap. Where it points there already, somebody else has done the same.
        let repository = write.repository(&finish.transfer.repository).await?;
        let actor = &finish.transfer.actor;
        let there = write.current(&repository, &finish.tag).await?.is_some_and(|(digest, _)| digest == finish.digest);
        let expect = if there { &TagExpectation::Any } else { &finish.expect };
        let tag = write.move_tag::<PutError>(&repository, &finish.tag, &finish.digest, expect, actor).await?;
        // 4. The record says so.
        let (report, told) = report(&Finished { tag, transferred });
        let done = sqlx::query(DONE).bind(&finish.id).bind(write.now()).bind(report);
        done.execute(write.connection()).await.map_err(failed(DOING))?;
        // 5. All of it at once: no tag without the whole image, no tag without its record.
        write.commit(DOING).await?;
        Ok(Some(told))
    }
}

impl Write {
    /// Puts everything where it is not.
    async fn transfer(&mut self, transfer: &Transfer) -> Result<Transferred, PutError> {
        let repository = self.repository(&transfer.repository).await?;
        // 1. Blobs: their bytes are there, so that seeing them is all there is to do.
        let unknown = self.unknown_blobs(&transfer.blobs).await?;
        if !unknown.is_empty() {
            return Err(PutError::Missing(unknown));
        }
        for blob in &transfer.blobs {
            self.link_blob(&repository, blob).await?;
        }
        // 2. Manifests with their edges. They were gathered as a whole; that nothing is missing is looked at when all are in.
        let mut created = BTreeSet::new();
        for manifest in &transfer.manifests {
            if self.insert_manifest(&repository, manifest, &transfer.actor).await? {
                created.insert(manifest.digest().clone());
            }
        }
        for manifest in &transfer.manifests {
            let missing = self.missing(&repository, manifest.manifest()).await?;
            if !missing.is_empty() {
                return Err(PutError::Missing(missing));
            }
        }
        self.check_crowd(&repository, transfer, &created).await?;
        // 3. Tags beside the image.
        let mut kept = BTreeSet::new();
        for (tag, digest) in &transfer.tags {
            if self.holds_more(&repository, tag, digest, transfer).await? {
                kept.insert(tag.clone());
            } else {
                self.move_tag::<PutError>(&repository, tag, digest, &TagExpectation::Any, &transfer.actor).await?;
            }
        }
        Ok(Transferred { created, kept })
    }

    /// Blobs that have no row.
    async fn unknown_blobs(&mut self, blobs: &BTreeSet<Digest>) -> Result<Vec<Digest>, StoreError> {
        const UNKNOWN: &str = "SELECT value FROM json_each($1) WHERE NOT EXISTS (SELECT 1 FROM blob WHERE digest = value)";
        let unknown = sqlx::query_scalar(UNKNOWN).bind(rows::json(blobs)).fetch_all(self.connection()).await;
        let unknown: Vec<String> = unknown.map_err(failed("finding blobs"))?;
        unknown.iter().map(|digest| rows::digest(digest)).collect()
    }

    /// As when they are pushed, one by one: so many may be attached to one subject.
    async fn check_crowd(
        &mut self,
        repository: &Repository,
        transfer: &Transfer,
        created: &BTreeSet<Digest>,
    ) -> Result<(), PutError> {
        let new = transfer.manifests.iter().filter(|manifest| created.contains(manifest.digest()));
        let subjects: BTreeSet<&Digest> = new.filter_map(|new| Some(&new.manifest().subject()?.digest)).collect();
        for subject in subjects {
            if self.count_referrers(repository, subject).await? > MOST_REFERRERS {
                return Err(PutError::TooManyReferrers { subject: subject.clone(), limit: MOST_REFERRERS });
            }
        }
        Ok(())
    }

    /// Whether the tag holds something here that its new content does not: clients add to such tags in place, and what was added
    /// here must not be lost.
    async fn holds_more(
        &mut self,
        repository: &Repository,
        tag: &Tag,
        digest: &Digest,
        transfer: &Transfer,
    ) -> Result<bool, StoreError> {
        const FOUND: &str = "SELECT m.media_type, b.bytes FROM manifest m JOIN manifest_bytes b ON b.digest = m.digest \
            WHERE m.repository = $1 AND m.digest = $2";
        let Some((current, _)) = self.current(repository, tag).await?.filter(|(current, _)| current != digest) else {
            return Ok(false);
        };
        let found = sqlx::query_as(FOUND).bind(repository.id).bind(current.as_str()).fetch_optional(self.connection()).await;
        let found: Option<(String, Vec<u8>)> = found.map_err(failed("reading a manifest"))?;
        let Some((media_type, bytes)) = found else { return Ok(false) };
        let Ok(current) = Manifest::parse(Some(&media_type), Bytes::from(bytes)) else { return Ok(true) };
        let Some(new) = transfer.manifests.iter().find(|manifest| manifest.digest() == digest) else { return Ok(true) };
        let layers: BTreeSet<&Digest> = new.manifest().layers().iter().map(|layer| &layer.digest).collect();
        Ok(current.layers().is_empty() || current.layers().iter().any(|layer| !layers.contains(&layer.digest)))
    }

    /// Whether something is attached that was not listed.
    async fn is_more_attached(&mut self, listed: &Listed) -> Result<bool, StoreError> {
        const MORE: &str = "SELECT 1 FROM manifest WHERE repository = (SELECT id FROM repository WHERE name = $1) \
            AND subject IN (SELECT value FROM json_each($2)) AND digest NOT IN (SELECT value FROM json_each($3)) LIMIT 1";
        let more = sqlx::query(MORE)
            .bind(listed.repository.as_str())
            .bind(rows::json(&listed.subjects))
            .bind(rows::json(&listed.attached));
        Ok(more.fetch_optional(self.connection()).await.map_err(failed("looking for what was attached meanwhile"))?.is_some())
    }
}
