use std::fmt;

use aws_lc_rs::digest::{self, Context, SHA256};

/// A SHA-256 hash: of a leaf, of a node, or of a whole tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; Hash::LEN]);

/// The root of the tree without leaves: SHA-256 of nothing (RFC 6962 §2.1).
pub const EMPTY_ROOT: Hash = Hash([
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24, 0x27, 0xae, 0x41, 0xe4, 0x64,
    0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55,
]);

impl Hash {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// A hash with these bytes.
    #[must_use]
    pub const fn new(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// The first 12 hex digits: enough for a person to tell two apart.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string()[..12].to_owned()
    }
}

impl From<[u8; Hash::LEN]> for Hash {
    fn from(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }
}

impl TryFrom<&[u8]> for Hash {
    type Error = HashLength;

    fn try_from(bytes: &[u8]) -> Result<Self, HashLength> {
        bytes.try_into().map(Self).map_err(|_| HashLength { found: bytes.len() })
    }
}

impl AsRef<[u8]> for Hash {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Bytes that cannot be a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a hash has 32 bytes, found {found}")]
pub struct HashLength {
    /// How many bytes there were.
    pub found: usize,
}

/// SHA-256 without a prefix: the identity of bytes, not a tree hash.
#[must_use]
pub fn sha256(data: &[u8]) -> Hash {
    from_digest(digest::digest(&SHA256, data))
}

/// The hash of a leaf: SHA-256(0x00 ‖ data).
#[must_use]
pub fn leaf_hash(data: &[u8]) -> Hash {
    let mut context = Context::new(&SHA256);
    context.update(&[0x00]);
    context.update(data);
    from_digest(context.finish())
}

/// The hash of an inner node: SHA-256(0x01 ‖ left ‖ right).
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut message = [0x01; 1 + 2 * Hash::LEN];
    message[1..=Hash::LEN].copy_from_slice(&left.0);
    message[1 + Hash::LEN..].copy_from_slice(&right.0);
    from_digest(digest::digest(&SHA256, &message))
}

fn from_digest(digest: digest::Digest) -> Hash {
    Hash(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_root_is_the_hash_of_nothing() {
        assert_eq!(sha256(b""), EMPTY_ROOT);
    }

    #[test]
    fn leaves_and_nodes_are_told_apart_by_prefix() {
        let (a, b) = (leaf_hash(b"a"), leaf_hash(b"b"));
        assert_eq!(a, sha256(b"\x00a"));
        let joined = [&[1][..], a.as_ref(), b.as_ref()].concat();
        assert_eq!(node_hash(&a, &b), sha256(&joined));
        assert_ne!(node_hash(&a, &b), leaf_hash(&joined[1..]));
    }

    #[test]
    fn bytes_of_another_length_are_refused() {
        assert_eq!(Hash::try_from(&[0; 31][..]), Err(HashLength { found: 31 }));
        assert_eq!(Hash::try_from(&EMPTY_ROOT.as_bytes()[..]), Ok(EMPTY_ROOT));
    }

    #[test]
    fn people_see_hex() {
        assert_eq!(EMPTY_ROOT.short(), "e3b0c44298fc");
        assert_eq!(format!("{EMPTY_ROOT:?}"), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    }
}
