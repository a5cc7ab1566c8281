//! High-water marks: which versions were ever used, remembered outside the repository.
//!
//! Clients remember the versions they have seen and refuse lower ones for ever. A repository that is restored from a backup
//! forgets them; this file does not, as long as it lies elsewhere. When it was restored as well, the third defence holds:
//! a version is at least the number of minutes since the repository was created, so that what is signed after a restore is
//! above whatever was signed before it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::metadata::Role;
use crate::names::Version;
use crate::store::{PRIVATE, write_durably};

/// The marks of a repository, and the lock that whoever publishes holds. Dropping it releases the lock.
#[derive(Debug)]
pub(crate) struct Marks {
    path: PathBuf,
    _lock: File,
    record: Record,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    created: Timestamp,
    /// Signed with, or about to be: never signed with again.
    reserved: Versions,
    /// Made visible to clients: a repository below them was restored from a backup.
    published: Versions,
}

/// A version per role; 0 before the first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Versions {
    root: u32,
    targets: u32,
    snapshot: u32,
    timestamp: u32,
}

/// The marks cannot be relied on, so nothing may be signed.
#[derive(Debug, thiserror::Error)]
pub enum MarksError {
    /// There is no such file; signing without it could use a version again.
    #[error("{} does not exist, and without it a version could be used twice", .0.display())]
    Missing(PathBuf),
    /// There is one already, although the repository is new.
    #[error("{} exists: a repository was created here before", .0.display())]
    Exists(PathBuf),
    /// It is not what was written.
    #[error("{} is damaged", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        source: serde_json::Error,
    },
    /// The file system refused.
    #[error("{} cannot be used", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// All versions are used up.
    #[error("no version is left for the {0} role")]
    Exhausted(Role),
}

impl Marks {
    /// Waits for the lock and starts the marks of a new repository.
    ///
    /// # Errors
    /// [`MarksError::Exists`]: creating twice would start over below what clients have seen.
    pub(crate) fn create(path: &Path, now: Timestamp) -> Result<Self, MarksError> {
        let lock = lock(path)?;
        if fs::exists(path).map_err(|source| io_error(path, source))? {
            return Err(MarksError::Exists(path.to_owned()));
        }
        let record = Record { created: now, reserved: Versions::default(), published: Versions::default() };
        Ok(Self { path: path.to_owned(), _lock: lock, record })
    }

    /// Waits for the lock and reads the marks.
    ///
    /// # Errors
    /// They are missing or damaged.
    pub(crate) fn open(path: &Path) -> Result<Self, MarksError> {
        let missing = || MarksError::Missing(path.to_owned());
        // Looked for first, so that no lock file is left where there is nothing to lock.
        if !fs::exists(path).map_err(|source| io_error(path, source))? {
            return Err(missing());
        }
        let lock = lock(path)?;
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing()),
            other => other.map_err(|source| io_error(path, source))?,
        };
        let record = serde_json::from_slice(&bytes).map_err(|source| MarksError::Damaged { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), _lock: lock, record })
    }

    /// The highest version of `role` that clients may have seen; 0 before the first.
    pub(crate) fn published(&self, role: Role) -> u32 {
        self.record.published.of(role)
    }

    /// Takes the next version of each of `roles`, durably: from here on it is used, whatever happens. `current` is what the
    /// repository has.
    ///
    /// A crash after this leaves a gap in the numbers, which no client minds. Roots alone have no gaps (clients count them
    /// one by one), so theirs follows the repository; [`Marks::published`] keeps it from falling back.
    pub(crate) fn reserve(
        &mut self,
        roles: &[Role],
        current: impl Fn(Role) -> u32,
        now: Timestamp,
    ) -> Result<Reserved, MarksError> {
        let since_creation = u32::try_from(now.duration_since(self.record.created).as_mins().max(0)).unwrap_or(u32::MAX);
        let mut record = self.record;
        let mut taken = Vec::with_capacity(roles.len());
        for &role in roles {
            let next = match role {
                Role::Root => current(role).saturating_add(1),
                Role::Targets | Role::Snapshot | Role::Timestamp => {
                    record.reserved.of(role).max(current(role)).max(since_creation).saturating_add(1)
                }
            };
            taken.push((role, Version::new(next).ok_or(MarksError::Exhausted(role))?));
            *record.reserved.of_mut(role) = next;
        }
        self.save(record)?;
        Ok(Reserved(taken))
    }

    /// Remembers what clients can see now. A crash before this costs only the alarm about a backup of exactly this moment;
    /// the versions are taken already.
    pub(crate) fn record_published(&mut self, current: impl Fn(Role) -> u32) -> Result<(), MarksError> {
        let mut record = self.record;
        for role in Role::ALL {
            let mark = record.published.of_mut(role);
            *mark = current(role).max(*mark);
        }
        if record == self.record { Ok(()) } else { self.save(record) }
    }

    fn save(&mut self, record: Record) -> Result<(), MarksError> {
        let mut text = serde_json::to_vec_pretty(&record).expect("numbers and a time always have a JSON form");
        text.push(b'\n');
        write_durably(&beside(&self.path, "new"), &self.path, &text, PRIVATE).map_err(|source| io_error(&self.path, source))?;
        self.record = record;
        Ok(())
    }
}

/// Versions that nothing else is signed with.
#[derive(Debug, Clone)]
pub(crate) struct Reserved(Vec<(Role, Version)>);

