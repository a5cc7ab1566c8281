use async_trait::async_trait;
use jiff::Timestamp;
use keys::SignError;
use merkle::Hash;
use note::{Checkpoint, CheckpointError, NoteError};

/// What the log is about to sign: the state of its tree at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeHead {
    /// Name of the log.
    pub origin: String,
    /// Leaves in the tree.
    pub size: u64,
    /// Root of the tree.
    pub root: Hash,
    /// When, in whole milliseconds; never before the time of an earlier head.
    pub time: Timestamp,
}

/// A published tree head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedTreeHead {
    /// Leaves in the tree.
    pub size: u64,
    /// Root of the tree.
    pub root: Hash,
    /// When it was signed, in whole milliseconds.
    pub time: Timestamp,
    /// The signed note, as it is served.
    pub note: String,
    /// Whether it is the last one: the log is frozen.
    pub last: bool,
}

/// Signs the heads of one log, and knows its own signatures again.
///
/// Contract: `sign` returns a signed note (C2SP `tlog-checkpoint`) over exactly this origin, size and root, without extension
/// lines, the log's own signature first; `sign_last` too, but for extension lines; `verify` accepts both. All of them may be called
/// concurrently.
#[async_trait]
pub trait TreeHeadSigner: Send + Sync {
    /// Name of the log: the first line of its checkpoints.
    fn origin(&self) -> &str;

    /// The whole 32-byte id of its key, as in the trusted root.
    fn key_id(&self) -> Hash;

    /// Signs a head.
    ///
    /// # Errors
    /// When the key cannot be used; nothing is appended then.
    async fn sign(&self, head: &TreeHead) -> Result<String, SignError>;

    /// Signs the head after which there is no other, and says so in it where readers of this face take that: elsewhere it is a head like
    /// any.
    ///
    /// # Errors
    /// As [`TreeHeadSigner::sign`]; the log stays open then.
    async fn sign_last(&self, head: &TreeHead) -> Result<String, SignError> {
        self.sign(head).await
    }

    /// Reads a note that this log signed.
    ///
    /// # Errors
    /// [`HeadError`] when it is no checkpoint, or no valid signature of this log is on it.
    fn verify(&self, signed: &str) -> Result<Checkpoint, HeadError>;
}

/// A text that is no head signed by this log.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// Not a note.
    #[error("the head is not a signed note")]
    Note(#[from] NoteError),
    /// A note over something else.
    #[error("the note is not over a checkpoint")]
    Checkpoint(#[from] CheckpointError),
    /// No line of this log's key.
    #[error("the head has no signature by key {key_id} of {origin}")]
    NotSigned {
        /// Name of the log.
        origin: String,
        /// First 12 hex digits of the key's id.
        key_id: String,
    },
    /// A line of this log's key, and not its signature.
    #[error("the signature of {origin} on the head does not verify")]
    BadSignature {
        /// Name of the log.
        origin: String,
    },
}
