//! The newest published head, kept outside the database: what a restored older database is found out by.
//!
//! # Order and cost
//! The sequencer writes the record after a commit and before anybody sees the new head. So whatever a reader has seen is in the record,
//! and the record is never ahead of a database that was not rolled back. It is one write of about a kilobyte to an open file. No answer
//! waits for the sync that follows at once on another thread, or when the one before it is [`PAUSE`] ago: it would make the wait of each
//! batch twice as long, for a danger that needs two accidents.
//!
//! # What a crash leaves
//! - Of the process, at any point: the record as it was written, at most one batch behind the database.
//! - Of the machine: a record that lacks what was published in the last [`PAUSE`] and the time of one sync. The database itself lost
//!   nothing that was answered. Only who then restores, instead of that database, a backup that was made in those milliseconds is not
//!   found out.
//! - In the middle of a write: the other of two slots is whole. They are written in turn, each with its digest.
//!
//! A frozen log is recorded as such. Its last head may be over a tree that has another head too, from before it was frozen: a database
//! that went back to that one would take entries again, and is found out like one that lacks entries.
//!
//! # What it cannot see
//! A record that was restored together with the database, from the same backup: keep it out of that backup, or on another disk. Several
//! replicas on one database have one each; every one of them knows what it has published or taken over. Those on one machine with the same
//! configuration take the first file that no other has: `NAME`, `NAME.process-2` and so on.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use merkle::{Hash, sha256};
use note::MAX_NOTE_BYTES;

/// Between two syncs while heads are published.
const PAUSE: Duration = Duration::from_millis(20);

/// How many processes on one machine may keep records of one name.
const PROCESSES: u32 = 64;

/// Where the second slot begins: more than the largest note. What no note fills takes no room on disk.
const SLOT: u64 = 128 << 10;

/// SHA-256 over what follows, then the length of the note in four bytes.
const HEADER: usize = Hash::LEN + 4;

/// Set in the length of a head after which there is no other.
const LAST: u32 = 1 << 31;

/// A head as it is in the record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kept {
    /// The signed head.
    pub(crate) note: String,
    /// Whether the log is frozen with it.
    pub(crate) last: bool,
}

/// The file with the newest published head; this process alone has it open.
#[derive(Debug)]
pub(crate) struct HeadRecord {
    path: PathBuf,
    file: File,
    /// The same file opened again, without the lock: a sync under way must not keep whoever opens the record next from it.
    unlocked: Arc<File>,
    /// The slot that holds the older head, or none: written next.
    next: u64,
    sync: Arc<AtomicU8>,
}

/// What there is to sync: nothing; nothing but what a sync under way takes along; more than that.
const DONE: u8 = 0;
const UNDER_WAY: u8 = 1;
const MORE: u8 = 2;

/// The record cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file cannot be opened, read or written.
    #[error("the record of published heads cannot be used")]
    File(#[from] io::Error),
    /// Another process has it.
    #[error("another process keeps its record of published heads there")]
    InUse,
    /// There is something in it, and no whole head.
    #[error("the record of published heads is damaged")]
    Damaged,
}

impl HeadRecord {
    /// As [`HeadRecord::open`], of the first of the files of this name that no other process has.
    pub(crate) fn open_free(path: &Path) -> Result<(Self, Vec<Kept>), RecordError> {
        let mut opened = Self::files(path).map(|file| Self::open(&file));
        opened.find(|opened| !matches!(opened, Err(RecordError::InUse))).unwrap_or(Err(RecordError::InUse))
    }

    /// The files that processes on one machine keep their records of this name in.
    pub(crate) fn files(path: &Path) -> impl Iterator<Item = PathBuf> {
        let later = (2..=PROCESSES).map(|process| path.with_added_extension(format!("process-{process}")));
        std::iter::once(path.to_owned()).chain(later)
    }

