//! Disks that are full, torn or read-only: what was answered stays, what was not is told so, and nothing forks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use crate::common::{Entry, World, append_all, numbers, verify};
use crate::driver::sqlite;
use tlog::sqlite::SqliteStore;
use tlog::{Appended, Log, OpenError, Published, SignedTreeHead, check_log};

/// Every head that a log had, by size.
async fn grown(log: &Log, batches: u64) -> Vec<Arc<SignedTreeHead>> {
    let mut heads = vec![log.checkpoint()];
    for batch in 0..batches {
        for answer in append_all(log, numbers(batch * 37..batch * 37 + 37)).await {
            let appended = answer.unwrap();
            verify(&appended);
            heads.push(appended.head);
        }
    }
    heads
}

/// A copy of the files as they are while the log is open: what a crash of the machine leaves.
fn crashed(from: &Path, to: &Path, change_wal: impl FnOnce(&mut Vec<u8>)) {
    fs::copy(from.join("log.db"), to.join("log.db")).unwrap();
    let mut wal = fs::read(from.join("log.db-wal")).unwrap();
    change_wal(&mut wal);
    fs::write(to.join("log.db-wal"), wal).unwrap();
}

async fn open(world: &World, folder: &Path, record: Option<PathBuf>) -> Result<(Log, SqliteStore), OpenError> {
    let store = SqliteStore::open(folder.join("log.db"), "test").await.unwrap();
    let published = Published { anchor: None, record };
    match Log::open(Arc::new(store.clone()), world.signer.clone(), world.clock.clone(), published).await {
        Ok(log) => Ok((log, store)),
        Err(error) => {
            store.database().close().await;
            Err(error)
        }
    }
}

/// A disk that lost or tore what it said was synced leaves an earlier state of the same log, whole; and the record of published heads
/// tells that it is one.
#[tokio::test(flavor = "multi_thread")]
async fn a_torn_last_page_leaves_an_earlier_head_and_is_found_out() {
    let (world, folder) = (World::new(), tempfile::tempdir().unwrap());
    let (log, store) = sqlite(&world, folder.path()).await;
    log.close().await;
    store.database().close().await;
    let record = folder.path().join("record");
    let (log, store) = open(&world, folder.path(), Some(record.clone())).await.unwrap();
    let heads = grown(&log, 12).await;
    let length = fs::metadata(folder.path().join("log.db-wal")).unwrap().len() as usize;
    let published = fs::read(&record).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for step in 0..48 {
        let copy = tempfile::tempdir().unwrap();
        let at = length * step / 48;
        crashed(folder.path(), copy.path(), |wal| match step % 3 {
            0 => wal.truncate(at),
            1 => wal[at] ^= 0x10,
            _ => wal[at..(at + 4_096).min(length)].fill(0),
        });
        let (torn, store) = match open(&world, copy.path(), None).await {
            Ok(opened) => opened,
            // Torn before the log was there at all.
            Err(error) => {
                assert_eq!(error.code(), "log_missing", "{error:?}");
                continue;
            }
        };
        let head = torn.checkpoint();
        assert!(heads.iter().any(|known| **known == *head), "size {} is no head that the log had", head.size);
        assert_eq!(check_log(&store, world.signer.as_ref()).await.unwrap().entries, head.size);
        seen.insert(head.size);
        torn.close().await;
        store.database().close().await;

        let kept = copy.path().join("record");
        fs::write(&kept, &published).unwrap();
        let whole = heads.last().unwrap().size;
        match open(&world, copy.path(), Some(kept)).await {
            Ok((torn, store)) => {
                assert_eq!(torn.checkpoint().size, whole);
                torn.close().await;
                store.database().close().await;
            }
            Err(error) => assert!(matches!(error, OpenError::RolledBack { published, .. } if published == whole), "{error:?}"),
        }
    }
    assert!(seen.len() > 2, "the tears were all at one place: {seen:?}");
    log.close().await;
    store.database().close().await;
}

/// A file system in memory, of this size.
struct SmallDisk {
    folder: tempfile::TempDir,
}

