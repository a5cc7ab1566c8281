//! Which repository sees which blob.

use oci::{Digest, RepositoryName};

use super::cache::Key;
use super::error::failed;
use super::transaction::{Repository, Write};
use super::{Store, StoreError, rows};
use crate::blobs::{Durable, UploadId};

impl Store {
    /// Shows a blob in a repository. Its bytes are on the disk already: [`Durable`] is the evidence. An upload that it came from is
    /// over with the same commit.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn link_blob(
        &self,
        repository: &RepositoryName,
        blob: &Durable,
        upload: Option<&UploadId>,
    ) -> Result<(), StoreError> {
        const DOING: &str = "showing a blob";
        const BLOB: &str = "INSERT INTO blob (digest, size, stored) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        let (store, repository, blob, upload) = (self.clone(), repository.clone(), blob.clone(), upload.cloned());
        self.settled(async move {
            let mut write = store.begin(DOING).await?;
            let repository = write.repository(&repository).await?;
            let known = sqlx::query(BLOB).bind(blob.digest().as_str()).bind(rows::to_sql(blob.size())).bind(write.now());
            known.execute(write.connection()).await.map_err(failed(DOING))?;
            write.link_blob(&repository, blob.digest()).await?;
            if let Some(upload) = &upload {
                write.remove_upload(upload).await?;
            }
            write.commit(DOING).await
        })
        .await
    }

    /// Shows a blob of one repository, or of any, in another one too. False, and nothing done, if it is not there.
    ///
    /// Whether the caller may read where it comes from is for the caller to have found out.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn mount_blob(
        &self,
        from: Option<&RepositoryName>,
        to: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, StoreError> {
        const DOING: &str = "mounting a blob";
        const FOUND: &str = "SELECT 1 FROM blob_link l JOIN repository r ON r.id = l.repository \
            WHERE l.digest = $1 AND ($2 IS NULL OR r.name = $2) LIMIT 1";
        let (store, from, to, digest) = (self.clone(), from.cloned(), to.clone(), digest.clone());
        self.settled(async move {
            let mut write = store.begin(DOING).await?;
            let found = sqlx::query(FOUND).bind(digest.as_str()).bind(from.as_ref().map(RepositoryName::as_str));
            if found.fetch_optional(write.connection()).await.map_err(failed(DOING))?.is_none() {
                return Ok(false);
            }
            let repository = write.repository(&to).await?;
            write.link_blob(&repository, &digest).await?;
            write.commit(DOING).await?;
            Ok(true)
        })
        .await
    }

    /// Hides a blob from a repository; the others keep it. Not while a manifest of the repository names it: whoever pushed that was
    /// told that all of it is there.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn unlink_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<Unlinked, StoreError> {
        const DOING: &str = "hiding a blob";
        let (store, repository, digest) = (self.clone(), repository.clone(), digest.clone());
        self.settled(async move {
            let mut write = store.begin(DOING).await?;
            let Some(repository) = write.known(&repository).await? else { return Ok(Unlinked::Absent) };
            if let Some(manifest) = write.naming(&repository, &digest).await? {
                return Ok(Unlinked::Needed(manifest));
            }
            let gone = write.unlink_blob(&repository, &digest).await?;
            write.commit(DOING).await?;
            Ok(if gone { Unlinked::Gone } else { Unlinked::Absent })
        })
        .await
    }

    /// Loses a blob that is needed, as nothing but a damaged database does.
    #[cfg(test)]
    pub(crate) async fn lose_blob(&self, repository: &RepositoryName, digest: &Digest) -> bool {
        let mut write = self.begin("losing a blob").await.unwrap();
        let repository = write.known(repository).await.unwrap().unwrap();
        let gone = write.unlink_blob(&repository, digest).await.unwrap();
        write.commit("losing a blob").await.unwrap();
        gone
    }
}

/// What became of a blob that was to be hidden.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unlinked {
    /// The repository no longer has it.
    Gone,
    /// The repository did not have it.
    Absent,
    /// This manifest of the repository names it.
    Needed(Digest),
}

impl Write {
    /// Links a blob that has a row; the foreign key refuses any other.
    pub(super) async fn link_blob(&mut self, repository: &Repository, digest: &Digest) -> Result<(), StoreError> {
        const LINK: &str = "INSERT INTO blob_link (repository, digest, linked) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING";
        let link = sqlx::query(LINK).bind(repository.id).bind(digest.as_str()).bind(self.now());
        link.execute(self.connection()).await.map_err(failed("linking a blob"))?;
        self.touch(&Key::blob(&repository.name, digest));
        Ok(())
    }

    async fn unlink_blob(&mut self, repository: &Repository, digest: &Digest) -> Result<bool, StoreError> {
        let unlink = sqlx::query("DELETE FROM blob_link WHERE repository = $1 AND digest = $2");
        let unlink = unlink.bind(repository.id).bind(digest.as_str());
        let gone = unlink.execute(self.connection()).await.map_err(failed("hiding a blob"))?.rows_affected() > 0;
        self.touch(&Key::blob(&repository.name, digest));
        Ok(gone)
    }

    /// A manifest of the repository in whose text the digest stands. It reads all of them, which is what it costs to have no table
    /// for something that hardly anybody does.
    async fn naming(&mut self, repository: &Repository, digest: &Digest) -> Result<Option<Digest>, StoreError> {
        const DOING: &str = "looking for manifests that need a blob";
        const NAMING: &str = "SELECT m.digest FROM manifest m JOIN manifest_bytes b ON b.digest = m.digest \
            WHERE m.repository = $1 AND instr(b.bytes, CAST($2 AS BLOB)) > 0 LIMIT 1";
        let found = sqlx::query_scalar::<_, String>(NAMING).bind(repository.id).bind(digest.as_str());
        let found = found.fetch_optional(self.connection()).await.map_err(failed(DOING))?;
        found.map(|text| rows::digest(&text)).transpose()
    }
}
