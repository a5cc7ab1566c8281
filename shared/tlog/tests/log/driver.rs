//! The two drivers, and what a test does with the database behind one.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::Connection as _;
use testkit::Postgres;
use tlog::{Database, DatabaseAddress, Log, Store, postgres, sqlite};

use crate::common::World;

/// Runs each of these tests, functions of a [`Driver`], on both.
macro_rules! on_both {
    ($($test:ident),* $(,)?) => { $(mod $test {
        #[tokio::test(flavor = "current_thread")]
        async fn on_sqlite() {
            super::$test($crate::driver::Driver::Sqlite).await;
        }

        #[tokio::test(flavor = "current_thread")]
        async fn on_postgres() {
            super::$test($crate::driver::Driver::Postgres).await;
        }
    })* };
}

/// As [`on_both`], on more than one thread.
macro_rules! on_both_with_threads {
    ($($test:ident),* $(,)?) => { $(mod $test {
        #[tokio::test(flavor = "multi_thread")]
        async fn on_sqlite() {
            super::$test($crate::driver::Driver::Sqlite).await;
        }

        #[tokio::test(flavor = "multi_thread")]
        async fn on_postgres() {
            super::$test($crate::driver::Driver::Postgres).await;
        }
    })* };
}

pub(crate) use {on_both, on_both_with_threads};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Driver {
    Sqlite,
    Postgres,
}

/// A log in a database of its own; to most that is a store.
#[derive(Debug)]
pub struct Home {
    driver: Driver,
    database: Database,
    store: Arc<dyn Store>,
    place: Arc<Place>,
}

#[derive(Debug)]
enum Place {
    File(tempfile::TempDir),
    /// The URL.
    Server(String),
}

/// The name of a test's log in its database.
pub const NAME: &str = "test";

impl Driver {
    /// A new database without a log.
    pub async fn home(self) -> Home {
        let place = match self {
            Self::Sqlite => Place::File(tempfile::tempdir().unwrap()),
            Self::Postgres => Place::Server(Postgres::shared().database()),
        };
        let database = Database::create(&place.address()).await.unwrap();
        let store = database.log(NAME);
        Home { driver: self, database, store, place: Arc::new(place) }
    }

    /// A new log.
    pub async fn make(self, world: &World) -> (Log, Home) {
        let home = self.home().await;
        (world.create(home.store()).await, home)
    }
}

impl Place {
    fn address(&self) -> DatabaseAddress {
        match self {
            Self::File(folder) => DatabaseAddress::File(folder.path().join("log.db")),
            Self::Server(url) => DatabaseAddress::Postgres(postgres::Address::parse(url).unwrap()),
        }
    }
}

impl Home {
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    pub fn log(&self, name: &str) -> Arc<dyn Store> {
        self.database.log(name)
    }

    /// Ends everything that has the database open here.
    pub async fn shut(self, log: Log) -> Closed {
        log.close().await;
        self.close().await
    }

    pub async fn close(self) -> Closed {
        self.database.close().await;
        Closed { driver: self.driver, place: self.place }
    }

    /// The same database, opened once more beside this one: on SQLite around the lock.
    pub async fn second(&self) -> Self {
        if let Place::File(folder) = self.place.as_ref() {
            std::fs::remove_file(folder.path().join("log.db.lock")).unwrap();
        }
        Closed { driver: self.driver, place: Arc::clone(&self.place) }.open().await
    }

    /// Changes the database behind the log's back. Returns how many rows that were.
    pub async fn tamper(&self, sql: &str) -> u64 {
        Closed { driver: self.driver, place: Arc::clone(&self.place) }.tamper(sql).await
    }
}

impl Deref for Home {
    type Target = dyn Store;

    fn deref(&self) -> &Self::Target {
        self.store.as_ref()
    }
}

/// A database that nothing here has open.
#[derive(Debug)]
pub struct Closed {
    driver: Driver,
    place: Arc<Place>,
}

impl Closed {
    pub async fn open(&self) -> Home {
        let database = Database::open(&self.place.address()).await.unwrap();
        let store = database.log(NAME);
        Home { driver: self.driver, database, store, place: Arc::clone(&self.place) }
    }

