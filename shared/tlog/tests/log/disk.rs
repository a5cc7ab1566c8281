//! Disks that are full, torn or read-only: what was answered stays, what was not is told so, and nothing forks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use crate::common::{Entry, World, append_all, grow, numbers, verify};
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

/// A file system on a loop device that turns read-only at its first error, as servers have theirs.
struct FragileDisk {
    image: tempfile::NamedTempFile,
    folder: tempfile::TempDir,
}

impl FragileDisk {
    fn make() -> Self {
        let disk = Self { image: tempfile::NamedTempFile::new().unwrap(), folder: tempfile::tempdir().unwrap() };
        disk.image.as_file().set_len(64 << 20).unwrap();
        assert!(run("mkfs.ext4", &["-q".as_ref(), disk.image.path()]), "{NEEDS_LOOP}");
        disk.mount();
        disk
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn mount(&self) {
        let arguments = ["-o".as_ref(), "loop,errors=remount-ro".as_ref(), self.image.path(), self.path()];
        assert!(run("mount", &arguments), "{NEEDS_LOOP}");
    }

    fn unmount(&self) {
        assert!(run("umount", &[self.path()]), "nothing is open on it");
    }

    fn remount_read_only(&self) -> bool {
        run("mount", &["-o".as_ref(), "remount,ro".as_ref(), self.path()])
    }

    /// As if a block could not be written: every write fails from now on, until it is mounted anew.
    fn fail(&self) {
        let mounts = fs::read_to_string("/proc/mounts").unwrap();
        let here = format!(" {} ", self.path().display());
        let device = mounts.lines().find(|line| line.contains(&here)).and_then(|line| line.split(' ').next()).unwrap();
        let device = device.strip_prefix("/dev/").unwrap();
        fs::write(format!("/sys/fs/ext4/{device}/trigger_fs_error"), "on purpose").expect(NEEDS_LOOP);
    }
}

impl Drop for FragileDisk {
    fn drop(&mut self) {
        let _ = run("umount", &["-l".as_ref(), self.path()]);
    }
}

const NEEDS_LOOP: &str =
    "this test mounts ext4 on a loop device; run it as root, with e2fsprogs, where there is /dev/loop-control";

fn run(program: &str, arguments: &[&Path]) -> bool {
    Command::new(program).args(arguments).stderr(std::process::Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Nobody can remount a disk read-only while a log writes to it; its file system can, at an error. Then entries are refused, what is
/// published is read as before, and when the disk is back, a restart finds all that was answered.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_turns_read_only_under_a_running_log_loses_nothing() {
    let (world, disk) = (World::new(), FragileDisk::make());
    let (log, store) = sqlite(&world, disk.path()).await;
    grow(&log, 0..300).await;
    assert!(!disk.remount_read_only(), "the database is open for writing");
    let load = tokio::spawn({
        let log = log.clone();
        async move {
            let mut told = Vec::new();
            for next in (300..).step_by(8) {
                let answers = append_all(&log, numbers(next..next + 8)).await;
                let refused = answers.iter().any(Result::is_err);
                told.extend((next..).zip(answers).filter_map(|(n, answer)| Some((n, answer.ok()?))));
                if refused {
                    break;
                }
            }
            told
        }
    });
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    disk.fail();
    let told: Vec<(u64, Appended)> = load.await.unwrap();
    assert!(told.len() > 8, "{} entries were answered before", told.len());

    let head = log.checkpoint();
    for answer in append_all(&log, (0..20).map(|n| Entry(format!("refused {n}")))).await {
        assert_eq!(answer.unwrap_err().code(), "log_store_failed");
    }
    assert_eq!(log.checkpoint(), head, "nothing was published");
    for (_, appended) in &told {
        verify(appended);
        let proof = log.inclusion_proof(appended.index, head.size).await.unwrap();
        merkle::verify_inclusion(&merkle::leaf_hash(&appended.leaf.data), appended.index, head.size, &proof, &head.root).unwrap();
    }
    assert_eq!(log.entries(0..300).await.unwrap().len(), 300);
    log.close().await;
    store.database().close().await;
    drop(store);

    disk.unmount();
    disk.mount();
    let (log, store) = open(&world, disk.path(), None).await.unwrap();
    assert!(log.checkpoint().size >= head.size, "{} entries, and {} were published", log.checkpoint().size, head.size);
    for (n, first) in &told {
        let again = log.append(Arc::new(Entry(n.to_string()))).await.unwrap();
        assert_eq!((again.index, again.duplicate), (first.index, true), "told once, true for ever");
    }
    let size = log.checkpoint().size;
    append_all(&log, [Entry("after".into())]).await.into_iter().for_each(|answer| verify(&answer.unwrap()));
    world.check(&log, &store, size + 1).await;
    log.close().await;
    store.database().close().await;
}
