//! C2SP signed notes (`signed-note`), tree heads as notes (`tlog-checkpoint`), and the ids of the keys that sign them. What logs and their
//! witnesses tell each other and the world (`tlog-cosignature`, `tlog-witness`, `tlog-policy`). Pure.
//!
//! Nothing here verifies a signature: this crate parses, encodes, and says which bytes were signed by whom.

mod add_checkpoint;
mod checkpoint;
mod cosignature;
mod key_id;
mod origin;
mod policy;
mod signed;
mod vkey;

pub use add_checkpoint::{
    AddCheckpoint, AddCheckpointError, MAX_ADD_CHECKPOINT_BYTES, MAX_PROOF, TREE_SIZE_MEDIA_TYPE, parse_tree_size,
};
pub use checkpoint::{Checkpoint, CheckpointError};
pub use cosignature::Cosignature;
pub use key_id::{KeyHint, cosigner_key_id, ecdsa_key_id, ed25519_key_id, sth_key_id};
pub use origin::{OriginError, check_origin, rekor_v1_origin, split_rekor_v1_origin};
pub use policy::{MAX_POLICY_NAMES, PolicyError, PolicyProblem, PolicyWitness, WitnessPolicy};
pub use signed::{MAX_NOTE_BYTES, MAX_SIGNATURES, NoteError, NoteSignature, SignedNote};
pub use vkey::{NoteKey, VerifierKey, VerifierKeyError};