    /// Changes the database. Returns how many rows that were.
    pub async fn tamper(&self, sql: &str) -> u64 {
        match self.place.as_ref() {
            Place::File(folder) => sqlite_tamper(folder.path(), sql).await,
            Place::Server(url) => {
                let mut connection = sqlx::PgConnection::connect(url).await.unwrap();
                let done = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
                done.rows_affected()
            }
        }
    }
}

/// Changes the file `log.db` in a folder. Nothing may have it open.
pub async fn sqlite_tamper(folder: &std::path::Path, sql: &str) -> u64 {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(folder.join("log.db"));
    let mut connection = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    let done = sqlx::raw_sql(sqlx::AssertSqlSafe(sql.to_owned())).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    done.rows_affected()
}

/// Ends everything that has such a file open.
pub async fn shut(log: Log, store: sqlite::SqliteStore) {
    log.close().await;
    store.database().close().await;
}

/// A log in a SQLite file, for what is about files.
pub async fn sqlite(world: &World, folder: &std::path::Path) -> (Log, sqlite::SqliteStore) {
    let store = sqlite::SqliteStore::create(folder.join("log.db"), NAME).await.unwrap();
    (world.create(Arc::new(store.clone())).await, store)
}

impl Driver {
    /// An expression for a column of bytes with the lowest bit of its byte `at` (from 1) flipped.
    pub fn flip(self, column: &str, at: usize) -> String {
        match self {
            // In hex, its digit `2 * at`.
            Self::Sqlite => {
                let (digit, hex) = (2 * at, format!("hex({column})"));
                let flipped = format!("substr('1032547698BADCFE', instr('0123456789ABCDEF', substr({hex}, {digit}, 1)), 1)");
                format!("unhex(substr({hex}, 1, {digit} - 1) || {flipped} || substr({hex}, {digit} + 1))")
            }
            Self::Postgres => format!("set_byte({column}, {0}, get_byte({column}, {0}) # 1)", at - 1),
        }
    }

    /// Bytes as a literal.
    pub fn bytes(self, hex: &str) -> String {
        match self {
            Self::Sqlite => format!("x'{hex}'"),
            Self::Postgres => format!("'\\x{hex}'::bytea"),
        }
    }
}

/// A log in a database, of which copies can be had.
#[derive(Debug)]
pub struct Original(Home);

impl Home {
    /// Ends the log; what is in the store is what copies begin with.
    pub async fn original(self, log: Log) -> Original {
        log.close().await;
        if self.driver == Driver::Sqlite {
            // What is in the file is all there is once nothing has it open.
            self.database.close().await;
        }
        Original(self)
    }
}

impl Original {
    /// A copy: of the file, or, quicker than of the whole database, of the log in it under another name.
    pub async fn copy(&self) -> Home {
        let Original(Home { driver, database, place, .. }) = self;
        match place.as_ref() {
            Place::File(folder) => {
                let copy = tempfile::tempdir().unwrap();
                std::fs::copy(folder.path().join("log.db"), copy.path().join("log.db")).unwrap();
                Closed { driver: *driver, place: Arc::new(Place::File(copy)) }.open().await
            }
            Place::Server(_) => {
                static COPIES: AtomicU32 = AtomicU32::new(0);
                let name = format!("copy {}", COPIES.fetch_add(1, Ordering::Relaxed));
                let copy = format!(
                    "INSERT INTO log (name, origin, key_id, size, root, frontier, time, checkpoint, frozen, digest, moved) \
                     SELECT '{name}', origin, key_id, size, root, frontier, time, checkpoint, frozen, digest, moved FROM log WHERE name = '{NAME}'; \
                     INSERT INTO entry SELECT c.id, e.idx, e.time, e.dedup_key, e.leaf_hash, e.data, e.extra \
                     FROM entry e JOIN log l ON l.id = e.log AND l.name = '{NAME}', log c WHERE c.name = '{name}'; \
                     INSERT INTO tile SELECT c.id, t.level, t.idx, t.hashes \
                     FROM tile t JOIN log l ON l.id = t.log AND l.name = '{NAME}', log c WHERE c.name = '{name}'; \
                     INSERT INTO search SELECT c.id, s.key, s.idx \
                     FROM search s JOIN log l ON l.id = s.log AND l.name = '{NAME}', log c WHERE c.name = '{name}'"
                );
                self.0.tamper(&copy).await;
                Home { driver: *driver, database: database.clone(), store: database.log(&name), place: Arc::clone(place) }
            }
        }
    }
}
