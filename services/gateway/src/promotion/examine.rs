//! Step 4, the reading half: everything in a closure that claims to be signed, read and verified, and what the policy is to look at.

use std::collections::BTreeSet;
use std::num::NonZeroUsize;
use std::sync::Arc;

use bytes::Bytes;
use evidence::{Attachment, Claim, Kind as Proves};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use oci::{Digest, Kind, RepositoryName};
use tokio::sync::Semaphore;

use super::closure::{Closure, Node, Role, holds_statements_alone};
use super::error::GatherError;
use super::{AttestationCount, Unverified};
use crate::Require;
use crate::contents::Contents;
use crate::policy::{Attached, Current, Examined, Place, Subject, TrustRoot, Trusted, Verdict};

/// The most signatures and attestations of one promotion that are verified. Each takes milliseconds of a core, and anybody may attach.
const MAX_CLAIMS: usize = 1_000;
/// The most reports of those that prove nothing.
const MAX_UNVERIFIED: usize = 1_000;
/// KiB of them that are in memory at once, over all promotions: one of the largest size, or many of the usual one.
const KIB_AT_ONCE: u32 = (verify::MAX_BUNDLE >> 10) as u32;

/// Verifies what claims to be signed.
#[derive(Debug)]
pub(super) struct Examiner {
    trust: Option<Arc<Trusted>>,
    /// KiB that may be read into memory.
    room: Arc<Semaphore>,
}

/// What was made of everything attached to an image.
#[derive(Debug)]
pub(super) struct Examination {
    /// In the order of the closure.
    all: Vec<(Digest, Attached)>,
    /// Why all of it was verified with a trusted root that is no longer the file's.
    pub(super) stale: Option<String>,
}

/// Something attached that is to be looked at.
struct Todo {
    /// What it is attached to.
    subject: Digest,
    digest: Digest,
    what: What,
}

/// What is to be made of it.
enum What {
    /// Something that claims to be signed.
    Claim {
        claim: Box<Claim>,
        /// Whether there are others in its manifest.
        one_of_many: bool,
        /// Whether it is among the first so many of the image.
        within: bool,
    },
    UnsignedSbom,
    Other,
}

impl Examiner {
    /// With this trusted root; without one nothing is verified.
    pub(super) fn new(trust: Option<Arc<Trusted>>) -> Self {
        Self { trust, room: Arc::new(Semaphore::new(KIB_AT_ONCE as usize)) }
    }

    /// Reads and verifies all of it, on as many cores as there are. What the trusted root says about each does not depend on the
    /// policy, and is remembered.
    pub(super) async fn examine(
        &self,
        closure: &Closure,
        contents: &Contents,
        repository: &RepositoryName,
    ) -> Result<Examination, GatherError> {
        let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let current = self.current().await;
        let (trust, stale) = current.map_or((None, None), |current| (Some(current.root), current.stale));
        let trust = trust.as_ref();
        let examined = stream::iter(todo(closure)).map(|Todo { subject, digest, what }| async move {
            let (layer, examined) = match what {
                What::Claim { claim, one_of_many, within } => {
                    let layer = one_of_many.then(|| claim.layer.digest.clone());
                    let examined = match within {
                        true => self.claim(trust, &subject, *claim, contents, repository).await?,
                        false => Examined::Unread("too many are attached to the image"),
                    };
                    (layer, examined)
                }
                What::UnsignedSbom => (None, Examined::UnsignedSbom),
                What::Other => (None, Examined::Other),
            };
            Ok::<_, GatherError>((subject, Attached { digest, layer, examined }))
        });
        Ok(Examination { all: examined.buffered(cores).try_collect().await?, stale })
    }

    /// One trusted root for all of an image.
    async fn current(&self) -> Option<Current> {
        let trust = self.trust.clone()?;
        Some(
            tokio::task::spawn_blocking(move || trust.current())
                .await
                .expect("reading a file does not panic and is not cancelled"),
        )
    }

    /// Reads one claim and verifies it for what it is attached to.
    async fn claim(
        &self,
        trust: Option<&Arc<TrustRoot>>,
        subject: &Digest,
        claim: Claim,
        contents: &Contents,
        repository: &RepositoryName,
    ) -> Result<Examined, GatherError> {
        let Some(trust) = trust.cloned() else {
            return Ok(Examined::Unread("there is no trusted root to verify it with"));
        };
        let layer = claim.layer.digest.clone();
        let Some(blob) = contents.blob(repository, &layer).await? else {
            // One that lives elsewhere is copied as it is, and nobody here goes where a manifest says.
            return match claim.layer.is_external() {
                true => Ok(Examined::Unread("it lies outside of the registry")),
                false => Err(GatherError::Missing { digest: layer }),
            };
        };
        let size = blob.value.size();
        if size > verify::MAX_BUNDLE as u64 {
            return Ok(Examined::Unread("it is too large"));
        }
        let kib = u32::try_from(size >> 10).unwrap_or(KIB_AT_ONCE).clamp(1, KIB_AT_ONCE);
        let room = Arc::clone(&self.room).acquire_many_owned(kib).await.expect("the semaphore is never closed");
        let pieces = blob.value.read(0..size).await?.try_collect::<Vec<Bytes>>().await;
        let bytes = pieces.map_err(|source| GatherError::Bytes { source })?.concat();
        let (form, claimed, about) = (claim.form, claim.predicate_type.clone(), subject.clone());
        let verdict = tokio::task::spawn_blocking(move || {
            // The bytes that will be copied are those of the digest; what a disk makes of them is not to be verified.
            let verdict = claim.layer.digest.verify(&bytes).then(|| trust.examine(&about, &claim, &bytes));
            drop(room);
            verdict
        });
        let verdict = verdict.await.expect("verifying does not panic and is not cancelled");
        verdict.map(|verdict| Examined::Claim { form, claimed, verdict }).ok_or(GatherError::Unreadable { digest: layer })
    }
}

