//! The server: believed when it keeps what durability rests on, shared by equals, and lost in the middle of a commit.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use merkle::{Hash, Tile, leaf_hash, verify_inclusion};
use testkit::{Postgres, Relay};
use tlog::postgres::{Address, Database, DatabaseError, PostgresStore};
use tlog::{AppendError, DatabaseAddress, FullTile, Log, NewEntry, Row, State, Store, StoreError, Transaction};

use crate::common::{Entry, Plain, World, append_all, grow, numbers, verify};

fn address(url: &str) -> Address {
    Address::parse(url).unwrap()
}

async fn prepared(server: &Postgres) -> (String, Database) {
    let url = server.database();
    let database = Database::prepare(address(&url)).await.unwrap();
    (url, database)
}

fn tables(server: &Postgres, url: &str) -> String {
    server.sql(url, "SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM pg_tables WHERE schemaname = 'public'")
}

#[tokio::test]
async fn an_empty_database_is_prepared_once_and_never_by_opening() {
    let server = Postgres::shared();
    let url = server.database();
    for missing in [url.clone(), format!("{url}nowhere")] {
        let error = Database::open(address(&missing)).await.unwrap_err();
        assert!(matches!(error, DatabaseError::Missing { .. }), "{error:?}");
        assert!(error.details()[0].contains("/test"), "{:?}", error.details());
    }
    assert_eq!(tables(server, &url), "", "opening makes nothing");

    // Three that begin at once.
    let prepare = || Database::prepare(address(&url));
    let (one, two, three) = tokio::join!(prepare(), prepare(), prepare());
    drop((one.unwrap(), two.unwrap(), three.unwrap()));
    assert_eq!(tables(server, &url), "_sqlx_migrations chancery entry log search tile");
    Database::open(address(&url)).await.unwrap();
}

#[tokio::test]
async fn what_holds_something_else_is_refused_and_left_as_it_is() {
    let server = Postgres::shared();
    for foreign in ["CREATE TABLE customer (id int)", "CREATE TABLE chancery (id int)", "CREATE TABLE chancery (holds text)"] {
        let url = server.database();
        server.sql(&url, foreign);
        let before = tables(server, &url);
        for error in [Database::open(address(&url)).await, Database::prepare(address(&url)).await].map(Result::unwrap_err) {
            assert!(matches!(error, DatabaseError::Foreign { .. }), "{foreign}: {error:?}");
        }
        assert_eq!(tables(server, &url), before);
    }
}

#[tokio::test]
async fn a_schema_from_the_future_is_refused() {
    let server = Postgres::shared();
    let (url, database) = prepared(server).await;
    database.close().await;
    let later = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'later', true, '', 0)";
    for change in [later, "DELETE FROM _sqlx_migrations WHERE version = 9999; UPDATE _sqlx_migrations SET checksum = ''"] {
        server.sql(&url, change);
        let error = Database::open(address(&url)).await.unwrap_err();
        assert!(matches!(error, DatabaseError::Schema { .. }), "{change}: {error:?}");
    }
}

#[tokio::test]
async fn settings_that_lose_what_was_answered_are_refused_by_name() {
    let server = Postgres::shared();
    let (url, database) = prepared(server).await;
    database.close().await;
    let name = url.rsplit('/').next().unwrap();
    for (setting, expected) in [
        ("synchronous_commit = off", "synchronous_commit is off, expected on"),
        ("default_transaction_read_only = on", "default_transaction_read_only is on, expected off"),
    ] {
        server.sql("postgres", &format!("ALTER DATABASE {name} SET {setting}"));
        let error = Database::open(address(&url)).await.unwrap_err();
        assert!(matches!(&error, DatabaseError::Setting { setting, .. } if setting == expected), "{error:?}");
        server.sql("postgres", &format!("ALTER DATABASE {name} RESET ALL"));
    }
    server.sql("postgres", &format!("ALTER DATABASE {name} SET synchronous_commit = local"));
    Database::open(address(&url)).await.unwrap();
}

