//! RFC 6962 structures: submissions, leaves, SCTs, tree heads. Pure.
//!
//! | bytes | here | specification |
//! | --- | --- | --- |
//! | `MerkleTreeLeaf`, and what an SCT signs: the same bytes | [`TimestampedEntry`] | RFC 6962 §3.2, §3.4 |
//! | `extra_data` of `get-entries` | [`ExtraData`] | RFC 6962 §4.6 |
//! | `SignedCertificateTimestamp`, its list, its JSON | [`Sct`] | RFC 6962 §3.2, §3.3, §4.1 |
//! | `leaf_index` in an SCT's extensions | [`leaf_index_extension`] | C2SP static-ct-api |
//! | tree heads, as JSON and as a checkpoint's signature | [`TreeHead`] | RFC 6962 §3.5, C2SP static-ct-api |
//! | `add-chain` requests | [`AddChainRequest`] | RFC 6962 §4.1, §4.2 |

mod entry;
mod head;
mod sct;
mod submission;
mod wire;

pub use entry::{ExtraData, SignedEntry, TimestampedEntry, leaf_index, leaf_index_extension};
pub use head::{TreeHead, TreeHeadSignature};
pub use sct::{DigitallySigned, LogId, Sct, SctError, parse_sct_list, sct_list};
pub use submission::{AddChainRequest, AddChainResponse, ChainError};
pub use wire::Malformed;
