//! Memory for pieces of blobs on their way out, used again: fresh memory of that size costs as much as the read that fills it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::at_once;

/// What is read at once: few turns for a blob, little memory for a client that is slow.
pub(super) const PIECE: usize = 256 << 10;
/// What is kept for the next reads, 4 MiB of memory.
const KEPT: usize = 16;
/// A piece smaller than this is not worth a whole buffer.
const SMALL: usize = PIECE / 4;

/// Buffers that wait for the next piece: a handle, cheap to clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Buffers(Arc<Mutex<Vec<Vec<u8>>>>);

impl Buffers {
    /// `length` bytes of `file` from `at` on, at most [`PIECE`], if the disk need not be waited for.
    pub(super) fn read_at_once(&self, file: &File, at: u64, length: usize) -> Option<Bytes> {
        let mut buffer = self.take(length);
        at_once::read(file, buffer.filled(), at).then(|| Bytes::from_owner(buffer))
    }

    /// `length` bytes of `file` from `at` on, at most [`PIECE`]. Blocks.
    ///
    /// # Errors
    /// What the system says; a file that ends before is one.
    pub(super) fn read(&self, file: &File, at: u64, length: usize) -> io::Result<Bytes> {
        let mut buffer = self.take(length);
        file.read_exact_at(buffer.filled(), at)?;
        Ok(Bytes::from_owner(buffer))
    }

    fn take(&self, length: usize) -> Buffer {
        let length = length.min(PIECE);
        let waiting = if length < SMALL { Some(vec![0; length]) } else { self.lock().pop() };
        Buffer { memory: waiting.unwrap_or_else(|| vec![0; PIECE]), length, home: self.clone() }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        // Nothing is left half done by whoever panicked: buffers mean nothing until they are filled.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A buffer in use; it goes back when the last of its bytes was sent.
struct Buffer {
    memory: Vec<u8>,
    length: usize,
    home: Buffers,
}

impl Buffer {
    fn filled(&mut self) -> &mut [u8] {
        &mut self.memory[..self.length]
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.memory[..self.length]
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if self.memory.len() == PIECE {
            let mut waiting = self.home.lock();
            if waiting.len() < KEPT {
                waiting.push(std::mem::take(&mut self.memory));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_and_shows_nothing_of_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, [vec![1_u8; PIECE], vec![2; SMALL]].concat()).unwrap();
        let (file, buffers) = (File::open(&path).unwrap(), Buffers::default());
        let first = buffers.read(&file, 0, PIECE).unwrap();
        assert!(first.len() == PIECE && first.iter().all(|byte| *byte == 1));
        let part = first.slice(10..20);
        drop(first);
        assert_eq!(buffers.lock().len(), 0, "a part of it is still in use");
        drop(part);
        assert_eq!(buffers.lock().len(), 1);
        let second = buffers.read(&file, PIECE as u64, SMALL).unwrap();
        assert!(second.len() == SMALL && second.iter().all(|byte| *byte == 2));
        assert_eq!(buffers.lock().len(), 0);
        let error = buffers.read(&file, PIECE as u64, SMALL + 1).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        let small = buffers.read(&file, 0, 7).unwrap();
        assert_eq!(small, [1; 7].as_slice());
    }

    #[test]
    fn few_are_kept() {
        let buffers = Buffers::default();
        let many: Vec<Buffer> = (0..KEPT + 5).map(|_| buffers.take(PIECE)).collect();
        drop(many);
        assert_eq!(buffers.lock().len(), KEPT);
    }
}
