//! What was cosigned last, of each log.

use std::fmt::Debug;

use async_trait::async_trait;
use merkle::Hash;
use sqlite::{Database, Schema};
use sqlx::Row as _;

pub(crate) static SCHEMA: Schema = Schema {
    name: "Chancery witness database",
    application_id: 0x4348_5754, // "CHWT"
    migrations: sqlx::migrate!("./migrations"),
};

/// The largest tree of a log that was cosigned, and when that was last done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) size: u64,
    pub(crate) root: Hash,
    /// Seconds since 1970.
    pub(crate) time: i64,
}

/// Where that is kept.
///
/// # Contract
/// - **Durable**: when `replace` has returned `Ok(true)`, `after` survives the loss of the process and of power.
/// - **Atomic**: of several that replace one `before`, one succeeds. After an error nobody knows whether it took effect.
#[async_trait]
pub(crate) trait Records: Send + Sync + Debug {
    /// What is kept of a log; none when nothing of it was ever cosigned.
    async fn seen(&self, origin: &str) -> Result<Option<Seen>, RecordError>;

    /// Puts `after` in the place of `before`; says no when something else is there.
    async fn replace(&self, origin: &str, before: Option<&Seen>, after: &Seen) -> Result<bool, RecordError>;
}

/// The database failed, or holds what was never written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RecordError {
    /// SQLite said no.
    #[error("the database failed")]
    Failed(#[from] sqlx::Error),
    /// A root of another length, or a size below 0.
    #[error("the record of {origin} is damaged")]
    Damaged { origin: String },
}

#[async_trait]
impl Records for Database {
    async fn seen(&self, origin: &str) -> Result<Option<Seen>, RecordError> {
        let select = "SELECT size, root, time FROM seen WHERE origin = $1";
        let Some(row) = sqlx::query(select).bind(origin).fetch_optional(self.readers()).await? else { return Ok(None) };
        let (size, root, time): (i64, Vec<u8>, i64) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let damaged = || RecordError::Damaged { origin: origin.to_owned() };
        let size = u64::try_from(size).map_err(|_| damaged())?;
        let root = Hash::try_from(&root[..]).map_err(|_| damaged())?;
        Ok(Some(Seen { size, root, time }))
    }

    async fn replace(&self, origin: &str, before: Option<&Seen>, after: &Seen) -> Result<bool, RecordError> {
        // One statement is one transaction: looking and writing cannot be torn apart.
        let query = match before {
            None => sqlx::query("INSERT INTO seen (origin, size, root, time) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING"),
            Some(_) => sqlx::query(
                "UPDATE seen SET size = $2, root = $3, time = $4 WHERE origin = $1 AND size = $5 AND root = $6 AND time = $7",
            ),
        };
        let mut query = query.bind(origin).bind(to_sql(after.size)).bind(after.root.as_ref()).bind(after.time);
        if let Some(before) = before {
            query = query.bind(to_sql(before.size)).bind(before.root.as_ref()).bind(before.time);
        }
        Ok(query.execute(self.writer()).await?.rows_affected() == 1)
    }
}

/// Sizes of 2^63 and more, which no log has, are refused where a request is read.
fn to_sql(size: u64) -> i64 {
    i64::try_from(size).unwrap_or(i64::MAX)
}
