//! An image as it lies in a registry, with everything attached to it, verified here.

use std::collections::HashSet;

use evidence::{Attachment, Claim, Evidence, Form};
use futures_util::future::{LocalBoxFuture, try_join_all};
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use oci::{Descriptor, Digest, Kind, Manifest, Reference, RepositoryName, Target};
use registry::{Credentials, Fetched, Registry, RegistryError, Settings};
use verify::Verifier;

use super::place::{self, Place};
use crate::failure::{Failure, Outcome};

/// Requests that one command has under way at a time.
const AT_ONCE: usize = 8;

/// The most manifests that are looked at: anybody who may push can attach more.
const MOST: usize = 1_000;

/// How far indexes in indexes, and attachments of attachments, are followed.
const DEEPEST: usize = 8;

/// A repository, and whom to trust about what is in it.
pub(super) struct Reader {
    registry: Registry,
    repository: RepositoryName,
    /// Where nobody said whom to trust, nothing is verified, and said so.
    verifier: Option<Verifier>,
}

/// An image.
#[derive(Debug)]
pub(super) struct Image {
    /// What the reference names.
    pub root: Node,
    /// Whether there is more attached than was looked at.
    pub cut: bool,
}

/// A manifest of an image.
#[derive(Debug)]
pub(super) struct Node {
    /// Its digest.
    pub digest: Digest,
    /// Itself; none where the registry holds the index and not this part of it.
    pub manifest: Option<Manifest>,
    /// What is attached to it, in the order in which it was.
    pub attached: Vec<Attached>,
    /// What is in it, if it is an index, with what each runs on.
    pub children: Vec<(String, Node)>,
}

impl Node {
    /// This manifest and every one in it.
    pub(super) fn all(&self) -> Vec<&Self> {
        let mut all = vec![self];
        all.extend(self.children.iter().flat_map(|(_, child)| child.all()));
        all
    }

    /// What it is, in a word.
    pub(super) fn word(&self) -> &'static str {
        match self.manifest.as_ref().map(Manifest::kind) {
            Some(Kind::Index) => "index",
            Some(Kind::Image | Kind::Artifact) | None => "manifest",
        }
    }
}

/// Something attached: a manifest, or one of several signatures in it.
#[derive(Debug)]
pub(super) struct Attached {
    /// The manifest's digest.
    pub digest: Digest,
    /// In which form it claims to be signed, if it does.
    pub form: Option<Form>,
    /// What it says it is.
    pub artifact_type: Option<String>,
    /// What it is.
    pub found: Found,
    /// What is attached to it in turn.
    pub attached: Vec<Attached>,
}

/// What something attached turned out to be.
#[derive(Debug)]
pub(super) enum Found {
    /// A claim that proves something about its subject.
    Proven(Evidence),
    /// One that does not.
    Refused {
        /// The stable code.
        code: &'static str,
        /// One line.
        reason: String,
    },
    /// A claim, and nobody to trust.
    Unchecked,
    /// Something that is not verified here, in words; without any where its artifact type says what there is to say.
    Other(&'static str),
}

impl Reader {
    /// A reader of the repository of `reference` at `place`.
    ///
    /// # Errors
    /// The trusted root or the secret cannot be read.
    pub(super) fn open(place: &Place, reference: &Reference) -> Outcome<Self> {
        let http = chassis::http_client_builder(&[]).map_err(|error| Failure::explained(&error))?;
        let mut settings = Settings::new(&place.base);
        settings.credentials = place.pull_token.as_deref().map(|file| place::secret(file, &place.base)).transpose()?.map(account);
        let registry = Registry::new(http, settings)
            .map_err(|error| Failure::because("usage", format!("{} is no registry", place.base), &error))?;
        let verifier = place.trusted_root.as_deref().map(place::verifier).transpose()?;
        Ok(Self { registry, repository: reference.repository.clone(), verifier })
    }

    /// The image that `target` names, with everything attached to it.
    ///
    /// # Errors
    /// It is not there, or the registry does not answer.
    pub(super) async fn image(&self, target: &Target) -> Outcome<Image> {
        let Fetched { digest, manifest } =
            self.registry.manifest(&self.repository, target).await.map_err(|error| self.failure(&error))?;
        let mut seen = HashSet::from([digest.clone()]);
        let root = self.node(digest, Some(manifest), &mut seen, 0).await?;
        Ok(Image { root, cut: seen.len() >= MOST })
    }

