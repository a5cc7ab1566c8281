//! The machine stops between any two writes: clients find the old repository or the new one, and the next start goes on.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use chassis::Explain as _;

use super::fixture::{Fixture, note};
use crate::edition::Signers;
use crate::release::Session;
use crate::store::{Directory, Files, Store};
use crate::*;

/// A directory that loses power after some writes.
#[derive(Debug)]
struct PowerCut {
    directory: Directory,
    writes_left: AtomicUsize,
}

impl PowerCut {
    fn after(fixture: &Fixture, writes: usize) -> Arc<Self> {
        Arc::new(Self { directory: fixture.directory(), writes_left: AtomicUsize::new(writes) })
    }
}

impl Files for PowerCut {
    fn read(&self, name: &FileName) -> io::Result<Option<Vec<u8>>> {
        self.directory.read(name)
    }
}

impl Store for PowerCut {
    fn put(&self, name: &FileName, bytes: &[u8]) -> io::Result<()> {
        let left = self.writes_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        left.map_err(|_| io::Error::other("the power is gone"))?;
        self.directory.put(name, bytes)
    }

    fn snapshots(&self) -> io::Result<Vec<Version>> {
        self.directory.snapshots()
    }

    fn remove_snapshot(&self, version: Version) -> io::Result<()> {
        self.directory.remove_snapshot(version)
    }
}

/// Publishes a target and, with `root`, a new root, on a store that fails.
async fn publish(fixture: &Fixture, store: Arc<dyn Store>, root: bool) -> Result<Published, TufError> {
    let mut session = Session::open_store(&fixture.place, store)?;
    let keys = fixture.keys();
    let signers = Signers {
        root: root.then_some(keys.root),
        targets: Some(keys.targets),
        snapshot: keys.snapshot,
        timestamp: keys.timestamp,
    };
    let roles = if root { &Role::ALL[..] } else { &Role::ALL[1..] };
    session.release(roles, &signers, &[note("new")], &fixture.lifetimes, fixture.now()).await
}

#[tokio::test]
async fn between_any_two_writes_the_repository_is_valid() {
    for root in [false, true] {
        // 2.root.json and root.json when there is a new root; note.txt, 61.targets.json, 61.snapshot.json, timestamp.json.
        let needed = if root { 6 } else { 4 };
        for writes in 0..=needed {
            let fixture = Fixture::created().await;
            fixture.wait("1h");
            let outcome = publish(&fixture, PowerCut::after(&fixture, writes), root).await;
            let after = fixture.read().unwrap_or_else(|invalid| panic!("after {writes} writes: {invalid}"));
            let visible = after.version(Role::Timestamp) > 1;
            assert_eq!(outcome.is_ok(), writes == needed, "after {writes} writes");
            assert_eq!(outcome.is_ok(), visible, "after {writes} writes");
            assert_eq!(after.targets.targets.keys().any(|name| name.as_str() == "note.txt"), visible);
            if let Err(error) = outcome {
                assert_eq!(error.code(), "tuf_storage");
            }
            // The next attempt succeeds, above whatever this one had taken.
            publish(&fixture, Arc::new(fixture.directory()), root).await.unwrap();
            let again = fixture.read().unwrap();
            for role in [Role::Targets, Role::Snapshot, Role::Timestamp] {
                assert!(again.version(role) > 61, "{role} has version {}", again.version(role));
            }
            assert_eq!(again.root_json, fixture.bytes("root.json"), "the copy for people caught up");
        }
    }
}

#[tokio::test]
async fn the_writes_are_in_the_order_that_clients_need() {
    for (writes, there, not_there) in
        [(1, "targets", "62.targets.json"), (2, "62.targets.json", "62.snapshot.json"), (3, "62.snapshot.json", "nothing")]
    {
        let fixture = Fixture::created().await;
        fixture.wait("61m");
        publish(&fixture, PowerCut::after(&fixture, writes), false).await.unwrap_err();
        assert!(fixture.place.directory.join(there).exists(), "{there} after {writes}");
        assert!(!fixture.place.directory.join(not_there).exists(), "{not_there} after {writes}");
        assert_eq!(fixture.read().unwrap().version(Role::Timestamp), 1);
    }
}

#[tokio::test]
async fn a_crash_before_the_marks_are_raised_is_no_rollback() {
    let fixture = Fixture::created().await;
    let marks = fixture.backup();
    fixture.publish(&[note("visible")]).await.unwrap();
    // As if the machine had stopped after timestamp.json: the repository is ahead of the record.
    fixture.restore_state(&marks);
    fixture.publish(&[]).await.unwrap();
    assert_eq!(fixture.versions(), [1, 3, 3, 3]);
}

#[tokio::test]
async fn a_copy_for_people_that_fell_behind_catches_up() {
    let fixture = Fixture::created().await;
    let old = fixture.bytes("root.json");
    renew(&fixture.place, &fixture.keys(), &fixture.lifetimes, &*fixture.clock).await.unwrap();
    fixture.overwrite("root.json", old);
    fixture.publish(&[]).await.unwrap();
    assert_eq!(fixture.bytes("root.json"), fixture.bytes("2.root.json"));
}