/// Everything attached, in the order of the closure; of a manifest with several signatures each one.
fn todo(closure: &Closure) -> Vec<Todo> {
    let (mut todo, mut claims) = (Vec::new(), 0);
    for node in closure.attachments() {
        let Role::Attached(subject) = &node.role else { continue };
        let mut add = |what| todo.push(Todo { subject: subject.clone(), digest: node.digest().clone(), what });
        let found = Claim::all_of(node.document());
        let one_of_many = found.len() > 1;
        match Attachment::of(node.document()) {
            Attachment::UnsignedSbom => add(What::UnsignedSbom),
            _ if found.is_empty() => add(What::Other),
            _ => {
                for claim in found {
                    claims += 1;
                    add(What::Claim { claim: Box::new(claim), one_of_many, within: claims <= MAX_CLAIMS });
                }
            }
        }
    }
    todo
}

impl Examination {
    /// What a policy looks at, the promoted manifest first: it alone, or every manifest of it that could be run too.
    ///
    /// Attestations that BuildKit puts into an index are not among these. They are no images, are never pulled as such, and nobody
    /// attests SBOMs of them; that they belong there is said by the signature over the index, which names their digests. One that
    /// holds anything but statements is treated as an image, whatever the index calls it.
    pub(super) fn subjects(self, closure: &Closure, require: Require) -> Vec<Subject> {
        let mut subjects: Vec<Subject> = Vec::new();
        for (at, node) in closure.image().enumerate() {
            if at == 0 || (require == Require::RootAndChildren && could_be_run(node)) {
                let place = Place { digest: node.digest().clone(), role: role(node, at == 0) };
                subjects.push(Subject { place, attached: Vec::new() });
            }
        }
        for (on, attached) in self.all {
            if let Some(subject) = subjects.iter_mut().find(|subject| subject.place.digest == on) {
                subject.attached.push(attached);
            }
        }
        subjects
    }

    /// How many signatures were verified, and how many attestations of each kind.
    pub(super) fn counts(&self) -> (u64, Vec<AttestationCount>) {
        let (mut signatures, mut attestations) = (0, Vec::<AttestationCount>::new());
        for evidence in self.verdicts().filter_map(|(_, _, verdict)| verdict.as_ref().as_ref().ok()) {
            match &evidence.kind {
                Proves::Signature => signatures += 1,
                Proves::Attestation { predicate_type } => {
                    match attestations.iter_mut().find(|known| known.predicate_type == *predicate_type) {
                        Some(known) => known.count += 1,
                        None => attestations.push(AttestationCount { predicate_type: predicate_type.clone(), count: 1 }),
                    }
                }
            }
        }
        attestations.sort_by(|one, two| one.predicate_type.cmp(&two.predicate_type));
        (signatures, attestations)
    }

    /// What claims to be signed and proves nothing, and why.
    pub(super) fn unverified(&self) -> Vec<Unverified> {
        let refused = self.verdicts().filter_map(|(subject, attached, verdict)| {
            let refused = verdict.as_ref().as_ref().err()?;
            Some(Unverified {
                digest: attached.digest.clone(),
                layer: attached.layer.clone(),
                subject: subject.clone(),
                code: refused.code().to_owned(),
                reason: chassis::reason::one_line(&refused.to_string()),
            })
        });
        refused.take(MAX_UNVERIFIED).collect()
    }

    /// How many were not looked at.
    pub(super) fn unread(&self) -> usize {
        self.all.iter().filter(|(_, attached)| matches!(attached.examined, Examined::Unread(_))).count()
    }

    /// Manifests whose signatures are all in the form of cosign 2 and that carry bundles too. Released clients that find a bundle,
    /// whatever is in it, do not look for the older forms, so to them such an image is not signed.
    pub(super) fn hidden(&self) -> BTreeSet<&Digest> {
        let (mut older, mut bundled, mut signed) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        for (subject, attached) in &self.all {
            let Examined::Claim { form, .. } = &attached.examined else { continue };
            let signature = attached.evidence().is_some_and(|evidence| evidence.kind == Proves::Signature);
            if !form.is_legacy() {
                bundled.insert(subject);
            }
            if signature {
                let set = if form.is_legacy() { &mut older } else { &mut signed };
                set.insert(subject);
            }
        }
        older.retain(|subject| bundled.contains(subject) && !signed.contains(subject));
        older
    }

    fn verdicts(&self) -> impl Iterator<Item = (&Digest, &Attached, &Verdict)> {
        self.all.iter().filter_map(|(subject, attached)| match &attached.examined {
            Examined::Claim { verdict, .. } => Some((subject, attached, verdict)),
            _ => None,
        })
    }
}

/// Whether a member of an index is one that a policy asks about: every manifest but indexes, whose members are asked about instead,
/// and BuildKit's attestations.
fn could_be_run(node: &Node) -> bool {
    let attestation = matches!(node.role, Role::Image { attestation: true, .. }) && holds_statements_alone(node.document());
    node.document().kind() != Kind::Index && !attestation
}

fn role(node: &Node, root: bool) -> String {
    match &node.role {
        Role::Image { platform: Some(platform), .. } => platform.to_string(),
        _ if root && node.document().kind() == Kind::Index => "index".to_owned(),
        _ => "manifest".to_owned(),
    }
}
