//! Where a shard of a log is kept.

use std::path::PathBuf;

use chassis::config::{DatabasePlace, FilePath};
use note::Checkpoint;
use objects::ObjectsConfig;
use tlog::{DatabaseAddress, DatabaseError, Form, Published, moved_of};

/// One shard of a log, as the configuration says where it is.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The name of the face's logs in a database.
    pub face: &'static str,
    /// The shard's number, from 1.
    pub shard: u32,
    /// The database of all its shards.
    pub database: &'a DatabasePlace,
    /// A file with the password for it.
    pub password_file: Option<&'a FilePath>,
    /// Where the newest published heads are kept, unless that is beside the database's file.
    pub head_record: Option<&'a FilePath>,
    /// Where complete bundles of entries are moved to from the database, if they are.
    pub objects: Option<&'a ObjectsConfig>,
    /// What such a bundle looks like.
    pub form: Form,
    /// How many of the newest entries stay in the database all the same.
    pub keep_entries: u64,
}

/// How many entries stay in the database, unless the configuration says otherwise.
#[must_use]
pub fn default_keep_entries() -> u64 {
    65_536
}

impl Place<'_> {
    /// The shard's name in the database; the first has none but the face's.
    #[must_use]
    pub fn name(&self) -> String {
        if self.shard <= 1 { self.face.to_owned() } else { format!("{}-{}", self.face, self.shard) }
    }

    /// The file with its newest published head: where the configuration says, else beside the database's file. Of a later shard it has
    /// the shard's number.
    #[must_use]
    pub fn record(&self) -> Option<PathBuf> {
        let beside = match self.database {
            DatabasePlace::File(path) => Some(path.with_added_extension(format!("{}.head", self.name()))),
            DatabasePlace::Postgres(_) => None,
        };
        let named = |path: &FilePath| match self.shard {
            0 | 1 => path.as_path().to_owned(),
            later => path.as_path().with_added_extension(later.to_string()),
        };
        self.head_record.map(named).or(beside)
    }

    /// What is known outside the database of what was published: the record, and a head that is known from elsewhere, if one is.
    #[must_use]
    pub fn published(&self, anchor: Option<Checkpoint>) -> Published {
        Published { anchor, record: self.record() }
    }

    /// How many of its entries were moved from the database, as that says now, served or not; none where none are to be, or where it
    /// cannot be asked.
    pub async fn moved(&self) -> Option<u64> {
        self.objects?;
        moved_of(&self.address().ok()?, &self.name()).await.ok().flatten()
    }

    /// Where the database is, with the password for it.
    ///
    /// # Errors
    /// The URL is not taken, or there is no password in the file.
    pub fn address(&self) -> Result<DatabaseAddress, DatabaseError> {
        match self.database {
            DatabasePlace::File(path) => Ok(DatabaseAddress::File(path.to_path_buf())),
            DatabasePlace::Postgres(url) => DatabaseAddress::postgres(url, self.password_file.map(FilePath::as_path)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn place<'a>(database: &'a DatabasePlace, head_record: Option<&'a FilePath>, shard: u32) -> Place<'a> {
        Place {
            face: "rekor-v2",
            shard,
            database,
            password_file: None,
            head_record,
            objects: None,
            form: Form::TlogTiles,
            keep_entries: default_keep_entries(),
        }
    }

    #[test]
    fn each_shard_has_a_name_and_a_record_of_its_own() {
        let file = DatabasePlace::from(PathBuf::from("/d/rekor.db"));
        let server = DatabasePlace::Postgres("postgres://rekor@db/logs".to_owned());
        let named = FilePath::from(PathBuf::from("/elsewhere/head"));
        for (database, head_record, shard, name, record) in [
            (&file, None, 1, "rekor-v2", Some("/d/rekor.db.rekor-v2.head")),
            (&file, None, 2, "rekor-v2-2", Some("/d/rekor.db.rekor-v2-2.head")),
            (&file, Some(&named), 1, "rekor-v2", Some("/elsewhere/head")),
            (&server, Some(&named), 3, "rekor-v2-3", Some("/elsewhere/head.3")),
            (&server, None, 1, "rekor-v2", None),
        ] {
            let place = place(database, head_record, shard);
            assert_eq!((place.name().as_str(), place.record().as_deref()), (name, record.map(Path::new)));
        }
    }
}
