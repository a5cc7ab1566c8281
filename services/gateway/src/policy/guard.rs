//! What clients may write into a repository under policy.
//!
//! Images and tags come there by promotion alone. Clients may attach things, because scanners and signers come later than
//! promotions, and nothing that is attached can be taken for an image:
//!
//! - no tag, except `sha256-<64 hex>[.sig|.att|.sbom]` of a manifest that is there, holding what such a tag is for;
//! - no manifest by digest, unless it is attached to something and no runtime could start it: a `subject` alone does not keep
//!   `docker run prod/app@sha256:…` from running an image;
//! - no tag is deleted, no manifest that a tag reaches, be it a member of an index or a signature, and no blob.
//!
//! What must hold when it is written is a [`Condition`] of the store's transaction, so that nothing can change in between.

use std::sync::Arc;

use evidence::Attachment;
use oci::{Algorithm, Descriptor, Digest, Kind, Manifest, RepositoryName, SignatureKind, SignatureTag, Tag, media_type};

use super::{Policies, Policy};
use crate::store::{Condition, Unmet};

/// Stands before every write of a client.
#[derive(Debug, Clone)]
pub(crate) struct Guard(Arc<Policies>);

impl Guard {
    /// Of these policies.
    pub(crate) fn new(policies: Arc<Policies>) -> Self {
        Self(policies)
    }

    /// A client wants to put `manifest`, and to point `tags` to it: every tag that the request names, however it names it.
    ///
    /// # Errors
    /// [`Guarded`]. Otherwise what must hold when it is written.
    pub(crate) fn push(&self, repository: &RepositoryName, manifest: &Manifest, tags: &[Tag]) -> Result<Vec<Condition>, Guarded> {
        let Some(policy) = self.0.governing(repository) else { return Ok(Vec::new()) };
        let forbidden = |why| Guarded::new(repository, policy, why);
        if tags.is_empty() {
            return attached(manifest).map_err(forbidden);
        }
        let mut conditions = Vec::new();
        for tag in tags {
            let signature = SignatureTag::parse(tag).ok_or_else(|| forbidden(Forbidden::Tag(tag.clone())))?;
            conditions.extend(beside(&signature, tag, manifest).map_err(forbidden)?);
        }
        Ok(conditions)
    }

    /// A client wants to delete a tag.
    ///
    /// # Errors
    /// [`Guarded`].
    pub(crate) fn delete_tag(&self, repository: &RepositoryName, tag: &Tag) -> Result<(), Guarded> {
        self.forbid(repository, || Forbidden::DeleteTag(tag.clone()))
    }

    /// A client wants to delete a manifest: what must hold when it is deleted.
    pub(crate) fn delete_manifest(&self, repository: &RepositoryName, digest: &Digest) -> Vec<Condition> {
        match self.0.governing(repository) {
            Some(_) => vec![Condition::Unreached(digest.clone())],
            None => Vec::new(),
        }
    }

    /// A client wants to delete a blob. Which manifests need it is not looked at: it is not worth a way round.
    ///
    /// # Errors
    /// [`Guarded`].
    pub(crate) fn delete_blob(&self, repository: &RepositoryName, digest: &Digest) -> Result<(), Guarded> {
        self.forbid(repository, || Forbidden::DeleteBlob(digest.clone()))
    }

    /// The refusal for a condition of [`Guard::push`] or [`Guard::delete_manifest`] that did not hold.
    pub(crate) fn unmet(&self, repository: &RepositoryName, unmet: Unmet) -> Option<Guarded> {
        self.0.governing(repository).map(|policy| Guarded::new(repository, policy, Forbidden::Unmet(unmet)))
    }

    fn forbid(&self, repository: &RepositoryName, why: impl FnOnce() -> Forbidden) -> Result<(), Guarded> {
        match self.0.governing(repository) {
            Some(policy) => Err(Guarded::new(repository, policy, why())),
            None => Ok(()),
        }
    }
}

/// Whether something attached may come into a repository under policy, by a client or along with an image.
pub(crate) fn may_be_attached(manifest: &Manifest) -> bool {
    manifest.subject().is_some() && !could_start(manifest)
}

/// Whether what a `sha256-` tag points to is what its ending says.
pub(crate) fn fits_tag(kind: SignatureKind, manifest: &Manifest) -> bool {
    match kind {
        SignatureKind::Referrers => manifest.media_type() == media_type::IMAGE_INDEX && manifest.subject().is_none(),
        SignatureKind::Signature => matches!(Attachment::of(manifest), Attachment::LegacySignatures(_)),
        SignatureKind::Attestation => matches!(Attachment::of(manifest), Attachment::LegacyAttestations(_)),
        SignatureKind::Sbom => Attachment::of(manifest) == Attachment::UnsignedSbom,
    }
}

