//! The names of a repository's files, and nothing else: whoever asks for another name asks for nothing.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A file of a repository with consistent snapshots (ct-tsa-tuf §3.1).
///
/// Ordered as files are published: whoever reads a file finds everything it refers to. A new root comes before all, since
/// the keys of all others are in it; `timestamp.json` comes last, since it makes the rest visible.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FileName {
    /// `N.root.json`, every version for ever.
    Root(Version),
    /// `root.json`, a copy of the newest, for people and bootstrap only.
    LatestRoot,
    /// `targets/<sha256>.<name>`.
    Target(Digest, TargetName),
    /// `V.targets.json`.
    Targets(Version),
    /// `V.snapshot.json`.
    Snapshot(Version),
    /// `timestamp.json`.
    Timestamp,
}

impl FileName {
    /// The file that a request path (without its leading slash, not percent-decoded) or a path below the directory names.
    #[must_use]
    pub fn parse(path: &str) -> Option<Self> {
        match path {
            "root.json" => return Some(Self::LatestRoot),
            "timestamp.json" => return Some(Self::Timestamp),
            _ => {}
        }
        if let Some(target) = path.strip_prefix("targets/") {
            let (digest, name) = target.split_once('.')?;
            return Some(Self::Target(digest.parse().ok()?, name.parse().ok()?));
        }
        let (version, role) = path.split_once('.')?;
        let version = version.parse().ok()?;
        match role {
            "root.json" => Some(Self::Root(version)),
            "targets.json" => Some(Self::Targets(version)),
            "snapshot.json" => Some(Self::Snapshot(version)),
            _ => None,
        }
    }

    /// Whether the bytes under this name never change.
    #[must_use]
    pub fn is_immutable(&self) -> bool {
        !matches!(self, Self::LatestRoot | Self::Timestamp)
    }

    /// The most bytes that every client reads (ct-tsa-tuf §3.3; sigstore-java takes 99 KiB of root and timestamp).
    #[must_use]
    pub fn limit(&self) -> usize {
        match self {
            Self::Root(_) | Self::LatestRoot => 99 * 1024,
            Self::Timestamp => 16_384,
            Self::Snapshot(_) => 2_000_000,
            Self::Targets(_) | Self::Target(..) => 5_000_000,
        }
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root(version) => write!(f, "{version}.root.json"),
            Self::LatestRoot => f.write_str("root.json"),
            Self::Target(digest, name) => write!(f, "targets/{digest}.{name}"),
            Self::Targets(version) => write!(f, "{version}.targets.json"),
            Self::Snapshot(version) => write!(f, "{version}.snapshot.json"),
            Self::Timestamp => f.write_str("timestamp.json"),
        }
    }
}

/// The version of a metadata file: positive, and small enough for clients that count in 32 bits with a sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32")]
pub struct Version(NonZeroU32);

impl Version {
    /// The version of a new repository's metadata.
    pub const FIRST: Self = Self(NonZeroU32::MIN);

    /// The largest version.
    pub const MAX: u32 = i32::MAX as u32;

    /// The version with this number.
    #[must_use]
    pub fn new(number: u32) -> Option<Self> {
        NonZeroU32::new(number).filter(|_| number <= Self::MAX).map(Self)
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0.get()
    }

    /// The version after this one; none after the largest.
    #[must_use]
    pub fn next(self) -> Option<Self> {
        Self::new(self.get() + 1)
    }
}

impl TryFrom<u32> for Version {
    type Error = BadName;
    fn try_from(number: u32) -> Result<Self, BadName> {
        Self::new(number).ok_or(BadName)
    }
}

impl FromStr for Version {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        // One spelling per version: `01` and `+1` are other names, and name nothing.
        let version = text.parse().ok().and_then(Self::new).ok_or(BadName)?;
        if version.to_string() == text { Ok(version) } else { Err(BadName) }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A SHA-256 digest; lower-case hex in text.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
        Self(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }

    /// The first 12 hex digits, as people compare them.
    #[must_use]
    pub fn short(&self) -> String {
        hex::encode(&self.0[..6])
    }
}

impl FromStr for Digest {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        let mut digest = [0; 32];
        hex::decode_to_slice(text, &mut digest).map_err(|_| BadName)?;
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) { Err(BadName) } else { Ok(Self(digest)) }
    }
}

