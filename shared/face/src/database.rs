//! The database of several logs of a process.

use std::sync::Arc;

use async_trait::async_trait;
use chassis::ReadyCheck;
use chassis::reason::chain;
use tlog::{Database, Log, Store, Tier, tiered};

use crate::{LogError, Place};

/// A database of logs, opened once in a process: a handle, cheap to clone.
///
/// A file is locked by who has it open, so logs that are in one file must share one of these.
#[derive(Debug, Clone)]
pub struct SharedDatabase(Arc<Database>);

impl SharedDatabase {
    /// Opens the database of `place`, and brings its schema up to date.
    ///
    /// # Errors
    /// A database that is missing, does not hold logs, has an unknown schema, cannot be relied on, or is a file in use.
    pub async fn open(place: &Place<'_>) -> Result<Self, LogError> {
        Ok(Self(Arc::new(Database::open(&place.address()?).await?)))
    }

    /// Makes the database of `place`: the file, or the tables in a Postgres database that is there.
    ///
    /// # Errors
    /// There is a file already; the Postgres database cannot be used, or holds something else.
    pub async fn create(place: &Place<'_>) -> Result<Self, LogError> {
        Ok(Self(Arc::new(Database::create(&place.address()?).await?)))
    }

    /// Opens the database of `place` when it is there, and else makes it.
    ///
    /// # Errors
    /// As [`SharedDatabase::open`] and [`SharedDatabase::create`].
    pub async fn open_or_create(place: &Place<'_>) -> Result<Self, LogError> {
        Ok(Self(Arc::new(Database::open_or_create(&place.address()?).await?)))
    }

    /// The log of `place` in it, whether it was created or not, with what was moved from it, to go on with both.
    ///
    /// # Errors
    /// The object store cannot be used.
    pub async fn log(&self, place: &Place<'_>) -> Result<Arc<dyn Store>, LogError> {
        let name = place.name();
        let tier = match place.objects {
            Some(objects) => Some(Tier::open(objects, &name, place.form, place.keep_entries).await?),
            None => None,
        };
        Ok(tiered(self.0.log(&name), tier))
    }

    /// The same, to be looked at.
    ///
    /// # Errors
    /// As [`SharedDatabase::log`].
    pub async fn look_at(&self, place: &Place<'_>) -> Result<Arc<dyn Store>, LogError> {
        let name = place.name();
        let tier = match place.objects {
            Some(objects) => Some(Tier::open_to_read(objects, &name, place.form).await?),
            None => None,
        };
        Ok(tiered(self.0.log(&name), tier))
    }

    /// Lets go of it; the last one to do so ends its connections.
    pub async fn close(self) {
        if let Some(database) = Arc::into_inner(self.0) {
            database.close().await;
        }
    }
}

/// Ready while the database of a log answers.
#[derive(Debug)]
pub struct DatabaseAnswers(pub Log);

#[async_trait]
impl ReadyCheck for DatabaseAnswers {
    fn name(&self) -> &str {
        "database answers"
    }

    async fn check(&self) -> Result<(), String> {
        // Any hash will do: what counts is that the index can be read.
        self.0.index_of(&self.0.key_id()).await.map(drop).map_err(|error| chain(&error))
    }
}
