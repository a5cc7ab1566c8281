//! Whose database it is, and what is in it.

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnection;
use sqlx::{Connection as _, Row as _};

use super::{Address, DatabaseError};

/// Append-only: a migration that was released is never edited.
static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// What a database of ours says it holds.
const HOLDS: &str = "logs of Chancery";

/// What was found in a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Content {
    Nothing,
    Ours,
    Other,
}

/// Makes an empty database ours; one that is ours already stays as it is.
///
/// A crash leaves either nothing or a database that says whose it is, to which every start adds the tables.
pub(super) async fn claim(connection: &mut PgConnection, database: &str) -> Result<(), DatabaseError> {
    let failed = DatabaseError::failed(database);
    let mut transaction = connection.begin().await.map_err(&failed)?;
    // Two that begin at the same time: the second one waits here, and finds what the first one made.
    let lock = "SELECT pg_advisory_xact_lock(hashtext($1))";
    sqlx::query(lock).bind(HOLDS).execute(&mut *transaction).await.map_err(&failed)?;
    match content(&mut transaction).await.map_err(&failed)? {
        Content::Ours => Ok(()),
        Content::Other => Err(DatabaseError::Foreign { database: database.to_owned() }),
        Content::Nothing => {
            let create = "CREATE TABLE chancery (holds TEXT NOT NULL)";
            sqlx::query(create).execute(&mut *transaction).await.map_err(&failed)?;
            let insert = "INSERT INTO chancery (holds) VALUES ($1)";
            sqlx::query(insert).bind(HOLDS).execute(&mut *transaction).await.map_err(&failed)?;
            transaction.commit().await.map_err(&failed)
        }
    }
}

/// Refuses what is not ours, without changing anything in it.
pub(super) async fn recognise(connection: &mut PgConnection, database: &str) -> Result<(), DatabaseError> {
    match content(connection).await.map_err(DatabaseError::failed(database))? {
        Content::Ours => Ok(()),
        Content::Nothing => Err(DatabaseError::Missing { database: database.to_owned() }),
        Content::Other => Err(DatabaseError::Foreign { database: database.to_owned() }),
    }
}

/// Brings the schema up to date. Several processes may do so at once: the first one does it, the others wait.
///
/// On a connection of its own, without a bound in time: a later migration may have much to do.
pub(super) async fn migrate(address: &Address) -> Result<(), DatabaseError> {
    let database = address.to_string();
    let mut connection = PgConnection::connect_with(&address.options()).await.map_err(DatabaseError::failed(&database))?;
    let migrated = MIGRATIONS.run(&mut connection).await;
    // What it did is committed, or is not; how the connection ends tells nothing more.
    let _ = connection.close().await;
    migrated.map_err(|source| match source {
        MigrateError::Execute(source) => DatabaseError::Failed { database, source },
        source => DatabaseError::Schema { database, source },
    })
}

async fn content(connection: &mut PgConnection) -> Result<Content, sqlx::Error> {
    // Extensions bring tables and views of their own into a database that is otherwise empty.
    let tables = "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
                  WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p', 'v', 'm', 'f') \
                  AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')";
    let rows = sqlx::query(tables).fetch_all(&mut *connection).await?;
    let names = rows.iter().map(|row| row.try_get(0)).collect::<Result<Vec<String>, _>>()?;
    if names.is_empty() {
        return Ok(Content::Nothing);
    }
    if !names.iter().any(|name| name == "chancery") {
        return Ok(Content::Other);
    }
    let holds = "SELECT to_jsonb(c) ->> 'holds' FROM chancery c LIMIT 2";
    let holds: Vec<Option<String>> = sqlx::query_scalar(holds).fetch_all(connection).await?;
    Ok(if holds == [Some(HOLDS.to_owned())] { Content::Ours } else { Content::Other })
}