#[tokio::test]
async fn a_server_that_does_not_sync_or_is_a_standby_is_refused() {
    let server = Postgres::start();
    let (url, database) = prepared(&server).await;
    database.close().await;
    let refused = || async {
        match Database::open(address(&url)).await.unwrap_err() {
            DatabaseError::Setting { setting, .. } => setting,
            error => panic!("{error:?}"),
        }
    };
    server.sql("postgres", "ALTER SYSTEM SET fsync = off");
    server.restart();
    assert_eq!(refused().await, "fsync is off, expected on");
    server.sql("postgres", "ALTER SYSTEM RESET fsync");
    server.restart();
    Database::open(address(&url)).await.unwrap();
    server.become_standby();
    assert!(refused().await.starts_with("pg_is_in_recovery() is true"));
}

#[tokio::test]
async fn the_password_comes_from_a_file() {
    let server = Postgres::shared();
    let url = server.over_tcp(&server.database());
    let file = server.password_file();
    let wrong = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(wrong.path(), "another\n").unwrap();
    for file in [None, Some(wrong.path())] {
        let address = DatabaseAddress::postgres(&url, file).unwrap();
        let error = tlog::Database::create(&address).await.unwrap_err();
        assert_eq!(error.code(), "database_failed");
        assert!(!error.details().concat().contains("another"), "{:?}", error.details());
    }
    std::fs::write(wrong.path(), "\n").unwrap();
    assert_eq!(DatabaseAddress::postgres(&url, Some(wrong.path())).unwrap_err().code(), "database_password");
    // As an editor leaves it.
    std::fs::write(wrong.path(), std::fs::read_to_string(file).unwrap() + "\n").unwrap();
    let address = DatabaseAddress::postgres(&url, Some(wrong.path())).unwrap();
    tlog::Database::create(&address).await.unwrap().close().await;
}

