//! Start-up: every single thing that does not agree is found, named and refused.

use std::sync::Arc;

use crate::common::{Entry, ORIGIN, World, grow, verify};
use crate::driver::{Closed, Driver, on_both, on_both_with_threads};
use keys::FileKey;
use note::Checkpoint;
use pki::KeyKind;
use tlog::{Log, NoteSigner, OpenError, State, check_log};

on_both!(
    a_log_of_any_size_is_opened_again,
    a_flipped_byte_in_the_state_row_is_refused,
    a_flipped_byte_in_the_last_full_tile_is_refused,
    a_flipped_byte_in_a_last_leaf_hash_or_entry_is_refused,
    leaf_hash_and_entry_changed_together_are_refused,
    missing_and_surplus_entries_are_refused,
    a_state_row_that_agrees_with_its_digest_must_agree_with_all_else,
    a_tree_that_was_never_signed_is_refused,
    another_key_is_refused_by_name,
    another_origin_is_refused_by_name,
    a_log_is_created_once,
    a_published_head_must_be_reached,
    several_logs_live_in_one_database,
);
on_both_with_threads!(a_log_with_tiles_of_tiles_is_opened_and_every_byte_of_it_checked);

/// A log of this size that nothing has open.
async fn log_of(driver: Driver, world: &World, size: u64) -> Closed {
    let (log, home) = driver.make(world).await;
    grow(&log, 0..size).await;
    world.check(&log, &*home, size).await;
    home.shut(log).await
}

async fn open(world: &World, closed: &Closed) -> Result<Log, OpenError> {
    let home = closed.open().await;
    let opened = world.open(home.store()).await;
    if opened.is_err() {
        home.close().await;
    }
    opened
}

/// The code with which a log of `size` is refused after a change; the change must have hit one row.
async fn refusal(driver: Driver, size: u64, sql: &str) -> OpenError {
    let world = World::new();
    let closed = log_of(driver, &world, size).await;
    assert_eq!(closed.tamper(sql).await, 1, "{sql}");
    let error = open(&world, &closed).await.expect_err(sql);
    let text = [vec![error.to_string()], error.details(), vec![error.advice()]].concat().join(" ");
    assert!(text.contains("(test)") && !text.contains('\n') && !text.contains('"'), "{text}");
    error
}

async fn a_log_of_any_size_is_opened_again(driver: Driver) {
    for size in [0, 1, 2, 255, 256, 257, 511, 512, 513, 1_300] {
        let world = World::new();
        let closed = log_of(driver, &world, size).await;
        let log = open(&world, &closed).await.unwrap();
        assert_eq!(log.checkpoint().size, size);
        grow(&log, size..size + 3).await;
    }
}

async fn a_flipped_byte_in_the_state_row_is_refused(driver: Driver) {
    let columns = ["origin", "key_id", "root", "frontier", "checkpoint", "digest"];
    let mut changes: Vec<_> =
        columns.iter().map(|column| format!("UPDATE log SET {column} = {}", driver.flip(column, 3))).collect();
    changes[0] = "UPDATE log SET origin = 'mog.example.test'".into();
    changes[4] = "UPDATE log SET checkpoint = replace(checkpoint, 'log.example', 'mog.example')".into();
    changes.extend(
        ["size = (size | 1) - (size & 1)", "time = (time | 1) - (time & 1)", "frozen = NOT frozen"]
            .map(|set| format!("UPDATE log SET {set}")),
    );
    for change in changes {
        assert_eq!(refusal(driver, 300, &change).await.code(), "log_state_damaged", "{change}");
    }
}

