//! A folder of files.

use std::collections::HashSet;
use std::error::Error;
use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use object_store::local::LocalFileSystem;
use object_store::{ObjectStore as _, PutMode, path::Path as ObjectPath};

use crate::{Created, Driver, ObjectError};

/// Objects as files. What it adds to the library's driver, which writes a file beside its place (`NAME#1`), syncs it, links or renames it
/// and syncs its folder:
///
/// - What is *found* is made durable too: another process may have written it and died before it synced the folder, or the folders above.
/// - What a crash leaves beside a place goes when the place is next written.
/// - A disk that once failed to sync is not believed again: Linux reports lost pages once, and then calls the rest clean.
#[derive(Debug, Clone)]
pub(crate) struct Folder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    store: LocalFileSystem,
    /// Folders whose own entries this process has seen synced; forgotten when something is removed.
    synced: Mutex<HashSet<PathBuf>>,
    doubted: AtomicBool,
}

/// More leftovers beside one place than crashes leave.
const MOST_LEFTOVERS: u32 = 64;
/// A file on its way may be taken for a leftover by another process, which has then just put an object of that name in place.
const ATTEMPTS: u32 = 3;

impl Folder {
    /// Takes a folder that is there, and tries what will be needed of it: files, hard links, syncs.
    ///
    /// # Errors
    /// [`ObjectError::Folder`].
    pub(crate) fn open(path: &Path, writes: bool) -> Result<Self, ObjectError> {
        let failed = |source| ObjectError::Folder { path: path.to_owned(), source };
        if !fs::metadata(path).map_err(failed)?.is_dir() {
            return Err(failed(ErrorKind::NotADirectory.into()));
        }
        let path = fs::canonicalize(path).map_err(failed)?;
        if writes {
            try_out(&path).map_err(failed)?;
        }
        let store = LocalFileSystem::new_with_prefix(&path).map_err(|error| failed(io::Error::other(error)))?.with_fsync(true);
        let doubted = AtomicBool::new(false);
        Ok(Self(Arc::new(Inner { path, store, synced: Mutex::default(), doubted })))
    }

    /// Waits until no other process swaps anything. The system lets go of the lock when this process ends, however it ends.
    async fn lock_swaps(&self) -> io::Result<File> {
        const LOCK: &str = ".swaps";
        const PAUSE: Duration = Duration::from_millis(10);
        let file = File::options().create(true).truncate(false).write(true).open(self.0.path.join(LOCK))?;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) => tokio::time::sleep(PAUSE).await,
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    /// Writes a file and everything that its durability takes.
    async fn put(&self, name: &str, content: Bytes, mode: PutMode) -> Result<Created, ObjectError> {
        let place = ObjectPath::from(name);
        let mut attempt = 1;
        let created = loop {
            self.0.must_be_believed()?;
            if mode == PutMode::Create && self.0.path.join(name).is_file() {
                break Created::There;
            }
            match self.0.store.put_opts(&place, content.clone().into(), mode.clone().into()).await {
                Ok(_) => break Created::New,
                Err(object_store::Error::AlreadyExists { .. }) => break Created::There,
                Err(error) if attempt < ATTEMPTS && is_gone(&error) => attempt += 1,
                Err(error) => return Err(self.0.write_failed(name, error)),
            }
        };
        let (this, owned) = (self.clone(), name.to_owned());
        let settled = blocking(move || this.0.settle(&owned, created)).await;
        settled.map(|()| created).map_err(|error| self.0.write_failed(name, error))
    }
}

#[async_trait]
impl Driver for Folder {
    fn location(&self) -> String {
        self.0.path.display().to_string()
    }

    async fn create(&self, name: &str, content: Bytes) -> Result<Created, ObjectError> {
        self.put(name, content, PutMode::Create).await
    }

    async fn replace(&self, name: &str, content: Bytes) -> Result<(), ObjectError> {
        self.put(name, content, PutMode::Overwrite).await.map(|_| ())
    }

