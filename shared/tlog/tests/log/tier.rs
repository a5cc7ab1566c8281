//! Bundles leave the database: what it keeps of them, and that nobody who reads can tell.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use merkle::{Hash, Tile, leaf_hash, sha256};
use objects::{Objects, ObjectsConfig};
use sqlx::Connection as _;
use tlog::{Content, Depth, Form, Log, OpenError, Row, Store, StoreError, Tier, check_log, check_log_to, tiered};

use crate::common::{EVERY_ENTRY, Plain, World, append_all, grow, numbers, verify};
use crate::driver::{Driver, Home, on_both, on_both_with_threads, sqlite};
use crate::shelf::{Readable, Shelf};

on_both!(
    a_database_keeps_the_hashes_of_what_it_drops,
    what_is_not_as_it_must_be_is_not_dropped,
    whatever_is_read_is_the_same_after_moving,
    newest_entries_stay,
    a_start_says_what_it_lacks,
    an_old_bundle_that_was_changed_or_lost_is_never_served,
    damage_in_the_database_is_not_copied,
    another_logs_objects_are_not_taken_for_ours,
    a_frozen_log_moves_too,
);

on_both_with_threads!(it_happens_by_itself_while_entries_come);

/// A log in a database, everything old of which is on a shelf.
async fn moved(driver: Driver, size: u64, keep: u64) -> (World, Home, Arc<Shelf>, Log) {
    let (world, home, shelf) = (World::new(), driver.home().await, Shelf::new());
    let log = world.create(shelf.tiered(home.store(), keep)).await;
    grow(&log, 0..size).await;
    let due = size.saturating_sub(keep) / 256 * 256;
    assert_eq!(log.move_due().await.unwrap(), due);
    assert_eq!(home.moved().await.unwrap(), due);
    (world, home, shelf, log)
}

async fn drop_content(store: &dyn Store, to: u64, extras: &[Hash]) -> Result<(), StoreError> {
    let mut transaction = store.begin().await?;
    transaction.drop_content(to, extras).await?;
    transaction.commit().await
}

async fn a_database_keeps_the_hashes_of_what_it_drops(driver: Driver) {
    let world = World::new();
    let (log, home) = driver.make(&world).await;
    grow(&log, 0..600).await;
    let (rows, state) = (home.rows(0..600).await.unwrap(), home.state().await.unwrap());
    let leaves: Vec<_> = rows.iter().map(|row| (row.index, row.leaf_hash)).collect();
    assert!(rows.iter().all(|row| matches!(&row.content, Content::Here(leaf) if leaf_hash(&leaf.data) == row.leaf_hash)));
    let digest = sha256(b"beside");
    // What is not committed has not happened.
    home.begin().await.unwrap().drop_content(256, &[digest; 256]).await.unwrap();
    assert_eq!((home.moved().await.unwrap(), home.rows(0..600).await.unwrap()), (0, rows.clone()));

    drop_content(&*home, 256, &[digest; 256]).await.unwrap();
    assert_eq!(home.moved().await.unwrap(), 256);
    let now = home.rows(0..600).await.unwrap();
    let left = |row: &Row| Row { content: Content::Moved { extra: Some(digest) }, ..row.clone() };
    assert_eq!(now[..256], rows[..256].iter().map(left).collect::<Vec<_>>());
    assert_eq!(now[256..], rows[256..]);
    assert_eq!(home.tiles(0, 0..9).await.unwrap().iter().map(|tile| tile.index).collect::<Vec<_>>(), [1]);
    assert!(matches!(home.entries(255..257).await, Err(StoreError::Moved { index: 255 })));
    assert_eq!(home.entries(256..600).await.unwrap().len(), 344);
    // A batch sees the same of it, and nothing else has changed.
    let mut transaction = home.begin().await.unwrap();
    assert_eq!((transaction.moved(), Some(transaction.state().clone())), (256, state.clone()));
    let keys = [sha256(b"7"), sha256(b"599")];
    let mut found = transaction.find(&keys).await.unwrap();
    found.sort_by_key(|(_, row)| row.index);
    assert_eq!(found, keys.into_iter().zip([now[7].clone(), now[599].clone()]).collect::<Vec<_>>());
    drop(transaction);
    assert_eq!(
        (home.state().await.unwrap(), home.count().await.unwrap(), home.extent().await.unwrap()),
        (state, 600, Some((0, 599)))
    );
    assert_eq!(home.leaf_hashes(0..600).await.unwrap(), leaves);
    assert_eq!(home.search(EVERY_ENTRY, 0, 999).await.unwrap(), leaves);
    assert_eq!(home.index_of(&leaves[100].1).await.unwrap(), Some(100));
    assert_eq!(home.tamper("UPDATE log SET moved = 256 WHERE moved = 256").await, 1);
}

