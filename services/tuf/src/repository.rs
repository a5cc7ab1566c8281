//! A repository as the strictest client sees it.
//!
//! The same reading is the check before anything is published and the check before anything published is built upon.

use std::collections::BTreeSet;
use std::fmt;
use std::io;

use jiff::Timestamp as Moment;

use crate::metadata::{Envelope, EnvelopeError, Expires, FileInfo, Key, KeyId, Role, Root, Snapshot, Targets, Timestamp};
use crate::names::{Digest, FileName, Version};
use crate::store::Files;

/// The documents that are current, every signature, version, length and digest checked from `1.root.json` on.
///
/// Expiry is not: what has expired is still the base of what comes next. See [`Repository::check_fresh`].
#[derive(Debug, Clone)]
pub(crate) struct Repository {
    pub(crate) root: Root,
    pub(crate) targets: Targets,
    pub(crate) snapshot: Snapshot,
    pub(crate) timestamp: Timestamp,
    /// The newest root, as it lies under its version.
    pub(crate) root_json: Vec<u8>,
}

/// A client would refuse the repository.
#[derive(Debug, thiserror::Error)]
pub enum Invalid {
    /// A file that must exist does not.
    #[error("{0} is missing")]
    Missing(FileName),
    /// The file system refused.
    #[error("{name} cannot be read")]
    Unreadable {
        /// Which file.
        name: FileName,
        /// What the system said.
        source: io::Error,
    },
    /// Some client stops reading before its end.
    #[error("{name} is longer than the {} bytes that every client reads", name.limit())]
    TooLong {
        /// Which file.
        name: FileName,
    },
    /// Not what the role's keys signed.
    #[error("{name} is not accepted")]
    Envelope {
        /// Which file.
        name: FileName,
        /// Why.
        source: EnvelopeError,
    },
    /// A file has another version than its name or the next role says.
    #[error("{name} has version {found}, expected {expected}")]
    Version {
        /// Which file.
        name: FileName,
        /// What is in it.
        found: Version,
        /// What belongs there.
        expected: Version,
    },
    /// A file has other bytes than the next role says.
    #[error("{name} has {difference}")]
    Bytes {
        /// Which file.
        name: FileName,
        /// What it holds and what was signed.
        difference: Box<Difference>,
    },
    /// The root is signed but not one that every client can use.
    #[error("{name}: {rule}")]
    Root {
        /// Which root.
        name: FileName,
        /// The broken rule.
        rule: RootRule,
    },
    /// More roots than a client walks.
    #[error("there are more than {MAX_ROOTS} roots; go-tuf and python-tuf walk no further in one refresh")]
    TooManyRoots,
    /// The metadata has expired, or would at once.
    #[error("the {role} metadata expired at {expires}")]
    Expired {
        /// Whose.
        role: Role,
        /// When.
        expires: Expires,
    },
}

/// A file is not the one that was signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Length in bytes and digest of what is there.
    pub found: (u64, Digest),
    /// Those that were signed.
    pub expected: (u64, Digest),
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((found, found_digest), (expected, expected_digest)) = (self.found, self.expected);
        let (found_digest, expected_digest) = (found_digest.short(), expected_digest.short());
        write!(f, "{found} bytes with digest {found_digest}, expected {expected} bytes with digest {expected_digest}")
    }
}

/// What a root must hold beside its signatures.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RootRule {
    /// Files are named by version and digest here.
    #[error("consistent_snapshot must be true")]
    ConsistentSnapshot,
    /// tough refuses the file; the others do not notice.
    #[error("the key {0} must be named by the SHA-256 of its canonical form, {1}")]
    KeyId(KeyId, KeyId),
    /// Not the PEM of a P-256 key.
    #[error("the key {0} is not an ECDSA P-256 key in PEM")]
    Key(KeyId),
    /// A role names a key that is not there.
    #[error("the {0} role names the key {1}, which is not listed")]
    KeyMissing(Role, KeyId),
    /// A role names a key twice.
    #[error("the {0} role names the key {1} twice")]
    KeyRepeated(Role, KeyId),
    /// More signatures are needed than there are keys.
    #[error("the {0} role needs more signatures than it has keys")]
    Threshold(Role),
}

