//! The seam between what a caller is promised and what keeps the bytes.

use std::fmt::Debug;

use async_trait::async_trait;
use bytes::Bytes;

use crate::ObjectError;

/// Something that keeps objects.
///
/// - **Durable** when [`create`](Self::create) or [`replace`](Self::replace) return, whether they wrote or found: a power cut does not
///   take back what was answered.
/// - **Whole or not at all**: nobody ever reads half an object, also not after a crash.
/// - **An error says nothing** about whether it took effect. Both calls may be repeated, and the repetition finds out.
/// - **Shared**: any number of processes may call at once. Of several that create one name exactly one writes.
/// - **Nothing is believed**: that the bytes are right is for the caller to check.
///
/// Names have been checked. A driver need not bound its time: the caller does, and drops the call.
#[async_trait]
pub trait Driver: Debug + Send + Sync {
    /// Where this is, for people: without secrets.
    fn location(&self) -> String;

    /// Keeps an object unless there is one of this name already.
    ///
    /// # Errors
    /// [`ObjectError`]; the object may be there all the same.
    async fn create(&self, name: &str, content: Bytes) -> Result<Created, ObjectError>;

    /// Keeps an object in place of what has this name. There is one of the two at every moment.
    ///
    /// # Errors
    /// [`ObjectError`]; either may be there.
    async fn replace(&self, name: &str, content: Bytes) -> Result<(), ObjectError>;

    /// Keeps an object in place of `old`, if that is what has this name still; none stands for no object. Otherwise nothing changes, and
    /// the answer is false. Of several that would follow one object at most one does.
    ///
    /// What is written here compares and then replaces, which is enough for a driver with one writer.
    ///
    /// # Errors
    /// [`ObjectError`]; either may be there.
    async fn swap(&self, name: &str, old: Option<Bytes>, content: Bytes) -> Result<bool, ObjectError> {
        let Some(old) = old else { return Ok(self.create(name, content).await? == Created::New) };
        match self.read(name, old.len()).await {
            Ok(Some(there)) if there == old => self.replace(name, content).await.map(|()| true),
            Ok(_) | Err(ObjectError::TooLarge { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// An object, or none if there is none.
    ///
    /// # Errors
    /// [`ObjectError::TooLarge`] beyond `most` bytes, of which no more are held; otherwise what went wrong. Only what is known to be
    /// absent is absent.
    async fn read(&self, name: &str, most: usize) -> Result<Option<Bytes>, ObjectError>;

    /// Removes every object whose name begins with `prefix` and a slash, and what crashes have left behind there. That it stays removed
    /// after a power cut is not promised.
    ///
    /// # Errors
    /// [`ObjectError`]; some may be gone.
    async fn remove_under(&self, prefix: &str) -> Result<(), ObjectError>;
}

/// What became of [`Driver::create`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// There was none; now there is this one.
    New,
    /// There is one, perhaps another.
    There,
}
