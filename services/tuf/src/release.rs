//! Publishing: new metadata, signed, checked as a client would, and made visible in the one order that never breaks clients.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clock::Clock;
use jiff::{SignedDuration, Timestamp as Moment};
use keys::Signer;

use crate::edition::{Edition, Signers};
use crate::error::TufError;
use crate::marks::{Marks, Reserved};
use crate::metadata::{Expires, Role};
use crate::names::{FileName, Version};
use crate::repository::{Invalid, Repository};
use crate::store::{Directory, Staged, Store};
use crate::target::{SIGNING_CONFIG, TRUSTED_ROOT, Target, TargetError};

/// Where a repository lies, and where its used versions are remembered: a file outside, so that a restored copy of the
/// directory does not make us forget them.
#[derive(Debug, Clone)]
pub struct Place {
    /// The directory that is served.
    pub directory: PathBuf,
    /// The record of used versions.
    pub state: PathBuf,
}

/// How long metadata is accepted after it was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// Of the root.
    pub root: Duration,
    /// Of the targets.
    pub targets: Duration,
    /// Of the snapshot; the running service signs a new one at a seventh of it.
    pub snapshot: Duration,
    /// Of the timestamp, likewise. It is also how long an old client may not see a rotation.
    pub timestamp: Duration,
}

impl Default for Lifetimes {
    /// A year for what is signed by hand, a week for what is signed daily.
    fn default() -> Self {
        let days = |days: u64| Duration::from_secs(days * 86_400);
        Self { root: days(365), targets: days(365), snapshot: days(7), timestamp: days(7) }
    }
}

impl Lifetimes {
    pub(crate) fn of(&self, role: Role) -> SignedDuration {
        let life = match role {
            Role::Root => self.root,
            Role::Targets => self.targets,
            Role::Snapshot => self.snapshot,
            Role::Timestamp => self.timestamp,
        };
        SignedDuration::try_from(life).unwrap_or(SignedDuration::MAX)
    }
}

/// The four keys of a new repository, all different.
#[derive(Debug, Clone, Copy)]
pub struct CreationKeys<'a> {
    /// Offline.
    pub root: &'a dyn Signer,
    /// Offline.
    pub targets: &'a dyn Signer,
    /// Online.
    pub snapshot: &'a dyn Signer,
    /// Online.
    pub timestamp: &'a dyn Signer,
}

/// The keys that publish targets.
#[derive(Debug, Clone, Copy)]
pub struct TargetsKeys<'a> {
    /// Offline.
    pub targets: &'a dyn Signer,
    /// Online.
    pub snapshot: &'a dyn Signer,
    /// Online.
    pub timestamp: &'a dyn Signer,
}

/// What was published.
#[derive(Debug, Clone)]
pub struct Published {
    /// The newest root: the file to hand to clients.
    pub root_json: Vec<u8>,
    /// The versions that are current now.
    pub versions: Vec<(Role, Version)>,
    /// Until when the root is accepted.
    pub root_expires: Expires,
}

/// Creates a repository, once: root, targets, snapshot and timestamp, each of version 1 and signed by its one key.
///
/// # Errors
/// There is one already, two keys are the same, a target breaks some client, or the file system refused.
pub async fn create_repository(
    place: &Place,
    keys: &CreationKeys<'_>,
    targets: &[Target],
    lifetimes: &Lifetimes,
    clock: &dyn Clock,
) -> Result<Published, TufError> {
    let signers =
        Signers { root: Some(keys.root), targets: Some(keys.targets), snapshot: keys.snapshot, timestamp: keys.timestamp };
    signers.check_distinct()?;
    check_targets(targets)?;
    for (name, missing) in [(TRUSTED_ROOT, TargetError::NoTrustedRoot), (SIGNING_CONFIG, TargetError::NoSigningConfig)] {
        if !targets.iter().any(|target| target.name().as_str() == name) {
            return Err(missing.into());
        }
    }
    let now = clock.now();
    let mut session = Session::create(place, now)?;
    session.release(&Role::ALL, &signers, targets, lifetimes, now).await
}

/// Publishes `targets`, new ones and new bytes for old names; what is not named stays. Targets, snapshot and timestamp get
/// versions above every one that was ever used, also after a backup was restored.
///
/// # Errors
/// As [`create_repository`]; a key is not the one that the root names; the root has expired. Nothing is visible then.
pub async fn publish_targets(
    place: &Place,
    keys: &TargetsKeys<'_>,
    targets: &[Target],
    lifetimes: &Lifetimes,
    clock: &dyn Clock,
) -> Result<Published, TufError> {
    let signers = Signers { root: None, targets: Some(keys.targets), snapshot: keys.snapshot, timestamp: keys.timestamp };
    check_targets(targets)?;
    let now = clock.now();
    let mut session = Session::open(place)?;
    // Older targets metadata than was published may be replaced here, by newer: that is how it recovers.
    session.refuse_rolled_back(&[Role::Root])?;
    session.release(&[Role::Targets, Role::Snapshot, Role::Timestamp], &signers, targets, lifetimes, now).await
}

