//! The contract of a place for objects, held to by both drivers.
#![allow(clippy::unwrap_used, reason = "what is called by the tests is a test too")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use objects::{MOST_BYTES, ObjectError, Objects, ObjectsConfig, S3Config};
use tempfile::TempDir;
use testkit::{FaultyObjects, ObjectFault, S3};

/// A place, and where its objects lie as files.
struct Place {
    config: ObjectsConfig,
    files: PathBuf,
    _folder: TempDir,
}

impl Place {
    fn folder() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = folder.path().join("objects");
        std::fs::create_dir(&files).unwrap();
        Self { config: ObjectsConfig::Folder(files.as_path().into()), files, _folder: folder }
    }

    fn bucket() -> Self {
        let (server, folder) = (S3::shared(), tempfile::tempdir().unwrap());
        let bucket = server.bucket();
        let config = S3Config {
            endpoint: server.endpoint(),
            region: "us-east-1".into(),
            bucket: bucket.clone(),
            prefix: "some/where".into(),
            access_key_id: Some(server.access_key_id().into()),
            secret_access_key_file: Some(server.secret_access_key_file().into()),
            ca_file: Some(server.ca_file().into()),
        };
        Self { config: ObjectsConfig::S3(config), files: server.files(&bucket).join("some/where"), _folder: folder }
    }

    /// As one process has it. Another call is another process.
    async fn open(&self) -> Objects {
        Objects::open(&self.config).await.unwrap()
    }
}