async fn what_is_not_as_it_must_be_is_not_dropped(driver: Driver) {
    let world = World::new();
    let (log, home) = driver.make(&world).await;
    grow(&log, 0..600).await;
    let rows = home.rows(0..600).await.unwrap();
    // More than there is; no whole bundle.
    for to in [768, 300] {
        let error = drop_content(&*home, to, &vec![sha256(b""); to as usize]).await.unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. } | StoreError::Failed { .. }), "{to}: {error:?}");
    }
    assert_eq!((home.moved().await.unwrap(), home.rows(0..600).await.unwrap()), (0, rows));
    world.check(&log, &*home, 600).await;
    assert_eq!(driver.home().await.moved().await.unwrap_err().to_string(), "the log is not there");
}

async fn whatever_is_read_is_the_same_after_moving(driver: Driver) {
    for (size, keep) in [(255, 0), (256, 0), (1_500, 0), (1_536, 0), (1_500, 400)] {
        let (world, home, shelf) = (World::new(), driver.home().await, Shelf::new());
        let log = world.create(shelf.tiered(home.store(), keep)).await;
        grow(&log, 0..size).await;
        let before = Readable::of(&log).await;
        let due = (size - keep.min(size)) / 256 * 256;
        assert_eq!(log.move_due().await.unwrap(), due);
        assert_eq!(shelf.names().len() as u64, due / 256 * 2);
        assert_eq!(home.tamper("UPDATE entry SET time = time WHERE length(data) = 0").await, due, "their content is gone");
        assert_eq!(Readable::of(&log).await, before, "{size} {keep}");

        // A start knows no more than what is stored.
        log.close().await;
        let store = shelf.tiered(home.store(), keep);
        let log = world.open(Arc::clone(&store)).await.unwrap();
        assert_eq!(Readable::of(&log).await, before, "{size} {keep}");
        world.check(&log, store.as_ref(), size).await;
        check_log_to(store.as_ref(), world.signer.as_ref(), Depth::Deep, &|_, _| ()).await.unwrap();

        // Duplicates of old entries are the old ones, whole; new ones are new.
        let answers = append_all(&log, numbers(size / 2..size + 20)).await;
        for (index, answer) in (size / 2..).zip(answers) {
            let appended = answer.unwrap();
            verify(&appended);
            assert!(appended.leaf.data.ends_with(format!(" {}", String::from_utf8_lossy(&appended.leaf.data[27..])).as_bytes()));
            assert_eq!((appended.duplicate, appended.leaf.extra), (index < size, b"beside".to_vec()));
            assert!(!appended.duplicate || appended.index == index);
        }
        world.check(&log, store.as_ref(), size + 20).await;
    }
}

async fn newest_entries_stay(driver: Driver) {
    let (_world, home, shelf, log) = moved(driver, 1_000, 500).await;
    // 500 may go: one bundle.
    assert_eq!(shelf.names(), ["leaves/000", "tile/0/000"]);
    grow(&log, 1_000..1_012).await;
    assert_eq!(log.move_due().await.unwrap(), 512);
    assert_eq!(shelf.names(), ["leaves/000", "leaves/001", "tile/0/000", "tile/0/001"]);
    assert!(matches!(home.rows(512..513).await.unwrap()[0].content, Content::Here(_)));
}

