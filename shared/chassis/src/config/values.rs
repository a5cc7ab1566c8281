//! Values that only configuration has: lengths of time with units, and paths beside the file.

use std::cell::RefCell;
use std::fmt::{self, Display, Formatter};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration as StdDuration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time, written with its units: `250ms`, `10s`, `10m`, `1h30m`, `7d`. A number without a unit is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(StdDuration);

impl Duration {
    /// A whole number of seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(StdDuration::from_secs(seconds))
    }

    /// As the standard library has it.
    #[must_use]
    pub const fn as_std(self) -> StdDuration {
        self.0
    }
}

/// Largest first, so that the first that divides is the shortest way to write it.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl FromStr for Duration {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let refused = || DurationError(text.chars().take(40).collect());
        let mut rest = text;
        let mut milliseconds: u64 = 0;
        while !rest.is_empty() || text.is_empty() {
            let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
            let (unit, after) = after.split_at(after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len()));
            let number: u64 = number.parse().map_err(|_| refused())?;
            let (_, worth) = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(refused)?;
            milliseconds = number.checked_mul(*worth).and_then(|part| milliseconds.checked_add(part)).ok_or_else(refused)?;
            rest = after;
        }
        Ok(Self(StdDuration::from_millis(milliseconds)))
    }
}

impl Display for Duration {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let milliseconds = self.0.as_millis();
        let exact = UNITS.iter().find(|(_, worth)| milliseconds.is_multiple_of(u128::from(*worth)) && milliseconds > 0);
        let (unit, worth) = exact.unwrap_or(&("s", 1_000));
        write!(f, "{}{unit}", milliseconds / u128::from(*worth))
    }
}

impl From<StdDuration> for Duration {
    fn from(duration: StdDuration) -> Self {
        Self(duration)
    }
}

impl From<Duration> for StdDuration {
    fn from(duration: Duration) -> Self {
        duration.0
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::{Error, Unexpected, Visitor};

        struct Text;

        impl Visitor<'_> for Text {
            type Value = Duration;

            fn expecting(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
                f.write_str("a length of time with its unit, such as 10s, 10m or 7d")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Duration, E> {
                text.parse().map_err(|_| E::invalid_value(Unexpected::Str(text), &self))
            }
        }

        // `any`, so that a bare number is told which unit it lacks.
        deserializer.deserialize_any(Text)
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Not a length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no length of time; expected a number with its unit, such as 10s, 10m or 7d")]
pub struct DurationError(String);

/// The path of a file, as configuration names it: a relative one is relative to the configuration file's folder.
///
/// It is resolved while [`super::load`] decodes, so whoever holds one can open it as it is. Decoded elsewhere, it stays as
/// written.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct FilePath(PathBuf);

impl FilePath {
    /// The path.
    #[must_use]
    pub fn as_path(&self) -> &Path {
        &self.0
    }

    fn resolved(written: PathBuf) -> Self {
        Self(FOLDER.with_borrow(|folder| folder.as_ref().map(|folder| folder.join(&written))).unwrap_or(written))
    }
}

impl Deref for FilePath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.0
    }
}

impl AsRef<Path> for FilePath {
    fn as_ref(&self) -> &Path {
        &self.0
    }
}

impl From<PathBuf> for FilePath {
    fn from(path: PathBuf) -> Self {
        Self(path)
    }
}

impl From<&Path> for FilePath {
    fn from(path: &Path) -> Self {
        Self(path.to_owned())
    }
}

impl<'de> Deserialize<'de> for FilePath {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        PathBuf::deserialize(deserializer).map(Self::resolved)
    }
}

/// Where a database is, as configuration names it: the path of a file, or the URL of a Postgres database without a password.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DatabasePlace {
    /// A file, which one process at a time has open.
    File(FilePath),
    /// `postgres://…`. That it is a whole URL is for its driver to find out.
    Postgres(String),
}

/// What the URLs of Postgres begin with.
const POSTGRES: [&str; 2] = ["postgres:", "postgresql:"];

impl From<PathBuf> for DatabasePlace {
    fn from(path: PathBuf) -> Self {
        Self::File(path.into())
    }
}

