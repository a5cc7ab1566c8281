//! What goes into the store and comes out of it.

use bytes::Bytes;
use jiff::Timestamp;
use oci::{Digest, Manifest, RepositoryName, Tag};

/// A manifest of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredManifest {
    /// As the client named it that pushed it.
    pub(crate) digest: Digest,
    /// Without parameters: one of [`oci::media_type::MANIFESTS`].
    pub(crate) media_type: String,
    /// The artifact type as the referrers API gives it.
    pub(crate) artifact_type: Option<String>,
    /// What it is attached to.
    pub(crate) subject: Option<Digest>,
    /// As they were pushed.
    pub(crate) bytes: Bytes,
}

/// Where a tag points.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tagged {
    /// The manifest.
    pub(crate) digest: Digest,
    /// How often the tag was changed, from 1; deletions count.
    pub(crate) version: i64,
    /// When it was changed last.
    pub(crate) updated: Timestamp,
}

/// A manifest that is attached to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Referrer {
    /// Of the attached manifest.
    pub(crate) digest: Digest,
    /// What a listing is filtered by.
    pub(crate) artifact_type: Option<String>,
    /// The entry in the listing: one JSON object, for [`oci::referrers_index`].
    pub(crate) descriptor: Box<str>,
}

/// A manifest under a digest that was compared with its bytes.
#[derive(Debug, Clone)]
pub(crate) struct NamedManifest {
    digest: Digest,
    manifest: Manifest,
}

impl NamedManifest {
    /// Under its SHA-256 digest, as tags name it.
    pub(crate) fn new(manifest: Manifest) -> Self {
        Self { digest: manifest.digest().clone(), manifest }
    }

    /// Under the digest that a client named, of whatever algorithm; nothing when the bytes are others.
    pub(crate) fn named(manifest: Manifest, digest: Digest) -> Option<Self> {
        let fits = digest == *manifest.digest() || digest.verify(manifest.bytes());
        fits.then_some(Self { digest, manifest })
    }

    /// What it is stored under.
    pub(crate) fn digest(&self) -> &Digest {
        &self.digest
    }

    /// What is stored.
    pub(crate) fn manifest(&self) -> &Manifest {
        &self.manifest
    }
}

/// A manifest to store, and what must hold for it.
#[derive(Debug, Clone)]
pub(crate) struct PutManifest {
    /// Where.
    pub(crate) repository: RepositoryName,
    /// What.
    pub(crate) manifest: NamedManifest,
    /// Tags that are to point to it, each once.
    pub(crate) tags: Vec<Tag>,
    /// Where all of these tags must point before.
    pub(crate) expect: TagExpectation,
    /// Whether what it refers to must be there.
    pub(crate) references: References,
    /// What else must hold when it is written.
    pub(crate) conditions: Vec<Condition>,
    /// Who does it, for the history.
    pub(crate) actor: String,
}

/// Where a tag must point for a change to happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TagExpectation {
    /// Anywhere or nowhere.
    Any,
    /// Nowhere.
    Absent,
    /// To this manifest.
    Digest(Digest),
    /// Where it pointed at this version ([`Tagged::version`]).
    Version(i64),
}

/// What becomes of a manifest whose blobs or members are not in the repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum References {
    /// It is refused.
    Required,
    /// It is stored: the repository is filled as it is read.
    Sparse,
}

/// Something that must be true in the repository at the moment of a write, whatever was true when it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    /// This manifest is here.
    Present(Digest),
    /// No tag reaches this manifest: none points to it, to an index that has it as a member, or to what it is attached to, however
    /// many such steps there are.
    Unreached(Digest),
    /// This manifest is here, and attached to something.
    Attached {
        /// The manifest.
        digest: Digest,
        /// To what, if that matters.
        to: Option<Digest>,
    },
}

/// What a write of a manifest did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Put {
    /// False if the manifest was there.
    pub(crate) created: bool,
    /// One for each tag that was asked for, in that order.
    pub(crate) tags: Vec<TagChange>,
    /// How many manifests are attached to its subject now; 0 without one.
    pub(crate) referrers: u64,
}

/// What became of a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TagChange {
    /// Its name.
    pub(crate) tag: Tag,
    /// Its version now.
    pub(crate) version: i64,
    /// Where it pointed before.
    pub(crate) previous: Option<Digest>,
    /// It pointed there already, and nothing was written.
    pub(crate) unchanged: bool,
}
