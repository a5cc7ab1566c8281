//! Writing: blobs in one piece, manifests as they are.

use bytes::Bytes;
use oci::{Digest, RepositoryName, Target};
use reqwest::{Method, Url};

use crate::Registry;
use crate::auth::Scope;
use crate::error::RegistryError;
use crate::exchange::{Answer, Call};
use crate::manifest::said_digest;
use crate::observe::Kind;

/// The most bytes of an answer to a write; there is nothing in it that we need.
const ANSWER: usize = 1 << 20;

/// What a registry said about a manifest that it took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushedManifest {
    /// As the registry names it; its SHA-256 digest when it does not say.
    pub digest: Digest,
    /// Whether the registry saw the subject: it lists the manifest among its referrers by itself.
    pub subject: Option<Digest>,
}

impl Registry {
    /// Brings a blob into `repository`: nothing if it is there, a mount if `from` has it, an upload in one piece otherwise.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn push_blob(
        &self,
        repository: &RepositoryName,
        content: Bytes,
        from: Option<&RepositoryName>,
    ) -> Result<Digest, RegistryError> {
        let digest = Digest::of(&content);
        match self.blob_size(repository, &digest).await {
            Ok(_) => return Ok(digest),
            Err(RegistryError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        let Some(location) = self.begin_upload(repository, &digest, from).await? else { return Ok(digest) };
        let mut url = location;
        // The location may carry a query of its own, which has to stay.
        url.query_pairs_mut().append_pair("digest", digest.as_str());
        let call = Call {
            method: Method::PUT,
            content: Some(("application/octet-stream".to_owned(), content)),
            ..self.upload_call(repository, url, from)
        };
        self.document(&call, ANSWER).await?;
        Ok(digest)
    }

    /// Stores `manifest` under `target`, byte for byte.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn push_manifest(
        &self,
        repository: &RepositoryName,
        target: &Target,
        media_type: &str,
        manifest: Bytes,
    ) -> Result<PushedManifest, RegistryError> {
        let digest = Digest::of(&manifest);
        let call = Call {
            method: Method::PUT,
            accept: None,
            scope: Scope::push(repository, None),
            content: Some((media_type.to_owned(), manifest)),
            ..self.manifest_call(repository, target)
        };
        let answer = self.document(&call, ANSWER).await?;
        let subject = answer.header("oci-subject").and_then(|text| text.parse().ok());
        Ok(PushedManifest { digest: said_digest(&answer).unwrap_or(digest), subject })
    }

    /// Where to upload; nothing when the blob was mounted. 202 is an upload session however it was asked for.
    async fn begin_upload(
        &self,
        repository: &RepositoryName,
        digest: &Digest,
        from: Option<&RepositoryName>,
    ) -> Result<Option<Url>, RegistryError> {
        let mut url = self.url(repository, "blobs/uploads/");
        if let Some(from) = from {
            url.query_pairs_mut().append_pair("mount", digest.as_str()).append_pair("from", from.as_str());
        }
        let call = Call { method: Method::POST, ..self.upload_call(repository, url, from) };
        let answer = self.document(&call, ANSWER).await?;
        if from.is_some() && answer.status == 201 {
            return Ok(None);
        }
        self.location(&answer).map(Some)
    }

    /// Uploads stay where they began: the location may not send the content, or the account, to another host.
    fn location(&self, answer: &Answer) -> Result<Url, RegistryError> {
        let location = answer.header("location").and_then(|location| answer.url.join(location).ok());
        let location = location.ok_or_else(|| self.inner.malformed("an upload", "its Location is not a URL"))?;
        if location.origin() == self.inner.base.origin() {
            Ok(location)
        } else {
            Err(self.inner.elsewhere(&location, "uploads stay with the registry"))
        }
    }

    fn upload_call(&self, repository: &RepositoryName, url: Url, from: Option<&RepositoryName>) -> Call {
        Call::get(Kind::Blob, url, Scope::push(repository, from), format!("repository {repository}"))
    }
}
