//! What happens here when a step of keeping something fails. What happens when the upstream fails is tested from outside.

use std::sync::Arc;

use clock::{Clock, ManualClock};
use futures_util::TryStreamExt as _;
use oci::{Digest, RepositoryName, Tag, media_type};
use testkit::{Reply, Scripted};

use super::{Found, Proxied, UpstreamClients, Upstreams};
use crate::blobs::{Blobs, UploadLimits};
use crate::faults::{Step, When};
use crate::store::Store;

struct World {
    _folder: tempfile::TempDir,
    server: Scripted,
    store: Store,
    blobs: Blobs,
    proxied: Proxied,
}

fn content() -> Vec<u8> {
    vec![7; 100_000]
}

fn manifest() -> String {
    format!(r#"{{"schemaVersion":2,"mediaType":"{}","manifests":[]}}"#, media_type::IMAGE_INDEX)
}

impl World {
    async fn new() -> Self {
        let server = Scripted::start(|request, _| {
            let digest = Digest::of(manifest().as_bytes()).to_string();
            let headers = [("content-type", media_type::IMAGE_INDEX), ("docker-content-digest", &digest)];
            Some(match request.line.as_str() {
                line if line.contains("/blobs/") => Reply::new(200, &[], content()),
                line if line.contains("/referrers/") => Reply::new(200, &headers, manifest()),
                line if line.contains("/manifests/sha256-") => Reply::new(404, &[], ""),
                _ => Reply::new(200, &headers, manifest()),
            })
        })
        .await;
        let folder = tempfile::tempdir().unwrap();
        let (database, root) = (folder.path().join("gateway.db"), folder.path().join("blobs"));
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new("2026-11-21T09:14:03Z".parse().unwrap()));
        Store::create(&database).await.unwrap();
        Blobs::create(&root).await.unwrap();
        let store = Store::open(&database, Arc::clone(&clock)).await.unwrap();
        let blobs = Blobs::open(&root, store.clone(), Arc::clone(&clock), UploadLimits::default()).await.unwrap();
        let config = serde_json::json!([{"prefix": "hub", "url": server.url()}]);
        let clients = UpstreamClients::read(&serde_json::from_value::<Vec<_>>(config).unwrap()).unwrap();
        let proxied =
            Upstreams::new(clients, &store, &blobs, &clock).of(&"hub/team/app".parse::<RepositoryName>().unwrap()).unwrap();
        Self { _folder: folder, server, store, blobs, proxied }
    }

    /// Reads the blob to its end, as a client or a promotion does.
    async fn read(&self) -> Result<Vec<u8>, String> {
        let digest = Digest::of(&content());
        let found = self.proxied.blob(&digest).await.map_err(|error| error.to_string())?.expect("the upstream has it");
        let Found::There(blob) = found.value else { return Ok(content()) };
        let size = blob.size();
        let bytes = blob.read(0..size).await.map_err(|error| error.to_string())?;
        let pieces: Vec<bytes::Bytes> = bytes.try_collect().await.map_err(|error| error.to_string())?;
        Ok(pieces.concat())
    }

    async fn has_blob(&self) -> bool {
        self.store.blob_size(&"hub/team/app".parse().unwrap(), &Digest::of(&content())).await.unwrap().is_some()
    }
}

/// Whoever reads to the end may rely on the blob being here for good.
#[tokio::test]
async fn a_blob_that_cannot_be_kept_does_not_end_as_if_it_were() {
    for step in [Step::Create, Step::Append, Step::Sync, Step::Rename, Step::SyncFolder] {
        for when in [When::Before, When::After] {
            let world = World::new().await;
            world.blobs.faults().plan(&[(step, when)]);
            let failed = world.read().await;
            assert!(failed.is_err(), "{step:?} {when:?}");
            assert!(!world.has_blob().await, "{step:?} {when:?}");
            assert_eq!(world.read().await, Ok(content()), "{step:?} {when:?}: the next one succeeds");
            assert!(world.has_blob().await);
        }
    }
}

#[tokio::test]
async fn a_blob_whose_row_cannot_be_written_does_not_end_as_if_it_were() {
    for when in [When::Before, When::After] {
        let world = World::new().await;
        world.store.faults().plan(&[(Step::Commit, when)]);
        assert!(world.read().await.is_err(), "{when:?}");
        assert_eq!(world.has_blob().await, when == When::After);
        assert_eq!(world.read().await, Ok(content()));
        assert!(world.has_blob().await);
    }
}

/// Manifest first, then the tag: whatever fails, no tag points to what is not here, and asking again mends it.
#[tokio::test]
async fn a_tag_that_cannot_be_kept_is_asked_for_again() {
    let tag: Tag = "v1".parse().unwrap();
    for when in [When::Before, When::After] {
        for writes_before in 0..2 {
            let world = World::new().await;
            if writes_before == 1 {
                world.proxied.manifest(&Digest::of(manifest().as_bytes())).await.unwrap().unwrap();
            }
            world.store.faults().plan(&[(Step::Commit, when)]);
            assert!(world.proxied.resolve(&tag).await.is_err(), "{when:?} {writes_before}");
            let resolved = world.proxied.resolve(&tag).await.unwrap().unwrap();
            assert_eq!(resolved.value, Digest::of(manifest().as_bytes()));
            assert!(world.store.manifest(&"hub/team/app".parse().unwrap(), &resolved.value).await.unwrap().is_some());
        }
    }
}

#[tokio::test]
async fn a_list_that_cannot_be_kept_is_not_answered() {
    for when in [When::Before, When::After] {
        let world = World::new().await;
        let subject = Digest::of(b"subject");
        world.store.faults().plan(&[(Step::Commit, when)]);
        assert!(world.proxied.referrers(&subject).await.is_err());
        assert!(world.proxied.referrers(&subject).await.unwrap().value.is_empty());
    }
}

#[tokio::test]
async fn a_tag_that_is_asked_for_often_is_not_written_as_often() {
    let world = World::new().await;
    let tag: Tag = "v1".parse().unwrap();
    world.proxied.resolve(&tag).await.unwrap();
    // A write would fail.
    world.store.faults().plan(&[(Step::Commit, When::Before)]);
    world.proxied.upstream.tags.invalidate_all();
    world.proxied.resolve(&tag).await.unwrap().unwrap();
    assert!(!world.store.faults().spent() && !world.server.lines().is_empty());
}
