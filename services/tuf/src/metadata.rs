//! The four documents of a TUF repository (specification 1.0), as narrow as we write them: whatever a strict client would
//! refuse does not parse here either.

mod canonical;
mod envelope;
mod key;

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU32;

use jiff::Timestamp as Moment;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::names::{Digest, TargetName, Version};

pub use canonical::NotCanonical;
pub(crate) use canonical::canonical;
pub(crate) use envelope::{Envelope, sign};
pub use envelope::{EnvelopeError, SigningFailed};
pub(crate) use key::Key;
pub use key::{KeyId, NotP256};

/// One of the four top-level roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Names the keys of all roles; offline.
    Root,
    /// Vouches for the targets; offline.
    Targets,
    /// Says which targets metadata is current; online.
    Snapshot,
    /// Says that the snapshot is current; online.
    Timestamp,
}

impl Role {
    /// All of them, in the order of trust.
    pub const ALL: [Self; 4] = [Self::Root, Self::Targets, Self::Snapshot, Self::Timestamp];
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Root => "root",
            Self::Targets => "targets",
            Self::Snapshot => "snapshot",
            Self::Timestamp => "timestamp",
        })
    }
}

/// What the documents of all roles have.
pub(crate) trait Metadata: Serialize + DeserializeOwned {
    /// Whose document it is.
    const ROLE: Role;
    /// Type, specification, version and expiry.
    fn header(&self) -> Header;
}

/// See [`Metadata::header`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// What the document says it is.
    pub(crate) role: Role,
    /// Its version.
    pub(crate) version: Version,
    /// Until when clients accept it.
    pub(crate) expires: Expires,
}

/// Declares the documents with their common members; the order of members does not matter, the canonical form sorts them.
macro_rules! documents {
    ($($(#[$doc:meta])* $name:ident { $($(#[$member_doc:meta])* $member:ident: $type:ty,)* })+) => { $(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            #[serde(rename = "_type")]
            role: Role,
            spec_version: SpecVersion,
            /// Never lowered, never used twice.
            pub(crate) version: Version,
            /// Until when clients accept it.
            pub(crate) expires: Expires,
            $($(#[$member_doc])* pub(crate) $member: $type,)*
        }

        impl $name {
            /// A document of this version.
            #[must_use]
            pub(crate) fn new(version: Version, expires: Expires, $($member: $type),*) -> Self {
                Self { role: Role::$name, spec_version: SpecVersion, version, expires, $($member),* }
            }
        }

        impl Metadata for $name {
            const ROLE: Role = Role::$name;
            fn header(&self) -> Header {
                Header { role: self.role, version: self.version, expires: self.expires }
            }
        }
    )+ };
}

documents! {
    /// `N.root.json`.
    Root {
        /// Whether files are named by version and digest; always true here.
        consistent_snapshot: bool,
        /// Every key that a role uses, by the digest of its canonical form.
        keys: BTreeMap<KeyId, Key>,
        /// Who signs what.
        roles: Roles,
    }
    /// `V.targets.json`.
    Targets {
        /// The targets by name.
        targets: BTreeMap<TargetName, TargetInfo>,
    }
    /// `V.snapshot.json`.
    Snapshot {
        /// `targets.json`, for ever: a name that vanishes breaks every client with a cache.
        meta: SnapshotMeta,
    }
    /// `timestamp.json`.
    Timestamp {
        /// `snapshot.json`.
        meta: TimestampMeta,
    }
}

/// The keys of each role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Roles {
    /// See [`Role::Root`].
    pub(crate) root: RoleKeys,
    /// See [`Role::Targets`].
    pub(crate) targets: RoleKeys,
    /// See [`Role::Snapshot`].
    pub(crate) snapshot: RoleKeys,
    /// See [`Role::Timestamp`].
    pub(crate) timestamp: RoleKeys,
}

impl Roles {
    /// The keys of `role`.
    #[must_use]
    pub(crate) fn of(&self, role: Role) -> &RoleKeys {
        match role {
            Role::Root => &self.root,
            Role::Targets => &self.targets,
            Role::Snapshot => &self.snapshot,
            Role::Timestamp => &self.timestamp,
        }
    }
}

/// How many of which keys must sign.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoleKeys {
    /// The keys.
    pub(crate) keyids: Vec<KeyId>,
    /// How many of them.
    pub(crate) threshold: NonZeroU32,
}

