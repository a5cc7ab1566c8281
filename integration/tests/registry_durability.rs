//! What the registry has answered is on disk, and what a crash leaves behind is never taken for something whole.

#![allow(clippy::unwrap_used, reason = "what fails in a test is meant to panic")]

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use integration::gateway::Gateway;
use integration::image::{Content, Image, sha256};
use integration::people::workflow;
use integration::registry::Registry;
use integration::supply::sign_and_attest;
use integration::{long_runs, trace};
use rand::{Rng as _, RngCore as _};
use reqwest::Method;
use serde_json::json;
use testkit::{Chancery, Peer, wait_until};
use tokio::task::JoinSet;

/// Both tests keep the machine busy: one after the other.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Strace records what is written, synced and renamed, and what is answered. For each blob, in this order: its bytes, its name, the
/// folder of its name, its row; and only then `201`. A manifest, which is all row, is synced before its `201`.
#[tokio::test(flavor = "multi_thread")]
async fn every_answered_blob_and_manifest_was_on_disk_before() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let folder = tempfile::tempdir().unwrap();
    let gateway = Gateway::init();
    let launch = gateway.launch().under(trace::strace(folder.path()));
    let mut process = launch.start_in(folder.path()).await.unwrap_or_else(|ended| panic!("{ended}"));
    let registry = gateway.registry();
    let images: Vec<Image> = (0..6).map(|at| Image::plain(&noise(1000 << at))).collect();
    for (tag, image) in images.iter().enumerate() {
        registry.push("team/app", &tag.to_string(), image).await;
    }
    let chunked = Content::new("application/octet-stream", noise(300_000));
    push_in_chunks(&registry, "team/app", &chunked).await;
    let ended = process.stop();
    assert_eq!(ended.code, Some(0), "{ended}");

    let calls = trace::read(folder.path());
    for blob in images.iter().flat_map(|image| &image.blobs).chain([&chunked]) {
        let hex = blob.digest.strip_prefix("sha256:").unwrap();
        trace::published_before_answered(&calls, hex, "/blobs", "/gateway.db-wal").unwrap_or_else(|problem| panic!("{problem}"));
    }
    // Of a connection's first request a server may read 24 bytes at first: as many as tell HTTP/2 from what came before it.
    let manifests = trace::synced_within_requests(&calls, "PUT /v2/team/app/manif", "/gateway.db-wal", "201");
    assert_eq!(manifests, Ok(images.len()));
}

/// As the Docker engine does it: parts of no announced range, then an empty `PUT`.
async fn push_in_chunks(registry: &Registry, repository: &str, blob: &Content) {
    let octets = [("content-type", "application/octet-stream")];
    let begun = registry.send(Method::POST, &format!("/v2/{repository}/blobs/uploads/"), &[], []).await.expect(202);
    let mut location = begun.header("location").to_owned();
    for part in blob.bytes.chunks(100_000) {
        let answer = registry.send(Method::PATCH, &location, &octets, part).await.expect(202);
        answer.header("location").clone_into(&mut location);
    }
    let sign = if location.contains('?') { '&' } else { '?' };
    let _ = registry.send(Method::PUT, &format!("{location}{sign}digest={}", blob.digest), &octets, []).await.expect(201);
}

/// Signed images, waiting in `staging/app` to be promoted.
const SIGNED: usize = 3;

/// What was told by a server that was then killed: tags that must be there, with all that they must lead to.
type Told = Arc<Mutex<BTreeMap<(String, String), BTreeSet<String>>>>;

/// A gateway that is killed again and again, and what is known about it.
struct Ordeal {
    gateway: Gateway,
    upstream: Arc<Peer>,
    /// What each image in `staging/app` leads to.
    closures: Vec<BTreeSet<String>>,
    told: Told,
    /// Tags whose closure was looked at, and files whose bytes were: neither changes after that.
    whole: HashSet<(String, String)>,
    verified: HashSet<PathBuf>,
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_wrong_or_half_is_shown_after_kill_9() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let rounds = if long_runs() { 250 } else { 50 };
    let folder = tempfile::tempdir().unwrap();
    let upstream = Arc::new(Peer::olareg(&folder.path().join("upstream")).await);
    let mut lab = Chancery::lab().await;
    prepare(&lab).await;
    let ended = lab.stop();
    assert_eq!(ended.code, Some(0), "{ended}");

    let mut gateway = Gateway::of(lab.dir());
    gateway.proxy("hub", &upstream.url());
    gateway.start().await;
    let mut closures = Vec::new();
    for version in 0..SIGNED {
        closures.push(gateway.registry().assert_whole("staging/app", &version.to_string()).await);
    }
    let mut ordeal =
        Ordeal { gateway, upstream, closures, told: Told::default(), whole: HashSet::new(), verified: HashSet::new() };
    for round in 0..rounds {
        let before = ordeal.told.lock().unwrap().len();
        let load = ordeal.begin_load(round);
        // On a busy machine it takes a moment until anything is under way.
        wait_until("somebody is answered", Duration::from_secs(60), async || ordeal.told.lock().unwrap().len() > before).await;
        tokio::time::sleep(Duration::from_millis(rand::rng().random_range(0..200))).await;
        ordeal.gateway.kill();
        load.join_all().await;
        ordeal.gateway.start().await;
        ordeal.check().await;
    }
    let told = ordeal.told.lock().unwrap();
    let count = |prefix: &str| told.keys().filter(|(repository, _)| repository.starts_with(prefix)).count();
    for kind in ["push/", "hub/", "prod/app/"] {
        assert!(count(kind) >= rounds / 5, "there was hardly any load: {} of {kind}", count(kind));
    }
}