impl SmallDisk {
    fn mount(size: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder.path()).status();
        assert!(
            mounted.is_ok_and(|status| status.success()),
            "this test mounts a tmpfs; run it as root, or under: unshare --user --map-root-user --mount"
        );
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Leaves this many bytes free, or none.
    fn fill(&self, leave: u64) {
        let ballast = self.path().join("ballast");
        let _ = fs::remove_file(&ballast);
        let output = Command::new("df").args(["--output=avail", "-B1"]).arg(self.path()).output().unwrap();
        let free: u64 = String::from_utf8(output.stdout).unwrap().lines().last().unwrap().trim().parse().unwrap();
        fs::write(&ballast, vec![0; free.saturating_sub(leave) as usize]).unwrap();
    }

    fn empty(&self) {
        fs::remove_file(self.path().join("ballast")).unwrap();
    }

    fn read_only(&self, read_only: bool) -> bool {
        let option = if read_only { "remount,ro" } else { "remount,rw" };
        Command::new("mount").args(["-o", option]).arg(self.path()).status().is_ok_and(|status| status.success())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

/// From no room at all to room for everything, in steps of half a page: so the disk is full at each write that an append makes.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_entries_and_loses_none() {
    let disk = SmallDisk::mount("6m");
    let world = World::new();
    let (log, store) = sqlite(&world, disk.path()).await;
    append_all(&log, numbers(0..250)).await.into_iter().for_each(|answer| verify(&answer.unwrap()));
    let mut told: Vec<(u64, Appended)> = Vec::new();
    let (mut refused, mut next) = (0, 250);
    for step in 0..40 {
        disk.fill(step * 2_048);
        let answers = append_all(&log, numbers(next..next + 8)).await;
        let wanted = numbers(next..next + 8).map(|Entry(name)| name.parse::<u64>().unwrap());
        for (n, answer) in wanted.zip(answers) {
            match answer {
                Ok(appended) => told.push((n, appended)),
                Err(error) => {
                    assert_eq!(error.code(), "log_store_failed", "{error:?}");
                    refused += 1;
                }
            }
        }
        // Reads go on.
        log.inclusion_proof(3, log.checkpoint().size).await.unwrap();
        disk.empty();
        let again = append_all(&log, numbers(next..next + 8)).await;
        for (n, answer) in numbers(next..next + 8).map(|Entry(name)| name.parse::<u64>().unwrap()).zip(again) {
            let appended = answer.unwrap_or_else(|error| panic!("with room again: {error:?}"));
            if let Some((_, first)) = told.iter().find(|(told, _)| *told == n) {
                assert_eq!((first.index, true), (appended.index, appended.duplicate), "told once, true for ever");
            }
            told.push((n, appended));
        }
        next += 8;
    }
    assert!(refused > 0, "the disk was never full");
    told.iter().for_each(|(_, appended)| verify(appended));
    world.check(&log, &store, next).await;
    log.close().await;
    store.database().close().await;
    let (log, store) = open(&world, disk.path(), None).await.unwrap();
    world.check(&log, &store, next).await;
    log.close().await;
    store.database().close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_on_a_read_only_disk_is_not_opened_and_is_whole_afterwards() {
    let disk = SmallDisk::mount("6m");
    let world = World::new();
    let (log, store) = sqlite(&world, disk.path()).await;
    append_all(&log, numbers(0..50)).await.into_iter().for_each(|answer| verify(&answer.unwrap()));
    log.close().await;
    store.database().close().await;
    drop(store);
    assert!(disk.read_only(true), "nothing is open on it");
    let refused = SqliteStore::open(disk.path().join("log.db"), "test").await.unwrap_err();
    assert!(["database_failed", "database_in_use", "database_setting"].contains(&refused.code()), "{refused:?}");
    assert!(disk.read_only(false));
    let (log, store) = open(&world, disk.path(), None).await.unwrap();
    append_all(&log, numbers(50..60)).await.into_iter().for_each(|answer| verify(&answer.unwrap()));
    world.check(&log, &store, 60).await;
    log.close().await;
    store.database().close().await;
}