impl TryFrom<String> for Digest {
    type Error = BadName;
    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The name of a target: letters, digits, `.`, `_` and `-`, beginning with a letter or digit, 100 bytes at most. No
/// folders: clients put the digest before the last part of a path, and we need none.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TargetName(String);

impl TargetName {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TargetName {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let first = text.bytes().next().ok_or(BadName)?;
        let good = first.is_ascii_alphanumeric() && text.len() <= 100 && text.bytes().all(allowed);
        if good { Ok(Self(text.to_owned())) } else { Err(BadName) }
    }
}

impl TryFrom<String> for TargetName {
    type Error = BadName;
    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<TargetName> for String {
    fn from(name: TargetName) -> Self {
        name.0
    }
}

impl fmt::Display for TargetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text is not a version, digest or target name in its one spelling.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a version (1, 2, …), a SHA-256 digest in lower-case hex, or a target name of letters, digits and . _ -")]
pub struct BadName;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DIGEST: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn the_names_of_the_layout() {
        let version = |number| Version::new(number).unwrap();
        for (text, name) in [
            ("root.json".to_owned(), FileName::LatestRoot),
            ("timestamp.json".to_owned(), FileName::Timestamp),
            ("1.root.json".to_owned(), FileName::Root(version(1))),
            ("12.snapshot.json".to_owned(), FileName::Snapshot(version(12))),
            ("2147483647.targets.json".to_owned(), FileName::Targets(version(Version::MAX))),
            (
                format!("targets/{DIGEST}.signing_config.v0.2.json"),
                FileName::Target(Digest::of(b""), "signing_config.v0.2.json".parse().unwrap()),
            ),
        ] {
            assert_eq!(FileName::parse(&text), Some(name.clone()), "{text}");
            assert_eq!(name.to_string(), text);
        }
    }

    #[test]
    fn everything_else_names_nothing() {
        for text in [
            "",
            "/root.json",
            "./root.json",
            "../keys/offline/tuf-root.pem",
            "targets/../root.json",
            "targets/..%2froot.json",
            "0.root.json",
            "01.root.json",
            "+1.root.json",
            "-1.root.json",
            "2147483648.root.json",
            "1.timestamp.json",
            "snapshot.json",
            "targets.json",
            "1.root.json/",
            "1.root.json ",
            "1.Root.json",
            "root.json\0",
            ".publishing",
            "targets",
            "targets/",
            "targets/trusted_root.json",
            &format!("targets/{DIGEST}"),
            &format!("targets/{DIGEST}."),
            &format!("targets/{DIGEST}../x"),
            &format!("targets/{DIGEST}..x"),
            &format!("targets/{}.x", DIGEST.to_uppercase()),
            &format!("targets/sub/{DIGEST}.x"),
            &format!("targets/{DIGEST}.{}", "x".repeat(101)),
        ] {
            assert_eq!(FileName::parse(text), None, "{text}");
        }
    }

    #[test]
    fn names_are_ordered_as_they_are_published() {
        let version = Version::FIRST;
        let target = FileName::Target(Digest::of(b""), "a".parse().unwrap());
        let order = [
            FileName::Root(version),
            FileName::LatestRoot,
            target,
            FileName::Targets(version),
            FileName::Snapshot(version),
            FileName::Timestamp,
        ];
        assert!(order.is_sorted());
    }

    proptest! {
        #[test]
        fn a_name_has_one_spelling_and_stays_inside(text in r"(targets/)?[0-9a-f./%\\]{0,80}(root\.json|targets\.json|x)?|.*") {
            if let Some(name) = FileName::parse(&text) {
                prop_assert_eq!(name.to_string(), text.clone());
                let path = std::path::Path::new(&text);
                prop_assert!(path.components().all(|part| matches!(part, std::path::Component::Normal(_))));
                prop_assert!(path.components().count() <= 2);
            }
        }

        #[test]
        fn every_target_file_comes_back(bytes: Vec<u8>, name in "[A-Za-z0-9][A-Za-z0-9._-]{0,99}") {
            let file = FileName::Target(Digest::of(&bytes), name.parse().unwrap());
            prop_assert_eq!(FileName::parse(&file.to_string()), Some(file));
        }
    }
}
