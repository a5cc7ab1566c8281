//! Other registries seen through ours: byte for byte, downloaded once, and still there when they are not.

#![allow(clippy::unwrap_used, reason = "what fails in a test is meant to panic")]

use std::time::Duration;

use integration::gateway::Gateway;
use integration::image::{BUNDLE, Content, Image, sha256};
use integration::people::{arguments, by_workflow, workflow};
use integration::registry::Registry;
use integration::supply::{attest_sbom, by_digest, sign, sign_and_attest};
use tempfile::TempDir;
use testkit::{Chancery, Client, Peer, Ran, Relay, wait_until};
use tokio::task::JoinSet;

/// A gateway with both kinds of upstream, each behind a line that can be made bad: `new/` has the referrers API, `old/` has none.
struct World {
    _folder: TempDir,
    new: Peer,
    old: Peer,
    new_line: Relay,
    old_line: Relay,
    gateway: Gateway,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let new = Peer::olareg(&folder.path().join("new")).await;
        let old = Peer::distribution(&folder.path().join("old")).await;
        let (new_line, old_line) = (Relay::to(&new.address()), Relay::to(&old.address()));
        let mut gateway = Gateway::init();
        gateway.proxy("new", &new_line.url());
        gateway.proxy("old", &old_line.url());
        gateway.start().await;
        Self { _folder: folder, new, old, new_line, old_line, gateway }
    }

    fn upstreams(&self) -> [(&'static str, &Peer, &Relay); 2] {
        [("new", &self.new, &self.new_line), ("old", &self.old, &self.old_line)]
    }
}

/// Signed at the upstream, verified through us, with the very same digests; and once read, verified without the upstream.
#[tokio::test(flavor = "multi_thread")]
async fn cosign_oras_and_crane_see_an_upstream_and_what_is_attached_there() {
    let lab = Chancery::lab().await;
    let world = World::new().await;
    let cosign = workflow(&lab);
    let (oras, crane) = (Client::oras(), Client::crane());
    for (prefix, peer, line) in world.upstreams() {
        let image = Image::two_platforms(prefix);
        Registry::at(&peer.url()).push("team/app", "1", &image).await;
        sign(&cosign, &peer.host(), "team/app", &image);
        attest_sbom(&cosign, &peer.host(), "team/app", &image.platforms[0]);

        let name = format!("{}/{prefix}/team/app", world.gateway.host());
        let check = || {
            assert_eq!(crane.run(["digest", &format!("{name}:1")]).ok().stdout.trim(), image.root.digest, "{prefix}");
            assert_eq!(crane.run(["ls", &name]).ok().stdout.lines().next(), Some("1"), "{prefix}");
            cosign.run(arguments(&["verify"], &by_workflow(&lab), &[&format!("{name}:1")])).ok();
            let reference = format!("{name}@{}", image.platforms[0].digest);
            cosign.run(arguments(&["verify-attestation", "--type", "spdxjson"], &by_workflow(&lab), &[&reference])).ok();
            let discovered = oras.run(["discover", "--format", "json", &format!("{name}:1")]).ok();
            assert_eq!(
                discovered.stdout.matches(r#""artifactType": "application/vnd.dev.sigstore.bundle"#).count(),
                1,
                "{discovered}"
            );
            assert!(discovered.stdout.contains("https://sigstore.dev/cosign/sign/v1"), "annotations are there: {discovered}");
        };
        check();
        let copied = oras.run(["cp", "--recursive", &format!("{name}:1"), &format!("{}/copy/{prefix}:1", world.gateway.host())]);
        copied.ok();
        let here = world.gateway.registry();
        // The upstream's list for the one who has no API is no referrer of its own.
        assert_eq!(
            here.assert_whole(&format!("copy/{prefix}"), "1").await,
            here.assert_whole(&format!("{prefix}/team/app"), "1").await
        );

        line.down();
        check();
        assert_eq!(here.assert_whole(&format!("{prefix}/team/app"), "1").await.len(), 3 + 4 + 4 * 2 + 1, "{prefix}");
    }
}

/// Whatever was read stays readable: after a restart, without the upstream, for ever. What was not is an error, not an absence.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_the_upstream_serves_what_is_there() {
    let mut world = World::new().await;
    let (image, unread) = (Image::two_platforms("read"), Image::two_platforms("unread"));
    for (prefix, peer, _) in world.upstreams() {
        let upstream = Registry::at(&peer.url());
        upstream.push("app", "1", &image).await;
        upstream.push("app", "2", &unread).await;
        world.gateway.registry().assert_whole(&format!("{prefix}/app"), "1").await;
    }
    world.gateway.stop();
    world.new.stop();
    world.old.stop();
    world.gateway.start().await;
    let here = world.gateway.registry();
    // Each is tried for a while before it is given up: all at once.
    let mut absent = JoinSet::new();
    for prefix in ["new", "old"] {
        here.assert_whole(&format!("{prefix}/app"), "1").await;
        for path in
            [format!("manifests/{}", unread.root.digest), "manifests/2".to_owned(), format!("blobs/{}", unread.blobs[1].digest)]
        {
            let here = here.clone();
            absent.spawn(async move {
                let answer = here.get(&format!("/v2/{prefix}/app/{path}")).await;
                assert!(answer.status == 502 || answer.status == 503, "{prefix}: {path}: {answer}");
            });
        }
        let name = format!("{}/{prefix}/app:1", world.gateway.host());
        Client::crane().run(["pull", &name, "image.tar"]).ok();
        Client::oras().run(["pull", &name]).ok();
    }
    absent.join_all().await;
}

