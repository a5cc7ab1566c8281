use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use clock::ManualClock;
use jiff::Timestamp;
use oci::{Digest, Manifest, RepositoryName, Tag, media_type};
use serde_json::{Value, json};

use crate::blobs::Durable;
use crate::store::{NamedManifest, Put, PutError, PutManifest, References, Store, TagExpectation};

/// A store in a folder of its own.
pub(super) struct World {
    pub(super) folder: tempfile::TempDir,
    pub(super) clock: Arc<ManualClock>,
    pub(super) store: Store,
}

impl World {
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::new(Timestamp::from_second(1_800_000_000).unwrap()));
        Store::create(&path(folder.path())).await.unwrap();
        let store = Store::open(&path(folder.path()), clock.clone()).await.unwrap();
        Self { folder, clock, store }
    }

    /// As after a restart: nothing is in memory.
    pub(super) async fn reopened(self) -> Self {
        self.store.close().await;
        drop(self.store);
        let store = Store::open(&path(self.folder.path()), self.clock.clone()).await.unwrap();
        Self { store, ..self }
    }

    /// A blob that the repository shows.
    pub(super) async fn blob(&self, repository: &str, content: &[u8]) -> Digest {
        let digest = Digest::of(content);
        let durable = Durable::pretended(digest.clone(), content.len() as u64);
        self.store.link_blob(&name(repository), &durable, None).await.unwrap();
        digest
    }

    /// An image that the repository has, with its blobs.
    pub(super) async fn image(&self, repository: &str, content: &str, tags: &[&str]) -> Digest {
        let document = self.image_document(repository, content).await;
        self.push(repository, &document, tags).await
    }

    /// The same, not stored yet.
    pub(super) async fn image_document(&self, repository: &str, content: &str) -> Value {
        self.blob(repository, b"{}").await;
        self.blob(repository, content.as_bytes()).await;
        image(content)
    }

    /// A signature of `subject`.
    pub(super) async fn referrer(&self, repository: &str, subject: &Digest, content: &str) -> Digest {
        let mut document = self.image_document(repository, content).await;
        document["subject"] = descriptor(media_type::IMAGE_MANIFEST, subject, 7);
        document["artifactType"] = json!("application/signature");
        document["annotations"] = json!({ "content": content });
        self.push(repository, &document, &[]).await
    }

    pub(super) async fn push(&self, repository: &str, document: &Value, tags: &[&str]) -> Digest {
        let put = put(repository, document, tags);
        let digest = put.manifest.digest().clone();
        self.store.put_manifest(put).await.unwrap();
        digest
    }

    pub(super) async fn try_push(&self, repository: &str, document: &Value, tags: &[&str]) -> Result<Put, PutError> {
        self.store.put_manifest(put(repository, document, tags)).await
    }

    /// Where a tag points, however it is remembered.
    pub(super) async fn tag(&self, repository: &str, tag_name: &str) -> Option<Digest> {
        self.store.tag(&name(repository), &tag(tag_name)).await.unwrap().map(|found| found.digest)
    }

    pub(super) async fn has(&self, repository: &str, digest: &Digest) -> bool {
        self.store.manifest(&name(repository), digest).await.unwrap().is_some()
    }

    pub(super) async fn referrers(&self, repository: &str, subject: &Digest) -> Vec<Digest> {
        self.store.referrers(&name(repository), subject).await.unwrap().iter().map(|one| one.digest.clone()).collect()
    }

    pub(super) async fn count(&self, table: &'static str) -> i64 {
        let count = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        sqlx::query_scalar(count).fetch_one(self.store.readers()).await.unwrap()
    }

    /// Something done to the file beside the program.
    pub(super) async fn execute(&self, sql: &'static str) {
        sqlx::query(sql).execute(self.store.0.database.writer()).await.unwrap();
    }
}

pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join("gateway.db")
}

pub(super) fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

pub(super) fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

pub(super) fn put(repository: &str, document: &Value, tags: &[&str]) -> PutManifest {
    PutManifest {
        repository: name(repository),
        manifest: NamedManifest::new(parse(document)),
        tags: tags.iter().map(|text| tag(text)).collect(),
        expect: TagExpectation::Any,
        references: References::Required,
        conditions: Vec::new(),
        actor: "tester".into(),
    }
}

pub(super) fn parse(document: &Value) -> Manifest {
    Manifest::parse(None, Bytes::from(document.to_string())).unwrap()
}

pub(super) fn image(content: &str) -> Value {
    let layer = Digest::of(content.as_bytes());
    json!({
        "schemaVersion": 2,
        "mediaType": media_type::IMAGE_MANIFEST,
        "config": descriptor(media_type::EMPTY, &Digest::of(b"{}"), 2),
        "layers": [descriptor("application/layer", &layer, content.len())],
    })
}

pub(super) fn index(members: &[&Digest]) -> Value {
    let members: Vec<Value> = members.iter().map(|digest| descriptor(media_type::IMAGE_MANIFEST, digest, 7)).collect();
    json!({ "schemaVersion": 2, "mediaType": media_type::IMAGE_INDEX, "manifests": members })
}

pub(super) fn descriptor(media_type: &str, digest: &Digest, size: usize) -> Value {
    json!({ "mediaType": media_type, "digest": digest, "size": size })
}
