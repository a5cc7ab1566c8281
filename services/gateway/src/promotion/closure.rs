//! Step 2: everything that an image is and that is attached to it, found from its digest.
//!
//! An image that is copied without what is attached to it no longer verifies; one that is copied with what is attached to the index
//! alone no longer verifies on the platform that is run. So the walk goes from every manifest to its members and to everything that
//! refers to it, and from there on: a signature of an attestation belongs to the image too.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use oci::{
    Descriptor, Digest, Kind, Manifest, Platform, RepositoryName, SignatureKind, SignatureTag, Tag, fallback_tag, media_type,
};

use super::error::GatherError;
use crate::contents::{Contents, Freshness, ReadError};
use crate::policy::guard;
use crate::store::NamedManifest;

/// The most manifests of one promotion.
pub(super) const MAX_NODES: usize = 10_000;
/// How deep indexes and attachments may be nested.
pub(super) const MAX_DEPTH: usize = 32;
/// The most bytes of manifests, all of which are in memory at once.
pub(super) const MAX_MANIFEST_BYTES: usize = 64 << 20;
/// The most bytes of blobs, as far as their manifests say.
pub(super) const MAX_BLOB_BYTES: u64 = 256 << 30;
/// How much is read at once.
const AT_ONCE: usize = 8;
/// The most tags of one digest that are looked at.
const MAX_TAGS: usize = 32;

/// An image and everything attached to it.
#[derive(Debug)]
pub(super) struct Closure {
    /// The image.
    pub(super) root: Digest,
    /// Every manifest once: the image and its members first, then what is attached, in the order in which it was.
    pub(super) nodes: Vec<Node>,
    /// Every blob with its size, but for those that live elsewhere.
    pub(super) blobs: BTreeMap<Digest, u64>,
    /// Tags that say what they are attached to by their name, and where they point.
    pub(super) tags: BTreeMap<Tag, Digest>,
    /// Everything that was listed as attached, taken along or not.
    pub(super) listed: BTreeSet<Digest>,
    /// What a person should know about how it was found.
    pub(super) remarks: BTreeSet<String>,
}

/// A manifest of a closure.
#[derive(Debug)]
pub(super) struct Node {
    /// The manifest, under the digest that it was found by.
    pub(super) manifest: NamedManifest,
    /// What it is to the image.
    pub(super) role: Role,
    depth: usize,
}

/// What a manifest is to an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Role {
    /// The image, or a member of its index.
    Image {
        /// What the index says that it runs on.
        platform: Option<Platform>,
        /// BuildKit's attestation of another member, by the index's word.
        attestation: bool,
    },
    /// Attached to this manifest.
    Attached(Digest),
    /// A member of an index that is attached.
    Part,
}

impl Node {
    /// What it was found by.
    pub(super) fn digest(&self) -> &Digest {
        self.manifest.digest()
    }

    /// What it says.
    pub(super) fn document(&self) -> &Manifest {
        self.manifest.manifest()
    }
}

impl Closure {
    /// Reads it all, once.
    ///
    /// 1. The image and its members, however deep.
    /// 2. What is attached to any of these, and to that again.
    /// 3. That the blobs of all of it can be had.
    ///
    /// Into a repository under policy nothing comes along that could be taken for an image: what is attached was not looked at by
    /// the policy, and anybody may attach.
    ///
    /// # Errors
    /// [`GatherError`]: something is missing, unreadable or beyond a limit, so that there is nothing whole to promote.
    pub(super) async fn gather(
        contents: &Contents,
        repository: &RepositoryName,
        hosted: bool,
        root: &Digest,
        admit: Admit,
    ) -> Result<Self, GatherError> {
        let mut walk = Walk::new(contents, repository, hosted, admit);
        walk.image(root).await?;
        walk.attached().await?;
        walk.check_tags();
        let blobs = walk.blobs().await?;
        let Walk { nodes, tags, listed, remarks, .. } = walk;
        Ok(Self { root: root.clone(), nodes, blobs, tags, listed, remarks })
    }

    /// The manifests of the image itself, the promoted one first.
    pub(super) fn image(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| matches!(node.role, Role::Image { .. }))
    }

    /// Everything else.
    pub(super) fn attachments(&self) -> impl Iterator<Item = &Node> {
        self.nodes.iter().filter(|node| !matches!(node.role, Role::Image { .. }))
    }

    /// Whether another look found the same.
    pub(super) fn same_as(&self, other: &Self) -> bool {
        let all = |closure: &Self| -> BTreeSet<Digest> { closure.nodes.iter().map(|node| node.digest().clone()).collect() };
        self.tags == other.tags && all(self) == all(other)
    }
}

