//! One edition of the metadata: the documents of some roles, signed, and not yet visible to anyone.

use jiff::Timestamp as Moment;
use keys::Signer;

use crate::error::TufError;
use crate::marks::Reserved;
use crate::metadata::{
    Expires, FileInfo, Key, Metadata, Role, RoleKeys, Roles, Root, SigningFailed, Snapshot, SnapshotMeta, Targets, Timestamp,
    TimestampMeta, sign,
};
use crate::names::{FileName, Version};
use crate::release::Lifetimes;
use crate::repository::Repository;
use crate::target::Target;

/// Who signs; the offline keys only when their roles are published.
#[derive(Clone, Copy)]
pub(crate) struct Signers<'a> {
    pub(crate) root: Option<&'a dyn Signer>,
    pub(crate) targets: Option<&'a dyn Signer>,
    pub(crate) snapshot: &'a dyn Signer,
    pub(crate) timestamp: &'a dyn Signer,
}

impl<'a> Signers<'a> {
    pub(crate) fn of(&self, role: Role) -> Option<&'a dyn Signer> {
        match role {
            Role::Root => self.root,
            Role::Targets => self.targets,
            Role::Snapshot => Some(self.snapshot),
            Role::Timestamp => Some(self.timestamp),
        }
    }

    pub(crate) fn check_distinct(&self) -> Result<(), TufError> {
        let keys = Role::ALL.map(|role| (role, self.of(role).map(|signer| signer.public_key().fingerprint())));
        for (position, (role, key)) in keys.iter().enumerate() {
            if let Some((other, _)) = keys[..position].iter().find(|(_, other)| other == key) {
                return Err(TufError::KeyShared(*other, *role));
            }
        }
        Ok(())
    }
}

/// Collects the files of an edition, from the root down to the timestamp. A role without a reserved version keeps the metadata
/// it has.
pub(crate) struct Edition<'a> {
    current: Option<&'a Repository>,
    versions: &'a Reserved,
    signers: &'a Signers<'a>,
    lifetimes: &'a Lifetimes,
    now: Moment,
    files: Vec<(FileName, Vec<u8>)>,
}

impl<'a> Edition<'a> {
    /// An edition that follows `current`, signed at `now`.
    pub(crate) fn new(
        current: Option<&'a Repository>,
        versions: &'a Reserved,
        signers: &'a Signers<'a>,
        lifetimes: &'a Lifetimes,
        now: Moment,
    ) -> Self {
        Self { current, versions, signers, lifetimes, now, files: Vec::new() }
    }

    /// Signs every role that has a version, `targets` with the targets role.
    pub(crate) async fn sign(mut self, targets: &[Target]) -> Result<Vec<(FileName, Vec<u8>)>, TufError> {
        self.root().await?;
        let targets = self.targets(targets).await?;
        let snapshot = self.snapshot(targets).await?;
        self.timestamp(snapshot).await?;
        Ok(self.files)
    }

    async fn root(&mut self) -> Result<(), TufError> {
        let Some(version) = self.versions.of(Role::Root) else { return Ok(()) };
        let root = new_root(version, self.expires(Role::Root), self.signers)?;
        let bytes = self.signed(&root).await?;
        self.files.push((FileName::Root(version), bytes));
        Ok(())
    }

    async fn targets(&mut self, targets: &[Target]) -> Result<FileInfo, TufError> {
        let Some(version) = self.versions.of(Role::Targets) else { return Ok(self.kept().targets_info()) };
        let mut listed = self.current.map(|current| current.targets.targets.clone()).unwrap_or_default();
        listed.extend(targets.iter().map(|target| (target.name().clone(), target.info())));
        let bytes = self.signed(&Targets::new(version, self.expires(Role::Targets), listed)).await?;
        let info = FileInfo::of(&bytes, version);
        self.files.extend(targets.iter().map(|target| (target.file(), target.bytes().to_vec())));
        self.files.push((FileName::Targets(version), bytes));
        Ok(info)
    }

    async fn snapshot(&mut self, targets: FileInfo) -> Result<FileInfo, TufError> {
        let Some(version) = self.versions.of(Role::Snapshot) else { return Ok(self.kept().snapshot_info()) };
        let bytes = self.signed(&Snapshot::new(version, self.expires(Role::Snapshot), SnapshotMeta { targets })).await?;
        let info = FileInfo::of(&bytes, version);
        self.files.push((FileName::Snapshot(version), bytes));
        Ok(info)
    }

    async fn timestamp(&mut self, snapshot: FileInfo) -> Result<(), TufError> {
        let Some(version) = self.versions.of(Role::Timestamp) else { return Ok(()) };
        let bytes = self.signed(&Timestamp::new(version, self.expires(Role::Timestamp), TimestampMeta { snapshot })).await?;
        self.files.push((FileName::Timestamp, bytes));
        Ok(())
    }

    fn kept(&self) -> &'a Repository {
        self.current.expect("a role keeps its metadata only where there is a repository")
    }

    fn expires(&self, role: Role) -> Expires {
        Expires::after(self.now, self.lifetimes.of(role))
    }

    async fn signed<T: Metadata + Sync>(&self, document: &T) -> Result<Vec<u8>, TufError> {
        let signer = self.signers.of(T::ROLE).expect("whoever publishes a role has its key");
        sign(document, &[signer]).await.map_err(|source| TufError::Signing { role: T::ROLE, source })
    }
}

fn new_root(version: Version, expires: Expires, signers: &Signers<'_>) -> Result<Root, TufError> {
    let key = |role: Role| {
        let signer = signers.of(role).expect("whoever makes a root has all keys");
        Key::new(signer.public_key()).map_err(|source| TufError::Signing { role, source: SigningFailed::Key(source) })
    };
    let keys = [key(Role::Root)?, key(Role::Targets)?, key(Role::Snapshot)?, key(Role::Timestamp)?];
    let [root, targets, snapshot, timestamp] = keys.each_ref().map(|key| RoleKeys::one(key.id()));
    let roles = Roles { root, targets, snapshot, timestamp };
    Ok(Root::new(version, expires, true, keys.into_iter().map(|key| (key.id(), key)).collect(), roles))
}