async fn a_start_says_what_it_lacks(driver: Driver) {
    let (world, home, shelf, log) = moved(driver, 700, 0).await;
    log.close().await;
    let error = world.open(home.store()).await.unwrap_err();
    assert!(matches!(error, OpenError::ObjectsUnset { index: 511, .. }), "{error:?}");
    assert_eq!((error.code(), error.details()[1].as_str()), ("log_objects_unset", "moved     entry 511"));
    assert_eq!(check_log(&*home, world.signer.as_ref()).await.unwrap_err().code(), "log_objects_unset");

    // Another place than the one they were moved to.
    let error = world.open(Shelf::new().tiered(home.store(), 0)).await.unwrap_err();
    assert_eq!(error.code(), "log_object_damaged");
    assert_eq!(error.details()[1..], ["object    shelf/tile/0/001", "found     is missing"]);
    shelf.swap("tile/0/001", shelf.swap("tile/0/000", None));
    assert_eq!(world.open(shelf.tiered(home.store(), 0)).await.unwrap_err().code(), "log_object_damaged");
}

async fn an_old_bundle_that_was_changed_or_lost_is_never_served(driver: Driver) {
    let (world, home, shelf, log) = moved(driver, 1_100, 0).await;
    log.close().await;
    let (before, good) = (home.rows(0..1_100).await.unwrap(), |name: &str| shelf.objects.lock().unwrap()[name].clone());
    let tile = good("tile/0/001");
    for (name, flip) in [("leaves/001", 5), ("leaves/001", 60), ("tile/0/001", 40)] {
        let original = good(name);
        let mut changed = original.to_vec();
        changed[flip] ^= 1;
        let other = good(&name.replace("001", "002"));
        for bad in [None, Some(changed.into()), Some(original.slice(1..)), Some(other), Some(Bytes::from(vec![0; 100_000]))] {
            let store = shelf.tiered(home.store(), 0);
            let log = world.open(Arc::clone(&store)).await.unwrap();
            shelf.swap(name, bad.clone());
            if name.starts_with("leaves") {
                let error = log.entries(256..512).await.expect_err(&format!("{name} {flip}"));
                assert!(matches!(error, StoreError::Object { .. }), "{error:?}");
            }
            // The hashes of a tile are in the database too, and proofs with them.
            assert_eq!(log.tile(0, 1, 256).await.unwrap().unwrap(), tile);
            log.inclusion_proof(300, 1_100).await.unwrap();
            assert!(log.entries(512..1_100).await.is_ok() && log.tile(0, 2, 256).await.is_ok(), "others are");
            let found = check_log(store.as_ref(), world.signer.as_ref()).await.unwrap_err();
            assert!(matches!(found.code(), "log_object_damaged" | "log_tile_damaged"), "{found:?}");
            // Nothing of it stays in memory once it was put right.
            shelf.swap(name, Some(original.clone()));
            assert!(log.entries(256..512).await.is_ok() && log.tile(0, 1, 256).await.is_ok());
            world.check(&log, store.as_ref(), 1_100).await;
        }
    }
    assert_eq!(home.rows(0..1_100).await.unwrap(), before);
}

async fn damage_in_the_database_is_not_copied(driver: Driver) {
    let (world, home, shelf) = (World::new(), driver.home().await, Shelf::new());
    let log = world.create(shelf.tiered(home.store(), 0)).await;
    grow(&log, 0..600).await;
    let damage = format!("UPDATE entry SET data = {} WHERE idx = 300", driver.flip("data", 3));
    assert_eq!(home.tamper(&damage).await, 1);
    let error = log.move_due().await.unwrap_err();
    assert_eq!(error.to_string(), "entry 300 does not lead to the signed root");
    assert_eq!((home.moved().await.unwrap(), shelf.names()), (256, vec!["leaves/000".to_owned(), "tile/0/000".to_owned()]));
    assert_eq!(home.tamper(&damage).await, 1);
    assert_eq!(log.move_due().await.unwrap(), 512);
    world.check(&log, shelf.tiered(home.store(), 0).as_ref(), 600).await;
}