/// A manifest by digest alone.
fn attached(manifest: &Manifest) -> Result<Vec<Condition>, Forbidden> {
    if manifest.subject().is_none() {
        return Err(Forbidden::Manifest);
    }
    if could_start(manifest) {
        return Err(Forbidden::Runnable);
    }
    // An index that is attached may hold attached things. Anything else in it would be an image under a name of its own.
    Ok(manifest.manifests().iter().map(|member| Condition::Attached { digest: member.digest.clone(), to: None }).collect())
}

/// A manifest under a tag that names what it is attached to.
fn beside(signature: &SignatureTag, tag: &Tag, manifest: &Manifest) -> Result<Vec<Condition>, Forbidden> {
    let subject = &signature.subject;
    if !fits_tag(signature.kind, manifest) || manifest.digest() == subject {
        return Err(Forbidden::SignatureTag { tag: tag.clone(), expected: expected(signature.kind) });
    }
    // The members of a fallback index are manifests that refer to the subject themselves; of the other kinds there are none.
    let members = manifest.manifests().iter();
    let members = members.map(|member| Condition::Attached { digest: member.digest.clone(), to: Some(subject.clone()) });
    Ok(std::iter::once(Condition::Present(subject.clone())).chain(members).collect())
}

/// Whether a runtime that is given this manifest might start something. What has the configuration of an image is one; so is what
/// has layers of an image and a configuration that some runtime may take for an image's.
fn could_start(manifest: &Manifest) -> bool {
    let Some(config) = manifest.config().filter(|_| manifest.kind() == Kind::Image) else { return false };
    let is = |descriptor: &Descriptor, prefixes: &[&str]| {
        let media_type = descriptor.media_type.to_ascii_lowercase();
        prefixes.iter().any(|prefix| media_type.starts_with(prefix))
    };
    is(config, &CONFIGURATIONS) || (!is_empty(config) && manifest.layers().iter().any(|layer| is(layer, &LAYERS)))
}

/// What runtimes take for the configuration of something to start, by how its type begins: images, WebAssembly modules, which need
/// no layer of an image, and checkpoints of containers.
const CONFIGURATIONS: [&str; 4] = [
    "application/vnd.oci.image.config.",
    "application/vnd.docker.container.image.",
    "application/vnd.wasm.config.",
    "application/vnd.containerd.container.",
];
/// Layers that runtimes unpack. Tools also attach plain files under these types, with an empty configuration.
const LAYERS: [&str; 4] = [
    "application/vnd.oci.image.layer.",
    "application/vnd.docker.image.rootfs.",
    "application/vnd.docker.container.image.rootfs.",
    "application/vnd.erofs",
];

/// By its content, not by its type: under the type of nothing there might be something.
fn is_empty(config: &Descriptor) -> bool {
    [Algorithm::Sha256, Algorithm::Sha512]
        .iter()
        .any(|algorithm| Digest::with(*algorithm, media_type::EMPTY_CONTENT) == config.digest)
}

fn expected(kind: SignatureKind) -> &'static str {
    match kind {
        SignatureKind::Referrers => "an OCI index of what is attached",
        SignatureKind::Signature => "cosign signatures",
        SignatureKind::Attestation => "DSSE attestations",
        SignatureKind::Sbom => "an SBOM",
    }
}

/// A client may not write this here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}; {repository} is under policy {policy} and takes images only by: chancery promote SOURCE {repository}:{}", .why.tag())]
pub(crate) struct Guarded {
    repository: RepositoryName,
    policy: String,
    why: Forbidden,
}

impl Guarded {
    fn new(repository: &RepositoryName, policy: &Policy, why: Forbidden) -> Self {
        Self { repository: repository.clone(), policy: policy.name.clone(), why }
    }

    /// A stable name for programs, an anchor in `docs/errors.md`.
    pub(crate) const fn code(&self) -> &'static str {
        "repository_under_policy"
    }
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
enum Forbidden {
    #[error("tag {0} may not be set directly")]
    Tag(Tag),
    #[error("a manifest that is attached to nothing may not be pushed directly")]
    Manifest,
    #[error("a manifest that a runtime could start may not be pushed directly, attached to something or not")]
    Runnable,
    #[error("tag {tag} may hold {expected} and nothing else")]
    SignatureTag { tag: Tag, expected: &'static str },
    #[error("tag {0} may not be deleted")]
    DeleteTag(Tag),
    #[error("blob {0} may not be deleted")]
    DeleteBlob(Digest),
    #[error(transparent)]
    Unmet(Unmet),
}

impl Forbidden {
    /// The tag that was meant, or a word for one.
    fn tag(&self) -> &str {
        match self {
            Self::Tag(tag) => tag.as_str(),
            Self::Manifest
            | Self::Runnable
            | Self::SignatureTag { .. }
            | Self::DeleteTag(_)
            | Self::DeleteBlob(_)
            | Self::Unmet(_) => "TAG",
        }
    }
}

#[cfg(test)]
mod tests;
