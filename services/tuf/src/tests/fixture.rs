//! A repository in a temporary folder, its four keys, and a clock.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bundle::{SigningConfig, TrustedRoot};
use clock::{Clock as _, ManualClock};
use jiff::Timestamp as Moment;
use keys::{FileKey, Signer};
use pki::KeyKind;
use serde_json::{Value, json};

use crate::metadata::{Key, canonical};
use crate::store::{Directory, Files as _};
use crate::*;

pub(super) struct Fixture {
    folder: tempfile::TempDir,
    pub(super) place: Place,
    pub(super) root: FileKey,
    pub(super) targets: FileKey,
    pub(super) snapshot: Arc<FileKey>,
    pub(super) timestamp: Arc<FileKey>,
    pub(super) lifetimes: Lifetimes,
    pub(super) clock: Arc<ManualClock>,
}

impl Fixture {
    /// Keys and a clock, and no repository yet.
    pub(super) fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Place { directory: folder.path().join("tuf"), state: folder.path().join("tuf.json") };
        let key = || FileKey::generate(KeyKind::P256).unwrap();
        Self {
            folder,
            place,
            root: key(),
            targets: key(),
            snapshot: Arc::new(key()),
            timestamp: Arc::new(key()),
            lifetimes: Lifetimes::default(),
            clock: Arc::new(ManualClock::new("2026-11-21T09:14:03.25Z".parse().unwrap())),
        }
    }

    /// A repository of version 1 with the usual targets.
    pub(super) async fn created() -> Self {
        let fixture = Self::empty();
        fixture.create(&targets()).await.unwrap();
        fixture
    }

    pub(super) async fn create(&self, targets: &[Target]) -> Result<Published, TufError> {
        create_repository(&self.place, &self.keys(), targets, &self.lifetimes, &*self.clock).await
    }

    pub(super) async fn publish(&self, targets: &[Target]) -> Result<Published, TufError> {
        let keys = TargetsKeys { targets: &self.targets, snapshot: &*self.snapshot, timestamp: &*self.timestamp };
        publish_targets(&self.place, &keys, targets, &self.lifetimes, &*self.clock).await
    }

    pub(super) fn keys(&self) -> CreationKeys<'_> {
        CreationKeys { root: &self.root, targets: &self.targets, snapshot: &*self.snapshot, timestamp: &*self.timestamp }
    }

    /// The service, on the plain directory.
    pub(super) fn service(&self) -> Tuf {
        self.service_on(Arc::new(self.directory()))
    }

    pub(super) fn service_on(&self, store: Arc<dyn crate::store::Store>) -> Tuf {
        let keys: (Arc<dyn Signer>, Arc<dyn Signer>) = (self.snapshot.clone(), self.timestamp.clone());
        Tuf::on_store(&self.place, store, keys, self.lifetimes, self.clock.clone())
    }

    pub(super) fn directory(&self) -> Directory {
        Directory::new(&self.place.directory)
    }

    /// The repository as a client sees it.
    pub(super) fn read(&self) -> Result<crate::repository::Repository, Invalid> {
        crate::repository::Repository::read(&self.directory())
    }

    /// Root, targets, snapshot and timestamp.
    pub(super) fn versions(&self) -> [u32; 4] {
        let repository = self.read().unwrap();
        Role::ALL.map(|role| repository.version(role))
    }

    pub(super) fn now(&self) -> Moment {
        self.clock.now()
    }

    pub(super) fn wait(&self, duration: &str) {
        let seconds = duration.parse::<chassis::config::Duration>().unwrap().as_std();
        self.clock.advance(seconds.try_into().unwrap());
    }

    /// The bytes of one file.
    pub(super) fn bytes(&self, name: &str) -> Vec<u8> {
        self.directory().read(&FileName::parse(name).unwrap()).unwrap().unwrap_or_else(|| panic!("{name} is there"))
    }

    /// Puts bytes where nothing but an attacker or an accident would.
    pub(super) fn overwrite(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.place.directory.join(name), bytes).unwrap();
    }

    pub(super) fn remove(&self, name: &str) {
        fs::remove_file(self.place.directory.join(name)).unwrap();
    }

    /// Changes what a metadata file says and signs it again with `signers`.
    pub(super) async fn edit(&self, name: &str, signers: &[&dyn Signer], change: impl FnOnce(&mut Value)) {
        let mut envelope: Value = serde_json::from_slice(&self.bytes(name)).unwrap();
        change(&mut envelope["signed"]);
        self.overwrite(name, sign_value(envelope["signed"].take(), signers).await);
    }

    /// Makes snapshot and timestamp describe what lies there, so that only the file itself can be wrong.
    pub(super) async fn describe_again(&self) {
        let current = serde_json::from_slice::<Value>(&self.bytes("timestamp.json")).unwrap();
        let snapshot = format!("{}.snapshot.json", current["signed"]["meta"]["snapshot.json"]["version"]);
        let inner = serde_json::from_slice::<Value>(&self.bytes(&snapshot)).unwrap();
        let targets = self.bytes(&format!("{}.targets.json", inner["signed"]["meta"]["targets.json"]["version"]));
        self.edit(&snapshot, &[&*self.snapshot], |signed| describe(&mut signed["meta"]["targets.json"], &targets)).await;
        let snapshot = self.bytes(&snapshot);
        self.edit("timestamp.json", &[&*self.timestamp], |signed| describe(&mut signed["meta"]["snapshot.json"], &snapshot))
            .await;
    }

    /// A copy of the directory (`tuf`), or of the record of versions too.
    pub(super) fn backup(&self) -> Backup {
        let files = walk(&self.place.directory).into_iter().map(|path| (path.clone(), fs::read(path).unwrap())).collect();
        Backup { files, state: fs::read(&self.place.state).unwrap() }
    }

    pub(super) fn restore(&self, backup: &Backup) {
        fs::remove_dir_all(&self.place.directory).unwrap();
        fs::create_dir_all(self.place.directory.join("targets")).unwrap();
        for (path, bytes) in &backup.files {
            fs::write(path, bytes).unwrap();
        }
    }

    pub(super) fn restore_state(&self, backup: &Backup) {
        fs::write(&self.place.state, &backup.state).unwrap();
    }

    /// A configuration for [`Tuf::open`], with the online keys on disk and no others.
    pub(super) fn config(&self) -> Config {
        let write = |name: &str, key: &FileKey| {
            let path = self.folder.path().join(name);
            fs::write(&path, key.to_pem()).unwrap();
            path
        };
        let (snapshot, timestamp) = (write("snapshot.pem", &self.snapshot), write("timestamp.pem", &self.timestamp));
        serde_json::from_value(json!({
            "public_url": "https://tuf.example", "http": {"listen": ["127.0.0.1:0"]}, "directory": self.place.directory,
            "state": self.place.state, "snapshot_key": snapshot, "timestamp_key": timestamp,
        }))
        .unwrap()
    }
}