async fn another_logs_objects_are_not_taken_for_ours(driver: Driver) {
    let (world, home, shelf) = (World::new(), driver.home().await, Shelf::new());
    let log = world.create(shelf.tiered(home.store(), 0)).await;
    grow(&log, 0..600).await;
    shelf.swap("leaves/001", Some(Bytes::from_static(b"somebody else's")));
    let error = log.move_due().await.unwrap_err();
    assert!(matches!(error, StoreError::Objects { .. }), "{error:?}");
    assert_eq!(home.moved().await.unwrap(), 256);
    assert_eq!(shelf.objects.lock().unwrap()["leaves/001"], b"somebody else's"[..], "it stays");
    grow(&log, 600..700).await;
    world.check(&log, shelf.tiered(home.store(), 0).as_ref(), 700).await;
}

async fn a_frozen_log_moves_too(driver: Driver) {
    let (world, home, shelf, log) = moved(driver, 700, 600).await;
    log.freeze().await.unwrap();
    log.close().await;
    let log = world.open(shelf.tiered(home.store(), 0)).await.unwrap();
    assert_eq!(log.move_due().await.unwrap(), 512);
    assert_eq!(log.entries(0..700).await.unwrap().len(), 700);
    assert!(log.checkpoint().last);
}

async fn it_happens_by_itself_while_entries_come(driver: Driver) {
    let (world, home, shelf) = (World::new(), driver.home().await, Shelf::new());
    let tier = Tier { every: Duration::from_millis(5), ..Tier::new(shelf.open(), Form::Leaves, 100) };
    let store = tiered(home.store(), Some(tier));
    let log = world.create(Arc::clone(&store)).await;
    for from in (0..3_000).step_by(300) {
        grow(&log, from..from + 300).await;
        // Some of it is moved, some is being moved, some is not.
        let entries = log.entries(0..from + 300).await.unwrap();
        assert!(entries.iter().map(|entry| entry.index).eq(0..from + 300));
        for answer in append_all(&log, numbers(0..from + 1).step_by(97)).await {
            let appended = answer.unwrap();
            verify(&appended);
            assert!(appended.duplicate);
        }
    }
    while home.moved().await.unwrap() < 2_816 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    world.check(&log, store.as_ref(), 3_000).await;
    log.close().await;
    assert_eq!(shelf.names().len(), 2 * 2_816 / 256);
}

/// Where a tile of tiles becomes full, it goes with the last of its bundles, and stays.
#[tokio::test(flavor = "multi_thread")]
async fn tiles_above_are_copied_with_the_last_bundle_below_them() {
    let (world, home, shelf) = (World::new(), Driver::Sqlite.home().await, Shelf::new());
    let tier = Tier::new(shelf.open(), Form::TlogTiles, 0);
    let store = tiered(home.store(), Some(Tier { every: Duration::from_secs(1_000_000), ..tier }));
    let log = world.create(Arc::clone(&store)).await;
    let plain = |range: std::ops::Range<u64>| range.map(|n| Plain(n.to_string()));
    for from in (0..66_000).step_by(6_000) {
        append_all(&log, plain(from..from + 6_000)).await.into_iter().for_each(|answer| verify(&answer.unwrap()));
    }
    assert_eq!(log.move_due().await.unwrap(), 65_792);
    let expected = log.tile(1, 0, 256).await.unwrap().unwrap();
    assert_eq!(shelf.objects.lock().unwrap()["tile/1/000"], expected);
    assert_eq!(home.tiles(1, 0..9).await.unwrap()[0].hashes, expected);
    assert_eq!(shelf.names().len(), 257 * 2 + 1);
    let second = tlog::parse_bundle(&shelf.objects.lock().unwrap()["tile/entries/001"]).unwrap()[0].to_vec();
    assert_eq!(second, log.entries(256..257).await.unwrap()[0].data);
    let leaf = leaf_hash(&log.entries(65_280..65_281).await.unwrap()[0].data);
    assert_eq!(log.tile(0, 255, 256).await.unwrap().unwrap()[..32], *leaf.as_bytes());
    log.close().await;
    let log = world.open(Arc::clone(&store)).await.unwrap();
    assert_eq!(log.entries(40_000..40_001).await.unwrap().len(), 1);
    world.check(&log, store.as_ref(), 66_000).await;
    // A copy of a tile above is as much part of what is published.
    let tile = Tile::full(1, 0);
    let name = merkle::TilePath::hashes(tile).to_string();
    shelf.swap(&name, None);
    let error = check_log(store.as_ref(), world.signer.as_ref()).await.unwrap_err();
    assert_eq!(error.code(), "log_object_damaged");
}