/// Images with all that the lab's policy wants.
async fn prepare(lab: &Chancery) {
    let (registry, cosign) = (Registry::of(lab), workflow(lab));
    for version in 0..SIGNED {
        let image = Image::two_platforms(&format!("version {version}"));
        registry.push("staging/app", &version.to_string(), &image).await;
        sign_and_attest(&cosign, lab.env().get("CHANCERY_REGISTRY"), "staging/app", &image);
    }
}

impl Ordeal {
    /// Clients that push, read through to the upstream, and promote, until nobody answers any more.
    fn begin_load(&self, round: usize) -> JoinSet<()> {
        let mut load = JoinSet::new();
        for pusher in 0..3 {
            let (registry, told) = (self.gateway.registry(), Arc::clone(&self.told));
            load.spawn(async move {
                for number in 0.. {
                    let length = rand::rng().random_range(100..400_000);
                    let image = Image::plain(&noise(length));
                    let name = (format!("push/{pusher}"), format!("{round}-{number}"));
                    if registry.try_push(&name.0, &name.1, &image).await.is_err() {
                        return;
                    }
                    told.lock().unwrap().insert(name, digests(&image));
                }
            });
        }
        for reader in 0..2 {
            let (registry, upstream, told) =
                (self.gateway.registry(), Registry::at(&self.upstream.url()), Arc::clone(&self.told));
            load.spawn(async move {
                for number in 0.. {
                    let (image, tag) = (Image::plain(&noise(600_000)), format!("{round}-{number}"));
                    upstream.push(&format!("{reader}"), &tag, &image).await;
                    if read(&registry, &format!("hub/{reader}"), &tag, &image).await.is_err() {
                        return;
                    }
                    told.lock().unwrap().insert((format!("hub/{reader}"), tag), digests(&image));
                }
            });
        }
        for who in 0..2 {
            let (promoter, told, closures) = (self.gateway.promoter(), Arc::clone(&self.told), self.closures.clone());
            load.spawn(async move {
                for number in 0.. {
                    let (version, tag) = (number % SIGNED, format!("{round}-{number}"));
                    let name = (format!("prod/app/{who}/{version}-{}", number / SIGNED), tag);
                    let source = format!("staging/app:{version}");
                    let request = json!({"source": source, "target": format!("{}:{}", name.0, name.1)});
                    let Ok(answer) = promoter.try_ask(&request).await else { return };
                    assert_eq!(answer.status, 200, "{answer}");
                    told.lock().unwrap().insert(name, closures[version].clone());
                }
            });
        }
        load
    }

    /// What was told is there; what is shown is whole, told or not; what has the name of a blob has its bytes.
    async fn check(&mut self) {
        let registry = self.gateway.registry();
        let told = self.told.lock().unwrap().clone();
        let mut shown: HashSet<(String, String)> = told.keys().cloned().collect();
        let catalog = registry.get("/v2/_catalog?n=1000").await.expect(200).json();
        for repository in catalog["repositories"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()) {
            for tag in registry.tags(repository).await {
                shown.insert((repository.to_owned(), tag));
            }
        }
        for name in shown {
            if self.whole.contains(&name) {
                continue;
            }
            let closure = registry.assert_whole(&name.0, &name.1).await;
            if let Some(expected) = told.get(&name) {
                assert_eq!(&closure, expected, "{name:?}");
            }
            if name.0.starts_with("prod/app/") {
                assert!(self.closures.contains(&closure), "{name:?} lacks something that was signed or attested");
            }
            self.whole.insert(name);
        }
        for algorithm in ["sha256", "sha512"] {
            self.check_files(&self.gateway.dir().join("blobs").join(algorithm));
        }
    }

    fn check_files(&mut self, folder: &Path) {
        let names = std::fs::read_dir(folder).unwrap().flatten().map(|prefix| prefix.path());
        for path in names.flat_map(|prefix| std::fs::read_dir(prefix).unwrap().flatten()).map(|entry| entry.path()) {
            if self.verified.insert(path.clone()) {
                let name = format!("sha256:{}", path.file_name().unwrap().to_str().unwrap());
                assert_eq!(sha256(&std::fs::read(&path).unwrap()), name, "a file with the name of a blob and other bytes");
            }
        }
    }
}

/// Reads an image by tag through a proxied repository, and compares.
async fn read(registry: &Registry, repository: &str, tag: &str, image: &Image) -> reqwest::Result<()> {
    let get = async |path: String| registry.try_send(Method::GET, &path, &[], Vec::new()).await;
    let manifest = get(format!("/v2/{repository}/manifests/{tag}")).await?.expect(200);
    assert_eq!(manifest.body, image.root.bytes);
    for blob in &image.blobs {
        assert_eq!(get(format!("/v2/{repository}/blobs/{}", blob.digest)).await?.expect(200).body, blob.bytes);
    }
    Ok(())
}

fn digests(image: &Image) -> BTreeSet<String> {
    image.manifests().chain(&image.blobs).map(|content| content.digest.clone()).collect()
}

/// Bytes that no other call returns.
fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}
