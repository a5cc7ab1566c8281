//! `POST /api/v1/log/entries`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use chassis::ClientAddress;
use entry::v1::{ProposalError, ProposedEntry};
use tlog::Appended;

use super::App;
use super::answer::{Proven, json_answer};
use super::entry_id::EntryId;
use super::error::ApiError;
use super::media::json_in_json_out;
use super::metric;
use super::schema::SchemaError;
use super::submission::EntrySubmission;

/// Where entries are.
pub(super) const ENTRIES: &str = "/api/v1/log/entries";

/// Takes in one entry; answers when it is durable, found by its search keys, and covered by a signed checkpoint.
///
/// An entry that is there already is 409 with the place where it is: it is read there at once, since the twin was answered, or is
/// being answered, from the same commit.
pub(super) async fn create_entry(
    State(app): State<Arc<App>>,
    ClientAddress(client): ClientAddress,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, ApiError> {
    json_in_json_out(&headers)?;
    if body.is_empty() {
        return Err(SchemaError::required("proposedEntry", "body").into());
    }
    // Whoever finds no place is refused before any work is done for it.
    let admitted = app.admit(client, body.len())?;
    let entry =
        off_the_worker(body.len(), move || ProposedEntry::from_json(&body)?.verify()).await.map_err(ApiError::Proposal)?;
    let (tree, appended) = app.append(admitted, Arc::new(EntrySubmission(entry))).await?;
    let Appended { index, time, duplicate, leaf, proof, head } = appended;
    if duplicate {
        let id = EntryId { tree: tree.shard.tree, leaf: merkle::leaf_hash(&leaf.data) };
        return Err(ApiError::Exists { id, location: location(&uri, id) });
    }
    metric::new_entry();
    let answer = tree.answer(Proven { index, time, body: leaf.data, proof, head }).await?;
    let mut response = json_answer(StatusCode::CREATED, answer.json);
    // Neither quoted nor weak, whatever HTTP says: clients look the entry up in the body under the very bytes of this header.
    let named = [(header::ETAG, answer.id.to_string()), (header::LOCATION, location(&uri, answer.id))];
    for (name, value) in named {
        response.headers_mut().insert(name, HeaderValue::try_from(value).expect("hex digits, and a query that came in a URL"));
    }
    Ok(response)
}

/// Verifies on this worker what takes as long as handing it over, and elsewhere what would keep other requests waiting.
pub(super) async fn off_the_worker<T: Send + 'static>(
    length: usize,
    verify: impl FnOnce() -> Result<T, ProposalError> + Send + 'static,
) -> Result<T, ProposalError> {
    /// Beyond what clients send: one signature and its certificate are 5 KiB.
    const SHORT: usize = 64 << 10;
    if length <= SHORT {
        return verify();
    }
    match tokio::task::spawn_blocking(verify).await {
        Ok(verified) => verified,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

/// The path of an entry, with the query of the request but for its key: relative, since one client appends it to its base URL.
pub(super) fn location(uri: &Uri, id: EntryId) -> String {
    let keeps = |pair: &&str| !pair.is_empty() && pair.split('=').next() != Some("apiKey");
    let query: Vec<_> = uri.query().unwrap_or_default().split('&').filter(keeps).collect();
    let mark = if query.is_empty() { "" } else { "?" };
    format!("{ENTRIES}/{id}{mark}{}", query.join("&"))
}
