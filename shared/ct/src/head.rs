//! Signed tree heads, and the checkpoint signature that carries one.

use merkle::Hash;
use pki::PublicKey;

use crate::sct::{DigitallySigned, SctError};
use crate::wire::{Malformed, Reader};

/// What a tree head says (RFC 6962 §3.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TreeHead {
    /// Milliseconds since 1970.
    pub timestamp: u64,
    /// Number of entries.
    pub tree_size: u64,
    /// Root of the tree over them.
    pub root: Hash,
}

impl TreeHead {
    /// The bytes that the log signs.
    #[must_use]
    pub fn signed_bytes(&self) -> Vec<u8> {
        let mut out = vec![0, 1];
        out.extend(self.timestamp.to_be_bytes());
        out.extend(self.tree_size.to_be_bytes());
        out.extend(self.root.as_bytes());
        out
    }
}

/// The signature on a static-ct checkpoint: `u64 timestamp` and a `DigitallySigned` over the tree head. It holds all that
/// `get-sth` needs besides the checkpoint's own text, so that one converts into the other without the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeHeadSignature {
    /// Milliseconds since 1970.
    pub timestamp: u64,
    /// Over [`TreeHead::signed_bytes`].
    pub signature: DigitallySigned,
}

impl TreeHeadSignature {
    /// The bytes that follow the key hint on the checkpoint's signature line.
    ///
    /// # Errors
    /// As [`DigitallySigned::to_bytes`].
    pub fn to_bytes(&self) -> Result<Vec<u8>, Malformed> {
        let mut out = self.timestamp.to_be_bytes().to_vec();
        out.extend(self.signature.to_bytes()?);
        Ok(out)
    }

    /// Reads those bytes.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new("tree head signature", bytes);
        let timestamp = reader.u64()?;
        Ok(Self { timestamp, signature: DigitallySigned::parse(&bytes[8..])? })
    }

    /// Verifies that the log with `key` signed a tree of this size and root at this time.
    ///
    /// # Errors
    /// [`SctError::Signature`].
    pub fn verify(&self, key: &PublicKey, tree_size: u64, root: Hash) -> Result<TreeHead, SctError> {
        let head = TreeHead { timestamp: self.timestamp, tree_size, root };
        key.verify(&head.signed_bytes(), &self.signature.0).map_err(|_| SctError::Signature)?;
        Ok(head)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_tree_head_is_fifty_bytes() {
        let head = TreeHead { timestamp: 1, tree_size: 2, root: Hash::from([3; 32]) };
        let expected = format!("0001{:016x}{:016x}{}", 1, 2, "03".repeat(32));
        assert_eq!(hex::encode(head.signed_bytes()), expected);
    }

    proptest! {
        #[test]
        fn signatures_come_back(timestamp: u64, signature: Vec<u8>) {
            let signature = TreeHeadSignature { timestamp, signature: DigitallySigned(signature) };
            prop_assert_eq!(TreeHeadSignature::parse(&signature.to_bytes().unwrap()).unwrap(), signature);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = TreeHeadSignature::parse(&bytes);
        }
    }
}
