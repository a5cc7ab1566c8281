//! What refers to a digest: the referrers API, or the tag that stands in for it.

use futures_util::{StreamExt, TryStreamExt, stream};
use oci::{Digest, Listed, MAX_MANIFEST_BYTES, ReferrersError, ReferrersIndex, RepositoryName, Target, fallback_tag, media_type};

use crate::auth::Scope;
use crate::error::RegistryError;
use crate::exchange::Call;
use crate::manifest::Fetched;
use crate::observe::Kind;
use crate::{Registry, link};

/// The most pages of one listing.
const PAGES: usize = 100;
/// The most entries of one listing.
const ENTRIES: usize = 20_000;
/// How many listed manifests are fetched at a time.
const AT_A_TIME: usize = 8;

/// Where a listing comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// The referrers API.
    Api,
    /// The fallback tag.
    FallbackTag,
}

/// What a registry says refers to a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Referrers {
    /// Candidates in the registry's order, each digest once.
    pub entries: Vec<Listed>,
    /// Where they come from.
    pub source: Source,
    /// What was found under the fallback tag that is no listing, if something was.
    pub ignored: Option<ReferrersError>,
}

impl Registry {
    /// What `repository` says refers to `subject`, unverified: by the API, else by the fallback tag. An API that knows of nothing is
    /// not believed alone, since some registries answer it with an empty list whatever they hold.
    ///
    /// # Errors
    /// [`RegistryError`]. A registry that is out of order is never an empty list.
    pub async fn referrers(&self, repository: &RepositoryName, subject: &Digest) -> Result<Referrers, RegistryError> {
        match self.listed_by_api(repository, subject).await? {
            Some(entries) if !entries.is_empty() => Ok(Referrers { entries, source: Source::Api, ignored: None }),
            answer => {
                let api = answer.is_some();
                let (entries, ignored) = self.listed_under_tag(repository, subject).await?;
                let source = if api && entries.is_empty() { Source::Api } else { Source::FallbackTag };
                Ok(Referrers { entries, source, ignored })
            }
        }
    }

    /// The listed manifests that really have `subject` as their subject, in the registry's order. What the listing says of them is not
    /// believed, and a listed manifest that is not there, or is none, is passed over.
    ///
    /// # Errors
    /// [`RegistryError`], also when one of the manifests cannot be had for now: a list without it would look complete.
    pub async fn verified_referrers(&self, repository: &RepositoryName, subject: &Digest) -> Result<Vec<Fetched>, RegistryError> {
        let listed = self.referrers(repository, subject).await?.entries;
        let fetch = async |entry: Listed| match self.manifest(repository, &Target::Digest(entry.digest)).await {
            Ok(fetched) => Ok(Some(fetched)),
            Err(RegistryError::NotFound { .. } | RegistryError::Malformed { .. } | RegistryError::DigestMismatch { .. }) => {
                Ok(None)
            }
            Err(error) => Err(error),
        };
        let fetched: Vec<Option<Fetched>> = stream::iter(listed).map(fetch).buffered(AT_A_TIME).try_collect().await?;
        let refers = |fetched: &Fetched| fetched.manifest.subject().is_some_and(|found| found.digest == *subject);
        Ok(fetched.into_iter().flatten().filter(refers).collect())
    }

    /// `None` when the registry has no such API.
    async fn listed_by_api(&self, repository: &RepositoryName, subject: &Digest) -> Result<Option<Vec<Listed>>, RegistryError> {
        let known = &self.inner.referrers_api;
        if known.get(repository) == Some(false) {
            return Ok(None);
        }
        let unsupported = || {
            if !known.contains_key(repository) {
                known.insert(repository.clone(), false);
            }
            Ok(None)
        };
        let mut found = Unique::default();
        let mut next = Some(self.url(repository, &format!("referrers/{subject}")));
        for page in 0..PAGES {
            let Some(url) = next else { break };
            let call =
                Call::get(Kind::Referrers, url, Scope::pull(repository), format!("referrers of {subject} in {repository}"));
            let call = Call { accept: Some(media_type::IMAGE_INDEX), ..call };
            let answer = match self.document(&call, MAX_MANIFEST_BYTES).await {
                Ok(answer) => answer,
                Err(error) if page == 0 && is_unsupported(&error) => return unsupported(),
                Err(error) => return Err(error),
            };
            match ReferrersIndex::parse(answer.header("content-type"), &answer.body) {
                Ok(index) => found.extend(index.entries),
                Err(_) if page == 0 => return unsupported(),
                Err(error) => return Err(self.inner.malformed("a page of referrers", error.to_string())),
            }
            next = link::next(&answer.url, &answer.headers);
        }
        known.insert(repository.clone(), true);
        if next.is_some() || found.entries.len() > ENTRIES {
            return Err(self
                .inner
                .malformed("a listing of referrers", format!("it has more than {PAGES} pages or {ENTRIES} entries")));
        }
        Ok(Some(found.entries))
    }

    async fn listed_under_tag(
        &self,
        repository: &RepositoryName,
        subject: &Digest,
    ) -> Result<(Vec<Listed>, Option<ReferrersError>), RegistryError> {
        let call = self.manifest_call(repository, &Target::Tag(fallback_tag(subject)));
        let answer = match self.document(&call, MAX_MANIFEST_BYTES).await {
            Ok(answer) => answer,
            Err(RegistryError::NotFound { .. }) => return Ok((Vec::new(), None)),
            Err(error) => return Err(error),
        };
        match ReferrersIndex::parse_fallback(subject, answer.header("content-type"), &answer.body) {
            Ok(index) => {
                let mut found = Unique::default();
                found.extend(index.entries);
                Ok((found.entries, None))
            }
            Err(ignored) => Ok((Vec::new(), Some(ignored))),
        }
    }
}

/// Entries in the order of their first appearance.
#[derive(Default)]
struct Unique {
    entries: Vec<Listed>,
    seen: std::collections::HashSet<Digest>,
}

impl Unique {
    fn extend(&mut self, entries: Vec<Listed>) {
        let new = entries.into_iter().filter(|entry| self.seen.insert(entry.digest.clone()));
        self.entries.extend(new);
    }
}

/// How registries without the API answer it. A repository that is not there answers the same way; its fallback tag is not there
/// either.
fn is_unsupported(error: &RegistryError) -> bool {
    matches!(error, RegistryError::NotFound { .. } | RegistryError::Refused { status: 400 | 405 | 406 | 501, .. })
}
