//! Objects of one place.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::folder::Folder;
use crate::s3::S3;
use crate::{Driver, ObjectError, ObjectsConfig, name};

/// Largest object, 128 MiB, twice what 256 of the largest entries of a log are: it is held in memory as a whole.
pub const MOST_BYTES: usize = 128 << 20;

/// For how long one call may take, with everything that is tried again within it.
const LIMIT: Duration = Duration::from_secs(30);

/// Objects below one prefix of one place. A clone is the same place.
#[derive(Clone)]
pub struct Objects {
    driver: Arc<dyn Driver>,
    /// Checked; empty, or without slashes at its ends.
    prefix: String,
    limit: Duration,
}

impl Objects {
    /// Opens a place, and finds out whether it can be written as the contract of [`Driver`] demands.
    ///
    /// A bucket is asked to keep the object `chancery-probe` and then to keep it once more, which it must refuse: a service that overwrites
    /// what it was asked only to create would let two processes contradict each other.
    ///
    /// # Errors
    /// [`ObjectError`] for each mistake that an operator can make.
    pub async fn open(config: &ObjectsConfig) -> Result<Self, ObjectError> {
        match config {
            ObjectsConfig::Folder(path) => Self::over_folder(path.to_path_buf(), true).await,
            ObjectsConfig::S3(config) => {
                let s3 = S3::new(config).await?;
                s3.probe_writes().await?;
                Ok(Self::over(Arc::new(s3)))
            }
        }
    }

    /// As [`Objects::open`], for those who can do without for a while: a service that does not answer is opened all the same, and asked
    /// when it is needed. Then what it said is beside it, or that it said nothing.
    ///
    /// # Errors
    /// [`ObjectError`] for each mistake that an operator can make.
    pub async fn open_even_if_down(config: &ObjectsConfig) -> Result<(Self, Option<ObjectError>), ObjectError> {
        let late = |_| Err(ObjectError::TimedOut { object: "the first one".into(), limit: LIMIT });
        let opened = tokio::time::timeout(LIMIT, Self::open(config)).await.unwrap_or_else(late);
        match (opened, config) {
            (Ok(objects), _) => Ok((objects, None)),
            (
                Err(error @ (ObjectError::Unreachable { .. } | ObjectError::TimedOut { .. } | ObjectError::Failed { .. })),
                ObjectsConfig::S3(config),
            ) => Ok((Self::over(Arc::new(S3::new(config).await?)), Some(error))),
            (Err(error), _) => Err(error),
        }
    }

    /// Opens a place to read it alone: nothing is written, now or later.
    ///
    /// # Errors
    /// [`ObjectError`], as [`Objects::open`].
    pub async fn open_to_read(config: &ObjectsConfig) -> Result<Self, ObjectError> {
        match config {
            ObjectsConfig::Folder(path) => Self::over_folder(path.to_path_buf(), false).await,
            ObjectsConfig::S3(config) => {
                let s3 = S3::new(config).await?;
                s3.probe_reads().await?;
                Ok(Self::over(Arc::new(s3)))
            }
        }
    }

    /// Objects that this driver keeps.
    #[must_use]
    pub fn over(driver: Arc<dyn Driver>) -> Self {
        Self { driver, prefix: String::new(), limit: LIMIT }
    }

    /// The same objects through another driver, which stands in front of theirs.
    #[must_use]
    pub fn through(self, wrap: impl FnOnce(Arc<dyn Driver>) -> Arc<dyn Driver>) -> Self {
        Self { driver: wrap(self.driver), ..self }
    }