    async fn swap(&self, name: &str, old: Option<Bytes>, content: Bytes) -> Result<bool, ObjectError> {
        // For as long as this lives no other process compares.
        let _alone = self.lock_swaps().await.map_err(|error| self.0.write_failed(name, error))?;
        let Some(old) = old else { return Ok(self.create(name, content).await? == Created::New) };
        match self.read(name, old.len()).await {
            Ok(Some(there)) if there == old => self.replace(name, content).await.map(|()| true),
            Ok(_) | Err(ObjectError::TooLarge { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn read(&self, name: &str, most: usize) -> Result<Option<Bytes>, ObjectError> {
        let path = self.0.path.join(name);
        let failed = |error| ObjectError::Failed { object: self.0.shown(name), source: Box::new(error) };
        match blocking(move || read(&path, most)).await.map_err(failed)? {
            Some(bytes) if bytes.len() > most => Err(ObjectError::TooLarge { object: self.0.shown(name), most }),
            Some(bytes) => Ok(Some(bytes.into())),
            None => Ok(None),
        }
    }

    async fn remove_under(&self, prefix: &str) -> Result<(), ObjectError> {
        let this = self.clone();
        let path = self.0.path.join(prefix);
        let removed = blocking(move || {
            lock(&this.0.synced).clear();
            match fs::remove_dir_all(path) {
                // A file of that name is an object of its own, and there is nothing under it.
                Err(error) if !matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Err(error),
                _ => Ok(()),
            }
        });
        removed.await.map_err(|error| self.0.write_failed(prefix, error))
    }
}

impl Inner {
    /// Makes durable what has just been put in place or was found there, and clears away what crashes left beside it.
    fn settle(&self, name: &str, created: Created) -> io::Result<()> {
        let path = self.path.join(name);
        if created == Created::There {
            File::open(&path)?.sync_all()?;
            File::open(path.parent().unwrap_or(&self.path))?.sync_all()?;
        }
        // The folder itself was synced with the file; those above it hold its name, and theirs.
        for above in path.ancestors().skip(2).take_while(|above| above.starts_with(&self.path)) {
            if !lock(&self.synced).contains(above) {
                File::open(above)?.sync_all()?;
                lock(&self.synced).insert(above.to_owned());
            }
        }
        for number in 1..=MOST_LEFTOVERS {
            let mut leftover = path.clone().into_os_string();
            leftover.push(format!("#{number}"));
            if fs::remove_file(leftover).is_err() {
                break;
            }
        }
        Ok(())
    }

    fn must_be_believed(&self) -> Result<(), ObjectError> {
        let location = || self.path.display().to_string();
        if self.doubted.load(Ordering::SeqCst) { Err(ObjectError::Doubted { location: location() }) } else { Ok(()) }
    }

    fn write_failed(&self, name: &str, error: impl Error + Send + Sync + 'static) -> ObjectError {
        /// The disk could not keep it.
        const EIO: i32 = 5;
        if io_error(&error).is_some_and(|error| error.raw_os_error() == Some(EIO)) {
            self.doubted.store(true, Ordering::SeqCst);
        }
        ObjectError::Failed { object: self.shown(name), source: Box::new(error) }
    }

    fn shown(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }
}

/// Files that cannot be linked cannot be created exactly once.
fn try_out(path: &Path) -> io::Result<()> {
    let scratch = tempfile::Builder::new().prefix(".probe-").tempdir_in(path)?;
    let (one, two) = (scratch.path().join("1"), scratch.path().join("2"));
    let file = File::create_new(&one)?;
    file.sync_all()?;
    fs::hard_link(&one, &two)?;
    match fs::hard_link(&one, &two) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => scratch.close(),
        Err(error) => Err(error),
        Ok(()) => Err(io::Error::other("a hard link replaced a file")),
    }
}

/// At most one byte more than `most`; none where there is no file.
fn read(path: &Path, most: usize) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        // A name of which a longer one is the beginning, or that begins with another.
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
        file => file?,
    };
    let metadata = file.metadata()?;
    if metadata.is_dir() {
        return Ok(None);
    }
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len().min(limit)).unwrap_or_default());
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

fn is_gone(error: &object_store::Error) -> bool {
    io_error(error).is_some_and(|error| error.kind() == ErrorKind::NotFound)
}

/// What the system said, behind whatever says it.
fn io_error<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a io::Error> {
    std::iter::successors(Some(error), |error| Error::source(*error)).find_map(|error| error.downcast_ref())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
