//! What needs no disk is done at once. What was pushed or read lately is in the system's memory, and handing a read to a thread that may
//! wait, and back, costs more than the read.
//!
//! Where the disk would be waited for, or the system cannot say whether it would, nothing is done: the caller then does the same on a
//! thread that may wait, which also finds out what is wrong if something is.

use std::fs::File;
use std::path::Path;

/// Opens a file, if its name is known without asking the disk.
#[cfg(target_os = "linux")]
pub(super) fn open(path: &Path) -> Option<File> {
    use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};

    let opened = openat2(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::CACHED);
    opened.ok().map(File::from)
}

/// Fills `buffer` with what `file` has from `at` on, if all of it is in memory. If not, what is in the buffer means nothing.
#[cfg(target_os = "linux")]
pub(super) fn read(file: &File, mut buffer: &mut [u8], mut at: u64) -> bool {
    use rustix::io::{Errno, IoSliceMut, ReadWriteFlags, preadv2};

    while !buffer.is_empty() {
        match preadv2(file, &mut [IoSliceMut::new(buffer)], at, ReadWriteFlags::NOWAIT) {
            Ok(0) => return false,
            Ok(count) => {
                buffer = &mut buffer[count..];
                at += count as u64;
            }
            Err(Errno::INTR) => {}
            Err(_) => return false,
        }
    }
    true
}

#[cfg(not(target_os = "linux"))]
pub(super) fn open(_path: &Path) -> Option<File> {
    None
}

#[cfg(not(target_os = "linux"))]
pub(super) fn read(_file: &File, _buffer: &mut [u8], _at: u64) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether it can be done at once is for the system to say; what is done must be right.
    #[test]
    fn what_is_read_at_once_is_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let content: Vec<u8> = (0..100_000_u32).map(|number| (number % 251) as u8).collect();
        std::fs::write(&path, &content).unwrap();
        let file = open(&path).unwrap_or_else(|| File::open(&path).unwrap());
        let mut buffer = vec![0; 70_000];
        assert!(!read(&file, &mut buffer, 30_001), "there is not as much");
        if read(&file, &mut buffer, 30_000) {
            assert_eq!(buffer, content[30_000..]);
        }
        assert!(read(&file, &mut [], 0));
        assert!(open(&folder.path().join("another")).is_none());
    }
}