async fn a_flipped_byte_in_the_last_full_tile_is_refused(driver: Driver) {
    for (size, at) in [(300, 1), (300, 8_192), (257, 4_000), (256, 32), (512, 33), (1_300, 8_000)] {
        let last = size / 256 - 1;
        let error = refusal(
            driver,
            size,
            &format!("UPDATE tile SET hashes = {} WHERE level = 0 AND idx = {last}", driver.flip("hashes", at)),
        )
        .await;
        assert!(matches!(error, OpenError::TileDamaged { level: 0, index, .. } if index == last), "{error:?}");
    }
    // Any tile that memory is filled from, not only the last.
    let error =
        refusal(driver, 1_300, &format!("UPDATE tile SET hashes = {} WHERE level = 0 AND idx = 1", driver.flip("hashes", 5)))
            .await;
    assert_eq!(error.code(), "log_tile_damaged");
    let error = refusal(driver, 1_300, "DELETE FROM tile WHERE level = 0 AND idx = 2").await;
    assert!(matches!(error, OpenError::TileDamaged { level: 0, index: 2, .. }), "{error:?}");
}

async fn a_flipped_byte_in_a_last_leaf_hash_or_entry_is_refused(driver: Driver) {
    for size in [1_u64, 255, 256, 257, 300, 512] {
        for entry in [size - 1, size.saturating_sub(200)] {
            for column in ["leaf_hash", "data"] {
                let error =
                    refusal(driver, size, &format!("UPDATE entry SET {column} = {} WHERE idx = {entry}", driver.flip(column, 7)))
                        .await;
                assert!(
                    matches!(error, OpenError::EntryDamaged { index, .. } if index == entry),
                    "{size} {entry} {column}: {error:?}"
                );
            }
        }
    }
    assert_eq!(refusal(driver, 300, "UPDATE entry SET time = time + 1 WHERE idx = 299").await.code(), "log_entry_damaged");
    // In the last full tile, too far back to be hashed again as one of the last.
    let error =
        refusal(driver, 500, &format!("UPDATE entry SET leaf_hash = {} WHERE idx = 3", driver.flip("leaf_hash", 1))).await;
    assert!(matches!(error, OpenError::EntryDamaged { index: 3, .. }), "{error:?}");
}

async fn leaf_hash_and_entry_changed_together_are_refused(driver: Driver) {
    // Entry and leaf hash agree with each other, and not with what was signed.
    let (data, other) = (driver.bytes(&hex(b"other")), driver.bytes(&merkle::leaf_hash(b"other").to_string()));
    for (size, entry) in [(300, 299), (300, 280), (257, 256)] {
        let error =
            refusal(driver, size, &format!("UPDATE entry SET data = {data}, leaf_hash = {other} WHERE idx = {entry}")).await;
        assert_eq!(error.code(), "log_entry_damaged", "{size} {entry}");
    }
    let error = refusal(driver, 512, &format!("UPDATE entry SET data = {data}, leaf_hash = {other} WHERE idx = 511")).await;
    assert_eq!(error.code(), "log_tile_damaged", "of two that contradict each other the entry is consistent");
}

async fn missing_and_surplus_entries_are_refused(driver: Driver) {
    let key = driver.bytes(&"00".repeat(32));
    let surplus = format!("INSERT INTO entry SELECT log, 300, time, {key}, leaf_hash, data, extra FROM entry WHERE idx = 299");
    for (sql, code) in [
        ("DELETE FROM entry WHERE idx = 299", "log_state_damaged"),
        ("DELETE FROM entry WHERE idx = 0", "log_state_damaged"),
        ("DELETE FROM entry WHERE idx = 290", "log_entry_damaged"),
        ("DELETE FROM entry WHERE idx = 5", "log_entry_damaged"),
        (surplus.as_str(), "log_state_damaged"),
        ("DELETE FROM log", "log_missing"),
        ("UPDATE log SET name = 'other'", "log_missing"),
    ] {
        let keyed = driver == Driver::Sqlite && sql == "DELETE FROM log";
        let sql = if keyed { "PRAGMA foreign_keys = off; DELETE FROM log" } else { sql };
        assert_eq!(refusal(driver, 300, sql).await.code(), code, "{sql}");
    }
}

