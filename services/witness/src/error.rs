//! Why a checkpoint was not cosigned, and how that is said.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use chassis::layers::Failure;
use chassis::reason::{chain, coded};
use clock::ClockStepped;
use keys::SignError;
use merkle::ProofError;
use note::{AddCheckpointError, CheckpointError, TREE_SIZE_MEDIA_TYPE};

use crate::records::RecordError;

/// A checkpoint was not cosigned: by the log's doing, or ours.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AddError {
    /// Not text.
    #[error("the request is not UTF-8")]
    Encoding,
    /// Not a request.
    #[error(transparent)]
    Request(#[from] AddCheckpointError),
    /// Signed, and not a checkpoint.
    #[error("the note is not over a checkpoint")]
    Checkpoint(#[from] CheckpointError),
    /// From a larger tree to a smaller one, or to one that no log has.
    #[error("the old size {old} and the size {size} of the checkpoint are not two sizes of a growing log")]
    Sizes {
        /// As asked.
        old: u64,
        /// In the checkpoint.
        size: u64,
    },
    /// A log that is not in the configuration.
    #[error("this witness does not know the log {origin}; its operator has to add the log's verifier key under witness.logs")]
    UnknownLog {
        /// First line of the checkpoint.
        origin: String,
    },
    /// No good signature of the log.
    #[error("the checkpoint is not signed by the key that this witness knows of {origin}, {vkey}")]
    NotSigned {
        /// First line of the checkpoint.
        origin: String,
        /// The key that was expected.
        vkey: String,
    },
    /// From another size than the last one.
    #[error("this witness has seen size {size}; ask again with the proof from there")]
    Seen {
        /// The size it cosigned last.
        size: u64,
    },
    /// Not a continuation.
    #[error("the proof does not lead from the tree of size {old} that was cosigned to the one of size {size}")]
    Proof {
        /// The size that was cosigned last.
        old: u64,
        /// In the checkpoint.
        size: u64,
        /// What does not fit.
        #[source]
        source: ProofError,
    },
    /// The clock is behind the last cosignature.
    #[error("the clock of this witness stepped back; it signs again when time has caught up")]
    Clock(#[from] ClockStepped),
    /// Others were faster, again and again.
    #[error("other requests for this log came in between; ask again")]
    Contended,
    /// What was seen cannot be read or written.
    #[error("what was seen could not be kept")]
    Record(#[from] RecordError),
    /// The key cannot be used.
    #[error("the cosignature could not be made")]
    Sign(#[from] SignError),
}

impl AddError {
    /// The one table from failure to answer (C2SP `tlog-witness`); each with its stable code.
    fn answer(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Encoding | Self::Request(_) => (StatusCode::BAD_REQUEST, "witness_request"),
            Self::Checkpoint(_) => (StatusCode::BAD_REQUEST, "witness_checkpoint"),
            Self::Sizes { .. } => (StatusCode::BAD_REQUEST, "witness_sizes"),
            Self::UnknownLog { .. } => (StatusCode::NOT_FOUND, "witness_unknown_log"),
            Self::NotSigned { .. } => (StatusCode::FORBIDDEN, "witness_not_signed"),
            Self::Seen { .. } => (StatusCode::CONFLICT, "witness_seen"),
            Self::Proof { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "witness_proof"),
            Self::Clock(_) => (StatusCode::SERVICE_UNAVAILABLE, "witness_clock"),
            Self::Contended => (StatusCode::SERVICE_UNAVAILABLE, "witness_contended"),
            Self::Record(_) => (StatusCode::INTERNAL_SERVER_ERROR, "witness_record"),
            Self::Sign(_) => (StatusCode::INTERNAL_SERVER_ERROR, "witness_sign"),
        }
    }
}

impl IntoResponse for AddError {
    fn into_response(self) -> Response {
        let (status, code) = self.answer();
        // The causes of our own failures name files: they go to the log, the caller gets the first layer.
        let text = if status.is_client_error() { chain(&self) } else { self.to_string() };
        let (media_type, body) = match &self {
            Self::Seen { size } => (TREE_SIZE_MEDIA_TYPE, format!("{size}\n")),
            _ => ("text/plain; charset=utf-8", coded(code, &text) + "\n"),
        };
        let mut response = (status, [(header::CONTENT_TYPE, media_type)], body).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        Failure::new(code, &self).attach(response)
    }
}
