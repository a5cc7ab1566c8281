//! C2SP signed notes (`signed-note`), tree heads as notes (`tlog-checkpoint`), and the ids of the keys that sign them. Pure.
//!
//! Nothing here verifies a signature: this crate parses, encodes, and says which bytes were signed by whom.

mod checkpoint;
mod key_id;
mod origin;
mod signed;

pub use checkpoint::{Checkpoint, CheckpointError};
pub use key_id::{KeyHint, ecdsa_key_id, ed25519_key_id, sth_key_id};
pub use origin::{OriginError, check_origin, rekor_v1_origin, split_rekor_v1_origin};
pub use signed::{MAX_NOTE_BYTES, MAX_SIGNATURES, NoteError, NoteSignature, SignedNote};