/// Entries whose rows share no page with others, and ones that share it: what they leave is used again.
#[tokio::test]
async fn the_file_does_not_grow_by_what_was_moved() {
    for bytes in [300, 1_200, 3_000, 9_000] {
        let (world, folder, shelf) = (World::new(), tempfile::tempdir().unwrap(), Shelf::new());
        let (log, store) = sqlite(&world, folder.path()).await;
        log.close().await;
        let log = world.open(shelf.tiered(Arc::new(store.clone()), 0)).await.unwrap();
        let beside = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.path().join("log.db")).read_only(true);
        let mut beside = sqlx::SqliteConnection::connect_with(&beside).await.unwrap();
        let mut grown = Vec::new();
        for round in 0..6_u64 {
            let entries = (0..512_u64).map(|n| Plain(format!("{:0width$}", round * 512 + n, width = bytes)));
            append_all(&log, entries).await.into_iter().for_each(|answer| verify(&answer.unwrap()));
            log.move_due().await.unwrap();
            let all: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(&mut beside).await.unwrap();
            let free: i64 = sqlx::query_scalar("PRAGMA freelist_count").fetch_one(&mut beside).await.unwrap();
            grown.push((all, all - free));
        }
        // What a moved entry leaves is well below 400 bytes, search keys and indexes included.
        let (first, last) = (grown[0], grown[5]);
        assert!((last.1 - first.1) * 4_096 < 5 * 512 * 700, "{bytes}: {grown:?}");
        assert!((last.0 - first.0) * 4_096 < 5 * 512 * 700, "free pages are used: {bytes}: {grown:?}");
    }
}

/// The folder is what it is said to be: names, files, and nothing beside them.
#[tokio::test]
async fn a_folder_holds_the_tiles_and_bundles_of_a_log() {
    let (world, folder) = (World::new(), tempfile::tempdir().unwrap());
    let (log, store) = sqlite(&world, folder.path()).await;
    log.close().await;
    let place = folder.path().join("objects");
    std::fs::create_dir(&place).unwrap();
    let objects = Objects::open(&ObjectsConfig::Folder(place.clone().into())).await.unwrap().under("v2").unwrap();
    let tier = Tier { every: Duration::from_secs(1_000_000), ..Tier::new(objects, Form::TlogTiles, 0) };
    let log = world.open(tiered(Arc::new(store), Some(tier))).await.unwrap();
    append_all(&log, (0..520).map(|n| Plain(n.to_string()))).await.into_iter().for_each(|answer| verify(&answer.unwrap()));
    assert_eq!(log.move_due().await.unwrap(), 512);
    let bundle = std::fs::read(place.join("v2/tile/entries/001")).unwrap();
    let entries = tlog::parse_bundle(&bundle).unwrap();
    let stored = log.entries(256..512).await.unwrap();
    assert!(entries.into_iter().eq(stored.iter().map(|entry| entry.data.as_slice())));
    let tile = std::fs::read(place.join("v2/tile/0/001")).unwrap();
    assert_eq!(tile, log.tile(0, 1, 256).await.unwrap().unwrap());
    assert_eq!(log.entries(0..520).await.unwrap().len(), 520);
    // An entry with something beside it has no place in such a bundle.
    grow(&log, 600..1_000).await;
    assert!(log.move_due().await.unwrap_err().to_string().contains("does not fit the form of tile/entries/002"));
}