/// What may come along with an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admit {
    /// Whatever is attached.
    Everything,
    /// What clients may attach in a repository under policy.
    WhatCannotStart,
}

/// A closure as it is found.
struct Walk<'a> {
    admit: Admit,
    hosted: bool,
    contents: &'a Contents,
    repository: &'a RepositoryName,
    nodes: Vec<Node>,
    seen: BTreeSet<Digest>,
    /// Members of indexes that are no manifests.
    loose: Vec<Descriptor>,
    tags: BTreeMap<Tag, Digest>,
    listed: BTreeSet<Digest>,
    remarks: BTreeSet<String>,
    manifest_bytes: usize,
}

/// A manifest that is to be read.
struct Wanted {
    digest: Digest,
    role: Role,
    depth: usize,
    /// What the index says it is, for a member.
    listed: Option<Descriptor>,
    /// Under which tag it was found.
    tag: Option<Tag>,
}

impl Wanted {
    fn new(digest: Digest, role: Role, depth: usize) -> Self {
        Self { digest, role, depth, listed: None, tag: None }
    }
}

impl<'a> Walk<'a> {
    fn new(contents: &'a Contents, repository: &'a RepositoryName, hosted: bool, admit: Admit) -> Self {
        Self {
            admit,
            hosted,
            contents,
            repository,
            nodes: Vec::new(),
            seen: BTreeSet::new(),
            loose: Vec::new(),
            tags: BTreeMap::new(),
            listed: BTreeSet::new(),
            remarks: BTreeSet::new(),
            manifest_bytes: 0,
        }
    }

    async fn image(&mut self, root: &Digest) -> Result<(), GatherError> {
        let role = Role::Image { platform: None, attestation: false };
        self.take(vec![Wanted::new(root.clone(), role, 0)]).await
    }

    /// Every manifest that was found is asked what is attached to it, those too that are found by asking.
    async fn attached(&mut self) -> Result<(), GatherError> {
        let mut next = 0;
        while next < self.nodes.len() {
            let batch: Vec<(Digest, usize)> = self.nodes[next..].iter().map(|node| (node.digest().clone(), node.depth)).collect();
            next = self.nodes.len();
            let (contents, repository, hosted) = (self.contents, self.repository, self.hosted);
            let found = stream::iter(batch).map(|(subject, depth)| async move {
                let attached = attached_to(contents, repository, hosted, &subject).await?;
                Ok::<_, GatherError>((subject, depth, attached))
            });
            let found: Vec<_> = found.buffered(AT_ONCE).try_collect().await?;
            let mut wanted = Vec::new();
            for (subject, depth, Attachments { referrers, tags, freshness }) in found {
                self.note(freshness);
                self.listed.extend(referrers.iter().cloned());
                let role = Role::Attached(subject);
                let attached = |digest| Wanted::new(digest, role.clone(), depth + 1);
                wanted.extend(referrers.into_iter().map(attached));
                wanted.extend(tags.into_iter().map(|(tag, digest)| Wanted { tag: Some(tag), ..attached(digest) }));
            }
            self.take(wanted).await?;
        }
        Ok(())
    }

    /// Reads manifests and, level by level, their members.
    async fn take(&mut self, wanted: Vec<Wanted>) -> Result<(), GatherError> {
        let mut level = VecDeque::from(wanted);
        while !level.is_empty() {
            let fresh: Vec<Wanted> = level.drain(..).filter(|wanted| self.is_new(wanted)).collect();
            let (contents, repository) = (self.contents, self.repository);
            let read = stream::iter(fresh).map(|wanted| async move {
                let found = contents.manifest(repository, &wanted.digest).await?;
                Ok::<_, ReadError>((wanted, found))
            });
            let mut read = read.buffered(AT_ONCE);
            while let Some((wanted, found)) = read.try_next().await? {
                let Some(found) = found else {
                    self.absent(wanted)?;
                    continue;
                };
                self.note(found.freshness);
                let unreadable = || GatherError::Unreadable { digest: wanted.digest.clone() };
                let manifest =
                    Manifest::parse(Some(&found.value.media_type), found.value.bytes.clone()).map_err(|_| unreadable())?;
                // Compared with the bytes that will be copied, whatever the store says that they are.
                let manifest = NamedManifest::named(manifest, wanted.digest.clone()).ok_or_else(unreadable)?;
                if !self.admits(&wanted, manifest.manifest()) {
                    self.leave(&wanted);
                    continue;
                }
                level.extend(self.keep(manifest, wanted)?);
            }
        }
        Ok(())
    }

