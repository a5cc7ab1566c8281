//! Everything a registry knows, in one SQLite file: which repository holds which manifests and blobs, its tags and their history, what
//! is attached to what.
//!
//! # Where to read
//! - `migrations/sqlite`: the tables, and what each row means.
//! - `manifests.rs`: storing and deleting a manifest, the two numbered stories.
//! - `tags.rs`: compare-and-swap and history; `links.rs`: which repository sees which blob; `reach.rs`: what a tag reaches.
//! - `proxy.rs`: what registries behind this one said last.
//! - `read.rs` reads, from memory where it can; `cache.rs` says why memory never lags behind the database.
//!
//! # What is promised
//! - A (repository, digest) row is the authority for who sees what. Bytes may be shared by repositories, visibility is not.
//! - A manifest, the edges to its members and its subject, and its tags are one transaction, durable before it is answered.
//! - Conditions of a write are decided inside its transaction: what was true when a request came in proves nothing.
//! - A write that was begun is finished, whatever becomes of the client that asked for it.

mod cache;
mod error;
mod links;
mod manifests;
mod model;
mod promotion;
mod proxy;
mod reach;
mod read;
mod rows;
mod tags;
#[cfg(test)]
mod tests;
mod transaction;
mod uploads;

use std::path::Path;
use std::sync::Arc;

use clock::Clock;
use sqlite::{Database, DatabaseError, Schema};
use tokio_util::task::TaskTracker;

use self::cache::Cache;
pub(crate) use self::error::{DeleteError, PutError, StoreError, TagMoved, Unmet};
pub(crate) use self::links::Unlinked;
pub(crate) use self::model::{
    Condition, NamedManifest, Put, PutManifest, References, Referrer, StoredManifest, TagChange, TagExpectation, Tagged,
};
pub(crate) use self::promotion::{Finish, Finished, Listed, PromotionRow, Transfer};
pub(crate) use self::proxy::{Behind, SeenReferrers, SeenTag};
pub(crate) use self::uploads::UploadRow;
use crate::faults::Faults;

static SCHEMA: Schema = Schema {
    name: "Chancery registry database",
    application_id: 0x4348_4757, // "CHGW"
    migrations: sqlx::migrate!("migrations/sqlite"),
};

/// How much of what was read is kept in memory.
const CACHE_BYTES: u64 = 64 << 20;

/// The most manifests that may be attached to one subject. Verifiers fetch all of them, so whoever may push could make verification
/// slow for everybody.
pub(crate) const MOST_REFERRERS: u64 = 20_000;

/// The database of a registry: a handle, cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    database: Database,
    cache: Cache,
    clock: Arc<dyn Clock>,
    /// Writes under way, which closing waits for.
    writes: TaskTracker,
    faults: Faults,
}

impl Store {
    /// Makes the file, empty but for its schema.
    ///
    /// # Errors
    /// [`DatabaseError`]: there is a file already, or it cannot be written.
    pub(crate) async fn create(path: &Path) -> Result<(), DatabaseError> {
        Database::create(path, &SCHEMA).await?.close().await;
        Ok(())
    }

    /// Opens a file that [`Store::create`] made.
    ///
    /// # Errors
    /// [`DatabaseError`]: it is missing, not ours, of an unknown schema, or in use.
    pub(crate) async fn open(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, DatabaseError> {
        let database = Database::open(path, &SCHEMA).await?;
        let (cache, writes) = (Cache::new(CACHE_BYTES), TaskTracker::new());
        Ok(Self(Arc::new(Inner { database, cache, clock, writes, faults: Faults::default() })))
    }

    /// Whether the database can be read.
    ///
    /// # Errors
    /// [`StoreError`]: it cannot.
    pub(crate) async fn check(&self) -> Result<(), StoreError> {
        let read = sqlx::query("SELECT 1 FROM repository LIMIT 1").fetch_optional(self.readers()).await;
        read.map(drop).map_err(error::failed("checking"))
    }

    /// Finishes the writes that were begun, then closes the file.
    pub(crate) async fn close(&self) {
        self.0.writes.close();
        self.0.writes.wait().await;
        self.0.database.close().await;
    }

    /// Where tests make it fail.
    #[cfg(test)]
    pub(crate) fn faults(&self) -> &Faults {
        &self.0.faults
    }
}
