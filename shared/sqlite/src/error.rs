use std::path::PathBuf;

/// The database was not opened or made.
///
/// `Display` says what is wrong in one line, [`DatabaseError::details`] where, [`DatabaseError::advice`] what to do.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The file is not there, and opening never makes one.
    #[error("the database is missing")]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// There is a file already, and creation never overwrites.
    #[error("there is a file where the database is to be made")]
    Exists {
        /// Where.
        path: PathBuf,
    },
    /// Not a database, or not one of ours.
    #[error("the file is not a {expected}")]
    Foreign {
        /// Which file.
        path: PathBuf,
        /// [`Schema::name`](crate::Schema::name) of what it should have been.
        expected: &'static str,
    },
    /// Made or changed by another version.
    #[error("the database has a schema that this version does not know")]
    Schema {
        /// Which file.
        path: PathBuf,
        /// What the comparison said.
        #[source]
        source: sqlx::migrate::MigrateError,
    },
    /// Another process writes it.
    #[error("the database is in use by another process")]
    InUse {
        /// Which file.
        path: PathBuf,
    },
    /// SQLite does not do what durability rests on.
    #[error("the database does not keep the setting {setting}")]
    Setting {
        /// Which file.
        path: PathBuf,
        /// Which setting, what it is and what it must be.
        setting: String,
    },
    /// The file system failed.
    #[error("the database file could not be used")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// SQLite failed.
    #[error("the database could not be opened")]
    Failed {
        /// Which file.
        path: PathBuf,
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
            Self::Exists { .. } => "database_exists",
            Self::Foreign { .. } => "database_foreign",
            Self::Schema { .. } => "database_schema_unknown",
            Self::InUse { .. } => "database_in_use",
            Self::Setting { .. } => "database_setting",
            Self::File { .. } | Self::Failed { .. } => "database_failed",
        }
    }

    /// Which file, and what of it.
    #[must_use]
    pub fn details(&self) -> Vec<String> {
        let (path, more) = match self {
            Self::Missing { path } | Self::Exists { path } | Self::Foreign { path, .. } | Self::InUse { path } => (path, None),
            Self::Setting { path, setting } => (path, Some(format!("setting   {setting}"))),
            Self::Schema { path, source } => (path, Some(format!("schema    {source}"))),
            Self::File { path, source } => (path, Some(format!("system    {source}"))),
            Self::Failed { path, source } => (path, Some(format!("sqlite    {source}"))),
        };
        std::iter::once(format!("database  {}", path.display())).chain(more).collect()
    }

    /// What to do next.
    #[must_use]
    pub const fn advice(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "Check the path, or restore the file from a backup; a database is made once, by init.",
            Self::Exists { .. } => "Open it instead, or choose another path: a database is never overwritten.",
            Self::Foreign { .. } => "Check the path, or restore the file from a backup.",
            Self::Schema { .. } => "Start the version that wrote it last, or a newer one.",
            Self::InUse { .. } => "Stop the other process, or give this one a folder of its own.",
            Self::Setting { .. } => "Put the database on a local file system that SQLite can use in WAL mode.",
            Self::File { .. } | Self::Failed { .. } => {
                "Check that file and folder can be read and written by this user, and that the disk is not full."
            }
        }
    }
}
