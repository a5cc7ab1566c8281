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
    /// Whom the line leads to is not shown, or cannot be.
    #[error("the line to the database cannot be trusted")]
    Tls {
        /// Which one.
        database: String,
        /// What is wrong: with the server's certificate, the server, or a file of ours.
        reason: String,
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
            Self::Tls { .. } => "database_tls",
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
            Self::Tls { database, reason } => (database, Some(format!("TLS       {reason}"))),
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
            Self::Tls { .. } => {
                "Name the file with the authority that vouches for the server as sslrootcert in the URL, and the server as its certificate does."
            }
            Self::Failed { .. } => {
                "Check that the server runs and can be reached from here, and that user, password and TLS settings are right."
            }
        }
    }

    pub(super) fn failed(database: &str) -> impl Fn(sqlx::Error) -> Self {
        move |source| Self::from_sqlx(database, source)
    }

    /// Tells what TLS refuses from everything else: the library reports the one half as its own error, the other as one of the socket.
    pub(super) fn from_sqlx(database: &str, source: sqlx::Error) -> Self {
        let database = database.to_owned();
        match &source {
            sqlx::Error::Tls(reason) => Self::Tls { database, reason: reason.to_string() },
            sqlx::Error::Io(error) if error.to_string().contains("invalid peer certificate") => {
                Self::Tls { database, reason: error.to_string() }
            }
            _ => Self::Failed { database, source },
        }
    }
}
