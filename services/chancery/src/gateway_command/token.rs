//! The promotion token: a secret that is made once and kept.

use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// Random bytes in a token; it is written as twice as many hex digits.
const BYTES: usize = 32;

/// Makes `path` unless it is there; on disk when this returns. Says whether it was made.
///
/// # Errors
/// The folder cannot be written, or the random source failed.
pub(crate) fn create(path: &Path) -> io::Result<bool> {
    if path.symlink_metadata().is_ok() {
        return Ok(false);
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut octets = [0; BYTES];
    aws_lc_rs::rand::fill(&mut octets).map_err(|_| io::Error::other("the random source failed"))?;
    let mut file = tempfile::Builder::new().permissions(Permissions::from_mode(0o600)).tempfile_in(folder)?;
    writeln!(file, "{}", hex::encode(octets))?;
    file.as_file().sync_all()?;
    // Not over a token that somebody else made meanwhile: it may be in use already.
    file.persist_noclobber(path).map_err(|error| error.error)?;
    File::open(folder)?.sync_all()?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_once_for_the_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("promotion.token");
        assert!(create(&path).unwrap());
        let token = std::fs::read_to_string(&path).unwrap();
        assert_eq!((token.len(), token.ends_with('\n')), (2 * BYTES + 1, true));
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!create(&path).unwrap());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), token);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "no leftovers");
        let other = folder.path().join("other");
        create(&other).unwrap();
        assert_ne!(std::fs::read_to_string(&other).unwrap(), token);
    }
}
