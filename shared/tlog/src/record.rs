//! The newest published head, kept outside the database: what a restored older database is found out by.
//!
//! # Order and cost
//! The sequencer writes the record after a commit and before anybody sees the new head. So whatever a reader has seen is in the record,
//! and the record is never ahead of a database that was not rolled back. It is one write of about a kilobyte to an open file, and not
//! synced with the batch: a sync follows within [`SYNC_EVERY`], on another thread.
//!
//! # What a crash leaves
//! - Of the process, at any point: the record as it was written, at most one batch behind the database.
//! - Of the machine: a record that is at most [`SYNC_EVERY`] and one sync behind. The database itself lost nothing that was answered; only
//!   a database restored from a backup of those last moments would pass unnoticed.
//! - In the middle of a write: the other of two slots is whole. They are written in turn, each with its digest.
//!
//! # What it cannot see
//! A record that was restored together with the database, from the same backup: keep it out of that backup, or on another disk. Several
//! replicas on one database have one each; every one of them knows what it has published or taken over.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use merkle::{Hash, sha256};
use note::MAX_NOTE_BYTES;
use tokio::task::JoinHandle;

/// How often the file is synced while heads are published.
const SYNC_EVERY: Duration = Duration::from_secs(1);

/// Where the second slot begins: more than the largest note. What no note fills takes no room on disk.
const SLOT: u64 = 128 << 10;

/// SHA-256 over what follows, then the length of the note in four bytes.
const HEADER: usize = Hash::LEN + 4;

/// The file with the newest published head; this process alone has it open.
#[derive(Debug)]
pub(crate) struct HeadRecord {
    path: PathBuf,
    file: Arc<File>,
    /// The slot that holds the older head, or none: written next.
    next: u64,
    synced: Instant,
    syncing: Option<JoinHandle<()>>,
}

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
    /// Opens the file, or begins an empty one, and reads the notes that are whole in it: none in a new one, one or two later.
    pub(crate) fn open(path: &Path) -> Result<(Self, Vec<String>), RecordError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)?;
        }
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(RecordError::InUse),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let slots = [read_slot(&file, 0)?, read_slot(&file, 1)?];
        // The first write of a new file can be cut off; then nothing of that head was shown to anybody.
        let torn_first = slots.iter().all(Option::is_none) && file.metadata()?.len() > SLOT;
        if torn_first {
            return Err(RecordError::Damaged);
        }
        let next = u64::from(slots[0].is_some() && slots[1].is_none());
        let record = Self { path: path.to_owned(), file: Arc::new(file), next, synced: Instant::now(), syncing: None };
        Ok((record, slots.into_iter().flatten().collect()))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a head over the older one of two.
    ///
    /// A few microseconds, into the page cache: cheaper than handing it to another thread.
    pub(crate) fn write(&mut self, note: &str) -> io::Result<()> {
        let length = u32::try_from(note.len()).ok().filter(|length| *length as usize <= MAX_NOTE_BYTES);
        let length = length.ok_or_else(|| io::Error::new(ErrorKind::InvalidInput, "the head is longer than any note"))?;
        let body = [&length.to_be_bytes()[..], note.as_bytes()].concat();
        let slot = [sha256(&body).as_ref(), &body].concat();
        self.file.write_all_at(&slot, self.next * SLOT)?;
        self.next = 1 - self.next;
        self.sync_sometimes();
        Ok(())
    }

    /// Syncs what was written; for the beginning and the end.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn sync_sometimes(&mut self) {
        if self.synced.elapsed() < SYNC_EVERY || self.syncing.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        self.synced = Instant::now();
        let (file, path) = (Arc::clone(&self.file), self.path.clone());
        self.syncing = Some(tokio::task::spawn_blocking(move || {
            if let Err(error) = file.sync_data() {
                tracing::warn!(record = %path.display(), %error, "the record of published heads could not be synced");
            }
        }));
    }
}

/// The note in a slot; none when there is no whole one.
fn read_slot(file: &File, slot: u64) -> io::Result<Option<String>> {
    let at = slot * SLOT;
    let mut header = [0; HEADER];
    if !read_whole(file, &mut header, at)? {
        return Ok(None);
    }
    let (digest, length) = header.split_at(Hash::LEN);
    let length = u32::from_be_bytes(length.try_into().expect("four bytes")) as usize;
    if length > MAX_NOTE_BYTES {
        return Ok(None);
    }
    let mut body = header[Hash::LEN..].to_vec();
    body.resize(4 + length, 0);
    if !read_whole(file, &mut body[4..], at + HEADER as u64)? || sha256(&body).as_ref() != digest {
        return Ok(None);
    }
    Ok(String::from_utf8(body.split_off(4)).ok())
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
        HeadRecord::open(path).unwrap().1
    }

    #[test]
    fn the_last_two_heads_are_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("heads/rekor");
        let (mut record, found) = HeadRecord::open(&path).unwrap();
        assert_eq!(found, Vec::<String>::new());
        assert!(matches!(HeadRecord::open(&path), Err(RecordError::InUse)));
        record.write("one").unwrap();
        record.sync().unwrap();
        drop(record);
        assert_eq!(reopened(&path), ["one"]);
        let (mut record, _) = HeadRecord::open(&path).unwrap();
        for head in ["two", "three and more", "4"] {
            record.write(head).unwrap();
        }
        drop(record);
        let mut found = reopened(&path);
        found.sort();
        assert_eq!(found, ["4", "three and more"]);
    }

    #[test]
    fn a_torn_write_leaves_the_head_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("heads");
        let (mut record, _) = HeadRecord::open(&path).unwrap();
        record.write("the head before").unwrap();
        record.write("the last head").unwrap();
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
