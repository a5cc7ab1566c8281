//! What is attached to a digest, as the manifests themselves say it.
//!
//! The upstream's listing says only where to look. Registries without the referrers API keep a list under a tag, which anybody
//! who may push has written, which is known to be wrong about artifact types and annotations, and under which some registries answer
//! something else altogether. So each entry is fetched, must have the subject, and is listed with what it says of itself.

use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use oci::{Descriptor, Digest, Listed, Manifest};
use registry::Registry;

use super::{EXACT, Proxied, UpstreamError, metric};
use crate::contents::{Freshness, Read};
use crate::store::{Referrer, SeenReferrers, StoredManifest};

/// How many listed manifests, or blobs of theirs, are fetched at a time.
const AT_ONCE: usize = 8;
/// The largest blob of an attached manifest that is fetched before anybody asks for it. Signatures and attestations are smaller.
const EAGER: u64 = 1 << 20;
/// The most blobs that one listing fetches before anybody asks for them.
const MOST_EAGER: usize = 256;

impl Proxied {
    /// What is attached to `subject`, in the upstream's order.
    ///
    /// # Errors
    /// [`UpstreamError`]: also when only one of the listed manifests cannot be had for now. A list without it would look complete.
    pub(crate) async fn referrers(&self, subject: &Digest) -> Result<Read<Arc<[Referrer]>>, UpstreamError> {
        let read = |seen: SeenReferrers, freshness| Read { value: seen.referrers, freshness: Some(self.count(freshness)) };
        let seen = self.seen_referrers(subject).await?;
        match &seen {
            Some(found) => {
                if let Some(freshness) = self.without_asking(found.seen) {
                    return Ok(read(found.clone(), freshness));
                }
            }
            // Nobody ever asked: what came along with other questions is all there is.
            None if self.upstream.offline => {
                let referrers = self.upstream.store.referrers(&self.local, subject).await?;
                return Ok(Read { value: referrers, freshness: Some(self.count(self.kept())) });
            }
            None => {}
        }
        let (proxied, named) = (self.clone(), self.named(subject.clone()));
        let ask = || async move { proxied.ask_referrers(&named.1, seen).await };
        let (found, freshness) = self.upstream.asking.referrers.join(self.named(subject.clone()), ask).await?;
        Ok(read(found, freshness))
    }

    /// 1. What the upstream says, by the API or under the fallback tag.
    /// 2. Each manifest of it, of which those are kept that have this subject.
    /// 3. The list, durable before it is answered: it is what is served when the upstream is gone.
    async fn ask_referrers(
        &self,
        subject: &Digest,
        seen: Option<SeenReferrers>,
    ) -> Result<(SeenReferrers, Freshness), UpstreamError> {
        let registry = &self.upstream.registry;
        let registry = if seen.is_some() { registry.hasty() } else { registry.clone() };
        match (self.attached(subject, &registry).await, seen) {
            (Ok(found), seen) => {
                let unchanged = seen.is_some_and(|seen| seen.referrers == found.referrers);
                Ok((found, if unchanged { Freshness::Hit { age: jiff::SignedDuration::ZERO } } else { Freshness::Miss }))
            }
            (Err(error), Some(seen)) if error.is_outage() => {
                let freshness = self.stale(seen.seen);
                Ok((seen, freshness))
            }
            (Err(error), _) => Err(error),
        }
    }

    async fn attached(&self, subject: &Digest, registry: &Registry) -> Result<SeenReferrers, UpstreamError> {
        let listing = registry.referrers(&self.remote, subject).await.map_err(|error| self.failed(error))?;
        metric::listed(self.upstream.prefix.as_str(), listing.source);
        if let Some(ignored) = &listing.ignored {
            tracing::warn!(repository = %self.local, %subject, reason = %ignored, "what lies under the fallback tag of the referrers API is no listing");
        }
        let fetch = |entry| self.referrer(subject, entry, registry);
        let fetched: Vec<Option<_>> = stream::iter(listing.entries).map(fetch).buffered(AT_ONCE).try_collect().await?;
        let manifests: Vec<Arc<StoredManifest>> = fetched.into_iter().flatten().collect();
        let digests: Vec<Digest> = manifests.iter().map(|manifest| manifest.digest.clone()).collect();
        let now = self.upstream.clock.now();
        let mut stored = self.upstream.store.seen_referrers(self.behind(), subject).await?;
        let same = |stored: &SeenReferrers| stored.referrers.iter().map(|referrer| &referrer.digest).eq(&digests);
        if !stored.as_ref().is_some_and(|stored| same(stored) && self.age(stored.seen) < EXACT) {
            self.upstream.store.see_referrers(self.behind(), subject, &digests).await?;
            stored = self.upstream.store.seen_referrers(self.behind(), subject).await?;
        }
        self.fetch_contents(manifests);
        let referrers = stored.map_or_else(|| Arc::new([]) as Arc<[_]>, |stored| stored.referrers);
        let found = SeenReferrers { referrers, seen: now };
        self.upstream.referrers.insert(self.named(subject.clone()), found.clone());
        Ok(found)
    }

    /// A listed manifest, if it is there and has the subject. One that is no manifest, or another than its digest says, is nobody's
    /// signature; whoever may push to a registry without the API can list it, and must not make the others disappear with it.
    async fn referrer(
        &self,
        subject: &Digest,
        entry: Listed,
        registry: &Registry,
    ) -> Result<Option<Arc<StoredManifest>>, UpstreamError> {
        match self.manifest_of(&entry.digest, registry).await {
            Ok(found) => Ok(found.filter(|manifest| manifest.subject.as_ref() == Some(subject))),
            Err(UpstreamError::Wrong { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn seen_referrers(&self, subject: &Digest) -> Result<Option<SeenReferrers>, UpstreamError> {
        match self.upstream.referrers.get(&self.named(subject.clone())) {
            Some(seen) => Ok(Some(seen)),
            None => Ok(self.upstream.store.seen_referrers(self.behind(), subject).await?),
        }
    }

    /// Fetches the small blobs of what is attached, in the background: an image that was looked at once can be verified when the
    /// upstream is gone.
    fn fetch_contents(&self, manifests: Vec<Arc<StoredManifest>>) {
        let proxied = self.clone();
        tokio::spawn(async move {
            let contents = manifests.iter().filter_map(|manifest| contents(manifest)).flatten();
            let small = contents.filter(|content| content.size <= EAGER && !content.is_external()).map(|content| content.digest);
            let fetch = |digest: Digest| {
                let proxied = proxied.clone();
                async move {
                    // Who asks for it will be told why it cannot be had.
                    let _ = proxied.bring(&digest).await;
                }
            };
            let digests: Vec<Digest> = small.take(MOST_EAGER).collect();
            stream::iter(digests).for_each_concurrent(AT_ONCE, fetch).await;
        });
    }
}

fn contents(manifest: &StoredManifest) -> Option<Vec<Descriptor>> {
    let manifest = Manifest::parse(Some(&manifest.media_type), manifest.bytes.clone()).ok()?;
    Some(manifest.contents().cloned().collect())
}
