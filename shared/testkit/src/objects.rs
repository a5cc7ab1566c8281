//! A place for objects that fails when it is told to.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use ::objects::{Created, Driver, ObjectError, Objects};
use async_trait::async_trait;
use axum::body::Bytes;

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ObjectFault {
    /// It does nothing, and says that it failed.
    Before,
    /// It takes effect, and says that it failed.
    After,
    /// A write keeps other bytes than it was given, a read brings back others than are there; and says that all is well.
    Corrupt,
    /// It takes effect and never answers.
    Stall,
    /// It takes effect as it should.
    None,
}

/// A driver in front of another one. Writes, and apart from them reads, consume the faults that were asked for, each call one, in order.
#[derive(Debug)]
pub struct FaultyObjects {
    behind: Arc<dyn Driver>,
    faults: Arc<Faults>,
}

/// What is to fail, from a test's side. What was not asked for does not fail.
#[derive(Debug, Default)]
pub struct Faults {
    writes: Mutex<VecDeque<ObjectFault>>,
    reads: Mutex<VecDeque<ObjectFault>>,
    /// Names of what was written or removed, in order.
    written: Mutex<Vec<String>>,
}

impl FaultyObjects {
    /// Puts one in front of a place.
    #[must_use]
    pub fn before(objects: Objects) -> (Objects, Arc<Faults>) {
        let faults = Arc::<Faults>::default();
        let handle = Arc::clone(&faults);
        (objects.through(move |behind| Arc::new(Self { behind, faults })), handle)
    }
}

impl Faults {
    /// Fails the next writes (creations, replacements, removals).
    pub fn fail_writes(&self, faults: impl IntoIterator<Item = ObjectFault>) {
        lock(&self.writes).extend(faults);
    }

    /// Fails the next reads.
    pub fn fail_reads(&self, faults: impl IntoIterator<Item = ObjectFault>) {
        lock(&self.reads).extend(faults);
    }

    /// Forgets the faults that were not met yet. Returns how many they were.
    pub fn clear(&self) -> usize {
        lock(&self.writes).drain(..).count() + lock(&self.reads).drain(..).count()
    }

    /// Names of all that was asked to be written or removed since the last call, in order.
    #[must_use]
    pub fn written(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.written))
    }

    fn next_write(&self, name: &str) -> ObjectFault {
        lock(&self.written).push(name.to_owned());
        lock(&self.writes).pop_front().unwrap_or(ObjectFault::None)
    }
}

#[async_trait]
impl Driver for FaultyObjects {
    fn location(&self) -> String {
        self.behind.location()
    }

    async fn create(&self, name: &str, content: Bytes) -> Result<Created, ObjectError> {
        let fault = self.faults.next_write(name);
        let content = if fault == ObjectFault::Corrupt { corrupt(&content) } else { content };
        fail(fault, name, self.behind.create(name, content)).await
    }

    async fn replace(&self, name: &str, content: Bytes) -> Result<(), ObjectError> {
        let fault = self.faults.next_write(name);
        let content = if fault == ObjectFault::Corrupt { corrupt(&content) } else { content };
        fail(fault, name, self.behind.replace(name, content)).await
    }

    async fn swap(&self, name: &str, old: Option<Bytes>, content: Bytes) -> Result<bool, ObjectError> {
        let fault = self.faults.next_write(name);
        let content = if fault == ObjectFault::Corrupt { corrupt(&content) } else { content };
        fail(fault, name, self.behind.swap(name, old, content)).await
    }

    async fn read(&self, name: &str, most: usize) -> Result<Option<Bytes>, ObjectError> {
        let fault = lock(&self.faults.reads).pop_front().unwrap_or(ObjectFault::None);
        let read = fail(fault, name, self.behind.read(name, most)).await?;
        Ok(if fault == ObjectFault::Corrupt { read.map(|bytes| corrupt(&bytes)) } else { read })
    }

    async fn remove_under(&self, prefix: &str) -> Result<(), ObjectError> {
        let fault = self.faults.next_write(prefix);
        fail(fault, prefix, self.behind.remove_under(prefix)).await
    }
}

async fn fail<T>(fault: ObjectFault, name: &str, call: impl Future<Output = Result<T, ObjectError>>) -> Result<T, ObjectError> {
    let failed = || ObjectError::Failed { object: name.to_owned(), source: io::Error::other("a fault of the test").into() };
    if fault == ObjectFault::Before {
        return Err(failed());
    }
    let done = call.await?;
    match fault {
        ObjectFault::After => Err(failed()),
        ObjectFault::Stall => std::future::pending().await,
        ObjectFault::Before | ObjectFault::Corrupt | ObjectFault::None => Ok(done),
    }
}

/// Of the same length.
fn corrupt(content: &Bytes) -> Bytes {
    let mut other = content.to_vec();
    if let Some(byte) = other.last_mut() {
        *byte ^= 1;
    }
    other.into()
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
