//! The environment that `chancery env` prints, read as a shell reads it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What `D/env` exports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Has `sh` source the file, and takes what is then exported.
    ///
    /// # Panics
    /// The shell does not understand the file.
    #[must_use]
    pub fn read(file: &Path) -> Self {
        let mut shell = Command::new("sh");
        shell.env_clear().args(["-euc", ". \"$1\" && exec /usr/bin/env -0", "sh"]).arg(file);
        let output = shell.output().expect("every system has sh");
        assert!(output.status.success(), "sh cannot source {}: {}", file.display(), String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("paths and URLs are UTF-8");
        let pairs = text.split('\0').filter_map(|pair| pair.split_once('='));
        // The shell exports a few of its own.
        let ours = pairs.filter(|(name, _)| !["PWD", "OLDPWD", "SHLVL", "_"].contains(name));
        Self(ours.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }

    /// The value of a variable.
    ///
    /// # Panics
    /// It is not exported.
    #[must_use]
    pub fn get(&self, name: &str) -> &str {
        self.0.get(name).unwrap_or_else(|| panic!("{name} is not exported, only {:?}", self.0.keys()))
    }

    /// The value of a variable that names a file.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(self.get(name))
    }

    /// A URL below one of the services' base URLs, for example `url("CHANCERY_REKOR_URL", "/checkpoint")`.
    #[must_use]
    pub fn url(&self, service: &str, path: &str) -> String {
        format!("{}{path}", self.get(service))
    }

    /// Every variable and its value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_a_shell_reads_them() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "export A='it'\\''s $HOME'\nexport B=two\nC=not-exported\n").unwrap();
        let environment = Environment::read(file.path());
        assert_eq!(environment.iter().collect::<Vec<_>>(), [("A", "it's $HOME"), ("B", "two")]);
        assert_eq!(environment.url("B", "/x"), "two/x");
    }
}