    /// Whether this manifest was not seen before. A tag is noted in any case.
    fn is_new(&mut self, wanted: &Wanted) -> bool {
        if let Some(tag) = &wanted.tag {
            self.tags.insert(tag.clone(), wanted.digest.clone());
        }
        self.seen.insert(wanted.digest.clone())
    }

    /// Keeps a manifest and says what its members are.
    fn keep(&mut self, manifest: NamedManifest, wanted: Wanted) -> Result<Vec<Wanted>, GatherError> {
        let Wanted { role, depth, .. } = wanted;
        self.manifest_bytes += manifest.manifest().bytes().len();
        let limit = |what, limit: u64| Err(GatherError::TooLarge { what, limit });
        if self.nodes.len() == MAX_NODES {
            return limit("manifests", MAX_NODES as u64);
        }
        if depth > MAX_DEPTH {
            return limit("levels", MAX_DEPTH as u64);
        }
        if self.manifest_bytes > MAX_MANIFEST_BYTES {
            return limit("bytes of manifests", MAX_MANIFEST_BYTES as u64);
        }
        let members = manifest.manifest().manifests().iter().map(|member| Wanted {
            listed: Some(member.clone()),
            ..Wanted::new(member.digest.clone(), role.of_member(member), depth + 1)
        });
        let members = members.collect();
        self.nodes.push(Node { manifest, role, depth });
        Ok(members)
    }

    fn admits(&self, wanted: &Wanted, manifest: &Manifest) -> bool {
        match (self.admit, &wanted.role, &wanted.tag) {
            (Admit::Everything, ..) | (_, Role::Image { .. }, _) => true,
            (Admit::WhatCannotStart, Role::Attached(_), Some(tag)) => fits(tag, manifest),
            // The members of an index would have to be looked at before it is taken; no tool attaches such a thing to an image.
            (Admit::WhatCannotStart, _, _) => guard::may_be_attached(manifest) && manifest.manifests().is_empty(),
        }
    }

    fn leave(&mut self, wanted: &Wanted) {
        let found = wanted.tag.as_ref().map_or_else(String::new, |tag| format!(" (tag {tag})"));
        self.remarks.insert(format!("{}{found} was left behind: it could be taken for an image", wanted.digest));
        if let Some(tag) = &wanted.tag {
            self.tags.remove(tag);
        }
    }

    /// A tag may also point to something that was found another way.
    fn check_tags(&mut self) {
        if self.admit == Admit::Everything {
            return;
        }
        let nodes: BTreeMap<&Digest, &Manifest> = self.nodes.iter().map(|node| (node.digest(), node.document())).collect();
        let remarks = &mut self.remarks;
        self.tags.retain(|tag, digest| {
            let fits = nodes.get(digest).is_some_and(|manifest| fits(tag, manifest));
            if !fits {
                remarks.insert(format!("tag {tag} was left behind: it points to something else than its name says"));
            }
            fits
        });
    }

    /// Something that was listed is no manifest of the repository.
    fn absent(&mut self, wanted: Wanted) -> Result<(), GatherError> {
        let Wanted { digest, role, listed, tag, .. } = wanted;
        match (role, listed) {
            // A member of another type is a blob, if it is there: a runtime that is told to read it as a manifest does not.
            (_, Some(member)) if !media_type::MANIFESTS.contains(&member.media_type.as_str()) => {
                self.loose.push(member);
                Ok(())
            }
            // Listed by a registry that has lost it: nobody can verify by it, and nobody will miss it.
            (Role::Attached(subject), None) => {
                self.remarks.insert(format!("{digest} is listed as attached to {subject} and is not there"));
                if let Some(tag) = tag {
                    self.tags.remove(&tag);
                }
                Ok(())
            }
            _ => Err(GatherError::Missing { digest }),
        }
    }

