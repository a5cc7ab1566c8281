use crate::{EMPTY_ROOT, Hash, OutOfRange, node_hash};

/// Checks that the leaf with hash `leaf` is number `index` of the `size` leaves under `root` (RFC 9162 §2.1.3.2).
///
/// The proof must have exactly the hashes it needs: one more at its end is refused like any other change.
///
/// # Errors
/// [`ProofError`], naming what does not fit.
pub fn verify_inclusion(leaf: &Hash, index: u64, size: u64, proof: &[Hash], root: &Hash) -> Result<(), ProofError> {
    if index >= size {
        return Err(OutOfRange::Leaf { index, size }.into());
    }
    let mut walk = Walk { node: index, last: size - 1 };
    let mut hash = *leaf;
    for step in proof {
        match walk.step()? {
            Side::Left => hash = node_hash(step, &hash),
            Side::Right => hash = node_hash(&hash, step),
        }
    }
    walk.finish()?;
    same_root(root, &hash)
}

/// Checks that the `old` leaves under `old_root` are the first of the `new` leaves under `new_root` (RFC 9162 §2.1.4.2).
///
/// Two trees of one size need an empty proof and one root. From size 0, whose root is [`EMPTY_ROOT`], only the empty proof is
/// accepted, and it proves nothing.
///
/// # Errors
/// [`ProofError`], naming what does not fit.
pub fn verify_consistency(old: u64, new: u64, proof: &[Hash], old_root: &Hash, new_root: &Hash) -> Result<(), ProofError> {
    if old > new {
        return Err(OutOfRange::Size { old, new }.into());
    }
    if old == new || old == 0 {
        if !proof.is_empty() {
            return Err(ProofError::TooLong);
        }
        return same_root(if old == new { new_root } else { &EMPTY_ROOT }, old_root);
    }
    // The old tree is perfect when its size is a power of two: then its root is the start, and the proof leaves it out.
    let (start, steps) =
        if old.is_power_of_two() { (old_root, proof) } else { proof.split_first().ok_or(ProofError::TooShort)? };
    let mut walk = Walk { node: old - 1, last: new - 1 };
    let skip = walk.node.trailing_ones();
    walk.node = walk.node.unbounded_shr(skip);
    walk.last = walk.last.unbounded_shr(skip);
    let (mut old_hash, mut new_hash) = (*start, *start);
    for step in steps {
        match walk.step()? {
            Side::Left => {
                old_hash = node_hash(step, &old_hash);
                new_hash = node_hash(step, &new_hash);
            }
            Side::Right => new_hash = node_hash(&new_hash, step),
        }
    }
    walk.finish()?;
    same_root(old_root, &old_hash)?;
    same_root(new_root, &new_hash)
}

/// A proof that proves nothing. Who sent it erred, or lied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// No proof of this can exist.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// Hashes are missing at the end.
    #[error("the proof has fewer hashes than the tree has levels there")]
    TooShort,
    /// There are hashes beyond the root.
    #[error("the proof goes on beyond the root")]
    TooLong,
    /// The hashes lead elsewhere.
    #[error("the proof leads to root {computed}, expected {expected}")]
    Root {
        /// Root that was given.
        expected: Hash,
        /// Root that leaf and proof lead to.
        computed: Hash,
    },
}

/// The way up from a node, and in step with it the way up from the last node of its level (`fn` and `sn` of RFC 9162).
struct Walk {
    node: u64,
    last: u64,
}

enum Side {
    Left,
    Right,
}

impl Walk {
    /// On which side of the node the next hash of the proof stands; then goes up to their parent.
    fn step(&mut self) -> Result<Side, ProofError> {
        if self.last == 0 {
            return Err(ProofError::TooLong);
        }
        let side = if self.node & 1 == 1 || self.node == self.last {
            // On the right edge a node without a sibling is its own parent: go up to where it has a left one.
            let alone = if self.node == 0 { 0 } else { self.node.trailing_zeros() };
            self.node >>= alone;
            self.last >>= alone;
            Side::Left
        } else {
            Side::Right
        };
        self.node >>= 1;
        self.last >>= 1;
        Ok(side)
    }

    fn finish(&self) -> Result<(), ProofError> {
        if self.last == 0 { Ok(()) } else { Err(ProofError::TooShort) }
    }
}

fn same_root(expected: &Hash, computed: &Hash) -> Result<(), ProofError> {
    if expected == computed { Ok(()) } else { Err(ProofError::Root { expected: *expected, computed: *computed }) }
}
