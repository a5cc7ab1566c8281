//! `POST /api/v2/log/entries`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use chassis::ClientAddress;
use entry::HashedRekordRequest;

use super::App;
use super::answer::logged_entry;
use super::error::WriteError;
use super::gateway::json_answer;
use super::metric;
use super::submission::HashedrekordSubmission;

/// Takes in one entry; answers when it is durable and covered by a published checkpoint: with witnesses, one that they have cosigned.
///
/// An entry that is there already is answered like a new one: a retry after a lost answer is where equal entries come from,
/// and no client gets past a 409. The header tells the two apart.
pub(super) async fn create_entry(
    State(app): State<Arc<App>>,
    ClientAddress(client): ClientAddress,
    body: Bytes,
) -> Result<Response, WriteError> {
    const LOG_INDEX: HeaderName = HeaderName::from_static("x-log-index");
    // Whoever finds no place is refused before any work is done for it.
    let place = app.log.admit(client, body.len())?;
    // One signature verification: handing it to another thread costs a fifth more than doing it on this worker.
    let entry = HashedRekordRequest::from_json(&body)?.verify()?;
    let appended = app.log.append_in(place, Arc::new(HashedrekordSubmission(entry))).await?;
    let appended = app.published(appended).await?;
    let existing = appended.duplicate.then_some(appended.index);

    let mut response = json_answer(StatusCode::CREATED, logged_entry(app.log_id, appended)?.to_json());
    match existing {
        Some(index) => drop(response.headers_mut().insert(LOG_INDEX, HeaderValue::from(index))),
        None => metric::new_entry(),
    }
    Ok(response)
}