impl Reserved {
    /// The version for `role`; none when none was reserved.
    pub(crate) fn of(&self, role: Role) -> Option<Version> {
        self.0.iter().find(|(reserved, _)| *reserved == role).map(|(_, version)| *version)
    }
}

impl Versions {
    fn of(&self, role: Role) -> u32 {
        match role {
            Role::Root => self.root,
            Role::Targets => self.targets,
            Role::Snapshot => self.snapshot,
            Role::Timestamp => self.timestamp,
        }
    }

    fn of_mut(&mut self, role: Role) -> &mut u32 {
        match role {
            Role::Root => &mut self.root,
            Role::Targets => &mut self.targets,
            Role::Snapshot => &mut self.snapshot,
            Role::Timestamp => &mut self.timestamp,
        }
    }
}

/// An exclusive lock between processes: the running service and a command that publishes. It is on a file of its own, since
/// the marks are replaced by rename.
fn lock(path: &Path) -> Result<File, MarksError> {
    let lock = beside(path, "lock");
    let io = |source| io_error(&lock, source);
    let file = File::options().create(true).truncate(false).write(true).open(&lock).map_err(io)?;
    file.lock().map_err(io)?;
    Ok(file)
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(suffix);
    name.into()
}

fn io_error(path: &Path, source: io::Error) -> MarksError {
    MarksError::Io { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    const NONE: fn(Role) -> u32 = |_| 0;

    fn reserved(marks: &mut Marks, role: Role, current: u32, now: Timestamp) -> u32 {
        marks.reserve(&[role], |_| current, now).unwrap().of(role).unwrap().get()
    }

    #[test]
    fn a_version_is_taken_once_even_when_it_was_never_used() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tuf.json");
        let mut marks = Marks::create(&path, at(0)).unwrap();
        assert_eq!(reserved(&mut marks, Role::Timestamp, 0, at(0)), 1);
        drop(marks);
        let mut marks = Marks::open(&path).unwrap();
        assert_eq!(reserved(&mut marks, Role::Timestamp, 0, at(1)), 2);
        assert_eq!(reserved(&mut marks, Role::Timestamp, 9, at(1)), 10, "never below what the repository has");
        assert_eq!(reserved(&mut marks, Role::Snapshot, 0, at(1)), 1, "each role counts by itself");
        assert_eq!(marks.published(Role::Timestamp), 0);
    }

    #[test]
    fn a_version_is_at_least_the_minutes_since_creation() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tuf.json");
        let mut marks = Marks::create(&path, at(0)).unwrap();
        assert_eq!(reserved(&mut marks, Role::Timestamp, 0, at(59)), 1);
        let backup = fs::read(&path).unwrap();
        assert_eq!(reserved(&mut marks, Role::Timestamp, 1, at(86_400)), 1441);
        drop(marks);
        // Everything was restored, the marks too: what is signed next is above what was lost.
        fs::write(&path, backup).unwrap();
        let mut marks = Marks::open(&path).unwrap();
        assert_eq!(reserved(&mut marks, Role::Timestamp, 1, at(86_460)), 1442);
        // Roots are counted one by one by clients.
        assert_eq!(reserved(&mut marks, Role::Root, 1, at(86_460)), 2);
        assert_eq!(reserved(&mut marks, Role::Root, 1, at(86_460)), 2);
        // A clock before the creation does no harm.
        assert_eq!(reserved(&mut marks, Role::Timestamp, 1442, at(-500)), 1443);
    }

    #[test]
    fn marks_are_created_once_and_never_guessed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tuf.json");
        assert!(matches!(Marks::open(&path), Err(MarksError::Missing(_))));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "looking leaves nothing behind");
        let mut marks = Marks::create(&path, at(0)).unwrap();
        marks.reserve(&Role::ALL, NONE, at(0)).unwrap();
        marks.record_published(|_| 1).unwrap();
        drop(marks);
        assert!(matches!(Marks::create(&path, at(0)), Err(MarksError::Exists(_))));
        assert_eq!(Marks::open(&path).unwrap().published(Role::Targets), 1);
        fs::write(&path, "{}").unwrap();
        assert!(matches!(Marks::open(&path), Err(MarksError::Damaged { .. })));
    }

    #[test]
    fn the_published_mark_only_rises() {
        let folder = tempfile::tempdir().unwrap();
        let mut marks = Marks::create(&folder.path().join("tuf.json"), at(0)).unwrap();
        marks.record_published(|_| 7).unwrap();
        marks.record_published(|_| 3).unwrap();
        assert_eq!(marks.published(Role::Snapshot), 7);
    }

    #[test]
    fn the_last_version_is_the_end() {
        let folder = tempfile::tempdir().unwrap();
        let mut marks = Marks::create(&folder.path().join("tuf.json"), at(0)).unwrap();
        let refused = marks.reserve(&[Role::Timestamp], |_| Version::MAX, at(0)).unwrap_err();
        assert!(matches!(refused, MarksError::Exhausted(Role::Timestamp)));
    }

    #[test]
    fn one_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tuf.json");
        let mut marks = Marks::create(&path, at(0)).unwrap();
        marks.record_published(|_| 1).unwrap();
        let other = File::options().write(true).open(beside(&path, "lock")).unwrap();
        assert!(matches!(other.try_lock(), Err(fs::TryLockError::WouldBlock)));
        drop(marks);
        other.try_lock().unwrap();
    }
}
