//! Where tags point.

use jiff::SignedDuration;
use oci::{Digest, Tag, Target};
use registry::{RegistryError, TagPage};

use super::{Absent, EXACT, Pointed, Proxied, UpstreamError};
use crate::contents::{Freshness, Read};
use crate::store::SeenTag;

impl Proxied {
    /// Where a tag points, as far as the upstream can still be believed about it. What it points to is here then.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub(crate) async fn resolve(&self, tag: &Tag) -> Result<Option<Read<Digest>>, UpstreamError> {
        let read = |(digest, freshness)| Read { value: digest, freshness: Some(self.count(freshness)) };
        let seen = self.seen_tag(tag).await?;
        match &seen {
            Some(seen) => {
                if let Some(freshness) = self.without_asking(seen.seen) {
                    return Ok(Some(read((seen.digest.clone(), freshness))));
                }
            }
            None if self.upstream.offline || self.upstream.absent.contains_key(&Absent::Tag(self.named(tag.clone()))) => {
                return Ok(None);
            }
            None => {}
        }
        let (proxied, named) = (self.clone(), self.named(tag.clone()));
        let ask = || async move { proxied.ask_tag(&named.1, seen).await };
        Ok(self.upstream.asking.tags.join(self.named(tag.clone()), ask).await?.map(read))
    }

    /// At most `count` tags behind `last`: the upstream's, in its order. While it is out of order or not to be called, those that
    /// were asked for before. Nothing for a repository that it does not have.
    ///
    /// # Errors
    /// [`UpstreamError`].
    pub(crate) async fn tags(&self, last: Option<&Tag>, count: usize) -> Result<Option<Vec<Tag>>, UpstreamError> {
        let known = self.upstream.store.seen_tags(self.behind(), last, count).await?;
        if self.upstream.offline {
            return Ok(Some(known));
        }
        match self.list(last, count).await {
            Ok(tags) => Ok(Some(tags)),
            Err(RegistryError::NotFound { .. }) => Ok(None),
            Err(error) => match self.failed(error) {
                outage if outage.is_outage() && !known.is_empty() => Ok(Some(known)),
                error => Err(error),
            },
        }
    }

    /// 1. Which digest the tag is now: asked by a head, which is not counted as a pull where pulls are counted.
    /// 2. What is new is fetched by its digest and stored. A crash leaves a manifest without a tag.
    /// 3. The tag: it never points to what is not here, so whatever becomes of the upstream, it can be served.
    async fn ask_tag(&self, tag: &Tag, seen: Option<SeenTag>) -> Result<Pointed, UpstreamError> {
        // Who has something older to give is not kept waiting for an upstream that is gone.
        let registry = &self.upstream.registry;
        let registry = if seen.is_some() { registry.hasty() } else { registry.clone() };
        let resolved = match registry.resolve(&self.remote, &Target::Tag(tag.clone())).await {
            Ok(resolved) => resolved,
            Err(RegistryError::NotFound { .. }) => return self.gone(tag, seen).await,
            Err(error) => return self.outage(self.failed(error), seen),
        };
        let unchanged = seen.as_ref().is_some_and(|seen| seen.digest == resolved.digest);
        if !unchanged {
            match self.manifest_of(&resolved.digest, &registry).await {
                Ok(Some(_)) => {}
                Ok(None) => return self.outage(self.contradicted(&resolved.digest), seen),
                Err(error) => return self.outage(error, seen),
            }
        }
        let seen = self.note_tag(tag, &resolved.digest).await?;
        let freshness = if unchanged { Freshness::Hit { age: SignedDuration::ZERO } } else { Freshness::Miss };
        Ok(Some((seen.digest, freshness)))
    }

    async fn seen_tag(&self, tag: &Tag) -> Result<Option<SeenTag>, UpstreamError> {
        let named = self.named(tag.clone());
        if let Some(seen) = self.upstream.tags.get(&named) {
            return Ok(Some(seen));
        }
        // Not remembered from here: a question under way may have been answered since, and only it remembers.
        Ok(self.upstream.store.seen_tag(self.behind(), tag).await?)
    }

    async fn note_tag(&self, tag: &Tag, digest: &Digest) -> Result<SeenTag, UpstreamError> {
        let now = self.upstream.clock.now();
        let stored = self.upstream.store.seen_tag(self.behind(), tag).await?;
        if !stored.is_some_and(|stored| stored.digest == *digest && self.age(stored.seen) < EXACT) {
            self.upstream.store.see_tag(self.behind(), tag, digest).await?;
        }
        let seen = SeenTag { digest: digest.clone(), seen: now };
        self.upstream.tags.insert(self.named(tag.clone()), seen.clone());
        Ok(seen)
    }

    /// The upstream is clear about it: the tag is gone, here too.
    async fn gone(&self, tag: &Tag, seen: Option<SeenTag>) -> Result<Pointed, UpstreamError> {
        if seen.is_some() {
            self.upstream.store.forget_tag(&self.local, tag).await?;
            self.upstream.tags.invalidate(&self.named(tag.clone()));
        }
        self.upstream.absent.insert(Absent::Tag(self.named(tag.clone())), ());
        Ok(None)
    }

    fn outage(&self, error: UpstreamError, seen: Option<SeenTag>) -> Result<Pointed, UpstreamError> {
        match seen {
            Some(seen) if error.is_outage() => Ok(Some((seen.digest, self.stale(seen.seen)))),
            _ => Err(error),
        }
    }

    fn contradicted(&self, digest: &Digest) -> UpstreamError {
        let (registry, reason) = (self.upstream.registry.name().to_owned(), format!("it names {digest}, which it does not have"));
        self.failed(RegistryError::Malformed { registry, expected: "a tag", reason })
    }

    async fn list(&self, last: Option<&Tag>, count: usize) -> Result<Vec<Tag>, RegistryError> {
        let mut tags: Vec<Tag> = Vec::new();
        while tags.len() < count {
            let behind = tags.last().or(last);
            let TagPage { tags: page, more } = self.upstream.registry.tags(&self.remote, behind, count - tags.len()).await?;
            // A registry that knows no pages begins anew each time.
            let again = page.is_empty() || page.first() == tags.first();
            if !again {
                tags.extend(page);
            }
            if again || !more {
                break;
            }
        }
        Ok(tags)
    }
}