impl fmt::Display for DatabasePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Postgres(url) => f.write_str(url),
        }
    }
}

impl Serialize for DatabasePlace {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DatabasePlace {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = String::deserialize(deserializer)?;
        if !POSTGRES.iter().any(|scheme| written.starts_with(scheme)) {
            return Ok(Self::File(FilePath::resolved(written.into())));
        }
        // Not even in the message: it may be that what follows is one.
        let authority = written.split_once("//").map_or("", |(_, rest)| rest.split('?').next().unwrap_or_default());
        let user = authority.rsplit_once('@').map_or("", |(user, _)| user);
        if user.contains(':') || written.contains("password=") {
            return Err(D::Error::custom(
                "a database's URL must not contain a password; put it into a file: database_password_file",
            ));
        }
        Ok(Self::Postgres(written))
    }
}

thread_local! {
    /// Where relative paths start, while [`relative_to`] runs on this thread. Derived decoders take no argument, and decoding
    /// neither awaits nor changes threads, so this is one.
    static FOLDER: RefCell<Option<PathBuf>> = const { RefCell::new(None) };
}

/// Runs `decode` with relative [`FilePath`]s starting at `folder`.
pub(super) fn relative_to<R>(folder: &Path, decode: impl FnOnce() -> R) -> R {
    struct Restore(Option<PathBuf>);

    impl Drop for Restore {
        fn drop(&mut self) {
            FOLDER.set(self.0.take());
        }
    }

    let _restore = Restore(FOLDER.replace(Some(folder.to_owned())));
    decode()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_have_units() {
        let seconds = |text: &str| text.parse::<Duration>().map(|duration| duration.as_std().as_secs_f64());
        assert_eq!(seconds("10s"), Ok(10.0));
        assert_eq!(seconds("10m"), Ok(600.0));
        assert_eq!(seconds("7d"), Ok(604_800.0));
        assert_eq!(seconds("1h30m"), Ok(5_400.0));
        assert_eq!(seconds("250ms"), Ok(0.25));
        for wrong in ["", "7", "s", "-1s", "1.5s", "7 d", "7w", "99999999999999999999s", "300000000000d"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Duration::from_secs(0).to_string(), "0s");
        assert_eq!(Duration::from_secs(90).to_string(), "90s");
        assert_eq!(Duration::from_secs(604_800).to_string(), "7d");
    }

    #[test]
    fn a_database_is_a_path_or_a_url_without_a_password() {
        let read = |text: &str| relative_to(Path::new("/etc"), || serde_json::from_value::<DatabasePlace>(text.into()));
        assert_eq!(read("db/rekor.db").unwrap(), PathBuf::from("/etc/db/rekor.db").into());
        for url in
            ["postgres://rekor@db.corp.example/logs", "postgresql:///logs?host=/run/postgresql", "postgres://a@[::1]:5433/b"]
        {
            let place = read(url).unwrap();
            assert_eq!(place, DatabasePlace::Postgres(url.to_owned()));
            assert_eq!(serde_json::to_value(&place).unwrap(), url);
        }
        for secret in
            ["postgres://rekor:secret@db/logs", "postgres://db/logs?user=rekor&password=secret", "postgres://a:secret/b@c/d"]
        {
            let error = read(secret).unwrap_err().to_string();
            assert!(error.contains("database_password_file") && !error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn a_path_outside_a_file_stays_as_written() {
        let path: FilePath = serde_json::from_str("\"a/b\"").unwrap();
        assert_eq!(path.as_path(), Path::new("a/b"));
        let path: FilePath = relative_to(Path::new("/etc"), || serde_json::from_str("\"a/b\"").unwrap());
        assert_eq!(path.as_path(), Path::new("/etc/a/b"));
        let path: FilePath = serde_json::from_str("\"a/b\"").unwrap();
        assert_eq!(path.as_path(), Path::new("a/b"));
    }

    proptest! {
        #[test]
        fn a_duration_survives_being_written(milliseconds in 0..u64::MAX / 2) {
            let duration = Duration(StdDuration::from_millis(milliseconds));
            prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        }

        #[test]
        fn no_text_panics(text in any::<String>()) {
            let _ = text.parse::<Duration>();
        }
    }
}
