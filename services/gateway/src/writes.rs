//! What clients write. Every write of the distribution specification goes through here, so that none goes round the guard of the
//! repositories under policy: those take tags only by promotion.
//!
//! What must still be true when it is written is a condition of the store's transaction, not a look at the store before it.

use bytes::Bytes;
use futures_util::Stream;
use oci::{Digest, Manifest, ManifestError, RepositoryName, Tag, Target};

use crate::access::Actor;
use crate::blobs::{BlobError, Blobs, BodyError, Part, UploadId};
use crate::policy::{Guard, Guarded};
use crate::store::{
    DeleteError, NamedManifest, Put, PutError, PutManifest, References, Store, StoreError, TagExpectation, Unlinked, Unmet,
};

/// The hosted repositories, as clients write to them.
#[derive(Debug)]
pub(crate) struct Writes {
    store: Store,
    blobs: Blobs,
    guard: Guard,
    /// What lies below these is a view of another registry.
    proxied: Vec<RepositoryName>,
}

/// A manifest as it arrives.
#[derive(Debug)]
pub(crate) struct Push {
    /// Where.
    pub(crate) repository: RepositoryName,
    /// Under which tag or digest.
    pub(crate) target: Target,
    /// Tags besides.
    pub(crate) tags: Vec<Tag>,
    /// Where its tags must point before.
    pub(crate) expect: TagExpectation,
    /// What the client says it is.
    pub(crate) content_type: Option<String>,
    /// What it is.
    pub(crate) bytes: Bytes,
}

/// A manifest that was stored.
#[derive(Debug)]
pub(crate) struct Pushed {
    /// As the client named it, or by SHA-256.
    pub(crate) digest: Digest,
    /// What it is attached to.
    pub(crate) subject: Option<Digest>,
    /// What became of it and its tags.
    pub(crate) put: Put,
}

impl Writes {
    /// Writes to these, as far as `guard` lets it, and never below `proxied`.
    pub(crate) fn new(store: Store, blobs: Blobs, guard: Guard, proxied: Vec<RepositoryName>) -> Self {
        Self { store, blobs, guard, proxied }
    }

    /// Stores a manifest.
    ///
    /// 1. Its bytes are those of the digest that was named.
    /// 2. It is one that every client reads alike.
    /// 3. The guard lets it, and says what must hold when it is written.
    /// 4. Manifest, edges and tags are one transaction, in which that holds. A crash leaves all of it or nothing.
    ///
    /// # Errors
    /// [`WriteError`]; nothing was written, unless the database failed in the middle.
    pub(crate) async fn push(&self, actor: &Actor, push: Push) -> Result<Pushed, WriteError> {
        let Push { repository, target, mut tags, expect, content_type, bytes } = push;
        self.hosted(&repository)?;
        if let Target::Digest(named) = &target
            && !named.verify(&bytes)
        {
            return Err(WriteError::Digest { found: Digest::with(named.algorithm(), &bytes), named: named.clone() });
        }
        let manifest = Manifest::parse(content_type.as_deref(), bytes)?;
        let subject = manifest.subject().map(|subject| subject.digest.clone());
        let manifest = match target {
            Target::Digest(digest) => NamedManifest::named(manifest, digest).expect("its bytes were compared above"),
            Target::Tag(tag) => {
                tags.push(tag);
                NamedManifest::new(manifest)
            }
        };
        tags.sort();
        tags.dedup();
        let conditions = self.guard.push(&repository, manifest.manifest(), &tags)?;
        let (digest, name) = (manifest.digest().clone(), repository.clone());
        let (references, actor) = (References::Required, actor.as_str().to_owned());
        let put = PutManifest { repository, manifest, tags, expect, references, conditions, actor };
        let put = self.store.put_manifest(put).await.map_err(|error| match error {
            PutError::Unmet(unmet) => self.unmet(&name, unmet),
            error => WriteError::Put(error),
        })?;
        Ok(Pushed { digest, subject, put })
    }

    /// Deletes a tag, or a manifest with all of its tags. False if it is not there.
    ///
    /// # Errors
    /// [`WriteError`].
    pub(crate) async fn delete(&self, actor: &Actor, repository: &RepositoryName, target: &Target) -> Result<bool, WriteError> {
        self.hosted(repository)?;
        match target {
            Target::Tag(tag) => {
                self.guard.delete_tag(repository, tag)?;
                Ok(self.store.delete_tag(repository, tag, actor.as_str()).await?)
            }
            Target::Digest(digest) => {
                let conditions = self.guard.delete_manifest(repository, digest);
                let deleted = self.store.delete_manifest(repository, digest, conditions, actor.as_str()).await;
                deleted.map_err(|error| match error {
                    DeleteError::Unmet(unmet) => self.unmet(repository, unmet),
                    error => WriteError::Delete(error),
                })
            }
        }
    }