/// Runs a test on both.
macro_rules! contract {
    ($($name:ident)*) => {
        mod folder { $(#[tokio::test(flavor = "multi_thread")] async fn $name() { super::$name(super::Place::folder()).await; })* }
        mod bucket { $(#[tokio::test(flavor = "multi_thread")] async fn $name() { super::$name(super::Place::bucket()).await; })* }
    };
}

contract! {
    an_object_is_written_once
    the_latest_replaces
    of_many_that_follow_one_object_one_goes_on
    reads_are_bounded
    prefixes_are_places_of_their_own
    what_is_partial_can_be_removed
    of_many_that_create_one_name_one_wins
    readers_find_one_or_the_other
    faults_are_answered_as_failures_and_a_repetition_finds_out
    what_is_kept_wrong_is_found_out
    a_place_that_stalls_is_given_up
    names_lead_nowhere_else
    a_place_can_be_opened_to_read
}

fn bytes(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

async fn get(objects: &Objects, name: &str) -> Option<Bytes> {
    objects.get(name, 1 << 20).await.unwrap()
}

async fn an_object_is_written_once(place: Place) {
    let (one, two) = (place.open().await, place.open().await);
    assert_eq!(get(&one, "tile/0/000").await, None);
    one.put_new("tile/0/000", bytes("first")).await.unwrap();
    one.put_new("tile/0/000", bytes("first")).await.unwrap();
    two.put_new("tile/0/000", bytes("first")).await.unwrap();
    for other in ["other", "fir", "first and more", ""] {
        let error = two.put_new("tile/0/000", bytes(other)).await.unwrap_err();
        assert!(matches!(error, ObjectError::Differs { .. }), "{other}: {error}");
        assert!(error.to_string().contains("tile/0/000 is there already"), "{error}");
    }
    assert_eq!(get(&two, "tile/0/000").await, Some(bytes("first")));
    assert_eq!(std::fs::read(place.files.join("tile/0/000")).unwrap(), b"first");
    one.put_new("empty", Bytes::new()).await.unwrap();
    assert_eq!(get(&one, "empty").await, Some(Bytes::new()));
}

async fn the_latest_replaces(place: Place) {
    let objects = place.open().await;
    for content in ["one", "two and longer", "3", ""] {
        objects.put_latest("checkpoint", bytes(content)).await.unwrap();
        objects.put_latest("checkpoint", bytes(content)).await.unwrap();
        assert_eq!(get(&objects, "checkpoint").await, Some(bytes(content)));
    }
}

async fn of_many_that_follow_one_object_one_goes_on(place: Place) {
    let processes = [place.open().await, place.open().await];
    let mut last = None;
    for round in 0..5 {
        let attempts = (0..6).map(|number: usize| {
            let (objects, old) = (processes[number % 2].clone(), last.clone());
            let content = bytes(&format!("round {round} by {number}"));
            tokio::spawn(async move { objects.put_next("checkpoint", old, content.clone()).await.unwrap().then_some(content) })
        });
        let outcomes = futures_util::future::join_all(attempts.collect::<Vec<_>>()).await;
        let winners: Vec<_> = outcomes.into_iter().filter_map(Result::unwrap).collect();
        assert_eq!(winners.len(), 1, "{winners:?}");
        last = get(&processes[0], "checkpoint").await;
        assert_eq!(last.as_ref(), winners.first());
    }
    // What was not there before, is longer or shorter, or has gone.
    for wrong in [None, Some(bytes("another")), Some(Bytes::new())] {
        assert!(!processes[0].put_next("checkpoint", wrong, bytes("next")).await.unwrap());
    }
    assert!(!processes[0].put_next("never", last.clone(), bytes("next")).await.unwrap());
    assert_eq!((get(&processes[1], "checkpoint").await, get(&processes[1], "never").await), (last.clone(), None));
    // Done already is done.
    assert!(processes[1].put_next("checkpoint", None, last.unwrap()).await.unwrap());
}

async fn reads_are_bounded(place: Place) {
    let objects = place.open().await;
    let content = Bytes::from(vec![7; 100_000]);
    objects.put_new("large", content.clone()).await.unwrap();
    assert_eq!(objects.get("large", 100_000).await.unwrap(), Some(content));
    for most in [0, 1, 99_999] {
        let error = objects.get("large", most).await.unwrap_err();
        assert!(matches!(error, ObjectError::TooLarge { most: said, .. } if said == most), "{error}");
    }
    let error = objects.put_new("larger", Bytes::from(vec![0; MOST_BYTES + 1])).await.unwrap_err();
    assert!(matches!(error, ObjectError::TooLarge { .. }), "{error}");
    assert_eq!(get(&objects, "larger").await, None);
}

async fn prefixes_are_places_of_their_own(place: Place) {
    let objects = place.open().await;
    let (one, two) = (objects.under("one").unwrap(), objects.under("two").unwrap());
    one.put_new("a/b", bytes("1")).await.unwrap();
    two.put_new("a/b", bytes("2")).await.unwrap();
    assert_eq!(get(&objects, "one/a/b").await, Some(bytes("1")));
    assert_eq!(get(&one.under("a").unwrap(), "b").await, Some(bytes("1")));
    assert_eq!(get(&two, "a/b").await, Some(bytes("2")));
    // The beginning of a name is no object.
    assert_eq!((get(&objects, "one").await, get(&one, "a").await, get(&one, "a/b/c").await), (None, None, None));
    assert_eq!(one.location(), format!("{}/one", objects.location()));
    assert!(!format!("{objects:?}").contains("correct-horse"));
}

async fn what_is_partial_can_be_removed(place: Place) {
    let objects = place.open().await;
    let widths: Vec<_> = (1..=20).map(|width| format!("tile/0/001.p/{width}")).collect();
    for name in &widths {
        objects.put_latest(name, bytes(name)).await.unwrap();
    }
    for name in ["tile/0/001", "tile/0/001.pp/1", "tile/0/002.p/1"] {
        objects.put_new(name, bytes(name)).await.unwrap();
    }
    objects.remove_under("tile/0/001.p").await.unwrap();
    for name in &widths {
        assert_eq!(get(&objects, name).await, None, "{name}");
    }
    for name in ["tile/0/001", "tile/0/001.pp/1", "tile/0/002.p/1"] {
        assert_eq!(get(&objects, name).await, Some(bytes(name)), "{name}");
    }
    objects.remove_under("tile/0/001.p").await.unwrap();
    objects.remove_under("never/there").await.unwrap();
    objects.remove_under("tile/0/001").await.unwrap();
    assert_eq!(get(&objects, "tile/0/001").await, Some(bytes("tile/0/001")), "an object is not under itself");
    objects.put_latest(&widths[0], bytes("again")).await.unwrap();
    assert_eq!(get(&objects, &widths[0]).await, Some(bytes("again")));
}

async fn of_many_that_create_one_name_one_wins(place: Place) {
    let processes = [place.open().await, place.open().await];
    for round in 0..10 {
        let name = format!("round/{round}");
        let attempts = (0..8).map(|number: usize| {
            let (objects, name) = (processes[number % 2].clone(), name.clone());
            // Two of each content.
            tokio::spawn(async move { (number / 2, objects.put_new(&name, bytes(&format!("content {}", number / 2))).await) })
        });
        let outcomes = futures_util::future::join_all(attempts.collect::<Vec<_>>()).await;
        let winner = get(&processes[0], &name).await.unwrap();
        for outcome in outcomes {
            match outcome.unwrap() {
                (content, Ok(())) => assert_eq!(winner, bytes(&format!("content {content}"))),
                (content, Err(ObjectError::Differs { .. })) => assert_ne!(winner, bytes(&format!("content {content}"))),
                (_, Err(error)) => panic!("{error}"),
            }
        }
    }
}

async fn readers_find_one_or_the_other(place: Place) {
    let (writer, reader) = (place.open().await, place.open().await);
    let content = |byte: u8| Bytes::from(vec![byte; 50_000]);
    writer.put_latest("checkpoint", content(b'a')).await.unwrap();
    let writing = tokio::spawn(async move {
        for round in 0..20_u8 {
            writer.put_latest("checkpoint", content(b'a' + round)).await.unwrap();
        }
    });
    while !writing.is_finished() {
        let read = reader.get("checkpoint", 50_000).await.unwrap().expect("there always is one");
        assert!(read.len() == 50_000 && read.iter().all(|byte| *byte == read[0]), "half of one and half of another");
    }
    writing.await.unwrap();
}

async fn faults_are_answered_as_failures_and_a_repetition_finds_out(place: Place) {
    let (objects, faults) = FaultyObjects::before(place.open().await);
    for (fault, there) in [(ObjectFault::Before, None), (ObjectFault::After, Some(bytes("content")))] {
        let name = format!("new/{fault:?}");
        faults.fail_writes([fault]);
        assert!(matches!(objects.put_new(&name, bytes("content")).await, Err(ObjectError::Failed { .. })));
        assert_eq!(get(&objects, &name).await, there);
        objects.put_new(&name, bytes("content")).await.unwrap();
        let name = format!("latest/{fault:?}");
        faults.fail_writes([fault]);
        assert!(matches!(objects.put_latest(&name, bytes("content")).await, Err(ObjectError::Failed { .. })));
        assert_eq!(get(&objects, &name).await, there);
        objects.put_latest(&name, bytes("content")).await.unwrap();
        faults.fail_writes([fault]);
        assert!(objects.remove_under("latest").await.is_err());
        objects.remove_under("latest").await.unwrap();
        assert_eq!(get(&objects, &name).await, None);
        // What cannot be read back was not shown to be kept.
        faults.fail_reads([fault]);
        assert!(objects.put_new("read/back", bytes("content")).await.is_err());
        objects.put_new("read/back", bytes("content")).await.unwrap();
    }
    assert_eq!(faults.clear(), 0, "each fault was met");
}

async fn what_is_kept_wrong_is_found_out(place: Place) {
    let (objects, faults) = FaultyObjects::before(place.open().await);
    let wrong = |outcome| matches!(outcome, Err(ObjectError::NotReadBack { .. }));
    faults.fail_writes([ObjectFault::Corrupt, ObjectFault::Corrupt]);
    assert!(wrong(objects.put_latest("checkpoint", bytes("content")).await));
    assert!(wrong(objects.put_new("tile", bytes("content")).await));
    faults.fail_reads([ObjectFault::Corrupt]);
    assert!(wrong(objects.put_new("other", bytes("content")).await));
    // The latest is put right by the next; what may be written once stays for somebody to look at.
    objects.put_latest("checkpoint", bytes("content")).await.unwrap();
    assert!(matches!(objects.put_new("tile", bytes("content")).await, Err(ObjectError::Differs { .. })));
    objects.put_new("other", bytes("content")).await.unwrap();
}

async fn a_place_that_stalls_is_given_up(place: Place) {
    let (objects, faults) = FaultyObjects::before(place.open().await);
    let hasty = objects.clone().within(Duration::from_millis(50));
    faults.fail_writes([ObjectFault::Stall, ObjectFault::Stall, ObjectFault::Stall]);
    faults.fail_reads([ObjectFault::Stall]);
    let late = |error: ObjectError| assert!(matches!(error, ObjectError::TimedOut { .. }), "{error}");
    late(hasty.get("a", 1).await.unwrap_err());
    late(hasty.put_new("a", bytes("1")).await.unwrap_err());
    late(hasty.put_latest("b", bytes("1")).await.unwrap_err());
    late(hasty.remove_under("c").await.unwrap_err());
    objects.put_new("a", bytes("1")).await.unwrap();
    objects.put_latest("b", bytes("1")).await.unwrap();
}

async fn names_lead_nowhere_else(place: Place) {
    let objects = place.open().await;
    for name in ["", "../a", "a/../../b", "/etc/passwd", "a//b", "a#1", ".probe", "a b", "ü"] {
        let refused = |error| matches!(error, ObjectError::Name(said) if said == name);
        assert!(refused(objects.get(name, 1).await.unwrap_err()), "{name}");
        assert!(refused(objects.put_new(name, bytes("1")).await.unwrap_err()), "{name}");
        assert!(refused(objects.put_latest(name, bytes("1")).await.unwrap_err()), "{name}");
        assert!(refused(objects.remove_under(name).await.unwrap_err()), "{name}");
        assert!(refused(objects.under(name).unwrap_err()), "{name}");
    }
}

async fn a_place_can_be_opened_to_read(place: Place) {
    let before = count(&place.files);
    let reader = Objects::open_to_read(&place.config).await.unwrap();
    assert_eq!((get(&reader, "a").await, count(&place.files)), (None, before), "nothing was written");
    place.open().await.put_new("a", bytes("1")).await.unwrap();
    assert_eq!(get(&reader, "a").await, Some(bytes("1")));
}

fn count(folder: &Path) -> usize {
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

/// What a process leaves that is killed between writing a file and giving it its name.
#[tokio::test]
async fn leftovers_in_a_folder_are_no_objects_and_go_when_their_place_is_written() {
    let place = Place::folder();
    let objects = place.open().await;
    std::fs::create_dir_all(place.files.join("tile")).unwrap();
    let leftovers = ["tile/000#1", "tile/000#2", "checkpoint#1", "tile/001.p#1"].map(|name| place.files.join(name));
    leftovers.iter().for_each(|path| std::fs::write(path, "half").unwrap());
    objects.put_new("tile/000", bytes("whole")).await.unwrap();
    objects.put_latest("checkpoint", bytes("whole")).await.unwrap();
    assert!(!leftovers[0].exists() && !leftovers[1].exists() && !leftovers[2].exists());
    assert_eq!(get(&objects, "tile/000").await, Some(bytes("whole")));
    // As one that was killed between the link and the end: the object is there, and so is its other name.
    std::fs::hard_link(place.files.join("tile/000"), &leftovers[0]).unwrap();
    objects.put_new("tile/000", bytes("whole")).await.unwrap();
    assert!(!leftovers[0].exists());
    std::fs::create_dir(place.files.join("tile/002.p")).unwrap();
    std::fs::write(place.files.join("tile/002.p/7#1"), "half").unwrap();
    objects.remove_under("tile/002.p").await.unwrap();
    assert!(!place.files.join("tile/002.p").exists());
}

#[tokio::test]
async fn a_folder_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    // Nobody, not even root, makes files in the last.
    for path in [folder.path().join("missing").as_path(), &file, Path::new("/proc")] {
        let error = Objects::open(&ObjectsConfig::Folder(path.into())).await.unwrap_err();
        assert!(matches!(&error, ObjectError::Folder { path: said, .. } if said == path), "{error}");
    }
    assert_eq!(count(folder.path()), 1, "trying leaves nothing");
}

/// Between two writers of one name the second takes the first one's file for a leftover.
#[tokio::test(flavor = "multi_thread")]
async fn writers_that_clear_away_each_others_files_all_succeed() {
    let place = Place::folder();
    let processes = Arc::new([place.open().await, place.open().await, place.open().await]);
    for round in 0..20 {
        let put = |number: usize| {
            let processes = Arc::clone(&processes);
            tokio::spawn(async move {
                let name = format!("{round}");
                for _ in 0..5 {
                    processes[number].put_new(&name, bytes("content")).await.unwrap();
                }
            })
        };
        for writing in [put(0), put(1), put(2)] {
            writing.await.unwrap();
        }
    }
    assert_eq!(count(&place.files), 20, "nothing is left over");
}
