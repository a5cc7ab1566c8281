//! What lies on disk: looking whether anything was written, and damaging it on purpose.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{SHA256, digest};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, Row as _, SqliteConnection};

/// Name and digest of every file below a folder.
///
/// The shared memory of SQLite's index (`-shm`) is left out: readers take locks in it.
///
/// # Panics
/// The folder cannot be read.
#[must_use]
pub fn fingerprint(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())).flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(fingerprint(&path));
        } else if !path.to_string_lossy().ends_with("-shm") {
            let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            found.insert(path, hex::encode(digest(&SHA256, &bytes)));
        }
    }
    found
}

/// Flips one bit of one value in a database, `select` and `update` being the two statements for it: the first yields the bytes, the
/// second takes the altered ones as `$1`. What was there comes back by calling it again.
///
/// # Panics
/// The statements do not fit the database, or the value is empty.
pub async fn flip_value(database: &Path, select: &'static str, update: &'static str) {
    let options = SqliteConnectOptions::new().filename(database).create_if_missing(false);
    let mut connection = SqliteConnection::connect_with(&options).await.expect("the database opens");
    let mut value: Vec<u8> = sqlx::query(select).fetch_one(&mut connection).await.expect("there is such a value").get(0);
    let middle = value.len() / 2;
    value[middle] ^= 1;
    let updated = sqlx::query(update).bind(value).execute(&mut connection).await.expect("the value can be written");
    assert_eq!(updated.rows_affected(), 1);
    connection.close().await.expect("the database closes");
}

/// What was moved out of the database of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The log's name in its database.
    pub name: String,
    /// How many entries it has.
    pub size: i64,
    /// How many of them were moved.
    pub moved: i64,
    /// How many have their content in the database.
    pub with_content: i64,
}

/// What was moved of each log in a database, which may be in use.
///
/// # Panics
/// It is no database of logs.
pub async fn moved(database: &Path) -> Vec<Moved> {
    let options = SqliteConnectOptions::new().filename(database).read_only(true);
    let mut connection = SqliteConnection::connect_with(&options).await.expect("the database opens");
    let select =
        "SELECT name, size, moved, (SELECT count(*) FROM entry WHERE log = log.id AND length(data) > 0) FROM log ORDER BY name";
    let rows = sqlx::query(select).fetch_all(&mut connection).await.expect("it is a database of logs");
    connection.close().await.expect("the database closes");
    rows.iter().map(|row| Moved { name: row.get(0), size: row.get(1), moved: row.get(2), with_content: row.get(3) }).collect()
}

/// Flips one bit of one byte of a file.
///
/// # Panics
/// The file is shorter.
pub fn flip_byte(file: &Path, position: usize) {
    let mut bytes = std::fs::read(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    bytes[position] ^= 1;
    std::fs::write(file, bytes).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}
