//! Manifests by digest.

use std::sync::Arc;

use oci::{Digest, Target};
use registry::{Registry, RegistryError};

use super::{Absent, Proxied, UpstreamError};
use crate::contents::{Freshness, Read};
use crate::store::{NamedManifest, PutManifest, References, StoredManifest, TagExpectation};

impl Proxied {
    /// A manifest. What is here is the same for ever, and nobody is asked.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub(crate) async fn manifest(&self, digest: &Digest) -> Result<Option<Read<Arc<StoredManifest>>>, UpstreamError> {
        let read = |value, freshness| Read { value, freshness: Some(self.count(freshness)) };
        if let Some(found) = self.upstream.store.manifest(&self.local, digest).await? {
            return Ok(Some(read(found, self.kept())));
        }
        if self.upstream.offline {
            return Ok(None);
        }
        let found = self.manifest_of(digest, &self.upstream.registry).await?;
        Ok(found.map(|found| read(found, Freshness::Miss)))
    }

    /// A manifest from here or from the upstream, which then is here. Nothing when the upstream does not have it.
    pub(super) async fn manifest_of(
        &self,
        digest: &Digest,
        registry: &Registry,
    ) -> Result<Option<Arc<StoredManifest>>, UpstreamError> {
        if let Some(found) = self.upstream.store.manifest(&self.local, digest).await? {
            return Ok(Some(found));
        }
        if self.upstream.absent.contains_key(&Absent::Manifest(self.named(digest.clone()))) {
            return Ok(None);
        }
        let (proxied, registry, wanted) = (self.clone(), registry.clone(), digest.clone());
        let fetch = || async move { proxied.fetch_manifest(&wanted, &registry).await };
        self.upstream.asking.manifests.join(self.named(digest.clone()), fetch).await
    }

    /// 1. Its bytes, compared with the digest by the client.
    /// 2. Stored as they are, with its edges, in one transaction; what it refers to comes when somebody asks for it.
    async fn fetch_manifest(&self, digest: &Digest, registry: &Registry) -> Result<Option<Arc<StoredManifest>>, UpstreamError> {
        let fetched = match registry.manifest(&self.remote, &Target::Digest(digest.clone())).await {
            Ok(fetched) => fetched,
            Err(RegistryError::NotFound { .. }) => {
                self.upstream.absent.insert(Absent::Manifest(self.named(digest.clone())), ());
                return Ok(None);
            }
            Err(error) => return Err(self.failed(error)),
        };
        let manifest = NamedManifest::named(fetched.manifest, digest.clone()).expect("its bytes were compared with the digest");
        let put = PutManifest {
            repository: self.local.clone(),
            manifest,
            tags: Vec::new(),
            expect: TagExpectation::Any,
            references: References::Sparse,
            conditions: Vec::new(),
            actor: format!("upstream {}", self.upstream.prefix),
        };
        self.upstream.store.put_manifest(put).await?;
        Ok(self.upstream.store.manifest(&self.local, digest).await?)
    }
}
