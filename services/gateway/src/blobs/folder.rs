//! Where the files are, and the few things that are done to them. All of it blocks.
//!
//! ```text
//! blobs/  sha256/00…ff/<hex>   sha512/00…ff/<hex>   under its digest: whole, verified, never changed
//!         uploads/<uuid>                            what clients have sent so far
//!         incoming/<uuid>                           what is being fetched from elsewhere; gone at the next start
//! ```

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use oci::{Algorithm, Digest};

use super::{BlobFolderError, UploadId};
use crate::faults::{Faults, Step};

/// The folder of all blobs.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    /// Folders of blobs whose own names are known to be on the disk.
    durable: Mutex<HashSet<PathBuf>>,
    pub(super) faults: Faults,
}

impl Folder {
    /// Makes it, empty.
    pub(super) fn create(root: &Path) -> Result<(), BlobFolderError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AlreadyExists => BlobFolderError::Exists { path: root.to_owned() },
            _ => BlobFolderError::Failed { path: root.to_owned(), source },
        };
        fs::create_dir(root).map_err(failed)?;
        Self::at(root).complete().map_err(failed)?;
        // Its own name is durable with the folder it is in.
        let parent = root.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        sync_folder(parent).map_err(failed)
    }

    /// Opens what [`Folder::create`] made, and completes it: a backup may have left out folders without a file.
    pub(super) fn open(root: &Path) -> Result<Self, BlobFolderError> {
        if !root.is_dir() {
            return Err(BlobFolderError::Missing { path: root.to_owned() });
        }
        let folder = Self::at(root);
        match folder.complete() {
            Ok(()) => Ok(folder),
            Err(source) => Err(BlobFolderError::Failed { path: root.to_owned(), source }),
        }
    }

    /// Where a blob is, whether it is there or not.
    pub(super) fn blob(&self, digest: &Digest) -> PathBuf {
        // A digest is nothing but its algorithm and hexadecimal digits.
        let (algorithm, hex) = (digest.algorithm().name(), digest.hex());
        self.root.join(algorithm).join(&hex[..2]).join(hex)
    }

    /// Where the bytes of an upload are.
    pub(super) fn upload(&self, id: &UploadId) -> PathBuf {
        self.root.join(UPLOADS).join(id.as_str())
    }

    /// Where bytes that come from elsewhere are until they are verified.
    pub(super) fn incoming(&self) -> PathBuf {
        self.root.join(INCOMING).join(UploadId::random().as_str())
    }

    /// A file to write to, made if it is not there.
    pub(super) fn writable(&self, path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        self.faults.around(Step::Create, || options.open(path))
    }

    /// Gives the file at `from`, whose bytes are known to be those of `digest`, its name for ever.
    ///
    /// 1. Its bytes reach the disk. A crash before: a file that nobody takes for a blob.
    /// 2. The folder that it goes to is there, and durable itself: else a blob could be lost with its folder.
    /// 3. It is renamed, over the same bytes if the blob was there. A crash before the next step leaves the old name or the new.
    /// 4. The new name reaches the disk. A crash after: a blob that no repository shows, until it is pushed again.
    ///
    /// Only then may a row say that it is there. A file that failed to reach the disk must be given up: the system has forgotten
    /// which bytes it failed to write, and would report success for them the next time.
    pub(super) fn publish(&self, from: &Path, file: &File, digest: &Digest) -> io::Result<()> {
        let to = self.blob(digest);
        let folder = to.parent().expect("a blob is in a folder");
        self.faults.around(Step::Sync, || file.sync_all())?;
        self.make_durable(folder)?;
        self.faults.around(Step::Rename, || fs::rename(from, &to))?;
        self.faults.around(Step::SyncFolder, || sync_folder(folder))
    }

    /// Removes a file; one that is not there is removed.
    pub(super) fn remove(&self, path: &Path) -> io::Result<()> {
        let gone = |error: &io::Error| error.kind() == io::ErrorKind::NotFound;
        self.faults.around(Step::Remove, || fs::remove_file(path).or_else(|error| if gone(&error) { Ok(()) } else { Err(error) }))
    }

    /// Removes what nobody will ask for again: everything that was being fetched, and files of uploads that are not in `known`.
    pub(super) fn sweep(&self, known: &HashSet<OsString>) -> io::Result<u64> {
        let mut removed = 0;
        for folder in [INCOMING, UPLOADS] {
            for entry in fs::read_dir(self.root.join(folder))? {
                let entry = entry?;
                if folder == INCOMING || !known.contains(&entry.file_name()) {
                    fs::remove_file(entry.path())?;
                    removed += 1;
                }
            }
        }
        Ok(removed)
    }

    fn at(root: &Path) -> Self {
        Self { root: root.to_owned(), durable: Mutex::default(), faults: Faults::default() }
    }

    /// The folders that are always there, and the names of all folders on the disk: of what was made just before a crash too.
    fn complete(&self) -> io::Result<()> {
        for name in [UPLOADS, INCOMING, Algorithm::Sha256.name(), Algorithm::Sha512.name()] {
            make_folder(&self.root.join(name))?;
        }
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            sync_folder(&self.root.join(algorithm.name()))?;
            for entry in fs::read_dir(self.root.join(algorithm.name()))? {
                self.durable().insert(entry?.path());
            }
        }
        sync_folder(&self.root)
    }

    fn make_durable(&self, folder: &Path) -> io::Result<()> {
        if self.durable().contains(folder) {
            return Ok(());
        }
        self.faults.around(Step::MakeFolder, || make_folder(folder))?;
        // Also when another thread has made it: whether that one has synced it yet is not known.
        sync_folder(folder.parent().expect("a folder of blobs is in that of its algorithm"))?;
        self.durable().insert(folder.to_owned());
        Ok(())
    }

    fn durable(&self) -> MutexGuard<'_, HashSet<PathBuf>> {
        self.durable.lock().expect("no panic while the lock is held")
    }
}

const UPLOADS: &str = "uploads";
const INCOMING: &str = "incoming";

fn make_folder(path: &Path) -> io::Result<()> {
    fs::create_dir(path).or_else(|error| if error.kind() == io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) })
}

/// The names in a folder are durable once the folder is synced.
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
