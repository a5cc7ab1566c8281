//! One write: a transaction, and its hold on what it changes in the cache.

use std::future::Future;

use jiff::Timestamp;
use oci::RepositoryName;
use sqlx::{Sqlite, SqliteConnection, SqlitePool};

use super::cache::{Hold, Key};
use super::error::failed;
use super::{Condition, Store, StoreError, Unmet};
use crate::faults::{Faults, Step, When};

/// A transaction that writes. Dropped without [`Write::commit`], it leaves nothing behind.
pub(super) struct Write {
    // In this order: the outcome is settled before the cache is let go.
    transaction: sqlx::Transaction<'static, Sqlite>,
    hold: Hold,
    now: Timestamp,
    faults: Faults,
}

/// A repository that is in the database.
#[derive(Debug, Clone)]
pub(super) struct Repository {
    /// Its row.
    pub(super) id: i64,
    pub(super) name: RepositoryName,
}

impl Store {
    /// Begins a write. What is being done is named in the error when it cannot begin.
    pub(super) async fn begin(&self, doing: &'static str) -> Result<Write, StoreError> {
        // IMMEDIATE takes the write lock at once: a transaction that begins by reading would fail as soon as it writes after another.
        let transaction = self.0.database.writer().begin_with("BEGIN IMMEDIATE").await.map_err(failed(doing))?;
        Ok(Write { transaction, hold: self.0.cache.hold(), now: self.0.clock.now(), faults: self.0.faults.clone() })
    }

    /// Runs a write to its end, whatever becomes of who asked for it.
    ///
    /// A request is dropped when its client goes away. Were the write dropped with it, its commit could still happen, in the thread
    /// of the database, after the cache was let go: readers would then keep what the commit has made untrue.
    pub(crate) async fn settled<T: Send + 'static>(&self, write: impl Future<Output = T> + Send + 'static) -> T {
        match self.0.writes.spawn(write).await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // Cancelled: the runtime is going down, and this future with it.
                Err(_) => std::future::pending().await,
            },
        }
    }

    pub(super) fn readers(&self) -> &SqlitePool {
        self.0.database.readers()
    }
}

impl Write {
    pub(super) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.transaction
    }

    /// Milliseconds since 1970 at the beginning of this write.
    pub(super) fn now(&self) -> i64 {
        self.now.as_millisecond()
    }

    /// Says that this write changes what is read under `key`.
    pub(super) fn touch(&mut self, key: &Key) {
        self.hold.touch(key);
    }

    /// The repository of this name, if anything was ever put into it.
    pub(super) async fn known(&mut self, name: &RepositoryName) -> Result<Option<Repository>, StoreError> {
        let found = sqlx::query_scalar("SELECT id FROM repository WHERE name = $1").bind(name.as_str());
        let id: Option<i64> = found.fetch_optional(self.connection()).await.map_err(failed("finding a repository"))?;
        Ok(id.map(|id| Repository { id, name: name.clone() }))
    }

    /// The repository of this name, which is made if need be.
    pub(super) async fn repository(&mut self, name: &RepositoryName) -> Result<Repository, StoreError> {
        if let Some(known) = self.known(name).await? {
            return Ok(known);
        }
        let made = sqlx::query_scalar("INSERT INTO repository (name) VALUES ($1) RETURNING id").bind(name.as_str());
        let id = made.fetch_one(self.connection()).await.map_err(failed("making a repository"))?;
        Ok(Repository { id, name: name.clone() })
    }

    /// Refuses the write unless all of these hold now. Nothing can change between this and the commit: there is one writer.
    pub(super) async fn require<E>(&mut self, repository: &Repository, conditions: &[Condition]) -> Result<(), E>
    where
        E: From<Unmet> + From<StoreError>,
    {
        for condition in conditions {
            let (holds, tag) = match condition {
                Condition::Present(digest) => (self.has_manifest(repository, digest).await?, None),
                Condition::Unreached(digest) => {
                    let tag = super::reach::tag_that_reaches(self.connection(), &repository.name, digest).await?;
                    (tag.is_none(), tag)
                }
                Condition::Attached { digest, to } => {
                    let subject = self.subject_of(repository, digest).await?;
                    (subject.is_some_and(|subject| to.as_ref().is_none_or(|to| subject == *to)), None)
                }
            };
            if !holds {
                return Err(Unmet { condition: condition.clone(), tag }.into());
            }
        }
        Ok(())
    }

    /// Makes all of it durable. An error leaves open whether it happened; the cache asks the database either way.
    pub(super) async fn commit(self, doing: &'static str) -> Result<(), StoreError> {
        let Self { transaction, hold, faults, .. } = self;
        let injected = |source| failed(doing)(sqlx::Error::Io(source));
        faults.check(Step::Commit, When::Before).map_err(injected)?;
        let committed = transaction.commit().await.map_err(failed(doing));
        drop(hold);
        committed?;
        faults.check(Step::Commit, When::After).map_err(injected)
    }
}
