//! `add-chain` and `add-pre-chain` (RFC 6962 §4.1, §4.2): one story, two doors.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use chassis::ClientAddress;
use ct::{AddChainRequest, AddChainResponse, DigitallySigned, LogId, Sct, TimestampedEntry};
use tlog::Leaf;

use crate::App;
use crate::chain::{self, ChainRefusal, Kind};
use crate::error::SubmitError;

/// `POST /ct/v1/add-chain`
pub(crate) async fn add_chain(
    State(app): State<Arc<App>>,
    client: ClientAddress,
    body: Bytes,
) -> Result<Json<AddChainResponse>, SubmitError> {
    app.submit(Kind::Certificate, client, &body).await.map(Json)
}

/// `POST /ct/v1/add-pre-chain`
pub(crate) async fn add_pre_chain(
    State(app): State<Arc<App>>,
    client: ClientAddress,
    body: Bytes,
) -> Result<Json<AddChainResponse>, SubmitError> {
    app.submit(Kind::Precertificate, client, &body).await.map(Json)
}

impl App {
    /// 1. find a place; 2. read the request; 3. accept its chain; 4. log it, or find it logged; 5. sign what the log holds.
    ///
    /// A crash before 4 is done leaves nothing; after it, an entry whose timestamp was not handed out. Submitting again finds it.
    async fn submit(&self, kind: Kind, client: ClientAddress, body: &[u8]) -> Result<AddChainResponse, SubmitError> {
        let place = self.log.admit(client.0, body.len())?;
        let request = AddChainRequest::from_json(body).map_err(ChainRefusal::Request)?;
        let submission = chain::accept(kind, &request, &self.roots.current(), self.leaf_index)?;
        let appended = self.log.append_in(place, Arc::new(submission)).await?;
        self.promise(&appended.leaf).await
    }

    /// The signed certificate timestamp of a stored leaf. Leaf and signed input are the same bytes (RFC 6962 §3.2, §3.4), so time
    /// and extensions are those of the first submission, whatever was sent this time.
    async fn promise(&self, leaf: &Leaf) -> Result<AddChainResponse, SubmitError> {
        let entry = TimestampedEntry::parse_leaf(&leaf.data).map_err(SubmitError::Stored)?;
        let key = self.heads.key();
        let signature = DigitallySigned(key.sign(&leaf.data).await?);
        let sct =
            Sct { log_id: LogId::of(key.public_key()), timestamp: entry.timestamp, extensions: entry.extensions, signature };
        AddChainResponse::new(&sct).map_err(SubmitError::Stored)
    }
}