/// Renews everything: a next root with the same keys, and targets, snapshot and timestamp, each with a whole life before it.
///
/// # Errors
/// As [`publish_targets`], except that nothing need be unexpired.
pub async fn renew(
    place: &Place,
    keys: &CreationKeys<'_>,
    lifetimes: &Lifetimes,
    clock: &dyn Clock,
) -> Result<Published, TufError> {
    let signers =
        Signers { root: Some(keys.root), targets: Some(keys.targets), snapshot: keys.snapshot, timestamp: keys.timestamp };
    let mut session = Session::open(place)?;
    session.refuse_rolled_back(&[Role::Root])?;
    session.release(&Role::ALL, &signers, &[], lifetimes, clock.now()).await
}

/// The sole right to publish: the lock on the record of versions, and the repository as it is.
#[derive(Debug)]
pub(crate) struct Session {
    marks: Marks,
    store: Arc<dyn Store>,
    current: Option<Repository>,
}

impl Session {
    fn create(place: &Place, now: Moment) -> Result<Self, TufError> {
        let directory = Directory::new(&place.directory);
        directory.create().map_err(|source| match source.kind() {
            std::io::ErrorKind::AlreadyExists => TufError::Exists(place.directory.clone()),
            _ => TufError::Directory { path: place.directory.clone(), source },
        })?;
        Ok(Self { marks: Marks::create(&place.state, now)?, store: Arc::new(directory), current: None })
    }

    /// Waits for whoever publishes now, then reads and checks the repository.
    pub(crate) fn open(place: &Place) -> Result<Self, TufError> {
        Self::open_store(place, Arc::new(Directory::new(&place.directory)))
    }

    pub(crate) fn open_store(place: &Place, store: Arc<dyn Store>) -> Result<Self, TufError> {
        let marks = Marks::open(&place.state)?;
        let current = Repository::read(&Below(&*store)).map_err(|invalid| TufError::Damaged(Box::new(invalid)))?;
        Ok(Self { marks, store, current: Some(current) })
    }

    /// The repository as it is; none while it is being created.
    pub(crate) fn current(&self) -> Option<&Repository> {
        self.current.as_ref()
    }

    /// The roles among `roles` whose metadata is older than what clients may have.
    pub(crate) fn rolled_back(&self, roles: &[Role]) -> Vec<Role> {
        roles.iter().copied().filter(|&role| self.version(role) < self.marks.published(role)).collect()
    }

    /// Refuses to build upon metadata that clients would refuse as a rollback and that we cannot sign anew.
    pub(crate) fn refuse_rolled_back(&self, roles: &[Role]) -> Result<(), TufError> {
        match self.rolled_back(roles).first() {
            None => Ok(()),
            Some(&role) => Err(TufError::RolledBack { role, found: self.version(role), published: self.marks.published(role) }),
        }
    }

    /// Refuses a key that the root does not name: its signature would count for nothing.
    pub(crate) fn check_key(&self, role: Role, signer: &dyn Signer) -> Result<(), TufError> {
        let Some(current) = &self.current else { return Ok(()) };
        if current.key_of(role, signer.public_key()).is_some() {
            return Ok(());
        }
        let named = current.root.roles.of(role).keyids.iter().filter_map(|id| current.root.keys.get(id)?.public_key());
        let expected = named.map(|key| key.short()).collect::<Vec<_>>().join(" or ");
        Err(TufError::KeyMismatch { role, found: signer.public_key().short(), expected })
    }

    /// One release of new metadata for `roles`, which is a tail of [`Role::ALL`]: a role's new metadata needs new metadata of
    /// every role after it. `targets` are published when the targets role is among them.
    pub(crate) async fn release(
        &mut self,
        roles: &[Role],
        signers: &Signers<'_>,
        targets: &[Target],
        lifetimes: &Lifetimes,
        now: Moment,
    ) -> Result<Published, TufError> {
        // 1. Only keys that count.
        for &role in roles {
            let signer = signers.of(role).expect("whoever publishes a role has its key");
            self.check_key(role, signer)?;
        }
        // 2. Take the versions, durably. Nobody can sign something else with them, whatever happens from here on.
        let versions = self.reserve(roles, now)?;
        // 3. Sign, from the root down to the timestamp; nothing is visible yet.
        let current = self.current.as_ref();
        let files = Edition::new(current, &versions, signers, lifetimes, now).sign(targets).await?;
        // 4. Read it all as the strictest client would; publish; remember.
        self.publish(files, roles, now)
    }