    /// That every blob can be had, and how large it is. Nothing is fetched.
    async fn blobs(&mut self) -> Result<BTreeMap<Digest, u64>, GatherError> {
        let referred = self.nodes.iter().flat_map(|node| node.document().contents()).chain(&self.loose);
        let claimed: BTreeMap<Digest, u64> =
            referred.filter(|content| !content.is_external()).map(|content| (content.digest.clone(), content.size)).collect();
        if claimed.values().fold(0, |sum: u64, size| sum.saturating_add(*size)) > MAX_BLOB_BYTES {
            return Err(GatherError::TooLarge { what: "bytes of blobs", limit: MAX_BLOB_BYTES });
        }
        let (contents, repository) = (self.contents, self.repository);
        let sizes = stream::iter(claimed.into_keys()).map(|digest| async move {
            match contents.blob(repository, &digest).await? {
                Some(blob) => Ok((digest, blob.value.size())),
                None => Err(GatherError::Missing { digest }),
            }
        });
        sizes.buffered(AT_ONCE).try_collect().await
    }

    fn note(&mut self, freshness: Option<Freshness>) {
        if let Some(Freshness::Stale { since, .. }) = freshness {
            self.remarks.insert(format!("the upstream does not answer; what it said until {since:.0} was promoted"));
        }
    }
}

impl Role {
    fn of_member(&self, member: &Descriptor) -> Self {
        match self {
            Self::Image { .. } => Self::Image { platform: member.platform.clone(), attestation: is_attestation(member) },
            Self::Attached(_) | Self::Part => Self::Part,
        }
    }
}

/// BuildKit's word, in an index, for an attestation of another member.
fn is_attestation(member: &Descriptor) -> bool {
    const TYPE: &str = "vnd.docker.reference.type";
    let unknown = member.platform.as_ref().is_some_and(Platform::is_unknown);
    unknown && member.annotations.get(TYPE).is_some_and(|kind| kind == "attestation-manifest")
}

/// Whether a manifest is what BuildKit puts beside a platform, by its own content: statements and nothing that could be run.
pub(super) fn holds_statements_alone(manifest: &Manifest) -> bool {
    let statements = manifest.layers().iter().all(|layer| layer.media_type == media_type::IN_TOTO);
    manifest.kind() == Kind::Image && !manifest.layers().is_empty() && statements
}

/// What is attached to one manifest.
struct Attachments {
    /// By their `subject`, oldest first.
    referrers: Vec<Digest>,
    /// By the name of a tag.
    tags: Vec<(Tag, Digest)>,
    freshness: Option<Freshness>,
}

async fn attached_to(
    contents: &Contents,
    repository: &RepositoryName,
    hosted: bool,
    subject: &Digest,
) -> Result<Attachments, GatherError> {
    let listed = contents.referrers(repository, subject).await?;
    let mut tags = Vec::new();
    for tag in tags_beside(contents, repository, hosted, subject).await? {
        if let Some(found) = contents.resolve(repository, &tag).await? {
            tags.push((tag, found.value));
        }
    }
    let referrers = listed.value.iter().map(|referrer| referrer.digest.clone()).collect();
    Ok(Attachments { referrers, tags, freshness: listed.freshness })
}

/// The tags whose name says that they are attached to `subject`, but for the fallback of the referrers API: what it lists is
/// attached by itself.
async fn tags_beside(
    contents: &Contents,
    repository: &RepositoryName,
    hosted: bool,
    subject: &Digest,
) -> Result<Vec<Tag>, GatherError> {
    let base = fallback_tag(subject);
    let with = |ending: &str| format!("{base}{ending}").parse::<Tag>().expect("a tag of 71 characters has room for an ending");
    if !hosted {
        // One question each: an upstream may page through all of its tags in an order of its own.
        return Ok([".sig", ".att", ".sbom"].into_iter().map(with).collect());
    }
    let behind = with(".");
    let following = contents.tags(repository, Some(&behind), MAX_TAGS).await?.unwrap_or_default();
    Ok(following.into_iter().filter(|tag| tag.as_str().starts_with(behind.as_str())).collect())
}

/// Whether a tag that names what it is attached to holds what its ending says.
fn fits(tag: &Tag, manifest: &Manifest) -> bool {
    SignatureTag::parse(tag).is_some_and(|tag| tag.kind != SignatureKind::Referrers && guard::fits_tag(tag.kind, manifest))
}