/// The upstream goes away in the middle of a pull: the client is told so by a broken answer, never by a short one that looks whole;
/// and the pull after that is right.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_stops_half_way_leaves_nothing_wrong_behind() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let world = World::new().await;
    tokio::join!(
        breaks_off(&world.gateway, "new", &world.new, &world.new_line, Pull::Crane),
        breaks_off(&world.gateway, "old", &world.old, &world.old_line, Pull::Oras),
    );
}

async fn breaks_off(gateway: &Gateway, prefix: &str, peer: &Peer, line: &Relay, pull: Pull) {
    let image = Image::plain(&noise(24 << 20));
    Registry::at(&peer.url()).push("big", "1", &image).await;
    let (here, repository) = (gateway.registry(), format!("{prefix}/big"));
    let name = format!("{}/{repository}:1", gateway.host());
    let _ = here.manifest(&repository, "1").await.expect(200);

    line.slow(16 << 20);
    let before = line.carried();
    let pulling = tokio::task::spawn_blocking({
        let name = name.clone();
        move || pull.run(&name)
    });
    wait_until("a third has come", Duration::from_secs(60), async || line.carried() - before > 8 << 20).await;
    line.down();
    let ended = pulling.await.unwrap();
    assert_ne!(ended.code, Some(0), "it had a third of the layer: {ended}");
    let answer = here.blob(&repository, &image.blobs[1].digest).await;
    assert!(answer.status == 502 || answer.status == 503, "{prefix}: nothing is shown of what is not whole: {answer}");

    line.up();
    line.fast();
    pull.run(&name).ok();
    here.assert_whole(&repository, "1").await;
}

/// A client that pulls.
#[derive(Debug, Clone, Copy)]
enum Pull {
    Crane,
    Oras,
}

impl Pull {
    fn run(self, name: &str) -> Ran {
        match self {
            Self::Crane => Client::crane().run(["pull", name, "image.tar"]),
            Self::Oras => Client::oras().run(["copy", name, "--to-oci-layout", "layout:1"]),
        }
    }
}

/// Bytes that compress badly and differ from every other call's.
fn noise(length: usize) -> Vec<u8> {
    use rand::RngCore as _;
    let mut bytes = vec![0; length];
    rand::rng().fill_bytes(&mut bytes);
    bytes
}

/// How many clients want the same blob at once.
const CLIENTS: usize = 16;
const BLOB: usize = 100 << 20;
/// Of the slow line: two seconds for the blob.
const RATE: u64 = 50 << 20;

/// One after the other: each keeps the machine busy.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// One blob of 100 MiB behind a slow line, and the gateway that sees it for the first time.
struct Cold {
    world: World,
    path: String,
    digest: String,
}

impl Cold {
    async fn new() -> Self {
        let world = World::new().await;
        let blob = Content::new("application/octet-stream", noise(BLOB));
        let upstream = Registry::at(&world.new.url());
        upstream.push_blob("big", &blob).await.unwrap();
        let image = Image::referrer(&Content::new(BUNDLE, Vec::new()), "application/vnd.example.blob", blob.clone());
        upstream.push("big", "1", &image).await;
        let _ = world.gateway.registry().manifest("new/big", "1").await.expect(200);
        world.new_line.slow(RATE);
        Self { world, path: format!("/v2/new/big/blobs/{}", blob.digest), digest: blob.digest }
    }

