//! Uploads in progress, so that a restart finds them again.

use jiff::Timestamp;
use oci::RepositoryName;

use super::error::failed;
use super::transaction::Write;
use super::{Store, StoreError, rows};
use crate::blobs::UploadId;

/// An upload in progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UploadRow {
    /// Also the name of its file.
    pub(crate) id: UploadId,
    /// Where its blob is to appear.
    pub(crate) repository: RepositoryName,
    /// When it was used last, to the hour.
    pub(crate) used: Timestamp,
}

impl Store {
    /// Records an upload that begins.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn begin_upload(&self, row: UploadRow) -> Result<(), StoreError> {
        const DOING: &str = "beginning an upload";
        let store = self.clone();
        self.settled(async move {
            let mut write = store.begin(DOING).await?;
            let insert = sqlx::query("INSERT INTO upload (id, repository, begun, used) VALUES ($1, $2, $3, $3)")
                .bind(row.id.as_str())
                .bind(row.repository.as_str())
                .bind(row.used.as_millisecond());
            insert.execute(write.connection()).await.map_err(failed(DOING))?;
            write.commit(DOING).await
        })
        .await
    }

    /// Records that an upload is in use.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn use_upload(&self, id: &UploadId, used: Timestamp) -> Result<(), StoreError> {
        const DOING: &str = "recording that an upload goes on";
        let (store, id) = (self.clone(), id.clone());
        self.settled(async move {
            let mut write = store.begin(DOING).await?;
            let update = sqlx::query("UPDATE upload SET used = $2 WHERE id = $1").bind(id.as_str()).bind(used.as_millisecond());
            update.execute(write.connection()).await.map_err(failed(DOING))?;
            write.commit(DOING).await
        })
        .await
    }

    /// Forgets an upload.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn end_upload(&self, id: &UploadId) -> Result<(), StoreError> {
        const DOING: &str = "ending an upload";
        let (store, id) = (self.clone(), id.clone());
        self.settled(async move {
            let mut write = store.begin(DOING).await?;
            write.remove_upload(&id).await?;
            write.commit(DOING).await
        })
        .await
    }

    /// All uploads in progress, for a start.
    ///
    /// # Errors
    /// [`StoreError`].
    pub(crate) async fn uploads(&self) -> Result<Vec<UploadRow>, StoreError> {
        let query = sqlx::query_as("SELECT id, repository, used FROM upload ORDER BY id");
        let found: Vec<(String, String, i64)> = query.fetch_all(self.readers()).await.map_err(failed("listing uploads"))?;
        let upload = |(id, repository, used): (String, String, i64)| {
            let id = id.parse().map_err(|_| rows::corrupt("an upload", &id))?;
            Ok(UploadRow { id, repository: rows::repository(&repository)?, used: rows::time(used)? })
        };
        found.into_iter().map(upload).collect()
    }
}

impl Write {
    pub(super) async fn remove_upload(&mut self, id: &UploadId) -> Result<(), StoreError> {
        let remove = sqlx::query("DELETE FROM upload WHERE id = $1").bind(id.as_str());
        remove.execute(self.connection()).await.map(drop).map_err(failed("ending an upload"))
    }
}
