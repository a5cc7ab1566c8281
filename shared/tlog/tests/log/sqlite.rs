//! The file: made once, opened only when it is ours, synced at each commit.

use std::sync::Arc;

use crate::common::{World, grow};
use crate::driver::{shut, sqlite, sqlite_tamper as tamper};
use tlog::sqlite::{Database, DatabaseError, SqliteStore};

#[tokio::test]
async fn a_missing_file_is_not_made_by_opening() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let error = Database::open(&path).await.unwrap_err();
    assert!(matches!(error, DatabaseError::Missing { .. }), "{error:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    assert!(error.details()[0].contains("log.db") && error.code() == "database_missing");
    let nowhere = Database::create(folder.path().join("missing/log.db")).await.unwrap_err();
    assert!(matches!(nowhere, DatabaseError::File { .. }), "{nowhere:?}");
}

#[tokio::test]
async fn what_is_no_log_database_is_refused_and_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.db");
    let foreign = {
        tamper_new(folder.path(), "CREATE TABLE other (a)").await;
        std::fs::read(&path).unwrap()
    };
    let long_text = "not a database ".repeat(1_000).into_bytes();
    for content in [Vec::new(), b"short".to_vec(), long_text, foreign] {
        std::fs::write(&path, &content).unwrap();
        let error = Database::open(&path).await.unwrap_err();
        assert!(matches!(error, DatabaseError::Foreign { .. }), "{error:?}");
        assert!(std::fs::read(&path).unwrap() == content, "not a byte of it was changed");
    }
}

/// As [`tamper`], on a file that is made for it.
async fn tamper_new(folder: &std::path::Path, sql: &str) {
    std::fs::write(folder.join("log.db"), b"").unwrap();
    tamper(folder, sql).await;
}

#[tokio::test]
async fn creation_never_overwrites() {
    let (world, folder) = (World::new(), tempfile::tempdir().unwrap());
    let (log, store) = sqlite(&world, folder.path()).await;
    grow(&log, 0..10).await;
    shut(log, store).await;
    let path = folder.path().join("log.db");
    let before = std::fs::read(&path).unwrap();
    let error = SqliteStore::create(&path, "test").await.unwrap_err();
    assert!(matches!(error, DatabaseError::Exists { .. }), "{error:?}");
    assert!(std::fs::read(&path).unwrap() == before);
    let empty = folder.path().join("empty.db");
    std::fs::write(&empty, b"").unwrap();
    assert!(matches!(Database::create(&empty).await, Err(DatabaseError::Exists { .. })));
}

#[tokio::test]
async fn a_schema_from_the_future_is_refused() {
    let (world, folder) = (World::new(), tempfile::tempdir().unwrap());
    let (log, store) = sqlite(&world, folder.path()).await;
    shut(log, store).await;
    let migration = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'later', 1, x'00', 0)";
    assert_eq!(tamper(folder.path(), migration).await, 1);
    let error = Database::open(folder.path().join("log.db")).await.unwrap_err();
    assert!(matches!(error, DatabaseError::Schema { .. }), "{error:?}");
    assert_eq!(tamper(folder.path(), "DELETE FROM _sqlx_migrations WHERE version = 9999").await, 1);
    assert_eq!(tamper(folder.path(), "UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 1").await, 1);
    let error = Database::open(folder.path().join("log.db")).await.unwrap_err();
    assert!(matches!(error, DatabaseError::Schema { .. }), "an edited migration: {error:?}");
}

#[tokio::test]
async fn a_log_goes_on_in_a_file_that_was_closed() {
    let (world, folder) = (World::new(), tempfile::tempdir().unwrap());
    let (log, store) = sqlite(&world, folder.path()).await;
    grow(&log, 0..300).await;
    shut(log, store).await;
    let names: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(!names.iter().any(|name| name.ends_with("-wal")), "closing copies everything into the file: {names:?}");
    let store = SqliteStore::open(folder.path().join("log.db"), "test").await.unwrap();
    let log = world.open(Arc::new(store.clone())).await.unwrap();
    grow(&log, 300..310).await;
    world.check(&log, &store, 310).await;
}

#[tokio::test]
async fn a_file_of_the_first_schema_gains_what_later_ones_have() {
    let (world, folder) = (World::new(), tempfile::tempdir().unwrap());
    let (log, store) = sqlite(&world, folder.path()).await;
    grow(&log, 0..10).await;
    shut(log, store).await;
    tamper(folder.path(), "DROP TABLE search; ALTER TABLE log DROP COLUMN moved; DELETE FROM _sqlx_migrations WHERE version > 1")
        .await;
    let store = SqliteStore::open(folder.path().join("log.db"), "test").await.unwrap();
    let log = world.open(Arc::new(store.clone())).await.unwrap();
    assert_eq!(log.search("every entry", 0, 99).await.unwrap(), [], "nobody kept the words of these");
    grow(&log, 10..12).await;
    let found: Vec<_> = log.search("every entry", 0, 99).await.unwrap().into_iter().map(|(index, _)| index).collect();
    assert_eq!(found, [10, 11]);
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let (world, folder) = (World::new(), tempfile::tempdir().unwrap());
    let (log, _store) = sqlite(&world, folder.path()).await;
    grow(&log, 0..10).await;
    for name in ["log.db", "log.db-wal"] {
        assert_eq!(std::fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777, 0o600, "{name}");
    }
}