impl RoleKeys {
    /// One key, which must sign.
    #[must_use]
    pub(crate) fn one(key: KeyId) -> Self {
        Self { keyids: vec![key], threshold: NonZeroU32::MIN }
    }
}

/// One target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TargetInfo {
    /// What old clients select targets by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) custom: Option<Custom>,
    /// Digest of its bytes.
    pub(crate) hashes: Hashes,
    /// Their number.
    pub(crate) length: u64,
}

/// SHA-256 alone: with two digests go-tuf picks one at random, and the file must be there under both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Hashes {
    /// The digest.
    pub(crate) sha256: Digest,
}

/// Custom metadata of a target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Custom {
    /// Sigstore's.
    pub(crate) sigstore: Sigstore,
}

/// What cosign 2 and its relatives select single keys and certificates by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sigstore {
    /// What the target is for.
    pub(crate) usage: Usage,
    /// Whether it is still in use.
    pub(crate) status: Status,
    /// Where the service is.
    pub(crate) uri: String,
}

/// See [`Sigstore`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Usage {
    /// A certificate of the certificate authority.
    Fulcio,
    /// The key of a transparency log.
    Rekor,
    /// The key of a certificate transparency log.
    #[serde(rename = "CTFE")]
    Ctfe,
    /// A certificate of the timestamp authority.
    #[serde(rename = "TSA")]
    Tsa,
}

/// See [`Sigstore`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Status {
    /// In use.
    Active,
    /// Needed for old signatures only.
    Expired,
}

/// A metadata file as the next role describes it. Length and digest bind its bytes, so that the key of the outer role
/// alone cannot exchange them under the same version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileInfo {
    /// Digest of the file.
    pub(crate) hashes: Hashes,
    /// Its length in bytes.
    pub(crate) length: u64,
    /// Its version.
    pub(crate) version: Version,
}

impl FileInfo {
    /// Describes a metadata file.
    #[must_use]
    pub(crate) fn of(bytes: &[u8], version: Version) -> Self {
        Self { hashes: Hashes { sha256: Digest::of(bytes) }, length: bytes.len() as u64, version }
    }
}

/// See [`Snapshot::meta`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SnapshotMeta {
    /// The current targets metadata.
    #[serde(rename = "targets.json")]
    pub(crate) targets: FileInfo,
}

/// See [`Timestamp::meta`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TimestampMeta {
    /// The current snapshot metadata.
    #[serde(rename = "snapshot.json")]
    pub(crate) snapshot: FileInfo,
}

/// When clients stop accepting a document: whole seconds, `2026-11-21T09:14:03Z` and no other spelling (python-tuf refuses a
/// fraction).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expires(Moment);

impl Expires {
    /// `life` after `now`, cut to whole seconds.
    #[must_use]
    pub fn after(now: Moment, life: jiff::SignedDuration) -> Self {
        let end = now.saturating_add(life).unwrap_or(now);
        Self(Moment::from_second(end.as_second()).unwrap_or(now))
    }

    /// The moment.
    #[must_use]
    pub fn moment(self) -> Moment {
        self.0
    }

    /// What is left of the document's life; zero or negative when clients refuse it.
    #[must_use]
    pub fn left(self, now: Moment) -> jiff::SignedDuration {
        self.0.duration_since(now)
    }
}

impl fmt::Display for Expires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.0}", self.0)
    }
}

impl Serialize for Expires {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Expires {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let expires = text.parse().ok().map(Self).filter(|expires| text.len() == 20 && expires.to_string() == text);
        expires.ok_or_else(|| serde::de::Error::custom(format_args!("expires is {text}, expected the form 2026-11-21T09:14:03Z")))
    }
}

/// Declares a member that always has one value.
macro_rules! fixed {
    ($(#[$doc:meta])* $name:ident $text:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        struct $name;

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str($text)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                if text == $text { Ok(Self) } else { Err(serde::de::Error::custom(format_args!("found {text}, expected {}", $text))) }
            }
        }
    };
}
use fixed;

fixed!(
    /// tough's editor reads no other spelling of the specification's version.
    SpecVersion "1.0.0"
);
