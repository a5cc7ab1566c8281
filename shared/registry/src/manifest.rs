//! Tags and manifests.

use oci::{Digest, MAX_MANIFEST_BYTES, Manifest, RepositoryName, Target, media_type};
use reqwest::Method;

use crate::Registry;
use crate::auth::Scope;
use crate::error::{RegistryError, line};
use crate::exchange::{Answer, Call};
use crate::observe::Kind;

/// Every type of manifest, so that no registry converts one into another: that would be other bytes.
const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.docker.distribution.manifest.v2+json, \
    application/vnd.oci.artifact.manifest.v1+json";

/// What a target is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// As the registry names it. What has this digest is not known until it is fetched.
    pub digest: Digest,
}

/// A manifest whose bytes have the digest that was asked for, or, by tag, that the registry said.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// As it was asked for or said.
    pub digest: Digest,
    /// The manifest.
    pub manifest: Manifest,
}

impl Registry {
    /// Which digest `target` is now. A head does not count as a pull where pulls are counted.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn resolve(&self, repository: &RepositoryName, target: &Target) -> Result<Resolved, RegistryError> {
        let call = Call { method: Method::HEAD, ..self.manifest_call(repository, target) };
        let digest = match self.document(&call, 0).await {
            Ok(answer) => said_digest(&answer),
            Err(RegistryError::Refused { status: 400 | 405 | 501, .. }) => None,
            Err(error) => return Err(error),
        };
        match digest {
            Some(digest) => Ok(Resolved { digest }),
            // Old registries answer no head, or not the digest with it.
            None => self.manifest(repository, target).await.map(|fetched| Resolved { digest: fetched.digest }),
        }
    }

    /// The manifest that `target` is now, verified.
    ///
    /// # Errors
    /// [`RegistryError`]; of bytes that are no manifest [`RegistryError::Malformed`], of others than asked for
    /// [`RegistryError::DigestMismatch`].
    pub async fn manifest(&self, repository: &RepositoryName, target: &Target) -> Result<Fetched, RegistryError> {
        let answer = self.document(&self.manifest_call(repository, target), MAX_MANIFEST_BYTES).await?;
        let expected = match target {
            Target::Digest(digest) => Some(digest.clone()),
            Target::Tag(_) => said_digest(&answer),
        };
        let digest = expected.unwrap_or_else(|| Digest::of(&answer.body));
        if !digest.verify(&answer.body) {
            let found = Digest::with(digest.algorithm(), &answer.body);
            return Err(RegistryError::DigestMismatch { registry: self.inner.name.clone(), expected: digest, found });
        }
        let content_type = answer.header("content-type").filter(|text| !is_general(text));
        let manifest = Manifest::parse(content_type, answer.body.clone());
        let manifest = manifest.map_err(|error| self.inner.malformed("a manifest", line(&error.to_string())))?;
        Ok(Fetched { digest, manifest })
    }

    pub(crate) fn manifest_call(&self, repository: &RepositoryName, target: &Target) -> Call {
        let url = self.url(repository, &format!("manifests/{target}"));
        let what = match target {
            Target::Tag(tag) => format!("tag {tag} of {repository}"),
            Target::Digest(digest) => format!("manifest {digest} of {repository}"),
        };
        Call { accept: Some(ACCEPT), ..Call::get(Kind::Manifest, url, Scope::pull(repository), what) }
    }
}

pub(crate) fn said_digest(answer: &Answer) -> Option<Digest> {
    answer.header("docker-content-digest")?.parse().ok()
}

/// Types that say nothing: what a file server makes of a file without an ending.
fn is_general(content_type: &str) -> bool {
    matches!(
        media_type::essence(content_type),
        Some("application/json" | "application/octet-stream" | "binary/octet-stream" | "text/plain")
    )
}
