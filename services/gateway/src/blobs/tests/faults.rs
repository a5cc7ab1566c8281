//! Each step of a write fails, before it took effect and after, or is the last thing that a process does.

use oci::Digest;

use super::support::{World, content, name, whole};
use crate::blobs::BlobError;
use crate::faults::{Step, When};

const STEPS: [Step; 6] = [Step::Create, Step::Append, Step::Sync, Step::MakeFolder, Step::Rename, Step::SyncFolder];
const SIDES: [When; 2] = [When::Before, When::After];

#[tokio::test]
async fn a_failed_step_shows_nothing_and_the_next_upload_goes_through() {
    for step in STEPS {
        for when in SIDES {
            let world = World::new().await;
            let content = content(500_000);
            world.blobs.faults().plan(&[(step, when)]);
            let error = world.upload(&content).await.unwrap_err();
            assert!(matches!(error, BlobError::File { .. }), "{step:?} {when:?}: {error:?}");
            assert!(world.blobs.faults().spent(), "{step:?} {when:?} did not happen");
            check(world, &content, &format!("{step:?} {when:?}")).await;
        }
    }
}

#[tokio::test]
async fn a_failed_row_shows_nothing_or_all() {
    for when in SIDES {
        let world = World::new().await;
        let content = content(500_000);
        let id = world.begin().await;
        world.append(&id, &content).await.unwrap();
        world.store.faults().plan(&[(Step::Commit, when)]);
        let error = world.commit(&id, &Digest::of(&content)).await.unwrap_err();
        assert!(matches!(error, BlobError::Store(_)), "{error:?}");
        assert!(matches!(world.status(&id), Err(BlobError::UnknownUpload)));
        let shown = world.content(&Digest::of(&content)).await;
        assert_eq!(shown.is_some(), when == When::After, "what is not known is asked of the database");
        check(world, &content, &format!("{when:?}")).await;
    }
}

#[tokio::test]
async fn a_write_that_fails_in_the_middle_is_gone_on_with() {
    for when in SIDES {
        let world = World::new().await;
        let content = content(300_000);
        let id = world.begin().await;
        world.append(&id, &content[..100_000]).await.unwrap();
        // After: bytes are in the file that were never counted, as a write that was cut off leaves them.
        world.blobs.faults().plan(&[(Step::Append, when)]);
        assert!(world.append(&id, &[0xff; 50_000]).await.is_err());
        assert_eq!(world.status(&id).unwrap(), 100_000);
        world.append(&id, &content[100_000..120_000]).await.unwrap();
        let digest = Digest::of(&content[..120_000]);
        world.commit(&id, &digest).await.unwrap();
        assert!(world.content(&digest).await.as_deref() == Some(&content[..120_000]), "without what was never counted");
    }
}

#[tokio::test]
async fn a_full_disk_is_named_and_keeps_what_arrived() {
    let world = World::new().await;
    let id = world.begin().await;
    // The system's own full device in the place of the file.
    std::os::unix::fs::symlink("/dev/full", world.path("uploads").join(id.as_str())).unwrap();
    let error = world.append(&id, b"content").await.unwrap_err();
    assert!(matches!(error, BlobError::Full { .. }), "{error:?}");
    assert_eq!(world.status(&id).unwrap(), 0);
    std::fs::remove_file(world.path("uploads").join(id.as_str())).unwrap();
    world.append(&id, b"content").await.unwrap();
    assert_eq!(world.commit(&id, &Digest::of(b"content")).await.unwrap(), 7, "once there is space");
}

/// A process that is killed between any two steps of an upload: what is visible after the next start is right, and the client gets
/// there by going on or by beginning again.
#[tokio::test]
async fn killed_between_two_steps() {
    for step in STEPS.into_iter().chain([Step::Commit]) {
        for when in SIDES {
            let at = format!("killed at {step:?} {when:?}");
            let world = World::new().await;
            let content = content(500_000);
            let digest = Digest::of(&content);
            let id = world.begin().await;
            if matches!(step, Step::Create | Step::Append) {
                kill_at(&world, step, when);
                assert!(world.append(&id, &content).await.is_err(), "{at}");
            } else {
                world.append(&id, &content).await.unwrap();
                kill_at(&world, step, when);
                assert!(world.commit(&id, &digest).await.is_err(), "{at}");
            }
            let world = world.reopened().await;
            let committed = (step, when) == (Step::Commit, When::After);
            assert_eq!(world.content(&digest).await.is_some(), committed, "{at}");
            assert_eq!(world.status(&id).is_err(), committed, "{at}");
            if !committed {
                let sent = world.status(&id).unwrap() as usize;
                world.append(&id, &content[sent..]).await.unwrap();
                world.commit(&id, &digest).await.unwrap();
            }
            check(world, &content, &at).await;
        }
    }
}

#[tokio::test]
async fn killed_while_fetching() {
    for step in STEPS {
        for when in SIDES {
            let world = World::new().await;
            let content = content(100_000);
            let digest = Digest::of(&content);
            kill_at(&world, step, when);
            assert!(world.blobs.write_verified(&digest, None, whole(&content)).await.is_err());
            let world = world.reopened().await;
            assert_eq!(world.content(&digest).await, None, "{step:?} {when:?}");
            assert_eq!(world.leftovers(), 0, "{step:?} {when:?}");
            world.blobs.put(&name(), &digest, None, whole(&content)).await.unwrap();
            check(world, &content, &format!("{step:?} {when:?}")).await;
        }
    }
}

/// From here on nothing has any effect, neither on files nor on the database.
fn kill_at(world: &World, step: Step, when: When) {
    if step == Step::Commit {
        world.store.faults().kill_at(step, when);
        return;
    }
    world.store.faults().kill_at(Step::Commit, When::Before);
    world.blobs.faults().kill_at(step, when);
}

/// The blob can be pushed, now and after a restart; nothing else is left.
async fn check(world: World, content: &[u8], at: &str) {
    let digest = world.upload(content).await.unwrap();
    let world = world.reopened().await;
    assert!(world.content(&digest).await.as_deref() == Some(content), "{at}");
    for expired in world.store.uploads().await.unwrap() {
        world.blobs.abort(&name(), &expired.id).await.unwrap();
    }
    assert_eq!(world.leftovers(), 0, "{at}");
}
