//! A database that went back in time is found out by the record of published heads, and nothing is signed.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::common::{Entry, World, grow};
use crate::driver::{shut, sqlite};
use tlog::sqlite::SqliteStore;
use tlog::{Log, OpenError, Published, Store as _, accept_rollback};

struct Installation {
    world: World,
    folder: tempfile::TempDir,
}

impl Installation {
    async fn new() -> Self {
        let (world, folder) = (World::new(), tempfile::tempdir().unwrap());
        let (log, store) = sqlite(&world, folder.path()).await;
        shut(log, store).await;
        Self { world, folder }
    }

    fn record(&self) -> PathBuf {
        self.folder.path().join("heads/rekor")
    }

    async fn store(&self) -> SqliteStore {
        SqliteStore::open(self.folder.path().join("log.db"), "test").await.unwrap()
    }

    async fn open_with(&self, store: &SqliteStore, record: &Path) -> Result<Log, OpenError> {
        let (signer, clock) = (self.world.signer.clone(), self.world.clock.clone());
        Log::open(Arc::new(store.clone()), signer, clock, Published::recorded(None, record)).await
    }

    /// Runs the log until it has `size` entries, as `what` names them.
    async fn run(&self, what: &str, size: u64) -> Result<(), OpenError> {
        let store = self.store().await;
        let opened = self.open_with(&store, &self.record()).await;
        if let Ok(log) = &opened {
            for n in log.checkpoint().size..size {
                log.append(Arc::new(Entry(format!("{what} {n}")))).await.unwrap();
            }
            log.clone().close().await;
        }
        store.database().close().await;
        opened.map(drop)
    }

    fn back_up(&self, name: &str) {
        std::fs::copy(self.folder.path().join("log.db"), self.folder.path().join(name)).unwrap();
    }

    fn restore(&self, name: &str) {
        for leftover in ["log.db-wal", "log.db-shm"] {
            let _ = std::fs::remove_file(self.folder.path().join(leftover));
        }
        std::fs::copy(self.folder.path().join(name), self.folder.path().join("log.db")).unwrap();
    }
}

#[tokio::test]
async fn a_restored_older_database_is_refused() {
    let installation = Installation::new().await;
    installation.back_up("empty");
    installation.run("a", 5).await.unwrap();
    installation.back_up("older");
    installation.run("a", 300).await.unwrap();
    installation.back_up("newest");
    for (backup, size) in [("older", 5), ("empty", 0)] {
        installation.restore(backup);
        let error = installation.run("a", 301).await.unwrap_err();
        assert!(matches!(&error, OpenError::RolledBack { stored, published: 300, .. } if *stored == size), "{error:?}");
        assert_eq!(error.code(), "log_rolled_back");
        let text = error.details().join("\n");
        assert!(text.contains("heads/rekor") && error.advice().contains("accept-rollback"), "{text}");
        // Refusing changes nothing: it is refused again.
        assert_eq!(installation.run("a", 301).await.unwrap_err().code(), "log_rolled_back");
    }
    installation.restore("newest");
    installation.run("a", 301).await.unwrap();
}

/// The database from before has every entry, and would take more.
#[tokio::test]
async fn a_database_from_before_the_log_was_frozen_is_refused() {
    let installation = Installation::new().await;
    installation.run("a", 5).await.unwrap();
    installation.back_up("open");
    let store = installation.store().await;
    let log = installation.open_with(&store, &installation.record()).await.unwrap();
    assert!(log.freeze().await.unwrap().last);
    log.close().await;
    store.database().close().await;
    installation.run("a", 5).await.unwrap();
    installation.back_up("frozen");

    installation.restore("open");
    let before = std::fs::read(installation.record()).unwrap();
    let error = installation.run("a", 6).await.unwrap_err();
    assert_eq!((error.code(), error.details().iter().any(|line| line == "frozen    at size 5")), ("log_thawed", true));
    assert_eq!(std::fs::read(installation.record()).unwrap(), before, "refusing changes nothing");
    // Not to be accepted either: another database may be older, none is younger than the end.
    let store = installation.store().await;
    let refused = accept_rollback(&store, installation.world.signer.as_ref(), &installation.record(), 5).await.unwrap_err();
    assert_eq!((refused.code(), installation.record().exists()), ("log_thawed", true));
    store.database().close().await;
    installation.restore("frozen");
    installation.run("a", 5).await.unwrap();
}