async fn a_state_row_that_agrees_with_its_digest_must_agree_with_all_else(driver: Driver) {
    type Change = fn(&mut State);
    let changes: [(&str, Change); 6] = [
        ("log_state_damaged", |state| state.root = merkle::sha256(b"other")),
        ("log_state_damaged", |state| state.frontier.swap(0, 1)),
        ("log_state_damaged", |state| state.frontier.truncate(1)),
        ("log_state_damaged", |state| state.checkpoint = state.checkpoint.replace("\n300\n", "\n299\n")),
        ("log_state_damaged", |state| state.checkpoint.clear()),
        ("log_entry_damaged", |state| state.time = jiff::Timestamp::UNIX_EPOCH),
    ];
    for (code, change) in changes {
        let world = World::new();
        let (log, store) = driver.make(&world).await;
        grow(&log, 0..300).await;
        log.close().await;
        let mut transaction = store.begin().await.unwrap();
        let mut state = transaction.state().clone();
        change(&mut state);
        transaction.update(&state).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(world.open(store.store()).await.unwrap_err().code(), code);
    }
}

async fn a_tree_that_was_never_signed_is_refused(driver: Driver) {
    // State, tiles and entries of another log, under this one's name and key: everything agrees but the signature.
    let world = World::new();
    let (log, store) = driver.make(&world).await;
    grow(&log, 0..10).await;
    log.close().await;
    let (other_world_log, other_store) = driver.make(&World::new()).await;
    grow(&other_world_log, 100..110).await;
    let foreign = other_store.state().await.unwrap().unwrap();
    let mut transaction = store.begin().await.unwrap();
    let state = State { key_id: transaction.state().key_id, ..foreign };
    transaction.update(&state).await.unwrap();
    transaction.commit().await.unwrap();
    let error = world.open(store.store()).await.unwrap_err();
    assert!(error.details().iter().any(|line| line.contains("no signature by key")), "{:?}", error.details());
}

async fn another_key_is_refused_by_name(driver: Driver) {
    let world = World::new();
    let closed = log_of(driver, &world, 3).await;
    for kind in [KeyKind::Ed25519, KeyKind::P256] {
        let signer = Arc::new(NoteSigner::new(ORIGIN, Arc::new(FileKey::generate(kind).unwrap())).unwrap());
        let other = World { signer, ..world.clone() };
        let error = open(&other, &closed).await.unwrap_err();
        assert_eq!(
            (error.code(), error.to_string().as_str()),
            ("log_key_mismatch", "the log's key does not belong to its database")
        );
        let (stored, given) = (world.signer.key_id().short(), other.signer.key_id().short());
        assert!(error.details()[0].contains(&stored) && error.details()[1].contains(&given) && error.advice().contains(&stored));
    }
}

async fn another_origin_is_refused_by_name(driver: Driver) {
    let world = World::new();
    let key = Arc::new(FileKey::generate(KeyKind::P256).unwrap());
    let signer = |origin| World { signer: Arc::new(NoteSigner::new(origin, key.clone()).unwrap()), ..world.clone() };
    let closed = log_of(driver, &signer("one.example"), 3).await;
    let error = open(&signer("two.example"), &closed).await.unwrap_err();
    assert!(
        matches!(&error, OpenError::OriginMismatch { stored, given, .. } if stored == "one.example" && given == "two.example"),
        "{error:?}"
    );
}

async fn a_log_is_created_once(driver: Driver) {
    let world = World::new();
    let (log, store) = driver.make(&world).await;
    grow(&log, 0..3).await;
    let again = Log::create(store.store(), world.signer.clone(), world.clock.clone()).await.unwrap_err();
    assert_eq!(again.code(), "log_exists");
    world.check(&log, &*store, 3).await;
    let missing = world.open(store.log("other")).await.unwrap_err();
    assert_eq!(missing.code(), "log_missing");
}

