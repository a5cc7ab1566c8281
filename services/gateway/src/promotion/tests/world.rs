//! A registry with a policy over `prod/*`, and images to promote.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use clock::ManualClock;
use evidence::predicate;
use futures_util::stream;
use jiff::Timestamp;
use oci::{Digest, Manifest, RepositoryName, Tag, media_type};
use serde_json::{Value, json};
use testkit::sigstore::{self, IDENTITY, ISSUER, Order as Signing};

use crate::access::Actor;
use crate::blobs::{Blobs, Part, UploadLimits};
use crate::contents::Contents;
use crate::policy::{Policies, Trusted};
use crate::promotion::closure::{Admit, Closure};
use crate::promotion::{Order, Promoter, Promotion, PromotionError};
use crate::store::{NamedManifest, PutManifest, References, Store, TagExpectation};
use crate::upstream::Upstreams;

pub(super) static SIGSTORE: LazyLock<sigstore::World> = LazyLock::new(sigstore::World::new);

pub(super) struct World {
    pub(super) folder: tempfile::TempDir,
    pub(super) store: Store,
    pub(super) blobs: Blobs,
    pub(super) promoter: Arc<Promoter>,
    contents: Contents,
    policies: Value,
}

/// A two-platform image with everything that the policy asks for.
pub(super) struct Image {
    pub(super) index: Digest,
    pub(super) amd64: Digest,
    pub(super) arm64: Digest,
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(json!([{
            "name": "prod-images", "repositories": "prod/*", "mode": "enforce", "attestations": [predicate::SPDX],
            "identities": [{"issuer": ISSUER, "subject": IDENTITY}],
        }]))
        .await
    }

    pub(super) async fn with(policies: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Store::create(&folder.path().join("gateway.db")).await.unwrap();
        Blobs::create(&folder.path().join("blobs")).await.unwrap();
        Self::open(folder, policies).await
    }

    async fn open(folder: tempfile::TempDir, policies: Value) -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_second(1_800_000_000).unwrap()));
        let store = Store::open(&folder.path().join("gateway.db"), clock.clone()).await.unwrap();
        let blobs = Blobs::open(&folder.path().join("blobs"), store.clone(), clock, UploadLimits::default()).await.unwrap();
        let contents = Contents::new(store.clone(), blobs.clone(), Upstreams::default());
        let read: Vec<crate::PolicyConfig> = serde_json::from_value(policies.clone()).unwrap();
        let read = Arc::new(Policies::read(&read, &[]).unwrap());
        let path = folder.path().join("trusted_root.json");
        if !path.exists() {
            std::fs::write(&path, SIGSTORE.trusted_root.to_string()).unwrap();
        }
        let trust = Trusted::open(&path).unwrap();
        let proxied = vec![name("hub")];
        let promoter =
            Promoter::open(store.clone(), contents.clone(), read, Some(trust), proxied, "localhost:5000").await.unwrap();
        Self { folder, store, blobs, promoter: Arc::new(promoter), contents, policies }
    }

    /// As after a crash: nothing is in memory, and nothing that was under way goes on.
    pub(super) async fn reopened(self) -> Self {
        self.blobs.close();
        self.store.close().await;
        let Self { folder, policies, store, blobs, promoter, contents } = self;
        drop((store, blobs, promoter, contents));
        Self::open(folder, policies).await
    }

    pub(super) async fn blob(&self, repository: &str, content: &[u8]) -> Digest {
        let (repository, digest) = (name(repository), Digest::of(content));
        if self.store.blob_size(&repository, &digest).await.unwrap().is_none() {
            let upload = self.blobs.begin(&repository).await.unwrap();
            let body = stream::iter([Ok::<_, std::io::Error>(Bytes::copy_from_slice(content))]);
            self.blobs.append(&repository, &upload, Part::default(), body).await.unwrap();
            self.blobs.commit(&repository, &upload, &digest).await.unwrap();
        }
        digest
    }

    pub(super) async fn push(&self, repository: &str, document: &Value, tags: &[&str]) -> Digest {
        let manifest = Manifest::parse(None, Bytes::from(document.to_string())).unwrap();
        let digest = manifest.digest().clone();
        let put = PutManifest {
            repository: name(repository),
            manifest: NamedManifest::new(manifest),
            tags: tags.iter().map(|text| tag(text)).collect(),
            expect: TagExpectation::Any,
            references: References::Required,
            conditions: Vec::new(),
            actor: "tester".into(),
        };
        self.store.put_manifest(put).await.unwrap();
        digest
    }

    /// A manifest with these layers, and a configuration that makes it an image.
    pub(super) async fn image(&self, repository: &str, content: &str, tags: &[&str]) -> Digest {
        let document = self.image_document(repository, content).await;
        self.push(repository, &document, tags).await
    }

    pub(super) async fn image_document(&self, repository: &str, content: &str) -> Value {
        let config = self.blob(repository, format!("{{\"of\":\"{content}\"}}").as_bytes()).await;
        let layer = self.blob(repository, content.as_bytes()).await;
        json!({
            "schemaVersion": 2, "mediaType": media_type::IMAGE_MANIFEST,
            "config": descriptor(media_type::IMAGE_CONFIG, &config, content.len() + 9),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar+gzip", &layer, content.len())],
        })
    }

    /// An index over two platforms, none of it signed.
    pub(super) async fn unsigned(&self, repository: &str, content: &str, tags: &[&str]) -> Image {
        let amd64 = self.image(repository, &format!("{content} amd64"), &[]).await;
        let arm64 = self.image(repository, &format!("{content} arm64"), &[]).await;
        let index = self.push(repository, &index(&[(&amd64, "linux", "amd64"), (&arm64, "linux", "arm64")]), tags).await;
        Image { index, amd64, arm64 }
    }

    /// The same with a signature and an SBOM on each manifest.
    pub(super) async fn signed(&self, repository: &str, content: &str, tags: &[&str]) -> Image {
        let image = self.unsigned(repository, content, tags).await;
        for digest in image.all() {
            self.sign(repository, digest).await;
            self.sbom(repository, digest).await;
        }
        image
    }

    pub(super) async fn sign(&self, repository: &str, subject: &Digest) -> Digest {
        self.attest(repository, subject, predicate::SIGNATURE, &json!({})).await
    }

    pub(super) async fn sbom(&self, repository: &str, subject: &Digest) -> Digest {
        self.attest(repository, subject, predicate::SPDX, &json!({"packages": [{}, {}]})).await
    }

    pub(super) async fn attest(&self, repository: &str, subject: &Digest, predicate_type: &str, predicate: &Value) -> Digest {
        let order = Signing::about(subject.hex(), predicate_type, predicate);
        self.bundle(repository, subject, predicate_type, &SIGSTORE.sign(&order)).await
    }

    /// A bundle, attached as cosign does it.
    pub(super) async fn bundle(&self, repository: &str, subject: &Digest, predicate_type: &str, bundle: &Value) -> Digest {
        let bytes = bundle.to_string().into_bytes();
        let layer = self.blob(repository, &bytes).await;
        let mut document = self.artifact(repository, subject).await;
        document["artifactType"] = json!(media_type::SIGSTORE_BUNDLE);
        document["layers"] = json!([descriptor(media_type::SIGSTORE_BUNDLE, &layer, bytes.len())]);
        document["annotations"] = json!({
            "dev.sigstore.bundle.content": "dsse-envelope", "dev.sigstore.bundle.predicateType": predicate_type,
        });
        self.push(repository, &document, &[]).await
    }

    /// Something attached, without layers.
    pub(super) async fn artifact(&self, repository: &str, subject: &Digest) -> Value {
        let config = self.blob(repository, media_type::EMPTY_CONTENT).await;
        json!({
            "schemaVersion": 2, "mediaType": media_type::IMAGE_MANIFEST,
            "config": descriptor(media_type::EMPTY, &config, 2),
            "layers": [],
            "subject": descriptor(media_type::IMAGE_INDEX, subject, 7),
        })
    }

    pub(super) async fn promote(&self, source: &str, target: &str) -> Result<Promotion, PromotionError> {
        self.promoter.run(order(source, target), Actor::named("ops")).await
    }

    pub(super) async fn tag(&self, repository: &str, text: &str) -> Option<Digest> {
        self.store.tag(&name(repository), &tag(text)).await.unwrap().map(|tagged| tagged.digest)
    }

    pub(super) async fn has(&self, repository: &str, digest: &Digest) -> bool {
        self.store.manifest(&name(repository), digest).await.unwrap().is_some()
    }

    pub(super) async fn referrers(&self, repository: &str, subject: &Digest) -> Vec<Digest> {
        self.store.referrers(&name(repository), subject).await.unwrap().iter().map(|one| one.digest.clone()).collect()
    }

    /// Everything that a repository has of an image.
    pub(super) async fn closure(&self, repository: &str, root: &Digest) -> Closure {
        Closure::gather(&self.contents, &name(repository), true, root, Admit::Everything).await.unwrap()
    }

    /// Whether the target has everything that the source has, byte for byte.
    pub(super) async fn assert_whole(&self, source: &str, target: &str, root: &Digest) {
        let (from, to) = (self.closure(source, root).await, self.closure(target, root).await);
        for node in &from.nodes {
            let there = to.nodes.iter().find(|other| other.digest() == node.digest());
            let there = there.unwrap_or_else(|| panic!("{target} lacks {}", node.digest()));
            assert_eq!(there.document().bytes(), node.document().bytes());
            assert_eq!(there.document().media_type(), node.document().media_type());
        }
        assert!(from.blobs.iter().all(|blob| to.blobs.get(blob.0) == Some(blob.1)), "{target} lacks blobs");
        assert!(from.tags.iter().all(|tag| to.tags.get(tag.0) == Some(tag.1)), "{target} lacks tags");
        for node in &from.nodes {
            assert_eq!(self.referrers(source, node.digest()).await, self.referrers(target, node.digest()).await, "in order");
        }
    }

    /// The states of all records, sorted.
    pub(super) async fn states(&self) -> Vec<String> {
        self.store.promotion_states().await
    }

    pub(super) async fn is_empty(&self, repository: &str) -> bool {
        let tags = self.store.tags(&name(repository), None, 10).await.unwrap();
        tags.is_none()
    }
}

impl Image {
    pub(super) fn all(&self) -> [&Digest; 3] {
        [&self.index, &self.amd64, &self.arm64]
    }
}

pub(super) fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

pub(super) fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

pub(super) fn order(source: &str, target: &str) -> Order {
    let body = json!({"source": source, "target": target}).to_string();
    Order::parse(body.as_bytes(), &[]).unwrap()
}

pub(super) fn descriptor(media_type: &str, digest: &Digest, size: usize) -> Value {
    json!({"mediaType": media_type, "digest": digest, "size": size})
}

pub(super) fn index(members: &[(&Digest, &str, &str)]) -> Value {
    let member = |(digest, os, architecture): &(&Digest, &str, &str)| {
        let mut member = descriptor(media_type::IMAGE_MANIFEST, digest, 7);
        member["platform"] = json!({"os": os, "architecture": architecture});
        member
    };
    let members: Vec<Value> = members.iter().map(member).collect();
    json!({"schemaVersion": 2, "mediaType": media_type::IMAGE_INDEX, "manifests": members})
}
