//! What a database says of a log in one row, whoever has it open.

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, SqliteConnection};

use crate::sql::{failed, from_sql};
use crate::{DatabaseAddress, StoreError, postgres};

/// How far the log of this name was moved to an object store, as its database says now; none when there is no such log. Nothing is locked
/// or changed, and the log may be served meanwhile.
///
/// # Errors
/// The database cannot be read, or is of an older version.
pub async fn moved_of(address: &DatabaseAddress, log: &str) -> Result<Option<u64>, StoreError> {
    let path = match address {
        DatabaseAddress::File(path) => path,
        DatabaseAddress::Postgres(address) => return postgres::moved_of(address, log).await,
    };
    let failed = failed("reading how far entries were moved");
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    let mut connection = SqliteConnection::connect_with(&options).await.map_err(failed)?;
    let query = sqlx::query_scalar("SELECT moved FROM log WHERE name = $1").bind(log);
    let moved: Option<i64> = query.fetch_optional(&mut connection).await.map_err(failed)?;
    connection.close().await.map_err(failed)?;
    moved.map(from_sql).transpose()
}
