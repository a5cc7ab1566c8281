use crate::range::fold_right;
use crate::{EMPTY_ROOT, Hash};

/// A perfect subtree: the leaves `index·2^level` up to but without `(index + 1)·2^level`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Node {
    /// Height above the leaves.
    pub level: u8,
    /// Position among the nodes of that level.
    pub index: u64,
}

/// The leaves `start` up to but without `end`, as they occur in a proof: perfect, or ragged at the right edge of the tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subtree {
    start: u64,
    end: u64,
}

impl Subtree {
    /// The tree of the first `size` leaves.
    #[must_use]
    pub const fn whole(size: u64) -> Self {
        Self { start: 0, end: size }
    }

    /// The perfect subtrees it is made of, left (largest) to right.
    pub fn nodes(self) -> impl Iterator<Item = Node> {
        let mut start = self.start;
        std::iter::from_fn(move || {
            // `start` is a multiple of a power of two at least as large as what is left: only what is left bounds the next one.
            let level = (self.end - start).checked_ilog2()?;
            let node = Node { level: level as u8, index: start >> level };
            start += 1 << level;
            Some(node)
        })
    }

    /// Its root, from the roots of the perfect subtrees.
    ///
    /// # Errors
    /// Whatever `node` fails with.
    pub fn root<E>(self, node: impl FnMut(Node) -> Result<Hash, E>) -> Result<Hash, E> {
        let hashes = self.nodes().map(node).collect::<Result<Vec<_>, E>>()?;
        Ok(fold_right(hashes.into_iter()).unwrap_or(EMPTY_ROOT))
    }

    const fn len(self) -> u64 {
        self.end - self.start
    }

    /// Cut where RFC 6962 §2.1 cuts: the left part has the largest power of two below the length.
    fn split(self) -> (Self, Self) {
        let middle = self.start + (1 << (self.len() - 1).ilog2());
        (Self { end: middle, ..self }, Self { start: middle, ..self })
    }
}

/// A proof before its hashes are known: which subtrees it names, in order.
///
/// A store looks at [`ProofPlan::nodes`] to learn what to fetch, then lets [`ProofPlan::hashes`] put the proof together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofPlan {
    subtrees: Vec<Subtree>,
}

impl ProofPlan {
    /// The audit path of leaf `index` in the tree of `size` leaves (RFC 6962 §2.1.1), leaf side first.
    ///
    /// # Errors
    /// [`OutOfRange`] when there is no such leaf.
    pub fn inclusion(index: u64, size: u64) -> Result<Self, OutOfRange> {
        if index >= size {
            return Err(OutOfRange::Leaf { index, size });
        }
        let mut tree = Subtree::whole(size);
        let mut subtrees = Vec::new();
        while tree.len() > 1 {
            let (left, right) = tree.split();
            let (inside, beside) = if index < left.end { (left, right) } else { (right, left) };
            subtrees.push(beside);
            tree = inside;
        }
        subtrees.reverse();
        Ok(Self { subtrees })
    }

    /// The proof that the tree of `old` leaves is a prefix of the tree of `new` (RFC 6962 §2.1.2).
    ///
    /// It is empty when the sizes are equal, and when `old` is 0, which is a prefix of anything.
    ///
    /// # Errors
    /// [`OutOfRange`] when `old` is larger than `new`.
    pub fn consistency(old: u64, new: u64) -> Result<Self, OutOfRange> {
        if old > new {
            return Err(OutOfRange::Size { old, new });
        }
        let mut subtrees = Vec::new();
        if old > 0 {
            let mut tree = Subtree::whole(new);
            while tree.end != old {
                let (left, right) = tree.split();
                let (inside, beside) = if old <= left.end { (left, right) } else { (right, left) };
                subtrees.push(beside);
                tree = inside;
            }
            // What is left ends at `old`. Unless it is the old tree itself, whose root the verifier has, the proof begins with it.
            if tree.start > 0 {
                subtrees.push(tree);
            }
            subtrees.reverse();
        }
        Ok(Self { subtrees })
    }

