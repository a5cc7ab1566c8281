//! Writing a secret once.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use super::KeyFileError;

/// Creates `path` with `content`, mode 0600, and returns when both the file and its name are durable.
///
/// 1. create, failing if anything has that name: no link to follow, no key to overwrite;
/// 2. write and fsync the file; a failure removes it, so that a second attempt is not refused by its own remains;
/// 3. fsync the directory. A crash before this may lose the file, never leave half of it under a name that counts, because
///    `init` renames its whole directory only when everything is written.
pub(super) fn create(path: &Path, content: &[u8]) -> Result<(), KeyFileError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => KeyFileError::Exists { path: path.to_owned() },
        _ => KeyFileError::Write { path: path.to_owned(), source },
    };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    if let Err(error) = file.write_all(content).and_then(|()| file.sync_all()) {
        drop(file);
        // The error that matters is the first one.
        let _ = fs::remove_file(path);
        return Err(failed(error));
    }
    sync_directory(path).map_err(failed)
}

fn sync_directory(path: &Path) -> io::Result<()> {
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    File::open(parent)?.sync_all()
}
