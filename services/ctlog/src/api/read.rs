//! What monitors and auditors read.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use merkle::Hash;
use serde::Deserialize;
use serde_json::{Value, json};
use tlog::Stored;

use crate::error::RequestError;
use crate::start::App;

/// The most entries one `get-entries` answers: enough for a monitor that does not ask again after a short answer.
const MOST_ENTRIES: u64 = 10_000;

/// The most bytes of entries one `get-entries` answers.
const MOST_BYTES: usize = 32 << 20;

/// Entries read from the store at a time.
const PAGE: u64 = 256;

type Answer = Result<Json<Value>, RequestError>;

pub(super) async fn roots(State(app): State<Arc<App>>) -> Json<Value> {
    let certificates: Vec<String> = app.roots.certificates().iter().map(|root| STANDARD.encode(root.der())).collect();
    Json(json!({ "certificates": certificates }))
}

pub(super) async fn sth(State(app): State<Arc<App>>) -> Answer {
    let head = app.log.checkpoint();
    let (checkpoint, signature) = app.heads.signature(&head.note).map_err(|_| RequestError::Damaged)?;
    let bytes = signature.signature.to_bytes().map_err(|_| RequestError::Damaged)?;
    Ok(Json(json!({
        "tree_size": checkpoint.size,
        "timestamp": signature.timestamp,
        "sha256_root_hash": encoded(&checkpoint.root),
        "tree_head_signature": STANDARD.encode(bytes),
    })))
}

#[derive(Deserialize)]
pub(super) struct Consistency {
    first: Option<String>,
    second: Option<String>,
}

pub(super) async fn consistency(State(app): State<Arc<App>>, Query(query): Query<Consistency>) -> Answer {
    let (first, second) = (number("first", query.first.as_deref())?, number("second", query.second.as_deref())?);
    if first > second {
        return Err(RequestError::Parameter(format!("first is {first}, second is {second}; expected first <= second")));
    }
    // The empty tree is a prefix of every tree; there is nothing to prove.
    let proof = match first {
        0 if second <= app.log.checkpoint().size => Vec::new(),
        _ => app.log.consistency_proof(first, second).await?,
    };
    Ok(Json(json!({ "consistency": hashes(&proof) })))
}

#[derive(Deserialize)]
pub(super) struct ProofByHash {
    hash: Option<String>,
    tree_size: Option<String>,
}

pub(super) async fn proof_by_hash(State(app): State<Arc<App>>, Query(query): Query<ProofByHash>) -> Answer {
    let text = query.hash.unwrap_or_default();
    // An unescaped + arrives as a space; upstream clients are known to forget.
    let hash = STANDARD.decode(text.replace(' ', "+")).ok().and_then(|bytes| Hash::try_from(bytes.as_slice()).ok());
    let hash = hash.ok_or_else(|| RequestError::Parameter(format!("hash is {text:?}; expected 32 bytes in base64")))?;
    let size = number("tree_size", query.tree_size.as_deref())?;
    if size == 0 {
        return Err(RequestError::Parameter("tree_size is 0; expected at least 1".into()));
    }
    let published = app.log.checkpoint().size;
    if size > published {
        return Err(RequestError::NotFound(format!("tree_size is {size}, the log has {published} entries")));
    }
    let index = app.log.index_of(&hash).await?.filter(|index| *index < size);
    let index = index.ok_or_else(|| RequestError::NotFound(format!("no leaf with this hash in a tree of {size} entries")))?;
    let path = app.log.inclusion_proof(index, size).await?;
    Ok(Json(json!({ "leaf_index": index, "audit_path": hashes(&path) })))
}

#[derive(Deserialize)]
pub(super) struct Entries {
    start: Option<String>,
    end: Option<String>,
}

pub(super) async fn entries(State(app): State<Arc<App>>, Query(query): Query<Entries>) -> Answer {
    let (start, end) = (number("start", query.start.as_deref())?, number("end", query.end.as_deref())?);
    let size = app.log.checkpoint().size;
    if start > end || start >= size {
        let text = format!("start is {start}, end is {end}, the log has {size} entries; expected start <= end and start < {size}");
        return Err(RequestError::Parameter(text));
    }
    let last = end.min(size - 1).min(start.saturating_add(MOST_ENTRIES - 1));
    let (mut found, mut bytes) = (Vec::new(), 0);
    for from in (start..=last).step_by(PAGE as usize) {
        let page = app.log.entries(from..(from + PAGE).min(last + 1)).await?;
        bytes += page.iter().map(|entry| entry.data.len() + entry.extra.len()).sum::<usize>();
        found.extend(page.iter().map(entry_json));
        if bytes > MOST_BYTES {
            break;
        }
    }
    Ok(Json(json!({ "entries": found })))
}

#[derive(Deserialize)]
pub(super) struct EntryAndProof {
    leaf_index: Option<String>,
    tree_size: Option<String>,
}

pub(super) async fn entry_and_proof(State(app): State<Arc<App>>, Query(query): Query<EntryAndProof>) -> Answer {
    let index = number("leaf_index", query.leaf_index.as_deref())?;
    let size = number("tree_size", query.tree_size.as_deref())?;
    if index >= size {
        let text = format!("leaf_index is {index}, tree_size is {size}; expected leaf_index < tree_size");
        return Err(RequestError::Parameter(text));
    }
    let path = app.log.inclusion_proof(index, size).await?;
    let mut found = app.log.entries(index..index + 1).await?;
    let mut answer = entry_json(&found.pop().ok_or(RequestError::Damaged)?);
    answer["audit_path"] = hashes(&path);
    Ok(Json(answer))
}

fn entry_json(entry: &Stored) -> Value {
    json!({ "leaf_input": STANDARD.encode(&entry.data), "extra_data": STANDARD.encode(&entry.extra) })
}

/// Always a list, never null: some readers take the empty one for an error.
fn hashes(path: &[Hash]) -> Value {
    path.iter().map(encoded).collect()
}

fn encoded(hash: &Hash) -> String {
    STANDARD.encode(hash)
}

fn number(name: &str, text: Option<&str>) -> Result<u64, RequestError> {
    let text = text.ok_or_else(|| RequestError::Parameter(format!("{name} is missing; expected a whole number")))?;
    text.parse().map_err(|_| RequestError::Parameter(format!("{name} is {text}; expected a whole number from 0")))
}