    /// Opens the file, or begins an empty one, and reads the heads that are whole in it: none in a new one, one or two later.
    pub(crate) fn open(path: &Path) -> Result<(Self, Vec<Kept>), RecordError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(RecordError::InUse),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let slots = read_slots(&file)?;
        let next = u64::from(slots[0].is_some() && slots[1].is_none());
        let unlocked = Arc::new(OpenOptions::new().write(true).open(path)?);
        let record = Self { path: path.to_owned(), file, unlocked, next, sync: Arc::new(AtomicU8::new(DONE)) };
        Ok((record, slots.into_iter().flatten().collect()))
    }

    /// The heads that are whole in a file, whoever has it open.
    pub(crate) fn peek(path: &Path) -> Result<Vec<Kept>, RecordError> {
        Ok(read_slots(&File::open(path)?)?.into_iter().flatten().collect())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a head over the older one of two; `last` says whether the log is frozen with it.
    ///
    /// A few microseconds, into the page cache: cheaper than handing it to another thread.
    pub(crate) fn write(&mut self, note: &str, last: bool) -> io::Result<()> {
        let length = u32::try_from(note.len()).ok().filter(|length| *length as usize <= MAX_NOTE_BYTES);
        let length = length.ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "the head is longer than any note"))?;
        let length = if last { length | LAST } else { length };
        let body = [&length.to_be_bytes()[..], note.as_bytes()].concat();
        let slot = [sha256(&body).as_ref(), &body].concat();
        self.file.write_all_at(&slot, self.next * SLOT)?;
        self.next = 1 - self.next;
        self.sync_soon();
        Ok(())
    }

    /// Syncs what was written; for the beginning and the end.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Has what was written synced, by the task that syncs already or by one that begins.
    fn sync_soon(&self) {
        if self.sync.swap(MORE, Ordering::AcqRel) != DONE {
            return;
        }
        let (file, path, state) = (Arc::clone(&self.unlocked), self.path.clone(), Arc::clone(&self.sync));
        tokio::spawn(async move {
            loop {
                // What is written from here on may not be in this sync, and is in the next.
                state.store(UNDER_WAY, Ordering::Release);
                let file = Arc::clone(&file);
                if let Ok(Err(error)) = tokio::task::spawn_blocking(move || file.sync_data()).await {
                    tracing::warn!(record = %path.display(), %error, "the record of published heads could not be synced");
                }
                tokio::time::sleep(PAUSE).await;
                if state.compare_exchange(UNDER_WAY, DONE, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                    return;
                }
            }
        });
    }
}

fn read_slots(file: &File) -> Result<[Option<Kept>; 2], RecordError> {
    let slots = [read_slot(file, 0)?, read_slot(file, 1)?];
    // The first write of a new file can be cut off; then nothing of that head was shown to anybody.
    let torn_first = slots.iter().all(Option::is_none) && file.metadata()?.len() > SLOT;
    if torn_first { Err(RecordError::Damaged) } else { Ok(slots) }
}

/// The head in a slot; none when there is no whole one.
fn read_slot(file: &File, slot: u64) -> io::Result<Option<Kept>> {
    let at = slot * SLOT;
    let mut header = [0; HEADER];
    if !read_whole(file, &mut header, at)? {
        return Ok(None);
    }
    let (digest, length) = header.split_at(Hash::LEN);
    let length = u32::from_be_bytes(length.try_into().expect("four bytes"));
    let (last, length) = (length & LAST != 0, (length & !LAST) as usize);
    if length > MAX_NOTE_BYTES {
        return Ok(None);
    }
    let mut body = header[Hash::LEN..].to_vec();
    body.resize(4 + length, 0);
    if !read_whole(file, &mut body[4..], at + HEADER as u64)? || sha256(&body).as_ref() != digest {
        return Ok(None);
    }
    Ok(String::from_utf8(body.split_off(4)).ok().map(|note| Kept { note, last }))
}

