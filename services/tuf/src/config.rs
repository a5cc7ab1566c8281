//! Configuration of the service.

use chassis::config::{Duration, FilePath, ListenConfig};
use serde::{Deserialize, Serialize};

use crate::error::TufError;
use crate::release::{Lifetimes, Place};

/// The trust root's section of the configuration file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The URL that clients use; versions count per URL, so it never changes.
    pub public_url: String,
    /// Where it listens.
    pub http: ListenConfig,
    /// The repository that is served, such as `tuf`.
    pub directory: FilePath,
    /// The record of used versions, such as `db/tuf.json`. It lies outside the directory, so that a restored directory does
    /// not restore it.
    pub state: FilePath,
    /// The online key of the snapshot role: PKCS#8, PEM.
    pub snapshot_key: FilePath,
    /// The online key of the timestamp role: PKCS#8, PEM.
    pub timestamp_key: FilePath,
    /// How long a snapshot is accepted; a new one is signed at a seventh of it.
    #[serde(default = "one_week")]
    pub snapshot_life: Duration,
    /// How long a timestamp is accepted; a new one is signed at a seventh of it. Some clients look for changes only when the
    /// old timestamp has expired, so this is also how long a rotation takes to reach everyone.
    #[serde(default = "one_week")]
    pub timestamp_life: Duration,
}

/// Below this a client with a slow connection would meet expired metadata.
pub const SHORTEST_LIFE: Duration = Duration::from_secs(10);

/// Beyond this the date is a mistake.
pub const LONGEST_LIFE: Duration = Duration::from_secs(10 * 366 * 86_400);

impl Config {
    /// Where the repository lies.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { directory: self.directory.to_path_buf(), state: self.state.to_path_buf() }
    }

    /// The lives of online metadata, each in its bounds.
    ///
    /// # Errors
    /// [`TufError::Life`].
    pub fn lifetimes(&self) -> Result<Lifetimes, TufError> {
        for (field, found) in [("snapshot_life", self.snapshot_life), ("timestamp_life", self.timestamp_life)] {
            if !(SHORTEST_LIFE..=LONGEST_LIFE).contains(&found) {
                return Err(TufError::Life { field, found });
            }
        }
        let (snapshot, timestamp) = (self.snapshot_life.as_std(), self.timestamp_life.as_std());
        Ok(Lifetimes { snapshot, timestamp, ..Lifetimes::default() })
    }
}

fn one_week() -> Duration {
    Duration::from_secs(7 * 86_400)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn config(extra: &serde_json::Value) -> Result<Config, serde_json::Error> {
        let mut value = json!({
            "public_url": "https://tuf.example", "http": {"listen": ["127.0.0.1:8080"]}, "directory": "tuf",
            "state": "db/tuf.json", "snapshot_key": "keys/tuf-snapshot.pem", "timestamp_key": "keys/tuf-timestamp.pem",
        });
        value.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        serde_json::from_value(value)
    }

    #[test]
    fn lives_default_to_a_week_and_have_bounds() {
        assert_eq!(config(&json!({})).unwrap().lifetimes().unwrap(), Lifetimes::default());
        let short = config(&json!({"timestamp_life": "10s"})).unwrap();
        assert_eq!(short.lifetimes().unwrap().timestamp, std::time::Duration::from_secs(10));
        let shown = |value: serde_json::Value| config(&value).unwrap().lifetimes().unwrap_err().to_string();
        assert_eq!(shown(json!({"timestamp_life": "9s"})), "timestamp_life is 9s; expected between 10s and 3660d");
        assert_eq!(shown(json!({"snapshot_life": "9999d"})), "snapshot_life is 9999d; expected between 10s and 3660d");
    }

    #[test]
    fn what_is_not_known_is_refused() {
        assert!(config(&json!({"root_key": "keys/offline/tuf-root.pem"})).is_err());
    }
}