const MAX_ROOTS: u32 = 256;

impl Repository {
    /// Reads and checks everything a client would.
    ///
    /// # Errors
    /// [`Invalid`], with the first file that a client would refuse.
    pub(crate) fn read(files: &dyn Files) -> Result<Self, Invalid> {
        // 1. The roots, from the first on: each signed by its predecessor and by itself.
        let (root, root_json) = walk_roots(files)?;
        // 2. The timestamp, which says which snapshot is current.
        let (timestamp, _) = read_role::<Timestamp>(files, &root, &FileName::Timestamp)?;
        // 3. The snapshot it names, which says which targets metadata is current.
        let snapshot = read_named::<Snapshot>(files, &root, timestamp.meta.snapshot, FileName::Snapshot)?;
        // 4. The targets metadata it names.
        let targets = read_named::<Targets>(files, &root, snapshot.meta.targets, FileName::Targets)?;
        // 5. Every target.
        for (target, info) in &targets.targets {
            let name = FileName::Target(info.hashes.sha256, target.clone());
            let bytes = read_file(files, &name)?;
            check_bytes(name, &bytes, info.length, info.hashes.sha256)?;
        }
        Ok(Self { root, targets, snapshot, timestamp, root_json })
    }

    /// The current version of `role`.
    pub(crate) fn version(&self, role: Role) -> u32 {
        let version = match role {
            Role::Root => self.root.version,
            Role::Targets => self.targets.version,
            Role::Snapshot => self.snapshot.version,
            Role::Timestamp => self.timestamp.version,
        };
        version.get()
    }

    /// Until when clients accept the metadata of `role`.
    pub(crate) fn expires(&self, role: Role) -> Expires {
        match role {
            Role::Root => self.root.expires,
            Role::Targets => self.targets.expires,
            Role::Snapshot => self.snapshot.expires,
            Role::Timestamp => self.timestamp.expires,
        }
    }

    /// Refuses what clients refuse at `now`.
    ///
    /// # Errors
    /// [`Invalid::Expired`] with the first role whose metadata has expired.
    pub(crate) fn check_fresh(&self, roles: &[Role], now: Moment) -> Result<(), Invalid> {
        let mut expired =
            roles.iter().map(|&role| (role, self.expires(role))).filter(|(_, expires)| !expires.left(now).is_positive());
        expired.next().map_or(Ok(()), |(role, expires)| Err(Invalid::Expired { role, expires }))
    }

    /// How the snapshot describes the current targets metadata.
    pub(crate) fn targets_info(&self) -> FileInfo {
        self.snapshot.meta.targets
    }

    /// How the timestamp describes the current snapshot.
    pub(crate) fn snapshot_info(&self) -> FileInfo {
        self.timestamp.meta.snapshot
    }

    /// The file of a target.
    #[cfg(test)]
    pub(crate) fn target_file(&self, name: &crate::TargetName) -> Option<FileName> {
        self.targets.targets.get(name).map(|info| FileName::Target(info.hashes.sha256, name.clone()))
    }

    /// The id of `key`, if it may sign for `role`.
    pub(crate) fn key_of(&self, role: Role, key: &pki::PublicKey) -> Option<KeyId> {
        let of_role = self.root.roles.of(role).keyids.iter();
        let same = |id: &&KeyId| {
            let listed = self.root.keys.get(id).and_then(Key::public_key);
            listed.is_some_and(|listed| listed.spki_der() == key.spki_der())
        };
        of_role.copied().find(|id| same(&id))
    }
}

fn walk_roots(files: &dyn Files) -> Result<(Root, Vec<u8>), Invalid> {
    let mut name = FileName::Root(Version::FIRST);
    let mut bytes = read_file(files, &name)?;
    let mut root = check_root(&name, &bytes, Version::FIRST, None)?;
    for _ in 1..=MAX_ROOTS {
        let Some(version) = root.version.next() else { return Ok((root, bytes)) };
        name = FileName::Root(version);
        let Some(next) = read_optional(files, &name)? else { return Ok((root, bytes)) };
        root = check_root(&name, &next, version, Some(&root))?;
        bytes = next;
    }
    Err(Invalid::TooManyRoots)
}