    /// How many hashes the proof will have.
    #[must_use]
    pub fn len(&self) -> usize {
        self.subtrees.len()
    }

    /// Whether the proof has no hashes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.subtrees.is_empty()
    }

    /// Every perfect subtree whose hash the proof needs.
    pub fn nodes(&self) -> impl Iterator<Item = Node> {
        self.subtrees.iter().flat_map(|subtree| subtree.nodes())
    }

    /// The proof, from the hashes of perfect subtrees.
    ///
    /// # Errors
    /// Whatever `node` fails with.
    pub fn hashes<E>(&self, mut node: impl FnMut(Node) -> Result<Hash, E>) -> Result<Vec<Hash>, E> {
        self.subtrees.iter().map(|subtree| subtree.root(&mut node)).collect()
    }
}

/// A proof was asked for that cannot exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OutOfRange {
    /// No such leaf.
    #[error("there is no leaf {index} in a tree of {size}")]
    Leaf {
        /// Leaf asked for.
        index: u64,
        /// Size of the tree.
        size: u64,
    },
    /// A tree is never a prefix of a smaller one.
    #[error("a tree of {old} leaves is no prefix of one of {new}")]
    Size {
        /// Size said to be older.
        old: u64,
        /// Size said to be newer.
        new: u64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nodes(plan: &ProofPlan) -> Vec<(u8, u64)> {
        plan.nodes().map(|node| (node.level, node.index)).collect()
    }

    #[test]
    fn a_ragged_subtree_is_covered_left_to_right() {
        let cover: Vec<_> = Subtree::whole(70_000).nodes().map(|node| (node.level, node.index)).collect();
        assert_eq!(cover, [(16, 0), (12, 16), (8, 272), (6, 1092), (5, 2186), (4, 4374)]);
        assert_eq!(Subtree::whole(0).nodes().count(), 0);
        assert_eq!(Subtree::whole(u64::MAX).nodes().count(), 64);
    }

    #[test]
    fn plans_name_the_nodes_of_the_rfc_example() {
        // RFC 6962 §2.1.3, a tree of seven leaves.
        assert_eq!(nodes(&ProofPlan::inclusion(0, 7).unwrap()), [(0, 1), (1, 1), (1, 2), (0, 6)]);
        assert_eq!(nodes(&ProofPlan::inclusion(6, 7).unwrap()), [(1, 2), (2, 0)]);
        assert_eq!(nodes(&ProofPlan::consistency(3, 7).unwrap()), [(0, 2), (0, 3), (1, 0), (1, 2), (0, 6)]);
        assert_eq!(nodes(&ProofPlan::consistency(4, 7).unwrap()), [(1, 2), (0, 6)]);
        assert_eq!(nodes(&ProofPlan::consistency(6, 7).unwrap()), [(1, 2), (0, 6), (2, 0)]);
    }

    #[test]
    fn what_cannot_be_proved_is_refused() {
        assert_eq!(ProofPlan::inclusion(3, 3), Err(OutOfRange::Leaf { index: 3, size: 3 }));
        assert_eq!(ProofPlan::inclusion(0, 0), Err(OutOfRange::Leaf { index: 0, size: 0 }));
        assert_eq!(ProofPlan::consistency(4, 3), Err(OutOfRange::Size { old: 4, new: 3 }));
        assert!(ProofPlan::consistency(0, 9).unwrap().is_empty());
        assert!(ProofPlan::consistency(9, 9).unwrap().is_empty());
    }

    #[test]
    fn the_largest_trees_have_plans() {
        assert_eq!(ProofPlan::inclusion(0, u64::MAX).unwrap().len(), 64);
        assert!(ProofPlan::consistency(u64::MAX - 1, u64::MAX).unwrap().len() <= 65);
    }
}
