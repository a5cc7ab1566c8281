//! `POST /api/v1/log/entries/retrieve`: up to ten entries by id, by index, or by what was proposed.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use entry::v1::{Few, ProposedEntry};
use merkle::Hash;
use serde::Deserialize;

use super::App;
use super::answer::{Answer, json_answer};
use super::entry_id::{EntryId, Named, NoName, parse};
use super::error::{ApiError, MAX_RETRIEVED};
use super::media::{json_in_json_out, read_query};
use super::read::PATTERN;
use super::schema::SchemaError;
use super::write::off_the_worker;

/// What is asked for. Unknown members count for nothing.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Query {
    #[serde(default)]
    entries: Option<Few<ProposedEntry>>,
    #[serde(default, rename = "entryUUIDs")]
    entry_uuids: Option<Few<String>>,
    #[serde(default)]
    log_indexes: Option<Few<i64>>,
}

/// What is looked for, in the order in which it is answered.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub(super) named: Vec<EntryId>,
    pub(super) leaves: Vec<Hash>,
    pub(super) proposals: Vec<ProposedEntry>,
    pub(super) indexes: Vec<u64>,
}

/// Those entries that are there, in an array; what is not there is left out.
pub(super) async fn retrieve(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Result<Response, ApiError> {
    json_in_json_out(&headers)?;
    if body.is_empty() {
        return Err(SchemaError::required("entry", "body").into());
    }
    let length = body.len();
    let query = read_query("entry", &body)?;
    drop(body);
    let Wanted { named, mut leaves, proposals, indexes } = check(query)?;
    let located = off_the_worker(length, || proposals.into_iter().map(ProposedEntry::locate).collect::<Result<Vec<_>, _>>());
    leaves.extend(located.await.map_err(ApiError::Sought)?);

    // One state of the trees for all of them.
    let view = app.view_reaching(indexes.iter().max().map_or(0, |last| last.saturating_add(1))).await;
    let mut found: Vec<Answer> = Vec::new();
    for id in named {
        found.extend(view.named(Named::Entry(id)).await?);
    }
    for leaf in leaves {
        found.extend(view.named_everywhere(&leaf).await?);
    }
    for index in indexes {
        found.extend(view.at(index).await?);
    }
    let found: Vec<_> = found.into_iter().map(|answer| answer.json).collect();
    Ok(json_answer(StatusCode::OK, format!("[{}]", found.join(","))))
}

/// Each list has one to ten items when it is there, and all of them together ten.
pub(super) fn check(query: Query) -> Result<Wanted, ApiError> {
    let Query { entries, entry_uuids, log_indexes } = query;
    let counts = [
        bounded("entries", entries.as_ref())?,
        bounded("entryUUIDs", entry_uuids.as_ref())?,
        bounded("logIndexes", log_indexes.as_ref())?,
    ];
    let mut wanted = Wanted { proposals: items(entries), ..Wanted::default() };
    for (position, text) in items(entry_uuids).into_iter().enumerate() {
        match parse(&text) {
            Ok(Named::Entry(id)) => wanted.named.push(id),
            Ok(Named::Leaf(leaf)) => wanted.leaves.push(leaf),
            Err(NoName::Pattern) => return Err(SchemaError::pattern(&format!("entryUUIDs.{position}"), "body", PATTERN).into()),
            Err(NoName::Tree(tree)) => return Err(ApiError::NoTree { tree }),
        }
    }
    for (position, index) in items(log_indexes).into_iter().enumerate() {
        let index = u64::try_from(index).map_err(|_| SchemaError::minimum(&format!("logIndexes.{position}"), "body", 0))?;
        wanted.indexes.push(index);
    }
    if counts.iter().sum::<usize>() > MAX_RETRIEVED {
        return Err(ApiError::TooMany);
    }
    Ok(wanted)
}

fn bounded<T>(name: &str, list: Option<&Few<T>>) -> Result<usize, SchemaError> {
    match list.map(|list| list.count) {
        None => Ok(0),
        Some(0) => Err(SchemaError::too_few(name, 1)),
        Some(count) if count > MAX_RETRIEVED => Err(SchemaError::too_many(name, MAX_RETRIEVED)),
        Some(count) => Ok(count),
    }
}

fn items<T>(list: Option<Few<T>>) -> Vec<T> {
    list.map(|list| list.items).unwrap_or_default()
}