    /// Step 2 of [`Session::release`].
    fn reserve(&mut self, roles: &[Role], now: Moment) -> Result<Reserved, TufError> {
        let current = self.current.as_ref();
        Ok(self.marks.reserve(roles, |role| current.map_or(0, |current| current.version(role)), now)?)
    }

    /// Step 4 of [`Session::release`].
    fn publish(&mut self, files: Vec<(FileName, Vec<u8>)>, roles: &[Role], now: Moment) -> Result<Published, TufError> {
        let store = Arc::clone(&self.store);
        let mut staged = Staged::over(&*store);
        for (name, bytes) in files {
            staged.add(name, bytes);
        }
        let unpublishable = |invalid| TufError::Unpublishable(Box::new(invalid));
        // 4a. The check before the world sees it.
        let next = Repository::read(&staged).map_err(unpublishable)?;
        self.check_follows(&next, roles, now).map_err(unpublishable)?;
        // The copy for people follows; it may also have fallen behind in a crash right after its original was written.
        if !matches!(store.read(&FileName::LatestRoot), Ok(Some(copy)) if copy == next.root_json) {
            staged.add(FileName::LatestRoot, next.root_json.clone());
        }
        // 4b. File by file; a crash in between leaves the old repository, or from the last file on the new one.
        staged.publish().map_err(|(name, source)| TufError::Publish { name, source })?;
        // 4c. From here on the old one would be a rollback.
        self.marks.record_published(|role| next.version(role))?;
        self.prune(&next);
        let published = Published {
            root_json: next.root_json.clone(),
            versions: Role::ALL.iter().filter_map(|&role| Some((role, Version::new(next.version(role))?))).collect(),
            root_expires: next.expires(Role::Root),
        };
        self.current = Some(next);
        Ok(published)
    }

    /// Clients with a cache accept `next` after anything that was published, and nothing signed now is stale already. Who
    /// signs targets also finds out here that the root has expired; who only keeps the timestamp fresh goes on, so that a
    /// renewed root finds everything else in order.
    fn check_follows(&self, next: &Repository, roles: &[Role], now: Moment) -> Result<(), Invalid> {
        for &role in roles {
            let (found, least) = (next.version(role), self.marks.published(role).max(self.version(role)));
            let name = |version| match role {
                Role::Root => FileName::Root(version),
                Role::Targets => FileName::Targets(version),
                Role::Snapshot => FileName::Snapshot(version),
                Role::Timestamp => FileName::Timestamp,
            };
            if let (true, Some(found), Some(expected)) =
                (found <= least, Version::new(found), Version::new(least.saturating_add(1)))
            {
                return Err(Invalid::Version { name: name(found), found, expected });
            }
        }
        let all = roles.contains(&Role::Targets);
        next.check_fresh(if all { &Role::ALL } else { roles }, now)
    }

    /// Removes snapshots that no client can be about to ask for. That this fails is no reason to fail.
    fn prune(&self, current: &Repository) {
        let Ok(mut versions) = self.store.snapshots() else { return };
        versions.retain(|version| *version < current.snapshot.version);
        versions.sort_unstable();
        let superfluous = versions.len().saturating_sub(KEPT_SNAPSHOTS);
        for version in &versions[..superfluous] {
            if let Err(error) = self.store.remove_snapshot(*version) {
                tracing::warn!(error = %error, "cannot remove the old file {version}.snapshot.json of the trust root");
            }
        }
    }

    fn version(&self, role: Role) -> u32 {
        self.current.as_ref().map_or(0, |current| current.version(role))
    }
}

/// A client asks for the snapshot that the timestamp named a moment ago.
const KEPT_SNAPSHOTS: usize = 32;

/// A store, read as files.
struct Below<'a>(&'a dyn Store);

impl crate::store::Files for Below<'_> {
    fn read(&self, name: &FileName) -> std::io::Result<Option<Vec<u8>>> {
        self.0.read(name)
    }
}

fn check_targets(targets: &[Target]) -> Result<(), TufError> {
    for (position, target) in targets.iter().enumerate() {
        target.check()?;
        if targets[..position].iter().any(|other| other.name() == target.name()) {
            return Err(TargetError::Repeated(target.name().clone()).into());
        }
    }
    Ok(())
}