    /// Clients that read the blob to its end and compare.
    fn clients(&self, count: usize) -> JoinSet<Result<(), String>> {
        let mut clients = JoinSet::new();
        for _ in 0..count {
            let (registry, path, digest) = (self.world.gateway.registry(), self.path.clone(), self.digest.clone());
            clients.spawn(async move {
                let answer = registry.try_send(reqwest::Method::GET, &path, &[], Vec::new()).await;
                let answer = answer.map_err(|error| format!("{error:?}"))?;
                let right = answer.status == 200 && answer.body.len() == BLOB && sha256(&answer.body) == digest;
                if right { Ok(()) } else { Err(format!("{} with {} bytes", answer.status, answer.body.len())) }
            });
        }
        clients
    }

    /// What the upstream was asked for: the request heads of the blob's downloads.
    fn downloads(&self) -> Vec<String> {
        self.world.new_line.requests(&format!("GET /v2/big/blobs/{}", self.digest))
    }

    async fn half_way(&self) {
        let line = &self.world.new_line;
        wait_until("half of it has come", Duration::from_secs(60), async || line.carried() > (BLOB / 2) as u64).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sixteen_cold_clients_share_one_download_and_the_first_may_leave() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let cold = Cold::new().await;
    let mut leader = cold.clients(1);
    wait_until("the download has begun", Duration::from_secs(30), async || !cold.downloads().is_empty()).await;
    let followers = cold.clients(CLIENTS - 1);
    cold.half_way().await;
    leader.abort_all();
    while leader.join_next().await.is_some() {}
    assert_eq!(followers.join_all().await, vec![Ok(()); CLIENTS - 1]);
    assert_eq!(cold.downloads().len(), 1, "{:?}", cold.downloads());
    let carried = cold.world.new_line.carried() as usize;
    assert!(carried < BLOB + (5 << 20), "{carried} bytes came from the upstream");
    // And from now on none at all.
    cold.world.new_line.down();
    assert_eq!(cold.clients(2).join_all().await, vec![Ok(()); 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_is_cut_is_resumed_for_all_sixteen() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let cold = Cold::new().await;
    cold.world.new_line.cut_after((BLOB / 2) as u64);
    assert_eq!(cold.clients(CLIENTS).join_all().await, vec![Ok(()); CLIENTS]);
    let downloads = cold.downloads();
    assert_eq!(downloads.len(), 2, "one download and one resume: {downloads:?}");
    let resumed = downloads[1].to_ascii_lowercase();
    assert!(resumed.contains("\r\nrange: bytes="), "the second is a resume: {downloads:?}");
    let carried = cold.world.new_line.carried() as usize;
    assert!(carried < BLOB + (5 << 20), "{carried} bytes came from the upstream");
}

/// What was read through us can be promoted from there, with all that is attached, and verified when the upstream is gone.
#[tokio::test(flavor = "multi_thread")]
async fn an_image_is_promoted_from_an_upstream_with_everything_attached() {
    let mut lab = Chancery::lab().await;
    let host = lab.env().get("CHANCERY_REGISTRY").to_owned();
    let folder = tempfile::tempdir().unwrap();
    let peers = [Peer::olareg(&folder.path().join("new")).await, Peer::distribution(&folder.path().join("old")).await];
    let cosign = workflow(&lab);
    let mut images = Vec::new();
    for (prefix, peer) in ["new", "old"].into_iter().zip(&peers) {
        let image = Image::two_platforms(prefix);
        Registry::at(&peer.url()).push("team/app", "1", &image).await;
        sign_and_attest(&cosign, &peer.host(), "team/app", &image);
        images.push(image);
    }
    let by = by_workflow(&lab);
    let root = lab.env().get("CHANCERY_TRUSTED_ROOT").to_owned();
    let ended = lab.stop();
    assert_eq!(ended.code, Some(0), "{ended}");

    let mut gateway = Gateway::of(lab.dir());
    peers.iter().zip(["new", "old"]).for_each(|(peer, prefix)| gateway.proxy(prefix, &peer.url()));
    gateway.start().await;
    for (prefix, image) in ["new", "old"].into_iter().zip(&images) {
        let (source, target) = (format!("{prefix}/team/app:1"), format!("prod/{prefix}:1"));
        let done = gateway.promoter().promote(&source, &target).await.expect(200).json();
        assert_eq!((&done["signatures"], &done["manifests"]), (&3.into(), &3.into()), "{done}");
        let reference = by_digest(&host, &format!("prod/{prefix}"), &image.root);
        let flags = arguments(&["verify", "--trusted-root", &root], &by, &[&reference]);
        Client::cosign().run(flags).ok();
    }
    drop(peers);
    for prefix in ["new", "old"] {
        gateway.registry().assert_whole(&format!("prod/{prefix}"), "1").await;
    }
}
