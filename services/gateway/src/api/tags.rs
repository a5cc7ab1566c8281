//! `/v2/<name>/tags/list` and `/v2/_catalog`.

use oci::{RepositoryName, Tag};
use serde_json::json;

use super::base;
use super::error::ApiError;
use super::page::Page;
use super::path::PathError;
use super::{Answer, Asked};

/// The tags of a repository, in the order of their bytes.
pub(super) async fn list(asked: &Asked<'_>, repository: &RepositoryName) -> Answer {
    asked.caller.may_pull(repository)?;
    let page = Page::of(asked.query)?;
    let last = page.last.as_deref().map(str::parse::<Tag>).transpose().map_err(PathError::from)?;
    let found = asked.app.contents.tags(repository, last.as_ref(), page.look_for()).await?;
    let mut tags = found.ok_or_else(|| ApiError::RepositoryUnknown { repository: repository.clone() })?;
    let more = tags.len() > page.size;
    tags.truncate(page.size);
    let mut response = base::json(json!({"name": repository, "tags": tags}).to_string());
    if let (true, Some(last)) = (more, tags.last()) {
        page.link(&format!("/v2/{repository}/tags/list"), last.as_str(), &mut response);
    }
    Ok(response)
}

/// The repositories, in the order of their bytes. Not part of the specification; docker's registry has it, and tools use it.
pub(super) async fn catalog(asked: &Asked<'_>) -> Answer {
    asked.caller.may_list()?;
    let page = Page::of(asked.query)?;
    let last = page.last.as_deref().map(str::parse::<RepositoryName>).transpose().map_err(PathError::from)?;
    let mut repositories = asked.app.contents.repositories(last.as_ref(), page.look_for()).await?;
    let more = repositories.len() > page.size;
    repositories.truncate(page.size);
    let mut response = base::json(json!({"repositories": repositories}).to_string());
    if let (true, Some(last)) = (more, repositories.last()) {
        page.link("/v2/_catalog", last.as_str(), &mut response);
    }
    Ok(response)
}