#[derive(Debug, PartialEq)]
pub(super) struct Backup {
    files: BTreeMap<PathBuf, Vec<u8>>,
    state: Vec<u8>,
}

impl Backup {
    pub(super) fn files(&self) -> &BTreeMap<PathBuf, Vec<u8>> {
        &self.files
    }

    pub(super) fn file(&self, fixture: &Fixture, name: &str) -> Vec<u8> {
        self.files[&fixture.place.directory.join(name)].clone()
    }
}

pub(super) fn targets() -> Vec<Target> {
    let root = include_bytes!("../../../../shared/bundle/testdata/trusted_root.json");
    let config = include_bytes!("../../../../shared/bundle/testdata/signing_config.v0.2.json");
    vec![
        Target::trusted_root(&TrustedRoot::from_json(root).unwrap().publishable().unwrap()),
        Target::signing_config(&SigningConfig::from_json(config).unwrap().publishable().unwrap()),
        Target::legacy(
            Legacy::FulcioRoot,
            include_str!("../../../../shared/bundle/testdata/fulcio-root.pem"),
            "https://fulcio.example",
        ),
        Target::legacy(Legacy::Ctfe, include_str!("../../../../shared/bundle/testdata/ctlog.pub"), "https://ctlog.example"),
    ]
}

pub(super) fn note(text: &str) -> Target {
    Target::other("note.txt".parse().unwrap(), text.as_bytes().to_vec())
}

/// Signs any JSON as if it were metadata.
pub(super) async fn sign_value(signed: Value, signers: &[&dyn Signer]) -> Vec<u8> {
    let message = canonical(&signed).unwrap();
    let mut signatures = Vec::new();
    for signer in signers {
        let keyid = Key::new(signer.public_key()).unwrap().id();
        signatures.push(json!({"keyid": keyid, "sig": hex::encode(signer.sign(&message).await.unwrap())}));
    }
    json!({"signatures": signatures, "signed": signed}).to_string().into_bytes()
}

fn describe(info: &mut Value, bytes: &[u8]) {
    info["length"] = json!(bytes.len());
    info["hashes"]["sha256"] = json!(Digest::of(bytes));
}

fn walk(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { walk(&path) } else { vec![path] }).collect()
}