fn check_root(name: &FileName, bytes: &[u8], version: Version, previous: Option<&Root>) -> Result<Root, Invalid> {
    let refused = |source| Invalid::Envelope { name: name.clone(), source };
    let envelope = Envelope::<Root>::parse(bytes).map_err(refused)?;
    let root = envelope.unverified();
    check_root_rules(root).map_err(|rule| Invalid::Root { name: name.clone(), rule })?;
    for signers in previous.into_iter().chain([root]) {
        envelope.verify(&signers.keys, &signers.roles.root).map_err(refused)?;
    }
    check_version(name, root.version, version)?;
    Ok(root.clone())
}

fn check_root_rules(root: &Root) -> Result<(), RootRule> {
    if !root.consistent_snapshot {
        return Err(RootRule::ConsistentSnapshot);
    }
    for (&id, key) in &root.keys {
        if key.id() != id {
            return Err(RootRule::KeyId(id, key.id()));
        }
        key.public_key().ok_or(RootRule::Key(id))?;
    }
    for role in Role::ALL {
        let keys = root.roles.of(role);
        let mut seen = BTreeSet::new();
        for &id in &keys.keyids {
            root.keys.get(&id).ok_or(RootRule::KeyMissing(role, id))?;
            if !seen.insert(id) {
                return Err(RootRule::KeyRepeated(role, id));
            }
        }
        if seen.len() < keys.threshold.get() as usize {
            return Err(RootRule::Threshold(role));
        }
    }
    Ok(())
}

fn read_named<T: crate::metadata::Metadata + Clone>(
    files: &dyn Files,
    root: &Root,
    info: FileInfo,
    name: impl Fn(Version) -> FileName,
) -> Result<T, Invalid> {
    let name = name(info.version);
    let (document, bytes) = read_role::<T>(files, root, &name)?;
    check_bytes(name.clone(), &bytes, info.length, info.hashes.sha256)?;
    check_version(&name, document.header().version, info.version)?;
    Ok(document)
}

fn read_role<T: crate::metadata::Metadata + Clone>(
    files: &dyn Files,
    root: &Root,
    name: &FileName,
) -> Result<(T, Vec<u8>), Invalid> {
    let bytes = read_file(files, name)?;
    let refused = |source| Invalid::Envelope { name: name.clone(), source };
    let envelope = Envelope::<T>::parse(&bytes).map_err(refused)?;
    let document = envelope.verify(&root.keys, root.roles.of(T::ROLE)).map_err(refused)?.clone();
    Ok((document, bytes))
}

fn check_version(name: &FileName, found: Version, expected: Version) -> Result<(), Invalid> {
    if found == expected { Ok(()) } else { Err(Invalid::Version { name: name.clone(), found, expected }) }
}

fn check_bytes(name: FileName, bytes: &[u8], length: u64, digest: Digest) -> Result<(), Invalid> {
    let (found, expected) = ((bytes.len() as u64, Digest::of(bytes)), (length, digest));
    if found == expected { Ok(()) } else { Err(Invalid::Bytes { name, difference: Box::new(Difference { found, expected }) }) }
}

fn read_file(files: &dyn Files, name: &FileName) -> Result<Vec<u8>, Invalid> {
    read_optional(files, name)?.ok_or_else(|| Invalid::Missing(name.clone()))
}

fn read_optional(files: &dyn Files, name: &FileName) -> Result<Option<Vec<u8>>, Invalid> {
    let bytes = files.read(name).map_err(|source| Invalid::Unreadable { name: name.clone(), source })?;
    match bytes {
        Some(bytes) if bytes.len() > name.limit() => Err(Invalid::TooLong { name: name.clone() }),
        other => Ok(other),
    }
}