#[tokio::test]
async fn a_database_that_grew_another_way_is_refused() {
    let installation = Installation::new().await;
    installation.run("a", 5).await.unwrap();
    installation.back_up("older");
    installation.run("a", 300).await.unwrap();
    installation.restore("older");
    // Somebody ran it without the record for a while.
    let record = installation.record();
    std::fs::rename(&record, record.with_extension("aside")).unwrap();
    installation.run("b", 400).await.unwrap();
    std::fs::rename(record.with_extension("aside"), &record).unwrap();
    let error = installation.run("b", 401).await.unwrap_err();
    assert!(matches!(error, OpenError::Diverged { size: 300, .. }), "{error:?}");
}

#[tokio::test]
async fn an_operator_may_accept_it_and_must_name_what_is_given_up() {
    let installation = Installation::new().await;
    installation.run("a", 5).await.unwrap();
    installation.back_up("older");
    installation.run("a", 300).await.unwrap();
    installation.restore("older");
    let store = installation.store().await;
    let accept =
        async |published| accept_rollback(&store, installation.world.signer.as_ref(), &installation.record(), published).await;
    let refused = accept(299).await.unwrap_err();
    assert_eq!((refused.code(), installation.record().exists()), ("log_rollback_size", true));
    assert!(refused.to_string().contains("300"), "{refused}");
    let given_up = accept(300).await.unwrap();
    assert_eq!((given_up.published, given_up.stored), (300, 5));
    assert!(given_up.kept.exists() && !installation.record().exists(), "the evidence is kept");
    assert_eq!(accept(300).await.unwrap_err().code(), "log_rollback_none");
    store.database().close().await;
    installation.run("b", 10).await.unwrap();
    // There is nothing to accept when nothing went back.
    let store = installation.store().await;
    let needless = accept_rollback(&store, installation.world.signer.as_ref(), &installation.record(), 10).await.unwrap_err();
    assert_eq!(needless.code(), "log_rollback_none");
}

#[tokio::test]
async fn replicas_have_a_record_each_and_know_what_they_took_over() {
    let installation = Installation::new().await;
    let records = ["one", "two"].map(|name| installation.folder.path().join(name));
    let store = installation.store().await;
    let (one, two) =
        (installation.open_with(&store, &records[0]).await.unwrap(), installation.open_with(&store, &records[1]).await.unwrap());
    let shared = installation.open_with(&store, &records[0]).await.unwrap_err();
    assert_eq!(shared.code(), "log_record");
    assert!(shared.advice().contains("of its own"), "{}", shared.advice());
    grow(&one, 0..20).await;
    grow(&two, 20..30).await;
    one.close().await;
    two.close().await;
    store.database().close().await;
    // Each of them alone finds a rollback to less than it has seen.
    let older = tempfile::tempdir().unwrap();
    let (log, other) = sqlite(&installation.world, older.path()).await;
    log.close().await;
    for (record, size) in records.iter().zip([20, 30]) {
        let error = installation.open_with(&other, record).await.unwrap_err();
        assert!(matches!(error, OpenError::RolledBack { published, stored: 0, .. } if published == size), "{error:?}");
    }
}

#[tokio::test]
async fn a_record_that_is_damaged_or_of_another_log_is_refused_and_kept() {
    let installation = Installation::new().await;
    installation.run("a", 5).await.unwrap();
    let whole = std::fs::read(installation.record()).unwrap();
    let mut damaged = whole.clone();
    damaged[40] ^= 1;
    damaged[(128 << 10) + 40] ^= 1;
    std::fs::write(installation.record(), &damaged).unwrap();
    assert_eq!(installation.run("a", 6).await.unwrap_err().code(), "log_record");
    assert_eq!(std::fs::read(installation.record()).unwrap(), damaged);

    let other = Installation::new().await;
    other.run("a", 5).await.unwrap();
    std::fs::copy(other.record(), installation.record()).unwrap();
    assert_eq!(installation.run("a", 6).await.unwrap_err().code(), "log_record_foreign");
    std::fs::write(installation.record(), whole).unwrap();
    installation.run("a", 6).await.unwrap();
}

#[tokio::test]
async fn a_crash_between_commit_and_record_is_no_rollback() {
    let installation = Installation::new().await;
    installation.run("a", 5).await.unwrap();
    let behind = std::fs::read(installation.record()).unwrap();
    installation.run("a", 300).await.unwrap();
    std::fs::write(installation.record(), behind).unwrap();
    installation.run("a", 301).await.unwrap();
    let store = installation.store().await;
    assert_eq!(store.state().await.unwrap().unwrap().size, 301);
}
