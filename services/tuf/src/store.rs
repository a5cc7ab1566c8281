//! Where the files of a repository lie: a directory that any web server could serve as it is.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::names::{FileName, Version};

/// Files by name.
pub(crate) trait Files {
    /// The bytes of a file; none when it does not exist. Reads one byte more than clients would, to tell what is too long.
    fn read(&self, name: &FileName) -> io::Result<Option<Vec<u8>>>;
}

/// Files that can be published.
///
/// Contract of `put`: when it returns, the bytes are durable under their final name; when it fails or the machine stops, the
/// name has its old bytes or its new ones, never a part. A name whose bytes never change is never given other bytes.
pub(crate) trait Store: Files + Send + Sync + Debug {
    /// Makes a file visible to clients.
    fn put(&self, name: &FileName, bytes: &[u8]) -> io::Result<()>;

    /// The versions of every snapshot there is.
    fn snapshots(&self) -> io::Result<Vec<Version>>;

    /// Removes a snapshot that no client asks for any more.
    fn remove_snapshot(&self, version: Version) -> io::Result<()>;
}

/// A directory on a local file system.
#[derive(Debug, Clone)]
pub(crate) struct Directory(PathBuf);

impl Directory {
    /// The repository at `path`.
    pub(crate) fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Makes the directory for a new repository.
    ///
    /// # Errors
    /// The file system's; `AlreadyExists` when something is in it.
    pub(crate) fn create(&self) -> io::Result<()> {
        fs::create_dir_all(self.0.join(TARGETS))?;
        let mut others = fs::read_dir(&self.0)?.map(|entry| entry.map(|entry| entry.file_name()));
        match others.find(|name| !matches!(name, Ok(name) if name == TARGETS)) {
            Some(Ok(_)) => Err(io::ErrorKind::AlreadyExists.into()),
            Some(Err(error)) => Err(error),
            None => Ok(()),
        }
    }

    /// The path of a file.
    pub(crate) fn path(&self, name: &FileName) -> PathBuf {
        // A `FileName` prints as one or two plain parts: nothing in it leads out of the directory.
        self.0.join(name.to_string())
    }
}

const TARGETS: &str = "targets";

/// One name for all: whoever writes holds the lock, and what a crash leaves is overwritten.
const UNFINISHED: &str = ".publishing";

impl Files for Directory {
    fn read(&self, name: &FileName) -> io::Result<Option<Vec<u8>>> {
        let file = match File::open(self.path(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other?,
        };
        let mut bytes = Vec::new();
        file.take(name.limit() as u64 + 1).read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }
}

impl Store for Directory {
    fn put(&self, name: &FileName, bytes: &[u8]) -> io::Result<()> {
        if name.is_immutable()
            && let Some(there) = self.read(name)?
        {
            return if there == bytes { Ok(()) } else { Err(io::ErrorKind::AlreadyExists.into()) };
        }
        write_durably(&self.0.join(UNFINISHED), &self.path(name), bytes, PUBLIC)
    }

    fn snapshots(&self) -> io::Result<Vec<Version>> {
        let mut versions = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            if let Some(FileName::Snapshot(version)) = entry?.file_name().to_str().and_then(FileName::parse) {
                versions.push(version);
            }
        }
        Ok(versions)
    }

    fn remove_snapshot(&self, version: Version) -> io::Result<()> {
        fs::remove_file(self.path(&FileName::Snapshot(version)))
    }
}

/// Files that would be published, over those that are: what clients would see.
#[derive(Debug)]
pub(crate) struct Staged<'a> {
    below: &'a dyn Store,
    files: BTreeMap<FileName, Vec<u8>>,
}

impl<'a> Staged<'a> {
    /// Nothing staged yet.
    pub(crate) fn over(below: &'a dyn Store) -> Self {
        Self { below, files: BTreeMap::new() }
    }

    /// Adds a file.
    pub(crate) fn add(&mut self, name: FileName, bytes: Vec<u8>) {
        self.files.insert(name, bytes);
    }

    /// Publishes every file, in the order of [`FileName`]: a crash between any two leaves a repository that clients accept,
    /// the old one or (from the last file on) the new one.
    pub(crate) fn publish(self) -> Result<(), (FileName, io::Error)> {
        for (name, bytes) in self.files {
            self.below.put(&name, &bytes).map_err(|error| (name, error))?;
        }
        Ok(())
    }
}

impl Files for Staged<'_> {
    fn read(&self, name: &FileName) -> io::Result<Option<Vec<u8>>> {
        match self.files.get(name) {
            Some(bytes) => Ok(Some(bytes.clone())),
            None => self.below.read(name),
        }
    }
}

/// Everyone may read what everyone may download.
pub(crate) const PUBLIC: u32 = 0o644;

/// For what is nobody else's business.
pub(crate) const PRIVATE: u32 = 0o600;

/// Writes `bytes` to `unfinished`, makes them durable, and gives them their `name`, which becomes durable too. Both must be
/// on one file system.
pub(crate) fn write_durably(unfinished: &Path, name: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(unfinished)?;
    // Neither the umask nor a file that a crash left decides who may read it.
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(unfinished, name)?;
    let folder = name.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> (tempfile::TempDir, Directory) {
        let folder = tempfile::tempdir().unwrap();
        let directory = Directory::new(folder.path().join("tuf"));
        directory.create().unwrap();
        (folder, directory)
    }

    #[test]
    fn versioned_files_never_change_and_the_others_do() {
        let (_folder, directory) = directory();
        let snapshot = FileName::Snapshot(Version::FIRST);
        directory.put(&snapshot, b"a").unwrap();
        directory.put(&snapshot, b"a").unwrap();
        assert_eq!(directory.put(&snapshot, b"b").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(directory.read(&snapshot).unwrap().unwrap(), b"a");
        directory.put(&FileName::Timestamp, b"a").unwrap();
        directory.put(&FileName::Timestamp, b"b").unwrap();
        assert_eq!(directory.read(&FileName::Timestamp).unwrap().unwrap(), b"b");
        assert_eq!(directory.read(&FileName::LatestRoot).unwrap(), None);
        assert_eq!(directory.snapshots().unwrap(), [Version::FIRST]);
    }

    #[test]
    fn a_repository_is_never_created_over_another() {
        let (_folder, directory) = directory();
        directory.create().unwrap();
        directory.put(&FileName::Timestamp, b"a").unwrap();
        assert_eq!(directory.create().unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn what_a_crash_left_is_overwritten_and_no_file_is_longer_than_clients_read() {
        let (_folder, directory) = directory();
        fs::write(directory.0.join(UNFINISHED), b"half of something longer").unwrap();
        directory.put(&FileName::Timestamp, b"whole").unwrap();
        assert_eq!(directory.read(&FileName::Timestamp).unwrap().unwrap(), b"whole");
        let limit = FileName::Timestamp.limit();
        directory.put(&FileName::Timestamp, &vec![b' '; limit * 2]).unwrap();
        assert_eq!(directory.read(&FileName::Timestamp).unwrap().unwrap().len(), limit + 1);
    }
}