/// Two processes, as far as the database can tell: each with connections and a memory of its own.
async fn two_replicas(world: &World) -> (Log, Log) {
    let (url, database) = prepared(Postgres::shared()).await;
    let one = world.create(Arc::new(database.log("test"))).await;
    let second = Database::open(address(&url)).await.unwrap();
    (one, world.open(Arc::new(second.log("test"))).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_replica_answered_every_replica_shows() {
    let world = World::new();
    let (writer, reader) = two_replicas(&world).await;
    for n in 0..20 {
        let appended = writer.append(Arc::new(Plain(format!("{n}")))).await.unwrap();
        let (index, leaf, size) = (appended.index, leaf_hash(&appended.leaf.data), appended.head.size);
        // Each kind of read must find it by itself: the reader has not been told of anything between them.
        match n % 6 {
            0 => assert_eq!(reader.index_of(&leaf).await.unwrap(), Some(index)),
            1 => {
                let proof = reader.inclusion_proof(index, size).await.unwrap();
                verify_inclusion(&leaf, index, size, &proof, &appended.head.root).unwrap();
            }
            2 => assert_eq!(reader.entries(index..index + 1).await.unwrap()[0].data, appended.leaf.data),
            3 => assert_eq!(reader.search("every entry", index, 10).await.unwrap(), [(index, leaf)]),
            4 => assert!(reader.consistency_proof(size - 1, size).await.is_ok()),
            _ => {
                let edge = Tile::at(0, 0, size).unwrap();
                assert!(reader.tile(0, 0, edge.width).await.unwrap().is_some());
            }
        }
        assert_eq!(reader.checkpoint(), appended.head);
        assert_eq!(reader.reach(size + 1).await.size, size, "nobody has appended so much");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_nobody_asks_follows_all_the_same() {
    let world = World::new();
    let (writer, reader) = two_replicas(&world).await;
    grow(&writer, 0..600).await;
    let head = writer.checkpoint();
    testkit::wait_until("the reader has the writer's head", Duration::from_secs(30), || async { reader.checkpoint() == head })
        .await;
    writer.freeze().await.unwrap();
    assert!(matches!(reader.append(Arc::new(Entry("late".into()))).await, Err(AppendError::Frozen)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_opened_while_others_append() {
    let world = World::new();
    let (url, database) = prepared(Postgres::shared()).await;
    let writer = world.create(Arc::new(database.log("test"))).await;
    let writing = tokio::spawn(async move {
        for from in (0..3_000).step_by(30) {
            grow(&writer, from..from + 30).await;
        }
    });
    while !writing.is_finished() {
        let late = Database::open(address(&url)).await.unwrap();
        world.open(Arc::new(late.log("test"))).await.unwrap().close().await;
        late.close().await;
    }
    writing.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_writer_that_vanished_with_the_row_does_not_keep_it() {
    let world = World::new();
    let (url, database) = prepared(Postgres::shared()).await;
    let log = world.create(Arc::new(database.log("test"))).await;
    grow(&log, 0..5).await;
    let other = Database::open(address(&url)).await.unwrap().log("test");
    let mut held = other.begin().await.unwrap();
    let appended = log.append(Arc::new(Entry("waits".into()))).await.unwrap();
    assert_eq!((appended.index, appended.duplicate), (5, false));
    assert!(held.find(&[leaf_hash(b"any")]).await.is_err(), "the server has ended its session");
    assert!(held.commit().await.is_err(), "and nothing that it did can be committed");
    world.check(&log, &database.log("test"), 6).await;
}

/// What becomes of a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    /// The line is cut before it is sent.
    Sent,
    /// The line is cut after it took effect, before the answer arrives.
    Answered,
    /// The same, and before anybody looks another replica has appended.
    AnsweredAndBuiltUpon,
}

/// A log at the far end of a line that is cut when the next batch is committed.
#[derive(Debug)]
struct CutStore {
    inner: PostgresStore,
    line: Arc<Line>,
}

struct Line {
    relay: Relay,
    next: std::sync::Mutex<Option<Lost>>,
    other: Log,
}

impl std::fmt::Debug for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Line")
    }
}

struct CutTransaction {
    inner: Box<dyn Transaction>,
    line: Arc<Line>,
}

#[async_trait]
impl Store for CutStore {
    fn location(&self) -> String {
        self.inner.location()
    }
    /// Not followed: nothing but the batch is to use the line.
    fn shared(&self) -> bool {
        false
    }
    async fn create(&self, state: &State) -> Result<(), StoreError> {
        self.inner.create(state).await
    }
    async fn state(&self) -> Result<Option<State>, StoreError> {
        self.inner.state().await
    }
    async fn begin(&self) -> Result<Box<dyn Transaction>, StoreError> {
        Ok(Box::new(CutTransaction { inner: self.inner.begin().await?, line: Arc::clone(&self.line) }))
    }
    async fn moved(&self) -> Result<u64, StoreError> {
        self.inner.moved().await
    }
    async fn rows(&self, range: Range<u64>) -> Result<Vec<Row>, StoreError> {
        self.inner.rows(range).await
    }
    async fn leaf_hashes(&self, range: Range<u64>) -> Result<Vec<(u64, Hash)>, StoreError> {
        self.inner.leaf_hashes(range).await
    }
    async fn index_of(&self, leaf_hash: &Hash) -> Result<Option<u64>, StoreError> {
        self.inner.index_of(leaf_hash).await
    }
    async fn search(&self, key: &str, from: u64, limit: u32) -> Result<Vec<(u64, Hash)>, StoreError> {
        self.inner.search(key, from, limit).await
    }
    async fn tiles(&self, level: u8, range: Range<u64>) -> Result<Vec<FullTile>, StoreError> {
        self.inner.tiles(level, range).await
    }
    async fn extent(&self) -> Result<Option<(u64, u64)>, StoreError> {
        self.inner.extent().await
    }
    async fn count(&self) -> Result<u64, StoreError> {
        self.inner.count().await
    }
}

#[async_trait]
impl Transaction for CutTransaction {
    fn state(&self) -> &State {
        self.inner.state()
    }
    fn moved(&self) -> u64 {
        self.inner.moved()
    }
    async fn find(&mut self, dedup_keys: &[Hash]) -> Result<Vec<(Hash, Row)>, StoreError> {
        self.inner.find(dedup_keys).await
    }
    async fn insert_entries(&mut self, entries: &[NewEntry]) -> Result<(), StoreError> {
        self.inner.insert_entries(entries).await
    }
    async fn insert_tiles(&mut self, tiles: &[FullTile]) -> Result<(), StoreError> {
        self.inner.insert_tiles(tiles).await
    }
    async fn drop_content(&mut self, to: u64, extras: &[Hash]) -> Result<(), StoreError> {
        self.inner.drop_content(to, extras).await
    }
    async fn update(&mut self, state: &State) -> Result<(), StoreError> {
        self.inner.update(state).await
    }
    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        let lost = self.line.next.lock().unwrap().take();
        match lost {
            None => return self.inner.commit().await,
            Some(Lost::Sent) => self.line.relay.down(),
            // The first byte of the answer passes, and no other.
            Some(Lost::Answered | Lost::AnsweredAndBuiltUpon) => self.line.relay.cut_after(1),
        }
        let outcome = self.inner.commit().await;
        assert!(outcome.is_err(), "{lost:?}: the line was cut");
        self.line.relay.up();
        if lost == Some(Lost::AnsweredAndBuiltUpon) {
            grow(&self.line.other, 5_000..5_010).await;
        }
        outcome
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_found_out() {
    for size in [5, 250, 256] {
        for lost in [Lost::Sent, Lost::Answered, Lost::AnsweredAndBuiltUpon] {
            cut(size, lost).await;
        }
    }
}

async fn cut(size: u64, lost: Lost) {
    let (world, server) = (World::new(), Postgres::shared());
    let (url, direct) = prepared(server).await;
    let other = world.create(Arc::new(direct.log("test"))).await;
    grow(&other, 0..size).await;
    let relay = Relay::to(&server.address());
    let far = server.over_tcp(&url).replace(&server.address(), relay.url().trim_start_matches("http://"));
    let DatabaseAddress::Postgres(far) = DatabaseAddress::postgres(&far, Some(&server.password_file())).unwrap() else {
        unreachable!("it is no file")
    };
    let line = Arc::new(Line { relay, next: std::sync::Mutex::new(None), other: other.clone() });
    let inner = Database::open(far).await.unwrap().log("test");
    let log = world.open(Arc::new(CutStore { inner, line: Arc::clone(&line) })).await.unwrap();

    *line.next.lock().unwrap() = Some(lost);
    let answers = append_all(&log, numbers(1_000..1_020)).await;
    let first_batch = answers.iter().filter(|answer| answer.is_err()).count();
    if lost == Lost::Sent {
        assert!(first_batch > 0, "nothing of the batch was logged");
    } else {
        assert_eq!(first_batch, 0, "{lost:?}: {answers:?}");
        assert!(answers.iter().flatten().all(|appended| !appended.duplicate), "each was logged now, by this log");
    }
    answers.iter().flatten().for_each(verify);
    let again = append_all(&log, numbers(1_000..1_020)).await;
    for (first, again) in answers.iter().zip(&again) {
        let again = again.as_ref().unwrap();
        verify(again);
        assert!(first.as_ref().is_ok_and(|first| first.index == again.index) || first.is_err());
    }
    let all = size + 20 + if lost == Lost::AnsweredAndBuiltUpon { 10 } else { 0 };
    world.check(&log, &direct.log("test"), all).await;
    other.reach(all).await;
    world.check(&other, &direct.log("test"), all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_restarted_is_found_again() {
    let (world, server) = (World::new(), Postgres::start());
    let (url, database) = prepared(&server).await;
    let log = world.create(Arc::new(database.log("test"))).await;
    grow(&log, 0..300).await;
    for round in 0..3 {
        let from = 300 + round * 100;
        let writing = tokio::spawn({
            let log = log.clone();
            async move { append_all(&log, numbers(from..from + 100)).await }
        });
        if round == 1 {
            assert!(server.end_sessions(&url) > 0);
        } else {
            server.restart();
        }
        let first = writing.await.unwrap();
        // Whoever was refused sends it again, as clients do.
        testkit::wait_until("the log takes entries", Duration::from_secs(60), || async {
            append_all(&log, numbers(from..from + 100)).await.iter().all(Result::is_ok)
        })
        .await;
        for (n, answer) in first.into_iter().enumerate().filter_map(|(n, answer)| Some((n, answer.ok()?))) {
            let again = log.append(Arc::new(Entry((from + n as u64).to_string()))).await.unwrap();
            assert_eq!((again.index, again.duplicate), (answer.index, true), "what was answered is there");
        }
    }
    world.check(&log, &database.log("test"), 600).await;
}
