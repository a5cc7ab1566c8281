//! Lists of tags.

use oci::{RepositoryName, Tag};
use serde::Deserialize;

use crate::auth::Scope;
use crate::error::RegistryError;
use crate::exchange::Call;
use crate::observe::Kind;
use crate::{Registry, link};

/// The longest page that is read: a thousand tags and much air.
const PAGE: usize = 1 << 20;
/// The largest page that every registry grants.
const MOST: usize = 1_000;

/// A part of a list of tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagPage {
    /// In the registry's order, which should be that of bytes. What is no tag is left out.
    pub tags: Vec<Tag>,
    /// Whether there are more behind the last one.
    pub more: bool,
}

#[derive(Deserialize)]
struct List {
    /// Go writes an empty list that was never made as `null`.
    tags: Option<Vec<String>>,
}

impl Registry {
    /// At most `n` tags behind `last`, and at most a thousand.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub async fn tags(&self, repository: &RepositoryName, last: Option<&Tag>, n: usize) -> Result<TagPage, RegistryError> {
        let n = n.clamp(1, MOST);
        let mut url = self.url(repository, "tags/list");
        url.query_pairs_mut().append_pair("n", &n.to_string()).extend_pairs(last.map(|last| ("last", last.as_str())));
        let call = Call::get(Kind::Tags, url, Scope::pull(repository), format!("repository {repository}"));
        let answer = self.document(&call, PAGE).await?;
        let list: List =
            serde_json::from_slice(&answer.body).map_err(|_| self.inner.malformed("a list of tags", "it is no JSON of one"))?;
        let all = list.tags.unwrap_or_default();
        let more = link::next(&answer.url, &answer.headers).is_some() || all.len() > n;
        let tags = all.iter().take(n).filter_map(|tag| tag.parse().ok()).collect();
        Ok(TagPage { tags, more })
    }
}