async fn a_published_head_must_be_reached(driver: Driver) {
    let world = World::new();
    let (log, store) = driver.make(&world).await;
    let mut seen = Vec::new();
    for size in [1, 100, 256, 300, 600] {
        grow(&log, log.checkpoint().size..size).await;
        seen.push(world.signer.verify(&log.checkpoint().note).unwrap());
    }
    log.close().await;
    let open = |published: Checkpoint| Log::open(store.store(), world.signer.clone(), world.clock.clone(), Some(published));
    for published in seen {
        open(published.clone()).await.unwrap().close().await;
        let diverged = open(Checkpoint { root: merkle::sha256(b"other"), ..published }).await.unwrap_err();
        assert_eq!(diverged.code(), "log_diverged");
    }
    let ahead = open(Checkpoint::new(ORIGIN, 601, merkle::EMPTY_ROOT)).await.unwrap_err();
    assert!(matches!(ahead, OpenError::RolledBack { stored: 600, published: 601, .. }), "{ahead:?}");
    assert_eq!(ahead.code(), "log_rolled_back");
    assert_eq!(open(Checkpoint::new("other.example", 1, merkle::EMPTY_ROOT)).await.unwrap_err().code(), "log_origin_mismatch");
}

async fn several_logs_live_in_one_database(driver: Driver) {
    let database = driver.home().await;
    let (one, two) = (World::new(), World::new());
    let (first, second) = (one.create(database.log("one")).await, two.create(database.log("two")).await);
    let (a, b) = tokio::join!(async { grow(&first, 0..700).await }, async { grow(&second, 0..300).await });
    assert_eq!((a, b), ((), ()));
    one.check(&first, database.log("one").as_ref(), 700).await;
    two.check(&second, database.log("two").as_ref(), 300).await;
    let same = second.append(Arc::new(Entry("5".into()))).await.unwrap();
    assert!(same.duplicate, "each log has its own duplicates");
    assert!(!second.append(Arc::new(Entry("600".into()))).await.unwrap().duplicate);
    let stranger = one.open(database.log("two")).await.unwrap_err();
    assert_eq!(stranger.code(), "log_key_mismatch");
}

async fn a_log_with_tiles_of_tiles_is_opened_and_every_byte_of_it_checked(driver: Driver) {
    let world = World::new();
    let (log, store) = driver.make(&world).await;
    for from in (0..66_000).step_by(6_000) {
        grow(&log, from..from + 6_000).await;
    }
    world.check(&log, &*store, 66_000).await;
    let closed = store.shut(log).await;

    // What lies far from the right edge is checked when it is read.
    assert_eq!(
        closed.tamper(&format!("UPDATE tile SET hashes = {} WHERE level = 0 AND idx = 5", driver.flip("hashes", 9))).await,
        1
    );
    let store = closed.open().await;
    let log = world.open(store.store()).await.unwrap();
    assert_eq!(log.checkpoint().size, 66_000);
    assert!(log.inclusion_proof(4 * 256, 66_000).await.is_ok());
    assert!(log.inclusion_proof(5 * 256 + 7, 66_000).await.is_err());
    assert!(log.tile(0, 5, 3).await.is_err());
    verify(&log.append(Arc::new(Entry("0".into()))).await.unwrap());
    let error = check_log(&*store, world.signer.as_ref()).await.unwrap_err();
    assert!(matches!(error, OpenError::TileDamaged { level: 0, index: 5, .. }), "{error:?}");
    let closed = store.shut(log).await;

    // The tile above is what memory is filled from.
    assert_eq!(closed.tamper(&format!("UPDATE tile SET hashes = {} WHERE level = 1", driver.flip("hashes", 8_000))).await, 1);
    let error = open(&world, &closed).await.unwrap_err();
    assert!(matches!(error, OpenError::TileDamaged { level: 1, index: 0, .. }), "{error:?}");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