    /// Hides a blob in a repository. False if it is not there.
    ///
    /// # Errors
    /// [`WriteError`].
    pub(crate) async fn delete_blob(
        &self,
        _actor: &Actor,
        repository: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, WriteError> {
        self.hosted(repository)?;
        self.guard.delete_blob(repository, digest)?;
        match self.store.unlink_blob(repository, digest).await? {
            Unlinked::Gone => Ok(true),
            Unlinked::Absent => Ok(false),
            Unlinked::Needed(manifest) => {
                Err(WriteError::BlobNeeded { digest: digest.clone(), manifest, repository: repository.clone() })
            }
        }
    }

    /// Shows a blob in `to` that `from` has, or any repository if none is named. False where there is none. Whether the caller may
    /// read it there is for the caller to have asked.
    ///
    /// # Errors
    /// [`WriteError`].
    pub(crate) async fn mount(
        &self,
        _actor: &Actor,
        from: Option<&RepositoryName>,
        to: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, WriteError> {
        self.hosted(to)?;
        Ok(self.store.mount_blob(from, to, digest).await?)
    }

    /// Takes in a blob whose digest is known before its bytes.
    ///
    /// # Errors
    /// [`WriteError`]; nothing of it is left.
    pub(crate) async fn blob<S, B>(
        &self,
        _actor: &Actor,
        repository: &RepositoryName,
        digest: &Digest,
        part: Part,
        body: S,
    ) -> Result<(), WriteError>
    where
        S: Stream<Item = Result<Bytes, B>> + Send + Unpin + 'static,
        B: Into<BodyError> + Send + 'static,
    {
        self.hosted(repository)?;
        Ok(self.blobs.put(repository, digest, part.length, body).await.map(drop)?)
    }

    /// Begins an upload.
    ///
    /// # Errors
    /// [`WriteError`].
    pub(crate) async fn begin(&self, _actor: &Actor, repository: &RepositoryName) -> Result<UploadId, WriteError> {
        self.hosted(repository)?;
        Ok(self.blobs.begin(repository).await?)
    }

    /// Adds to an upload, and says how many bytes it has.
    ///
    /// # Errors
    /// [`WriteError`]; what arrived is kept, unless it is too much.
    pub(crate) async fn append<S, B>(
        &self,
        _actor: &Actor,
        repository: &RepositoryName,
        upload: &UploadId,
        part: Part,
        body: S,
    ) -> Result<u64, WriteError>
    where
        S: Stream<Item = Result<Bytes, B>> + Send + Unpin + 'static,
        B: Into<BodyError> + Send + 'static,
    {
        Ok(self.blobs.append(repository, upload, part, body).await?)
    }

    /// Makes an upload a blob of its repository.
    ///
    /// # Errors
    /// [`WriteError`]; the upload is over.
    pub(crate) async fn commit(
        &self,
        _actor: &Actor,
        repository: &RepositoryName,
        upload: &UploadId,
        digest: &Digest,
    ) -> Result<(), WriteError> {
        Ok(self.blobs.commit(repository, upload, digest).await.map(drop)?)
    }

    /// How many bytes of an upload have arrived.
    ///
    /// # Errors
    /// [`WriteError`].
    pub(crate) fn status(&self, _actor: &Actor, repository: &RepositoryName, upload: &UploadId) -> Result<u64, WriteError> {
        Ok(self.blobs.status(repository, upload)?)
    }

    /// Gives an upload up.
    ///
    /// # Errors
    /// [`WriteError`].
    pub(crate) async fn abort(&self, _actor: &Actor, repository: &RepositoryName, upload: &UploadId) -> Result<(), WriteError> {
        Ok(self.blobs.abort(repository, upload).await?)
    }

    /// A condition that the guard set, told as the guard tells it.
    fn unmet(&self, repository: &RepositoryName, unmet: Unmet) -> WriteError {
        match self.guard.unmet(repository, unmet.clone()) {
            Some(guarded) => WriteError::Guard(guarded),
            None => WriteError::Put(PutError::Unmet(unmet)),
        }
    }

    fn hosted(&self, repository: &RepositoryName) -> Result<(), WriteError> {
        let proxied = |prefix: &&RepositoryName| repository == *prefix || repository.below(prefix).is_some();
        match self.proxied.iter().find(proxied) {
            Some(prefix) => Err(WriteError::Proxied { repository: repository.clone(), prefix: prefix.clone() }),
            None => Ok(()),
        }
    }
}

/// Something was not written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WriteError {
    /// The bytes are not those of the digest that they came under.
    #[error("the manifest's bytes are those of {found}, not of {named}")]
    Digest {
        /// As named.
        named: Digest,
        /// As counted, by the same algorithm.
        found: Digest,
    },
    /// It is no manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A policy does not let clients write this.
    #[error(transparent)]
    Guard(#[from] Guarded),
    /// The repository is another registry's.
    #[error("{repository} is a view of another registry (gateway.upstreams, prefix {prefix}) and is not written to here")]
    Proxied {
        /// Which.
        repository: RepositoryName,
        /// The prefix that makes it one.
        prefix: RepositoryName,
    },
    /// The manifest was not stored.
    #[error(transparent)]
    Put(#[from] PutError),
    /// The manifest was not deleted.
    #[error(transparent)]
    Delete(#[from] DeleteError),
    /// A blob that is not deleted.
    #[error("blob {digest} is needed by manifest {manifest} of {repository}; delete that first")]
    BlobNeeded {
        /// Which.
        digest: Digest,
        /// One of those that need it.
        manifest: Digest,
        /// Where.
        repository: RepositoryName,
    },
    /// The bytes of a blob.
    #[error(transparent)]
    Blob(#[from] BlobError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}