fn read_whole(file: &File, into: &mut [u8], at: u64) -> io::Result<bool> {
    match file.read_exact_at(into, at) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(false),
        outcome => outcome.map(|()| true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reopened(path: &Path) -> Vec<String> {
        HeadRecord::open(path).unwrap().1.into_iter().map(|kept| kept.note).collect()
    }

    #[tokio::test]
    async fn the_last_two_heads_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("heads/rekor");
        let (mut record, found) = HeadRecord::open(&path).unwrap();
        assert_eq!(found, []);
        assert!(matches!(HeadRecord::open(&path), Err(RecordError::InUse)));
        record.write("one", false).unwrap();
        record.sync().unwrap();
        drop(record);
        assert_eq!(reopened(&path), ["one"]);
        let (mut record, _) = HeadRecord::open(&path).unwrap();
        for head in ["two", "three and more", "4"] {
            record.write(head, false).unwrap();
        }
        drop(record);
        let mut found = reopened(&path);
        found.sort();
        assert_eq!(found, ["4", "three and more"]);
    }

    #[tokio::test]
    async fn that_the_log_is_frozen_is_kept_with_its_head() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("heads");
        let (mut record, _) = HeadRecord::open(&path).unwrap();
        record.write("head", false).unwrap();
        record.write("head", true).unwrap();
        drop(record);
        let kept = |last| Kept { note: "head".to_owned(), last };
        assert_eq!(HeadRecord::open(&path).unwrap().1, [kept(false), kept(true)]);
        // The mark is covered by the digest.
        let mut changed = std::fs::read(&path).unwrap();
        changed[SLOT as usize + Hash::LEN] ^= 0x80;
        std::fs::write(&path, &changed).unwrap();
        assert_eq!(HeadRecord::open(&path).unwrap().1, [kept(false)]);
    }

    #[tokio::test]
    async fn each_process_takes_a_file_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rekor-v2.head");
        let (first, _) = HeadRecord::open_free(&path).unwrap();
        let (second, _) = HeadRecord::open_free(&path).unwrap();
        assert_eq!(first.path(), path);
        assert_eq!(second.path(), folder.path().join("rekor-v2.head.process-2"));
        drop(first);
        assert_eq!(HeadRecord::open_free(&path).unwrap().0.path(), path);
    }

    /// The last of many heads is synced too, however close they follow each other.
    #[tokio::test]
    async fn every_write_is_synced_after_it() {
        let folder = tempfile::tempdir().unwrap();
        let (mut record, _) = HeadRecord::open(&folder.path().join("heads")).unwrap();
        for _ in 0..3 {
            for _ in 0..100 {
                record.write("head", false).unwrap();
                tokio::task::yield_now().await;
            }
            while record.sync.load(Ordering::Acquire) != DONE {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    #[tokio::test]
    async fn a_torn_write_leaves_the_head_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("heads");
        let (mut record, _) = HeadRecord::open(&path).unwrap();
        record.write("the head before", false).unwrap();
        record.write("the last head", false).unwrap();
        drop(record);
        let whole = std::fs::read(&path).unwrap();
        for cut in SLOT as usize..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert_eq!(reopened(&path), ["the head before"], "{cut}");
        }
        for at in 0..HEADER + "the last head".len() {
            let mut changed = whole.clone();
            changed[SLOT as usize + at] ^= 1;
            std::fs::write(&path, &changed).unwrap();
            assert_eq!(reopened(&path), ["the head before"], "{at}");
        }
        // Both slots damaged is no torn write.
        let mut changed = whole.clone();
        changed[0] ^= 1;
        changed[SLOT as usize] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        assert!(matches!(HeadRecord::open(&path), Err(RecordError::Damaged)));
        // The first write of all can be torn: nobody had seen that head.
        std::fs::write(&path, &whole[..20]).unwrap();
        assert_eq!(reopened(&path), Vec::<String>::new());
    }
}