    /// The same objects, with another limit of time for each call.
    #[must_use]
    pub fn within(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// Where they are, for people: without secrets.
    #[must_use]
    pub fn location(&self) -> String {
        self.shown(&self.prefix)
    }

    /// Those whose names begin with `prefix` and a slash, by the rest of their names.
    ///
    /// # Errors
    /// [`ObjectError::Name`].
    pub fn under(&self, prefix: &str) -> Result<Self, ObjectError> {
        Ok(Self { prefix: name::below(&self.prefix, prefix)?, ..self.clone() })
    }

    /// Keeps an object whose name says what it must be. If it is there already with the same bytes, that is as good.
    ///
    /// When this returns the object is durable and was read back and compared. An error says nothing about whether it is there: call
    /// again.
    ///
    /// # Errors
    /// [`ObjectError::Differs`] if another is there, which stays; otherwise what went wrong.
    pub async fn put_new(&self, name: &str, content: Bytes) -> Result<(), ObjectError> {
        let whole = name::below(&self.prefix, name)?;
        self.must_fit(&whole, content.len())?;
        self.in_time(&whole, async {
            let created = self.driver.create(&whole, content.clone()).await?;
            // What is there may be larger; one byte more than expected is enough to know that it differs.
            match (self.driver.read(&whole, content.len()).await, created) {
                (Ok(Some(there)), _) if there == content => Ok(()),
                (Ok(Some(_)) | Err(ObjectError::TooLarge { .. }), crate::Created::There) => {
                    Err(ObjectError::Differs { object: self.shown(&whole) })
                }
                (Ok(_) | Err(ObjectError::TooLarge { .. }), _) => Err(ObjectError::NotReadBack { object: self.shown(&whole) }),
                (Err(error), _) => Err(error),
            }
        })
        .await
    }

    /// Keeps an object in place of what has this name: whoever reads finds one or the other, whole.
    ///
    /// When this returns the object is durable and was read back and compared. One writer per name: a second is found out, as a read that
    /// brings back other bytes, only if it comes between. An error says nothing about which of the two is there: call again.
    ///
    /// # Errors
    /// [`ObjectError::NotReadBack`], or what went wrong.
    pub async fn put_latest(&self, name: &str, content: Bytes) -> Result<(), ObjectError> {
        let whole = name::below(&self.prefix, name)?;
        self.must_fit(&whole, content.len())?;
        self.in_time(&whole, async {
            self.driver.replace(&whole, content.clone()).await?;
            match self.driver.read(&whole, content.len()).await {
                Ok(Some(there)) if there == content => Ok(()),
                Ok(_) | Err(ObjectError::TooLarge { .. }) => Err(ObjectError::NotReadBack { object: self.shown(&whole) }),
                Err(error) => Err(error),
            }
        })
        .await
    }

    /// Keeps an object in place of `old`, if that is what has this name still; none stands for no object. Of several writers that found
    /// the same one, one goes on.
    ///
    /// False if something else is there: it stays. True means durable, read back and compared, as with [`Objects::put_latest`].
    ///
    /// # Errors
    /// [`ObjectError::NotReadBack`], also if another writer has gone on already, or what went wrong.
    pub async fn put_next(&self, name: &str, old: Option<Bytes>, content: Bytes) -> Result<bool, ObjectError> {
        let whole = name::below(&self.prefix, name)?;
        self.must_fit(&whole, content.len())?;
        self.in_time(&whole, async {
            let swapped = self.driver.swap(&whole, old, content.clone()).await?;
            match self.driver.read(&whole, content.len()).await {
                // Also when an answer was lost, and what was asked again found it done.
                Ok(Some(there)) if there == content => Ok(true),
                Ok(_) | Err(ObjectError::TooLarge { .. }) if !swapped => Ok(false),
                Ok(_) | Err(ObjectError::TooLarge { .. }) => Err(ObjectError::NotReadBack { object: self.shown(&whole) }),
                Err(error) => Err(error),
            }
        })
        .await
    }

    /// An object of at most so many bytes; none if there is none.
    ///
    /// # Errors
    /// [`ObjectError::TooLarge`], or what went wrong.
    pub async fn get(&self, name: &str, most_bytes: usize) -> Result<Option<Bytes>, ObjectError> {
        let whole = name::below(&self.prefix, name)?;
        self.in_time(&whole, self.driver.read(&whole, most_bytes)).await
    }

    /// Removes every object whose name begins with `prefix` and a slash. That there is none is as good.
    ///
    /// # Errors
    /// [`ObjectError`]; some may be gone.
    pub async fn remove_under(&self, prefix: &str) -> Result<(), ObjectError> {
        let whole = name::below(&self.prefix, prefix)?;
        self.in_time(&whole, self.driver.remove_under(&whole)).await
    }

    async fn over_folder(path: std::path::PathBuf, writes: bool) -> Result<Self, ObjectError> {
        let opening = tokio::task::spawn_blocking(move || Folder::open(&path, writes));
        let folder =
            opening.await.map_err(|error| ObjectError::Failed { object: "the folder".into(), source: error.into() })??;
        Ok(Self::over(Arc::new(folder)))
    }

    async fn in_time<T>(&self, name: &str, call: impl Future<Output = Result<T, ObjectError>>) -> Result<T, ObjectError> {
        let late = |_| ObjectError::TimedOut { object: self.shown(name), limit: self.limit };
        tokio::time::timeout(self.limit, call).await.map_err(late)?
    }

    fn must_fit(&self, name: &str, length: usize) -> Result<(), ObjectError> {
        if length <= MOST_BYTES { Ok(()) } else { Err(ObjectError::TooLarge { object: self.shown(name), most: MOST_BYTES }) }
    }

    fn shown(&self, name: &str) -> String {
        let location = self.driver.location();
        if name.is_empty() { location } else { format!("{}/{name}", location.trim_end_matches('/')) }
    }
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Objects").field(&self.location()).finish()
    }
}