    /// A manifest with what is in it and what is attached to it. `seen` keeps one that is in itself, or attached to itself, by way of
    /// others, from being followed for ever.
    fn node<'a>(
        &'a self,
        digest: Digest,
        manifest: Option<Manifest>,
        seen: &'a mut HashSet<Digest>,
        depth: usize,
    ) -> LocalBoxFuture<'a, Outcome<Node>> {
        async move {
            let mut attached = self.attached(&digest, seen, 0).await?;
            attached.extend(self.legacy(&digest, seen).await?);
            let listed = manifest.iter().flat_map(Manifest::manifests).filter(|_| depth < DEEPEST);
            let fetched = listed.map(|child| async move { Ok::<_, Failure>((child, self.child(&child.digest).await?)) });
            let fetched: Vec<_> = stream::iter(fetched).buffered(AT_ONCE).try_collect().await?;
            let mut children = Vec::new();
            for (child, manifest) in fetched {
                if seen.len() < MOST && seen.insert(child.digest.clone()) {
                    children.push((role(child), self.node(child.digest.clone(), manifest, seen, depth + 1).await?));
                }
            }
            Ok(Node { digest, manifest, attached, children })
        }
        .boxed_local()
    }

    /// A manifest in an index. Whoever copies one platform of an image leaves the others out.
    async fn child(&self, digest: &Digest) -> Outcome<Option<Manifest>> {
        match self.registry.manifest(&self.repository, &Target::Digest(digest.clone())).await {
            Ok(Fetched { manifest, .. }) => Ok(Some(manifest)),
            Err(RegistryError::NotFound { .. }) => Ok(None),
            Err(error) => Err(self.failure(&error)),
        }
    }

    /// What is attached to `subject`, and to that.
    fn attached<'a>(
        &'a self,
        subject: &'a Digest,
        seen: &'a mut HashSet<Digest>,
        depth: usize,
    ) -> LocalBoxFuture<'a, Outcome<Vec<Attached>>> {
        async move {
            let listed =
                self.registry.verified_referrers(&self.repository, subject).await.map_err(|error| self.failure(&error))?;
            let new: Vec<Fetched> =
                listed.into_iter().filter(|listed| seen.len() < MOST && seen.insert(listed.digest.clone())).collect();
            let examined = new.into_iter().map(|fetched| self.examine(subject, fetched));
            let examined: Vec<_> = stream::iter(examined).buffered(AT_ONCE).try_collect().await?;
            let mut attached: Vec<Attached> = examined.into_iter().flatten().collect();
            let mut last = None;
            for one in attached.iter_mut().filter(|_| depth < DEEPEST) {
                // What is attached to a manifest with several signatures is shown at the first of them.
                if last.replace(one.digest.clone()).as_ref() == Some(&one.digest) {
                    continue;
                }
                one.attached = self.attached(&one.digest, seen, depth + 1).await?;
            }
            Ok(attached)
        }
        .boxed_local()
    }

    /// What is in an attached manifest: one thing, or as many as there are signatures in it.
    async fn examine(&self, subject: &Digest, Fetched { digest, manifest }: Fetched) -> Outcome<Vec<Attached>> {
        let artifact_type = manifest.artifact_type().map(str::to_owned);
        let attached = |form, found| Attached {
            digest: digest.clone(),
            form,
            artifact_type: artifact_type.clone(),
            found,
            attached: Vec::new(),
        };
        let claims = Claim::all_of(&manifest);
        if claims.is_empty() {
            return Ok(vec![attached(None, Found::Other(words(&Attachment::of(&manifest))))]);
        }
        let mut all = Vec::new();
        for claim in claims.iter().take(MOST) {
            all.push(attached(Some(claim.form), self.claim(subject, claim).await?));
        }
        Ok(all)
    }

    async fn claim(&self, subject: &Digest, claim: &Claim) -> Outcome<Found> {
        let Some(verifier) = &self.verifier else { return Ok(Found::Unchecked) };
        let bytes = match self.layer(&claim.layer.digest).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => {
                let reason = format!("it is larger than {} bytes", verify::MAX_BUNDLE);
                return Ok(Found::Refused { code: "bundle_too_large", reason });
            }
            Err(RegistryError::NotFound { .. }) => {
                return Ok(Found::Refused {
                    code: "image_not_found",
                    reason: "what was signed is not in the registry".to_owned(),
                });
            }
            Err(error) => return Err(self.failure(&error)),
        };
        Ok(match evidence::examine_claim(verifier, subject, claim, &bytes) {
            Ok(evidence) => Found::Proven(evidence),
            Err(refused) => Found::Refused { code: refused.code(), reason: refused.to_string() },
        })
    }

    /// The bytes of a bundle or of what was signed, which are those of the digest; `None` where they are more than of any.
    async fn layer(&self, digest: &Digest) -> Result<Option<Vec<u8>>, RegistryError> {
        let (mut stream, mut bundle) = (self.registry.blob(&self.repository, digest).await?, Vec::new());
        while let Some(bytes) = stream.next().await? {
            if bundle.len() + bytes.len() > verify::MAX_BUNDLE {
                return Ok(None);
            }
            bundle.extend_from_slice(&bytes);
        }
        Ok(Some(bundle))
    }

    /// What cosign attached before there were referrers: by a tag that spells the digest.
    async fn legacy(&self, subject: &Digest, seen: &mut HashSet<Digest>) -> Outcome<Vec<Attached>> {
        let tags = ["sig", "att", "sbom"].map(|ending| async move {
            let tag = format!("{}.{ending}", oci::fallback_tag(subject)).parse().expect("a tag with a short ending is a tag");
            match self.registry.manifest(&self.repository, &Target::Tag(tag)).await {
                Ok(fetched) => Ok(Some(fetched)),
                Err(RegistryError::NotFound { .. }) => Ok(None),
                Err(error) => Err(self.failure(&error)),
            }
        });
        let mut all = Vec::new();
        for fetched in try_join_all(tags).await?.into_iter().flatten() {
            // With `subject` it is a referrer too, and was looked at as one.
            if seen.len() < MOST && seen.insert(fetched.digest.clone()) {
                all.extend(self.examine(subject, fetched).await?);
            }
        }
        Ok(all)
    }

    fn failure(&self, error: &RegistryError) -> Failure {
        let (code, what, advice) = match error {
            RegistryError::NotFound { .. } => (
                "image_not_found",
                "there is no such image",
                "Check repository and tag; what needs a secret is shown with --token-file.",
            ),
            RegistryError::Unauthorised { .. } => {
                ("image_not_found", "this may not be read", "Give the secret with --token-file, or --dir D of the installation.")
            }
            RegistryError::Unreachable { .. } | RegistryError::Limited { .. } | RegistryError::Elsewhere { .. } => {
                ("registry_unreachable", "no answer", UNREACHABLE)
            }
            RegistryError::Refused { .. }
            | RegistryError::Malformed { .. }
            | RegistryError::DigestMismatch { .. }
            | RegistryError::TooLarge { .. } => {
                ("registry_answer", "no sensible answer", "Is this the address of a registry? If so, its own log says more.")
            }
        };
        Failure::new(code, format!("{what} at {}", self.registry.name())).detail(error.to_string()).advise(advice)
    }
}

/// What a manifest is in an index.
fn role(child: &Descriptor) -> String {
    match &child.platform {
        // As BuildKit lists what it says about how it built.
        Some(platform) if platform.is_unknown() => ATTESTATIONS.to_owned(),
        Some(platform) => platform.to_string(),
        None => "manifest".to_owned(),
    }
}

/// What a manifest of attestations inside an index is called in the place of its platform.
pub(super) const ATTESTATIONS: &str = "attestations";

/// What to do about a registry that does not answer.
pub(super) const UNREACHABLE: &str =
    "Is it running, and is this its address? A private certificate authority is named in SSL_CERT_FILE.";

fn words(attachment: &Attachment) -> &'static str {
    match attachment {
        Attachment::Bundle(_) | Attachment::LegacySignatures(_) | Attachment::LegacyAttestations(_) => "signed",
        Attachment::UnsignedSbom => "SBOM that nobody signed",
        Attachment::Notation => "Notation signature, not verified here",
        Attachment::Other => "",
    }
}

/// The user name means nothing: the secret is all there is.
fn account(secret: String) -> Credentials {
    Credentials { username: "chancery".to_owned(), password: secret.into() }
}
