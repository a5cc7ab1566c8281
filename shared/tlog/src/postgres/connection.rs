//! What every connection must be, and how long anything on one may take.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::{Connection as _, PgPool};

use super::Address;
use crate::StoreError;

/// Bounds that the server keeps, whatever becomes of this process; and how it plans.
///
/// A writer that vanished without closing its connection holds the state row until the third of them ends its session; the second is
/// longer, so that whoever waits for the row outlasts that.
///
/// The last two: a plan is made anew each time, for the size that the table has and the keys that are asked for. One that is kept from
/// when the table was small reads all of it, until somebody analyses it; and nothing here runs long enough to be worth compiling.
const SERVER_SIDE: [(&str, &str); 8] = [
    ("statement_timeout", "15s"),
    ("lock_timeout", "10s"),
    ("idle_in_transaction_session_timeout", "5s"),
    ("tcp_keepalives_idle", "10"),
    ("tcp_keepalives_interval", "5"),
    ("tcp_keepalives_count", "3"),
    ("plan_cache_mode", "force_custom_plan"),
    ("jit", "off"),
];

/// The bound that this process keeps, for a server that vanished: longer than those of the server, which say more.
const PATIENCE: Duration = Duration::from_secs(20);

/// How long a free connection is waited for, and a server that starts.
const ACQUIRE: Duration = Duration::from_secs(10);

/// How long a connection may take to say that it is alive. Each is asked before it is used: one that was lost with a server that was
/// restarted, and only then found out, would cost a batch or fail a read.
const ALIVE: Duration = Duration::from_secs(1);

/// The oldest server that this driver was made for.
const OLDEST_VERSION: i32 = 140_000;

/// A pool of connections of which each is asked for its settings when it is made.
pub(super) fn pool(address: &Address, connections: u32) -> PgPool {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE)
        .test_before_acquire(false)
        .before_acquire(|connection, _| {
            Box::pin(async move { Ok(matches!(tokio::time::timeout(ALIVE, connection.ping()).await, Ok(Ok(())))) })
        })
        .after_connect(|connection, _| {
            Box::pin(async move {
                match wrong_setting(connection).await? {
                    None => Ok(()),
                    Some(setting) => Err(sqlx::Error::Configuration(setting.into())),
                }
            })
        })
        .connect_lazy_with(options(address))
}

/// How to connect for everything that is bounded in time.
pub(super) fn options(address: &Address) -> PgConnectOptions {
    address.options().options(SERVER_SIDE)
}

/// A setting that is not as it must be. They can differ by database, by user and after a failover, so every connection is asked.
pub(super) async fn wrong_setting(connection: &mut PgConnection) -> Result<Option<String>, sqlx::Error> {
    let ask = "SELECT current_setting('server_version_num')::integer, pg_is_in_recovery(), current_setting('transaction_read_only'), \
               current_setting('fsync'), current_setting('synchronous_commit'), current_setting('server_encoding')";
    let (version, standby, read_only, fsync, synchronous, encoding): (i32, bool, String, String, String, String) =
        sqlx::query_as(ask).fetch_one(connection).await?;
    let wrong = if version < OLDEST_VERSION {
        Some(format!("server_version_num is {version}, expected {OLDEST_VERSION} or more"))
    } else if standby {
        Some("pg_is_in_recovery() is true, expected false: this is a standby, which takes no writes".to_owned())
    } else if read_only != "off" {
        Some(format!("default_transaction_read_only is {read_only}, expected off"))
    } else if fsync != "on" {
        // Without it a commit that was answered is gone when power fails.
        Some(format!("fsync is {fsync}, expected on"))
    } else if synchronous == "off" {
        // The same, for the last third of a second. Every other value waits at least for the local disk.
        Some("synchronous_commit is off, expected on".to_owned())
    } else if encoding != "UTF8" {
        Some(format!("server_encoding is {encoding}, expected UTF8"))
    } else {
        None
    };
    Ok(wrong)
}

/// What the driver says, or that it said nothing for too long.
pub(super) async fn within<T>(
    doing: &'static str,
    future: impl Future<Output = Result<T, sqlx::Error>> + Send,
) -> Result<T, StoreError> {
    let failed = |source| StoreError::Failed { doing, source };
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(outcome) => outcome.map_err(|error| failed(Box::new(error))),
        Err(_) => Err(failed(format!("the server did not answer for {} s", PATIENCE.as_secs()).into())),
    }
}
