use crate::{EMPTY_ROOT, Hash, Node, node_hash};

/// The frontier of a tree: the roots of the perfect subtrees it consists of, left (largest) to right.
///
/// There is one for each set bit of the size, so at most 64. This is all a writer needs to append and to compute the root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CompactRange {
    size: u64,
    hashes: Vec<Hash>,
}

impl CompactRange {
    /// The frontier of the tree without leaves.
    #[must_use]
    pub const fn new() -> Self {
        Self { size: 0, hashes: Vec::new() }
    }

    /// The frontier that was stored for a tree of `size` leaves.
    ///
    /// # Errors
    /// [`RangeError`] when there is not exactly one hash per set bit of `size`. Whether they are the right ones only a comparison
    /// of [`CompactRange::root`] with a signed root can tell.
    pub fn from_hashes(size: u64, hashes: Vec<Hash>) -> Result<Self, RangeError> {
        let expected = size.count_ones() as usize;
        if hashes.len() == expected { Ok(Self { size, hashes }) } else { Err(RangeError { size, expected, found: hashes.len() }) }
    }

    /// How many leaves the tree has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The subtree roots, left to right: what to store.
    #[must_use]
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// The root of the tree (RFC 6962 §2.1).
    #[must_use]
    pub fn root(&self) -> Hash {
        fold_right(self.hashes.iter().copied()).unwrap_or(EMPTY_ROOT)
    }

    /// Adds a leaf by its hash.
    pub fn append(&mut self, leaf: Hash) {
        self.append_with(leaf, |_, _| ());
    }

    /// Adds a leaf by its hash and reports each subtree that is complete by it, from the leaf itself upwards.
    ///
    /// # Panics
    /// When the tree already has 2^64 − 1 leaves.
    pub fn append_with(&mut self, leaf: Hash, mut complete: impl FnMut(Node, Hash)) {
        let mut node = Node { level: 0, index: self.size };
        let mut hash = leaf;
        complete(node, hash);
        // Each trailing one of the size is a left sibling that was waiting for this subtree.
        for _ in 0..self.size.trailing_ones() {
            let left = self.hashes.pop().expect("one hash per set bit of the size");
            hash = node_hash(&left, &hash);
            node = Node { level: node.level + 1, index: node.index >> 1 };
            complete(node, hash);
        }
        self.hashes.push(hash);
        self.size = self.size.checked_add(1).expect("no log grows to 2^64 leaves");
    }
}

/// Stored hashes that cannot be the frontier of a tree of that size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the frontier of a tree of {size} leaves has {expected} hashes, found {found}")]
pub struct RangeError {
    /// Size of the tree.
    pub size: u64,
    /// Number of set bits of the size.
    pub expected: usize,
    /// Number of hashes given.
    pub found: usize,
}

/// The root over neighbouring perfect subtrees of falling height; none for none.
pub(crate) fn fold_right(hashes: impl DoubleEndedIterator<Item = Hash>) -> Option<Hash> {
    hashes.rev().reduce(|right, left| node_hash(&left, &right))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::leaf_hash;

    #[test]
    fn the_number_of_hashes_must_fit_the_size() {
        let leaf = leaf_hash(b"x");
        assert_eq!(CompactRange::from_hashes(0, vec![]), Ok(CompactRange::new()));
        assert_eq!(CompactRange::from_hashes(5, vec![leaf]), Err(RangeError { size: 5, expected: 2, found: 1 }));
        assert_eq!(CompactRange::from_hashes(4, vec![leaf; 2]), Err(RangeError { size: 4, expected: 1, found: 2 }));
    }

    #[test]
    fn a_stored_frontier_goes_on_where_it_stopped() {
        let mut whole = CompactRange::new();
        for n in 0_u64..100 {
            let stored = whole.hashes().to_vec();
            let mut resumed = CompactRange::from_hashes(whole.size(), stored).unwrap();
            whole.append(leaf_hash(&n.to_be_bytes()));
            resumed.append(leaf_hash(&n.to_be_bytes()));
            assert_eq!(resumed, whole);
        }
    }

    #[test]
    fn each_complete_subtree_is_reported_once_in_order() {
        let mut range = CompactRange::new();
        let mut seen = Vec::new();
        for n in 0_u8..8 {
            range.append_with(leaf_hash(&[n]), |node, hash| seen.push((node.level, node.index, hash)));
        }
        let order: Vec<_> = seen.iter().map(|(level, index, _)| (*level, *index)).collect();
        let expected = [
            (0, 0),
            (0, 1),
            (1, 0),
            (0, 2),
            (0, 3),
            (1, 1),
            (2, 0),
            (0, 4),
            (0, 5),
            (1, 2),
            (0, 6),
            (0, 7),
            (1, 3),
            (2, 1),
            (3, 0),
        ];
        assert_eq!(order, expected);
        assert_eq!(seen.last().unwrap().2, range.root());
    }
}
