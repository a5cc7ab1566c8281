//! tough, a TUF client that shares no line with us, reads what we publish: from `1.root.json`, and with the datastore of a
//! client that comes back.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use bundle::{SigningConfig, TrustedRoot};
use clock::SystemClock;
use keys::FileKey;
use pki::KeyKind;
use tough::{IntoVec as _, Repository, RepositoryLoader, TargetName};
use tuf::{CreationKeys, Legacy, Lifetimes, Place, Target, TargetsKeys, create_repository, publish_targets, renew};
use url::Url;

struct Installation {
    folder: tempfile::TempDir,
    place: Place,
    keys: [FileKey; 4],
}

impl Installation {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Place { directory: folder.path().join("tuf"), state: folder.path().join("tuf.json") };
        Self { folder, place, keys: std::array::from_fn(|_| FileKey::generate(KeyKind::P256).unwrap()) }
    }

    fn keys(&self) -> CreationKeys<'_> {
        let [root, targets, snapshot, timestamp] = &self.keys;
        CreationKeys { root, targets, snapshot, timestamp }
    }

    async fn publish(&self, targets: &[Target]) {
        let CreationKeys { targets: key, snapshot, timestamp, .. } = self.keys();
        let keys = TargetsKeys { targets: key, snapshot, timestamp };
        publish_targets(&self.place, &keys, targets, &Lifetimes::default(), &SystemClock).await.unwrap();
    }

    /// Loads with the trust of a client that was handed `1.root.json`, and the memory of `client`.
    async fn load(&self, client: &str) -> Result<Repository, tough::error::Error> {
        let root = std::fs::read(self.place.directory.join("1.root.json")).unwrap();
        let datastore = self.folder.path().join(client);
        std::fs::create_dir_all(&datastore).unwrap();
        let url = |path: &Path| Url::from_directory_path(path).unwrap();
        let targets = url(&self.place.directory.join("targets"));
        RepositoryLoader::new(&root, url(&self.place.directory), targets).datastore(datastore).load().await
    }
}

async fn read(repository: &Repository, name: &str) -> Vec<u8> {
    let name = TargetName::new(name).unwrap();
    repository.read_target(&name).await.unwrap().expect("the target is listed").into_vec().await.unwrap()
}

fn targets() -> Vec<Target> {
    let root = include_bytes!("../../../shared/bundle/testdata/trusted_root.json");
    let config = include_bytes!("../../../shared/bundle/testdata/signing_config.v0.2.json");
    let ctfe = include_str!("../../../shared/bundle/testdata/ctlog.pub");
    vec![
        Target::trusted_root(&TrustedRoot::from_json(root).unwrap().publishable().unwrap()),
        Target::signing_config(&SigningConfig::from_json(config).unwrap().publishable().unwrap()),
        Target::legacy(Legacy::Ctfe, ctfe, "https://ctlog.example"),
    ]
}

#[tokio::test]
async fn tough_reads_every_target_byte_for_byte() {
    let installation = Installation::new();
    create_repository(&installation.place, &installation.keys(), &targets(), &Lifetimes::default(), &SystemClock).await.unwrap();
    let repository = installation.load("new").await.unwrap();
    for target in targets() {
        assert_eq!(read(&repository, target.name().as_str()).await, target.bytes());
    }
    let ctfe = &repository.targets().signed.targets[&TargetName::new("ctfe.pub").unwrap()];
    assert_eq!(ctfe.custom["sigstore"]["usage"], "CTFE");
}

#[tokio::test]
async fn tough_follows_targets_and_roots_and_remembers() {
    let installation = Installation::new();
    create_repository(&installation.place, &installation.keys(), &targets(), &Lifetimes::default(), &SystemClock).await.unwrap();
    installation.load("returning").await.unwrap();
    let old_timestamp = std::fs::read(installation.place.directory.join("timestamp.json")).unwrap();

    let note = Target::other("note.txt".parse().unwrap(), b"hello".to_vec());
    installation.publish(&[note]).await;
    renew(&installation.place, &installation.keys(), &Lifetimes::default(), &SystemClock).await.unwrap();
    for client in ["returning", "new"] {
        let repository = installation.load(client).await.unwrap();
        assert_eq!(read(&repository, "note.txt").await, b"hello");
        assert_eq!(repository.root().signed.version.get(), 2);
    }

    // The memory is real: an older timestamp is refused by who has seen the newer.
    std::fs::write(installation.place.directory.join("timestamp.json"), old_timestamp).unwrap();
    assert!(installation.load("returning").await.is_err());
    installation.load("newer").await.unwrap();
}
