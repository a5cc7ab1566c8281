use sqlx::migrate::MigrateError;

/// The database was not opened or prepared.
///
/// `Display` says what is wrong in one line, [`DatabaseError::details`] where, [`DatabaseError::advice`] what to do.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// There is no such database, or nothing in it; opening never makes one.
    #[error("the database has not been prepared for logs")]
    Missing {
        /// Which one.
        database: String,
    },
    /// There are tables that are not ours.
    #[error("the database holds something else than logs")]
    Foreign {
        /// Which one.
        database: String,
    },
    /// Made or changed by another version.
    #[error("the database has a schema that this version does not know")]
    Schema {
        /// Which one.
        database: String,
        /// What the comparison said.
        #[source]
        source: MigrateError,
    },
    /// It does not do what durability rests on, or takes no writes.
    #[error("the database does not keep the setting {setting}")]
    Setting {
        /// Which one.
        database: String,
        /// Which setting, what it is and what it must be.
        setting: String,
    },
    /// It cannot be reached, or said no.
    #[error("the database could not be opened")]
    Failed {
        /// Which one.
        database: String,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
}

impl DatabaseError {
    /// The stable code, an anchor in the error reference.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "database_missing",
            Self::Foreign { .. } => "database_foreign",
            Self::Schema { .. } => "database_schema_unknown",
            Self::Setting { .. } => "database_setting",
            Self::Failed { .. } => "database_failed",
        }
    }

    /// Which database, and what of it.
    #[must_use]
    pub fn details(&self) -> Vec<String> {
        let (database, more) = match self {
            Self::Missing { database } | Self::Foreign { database } => (database, None),
            Self::Setting { database, setting } => (database, Some(format!("setting   {setting}"))),
            Self::Schema { database, source } => (database, Some(format!("schema    {source}"))),
            Self::Failed { database, source } => (database, Some(format!("postgres  {source}"))),
        };
        std::iter::once(format!("database  {database}")).chain(more).collect()
    }

    /// What to do next.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Missing { .. } => {
                "Check the URL, or restore the database from a backup; it is made by createdb, and prepared once, by init."
            }
            Self::Foreign { .. } => "Give the logs a database of their own, or check the URL.",
            Self::Schema { .. } => "Start the version that wrote it last, or a newer one.",
            Self::Setting { .. } => {
                "Set it as expected on the server, for its database or for its user, and name the primary in the URL, not a standby."
            }
            Self::Failed { .. } => {
                "Check that the server runs and can be reached from here, and that user, password and TLS settings are right."
            }
        }
    }

    pub(super) fn failed(database: &str) -> impl Fn(sqlx::Error) -> Self {
        move |source| Self::Failed { database: database.to_owned(), source }
    }
}
