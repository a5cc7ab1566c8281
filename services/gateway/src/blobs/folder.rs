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

use oci::{Algorithm, Digest};

use super::{BlobFolderError, UploadId};
use crate::faults::{Faults, Step};

/// The folder of all blobs.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
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
        Self { root: root.to_owned(), faults: Faults::default() }.complete().map_err(failed)?;
        // Its own name is durable with the folder it is in.
        let parent = root.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        sync_folder(parent).map_err(failed)
    }

    /// Opens what [`Folder::create`] made, and completes it: a backup may have left out folders without a file.
    pub(super) fn open(root: &Path) -> Result<Self, BlobFolderError> {
        if !root.is_dir() {
            return Err(BlobFolderError::Missing { path: root.to_owned() });
        }
        let folder = Self { root: root.to_owned(), faults: Faults::default() };
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
    /// 2. It is renamed, over the same bytes if the blob was there. A crash before the next step leaves the old name or the new.
    /// 3. The new name reaches the disk. A crash after: a blob that no repository shows, until it is pushed again.
    ///
    /// Only then may a row say that it is there. A file that failed to reach the disk must be given up: the system has forgotten
    /// which bytes it failed to write, and would report success for them the next time.
    pub(super) fn publish(&self, from: &Path, file: &File, digest: &Digest) -> io::Result<()> {
        let to = self.blob(digest);
        self.faults.around(Step::Sync, || file.sync_all())?;
        self.faults.around(Step::Rename, || fs::rename(from, &to))?;
        self.faults.around(Step::SyncFolder, || sync_folder(to.parent().expect("a blob is in a folder")))
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

    /// Every folder that a file may be renamed into exists and is durable before the first one is.
    fn complete(&self) -> io::Result<()> {
        for name in [UPLOADS, INCOMING] {
            make_folder(&self.root.join(name))?;
        }
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            let all = self.root.join(algorithm.name());
            make_folder(&all)?;
            let mut made = false;
            for first in 0..=u8::MAX {
                made |= make_folder(&all.join(hex::encode([first])))?;
            }
            if made {
                sync_folder(&all)?;
            }
        }
        sync_folder(&self.root)
    }
}

const UPLOADS: &str = "uploads";
const INCOMING: &str = "incoming";

/// Whether it had to be made.
fn make_folder(path: &Path) -> io::Result<bool> {
    match fs::create_dir(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// The names in a folder are durable once the folder is synced.
fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
