//! Reading a log again and again, and remembering all of it: what an auditor does who trusts nobody.

use std::collections::BTreeSet;

use merkle::{CompactRange, leaf_hash};

use crate::ctlog::{CtLog, TreeHead};
use crate::rekor::{Head, Log};

/// Every leaf that a log ever showed, and the root of the tree at every size.
///
/// Each time only what is new is read: that what was read before is still there follows from the roots that are signed now.
#[derive(Debug, Default)]
pub struct Audit {
    range: CompactRange,
    leaves: Vec<Vec<u8>>,
    /// By size, from 1.
    roots: Vec<[u8; 32]>,
}

impl Audit {
    /// How many leaves are known.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.range.size()
    }

    /// A leaf that is known.
    #[must_use]
    pub fn leaf(&self, index: u64) -> Option<&[u8]> {
        self.leaves.get(usize::try_from(index).ok()?).map(Vec::as_slice)
    }

    /// The leaves from an index on.
    #[must_use]
    pub fn since(&self, index: u64) -> &[Vec<u8>] {
        usize::try_from(index).ok().and_then(|index| self.leaves.get(index..)).unwrap_or_default()
    }

    /// Reads what a Rekor v2 log has grown by up to `head`, and checks that head and all the others against the leaves: a log that
    /// keeps all these promises has never shrunk, forked or changed an entry.
    ///
    /// # Panics
    /// An entry is missing, or a root does not follow from the leaves.
    pub async fn follow(&mut self, log: &Log, head: Head, others: &BTreeSet<Head>) {
        assert!(head.size >= self.size(), "the log had {} entries and signs a head of size {}", self.size(), head.size);
        self.extend(log.leaves_from(self.size(), head.size).await);
        for Head { size, root } in others.iter().chain([&head]) {
            self.assert_root(*size, root);
        }
    }

    /// As [`Self::follow`], of a certificate log.
    ///
    /// # Panics
    /// As there.
    pub async fn follow_certificates(&mut self, log: &CtLog, head: &TreeHead) {
        assert!(head.size >= self.size(), "the log had {} entries and signs a head of size {}", self.size(), head.size);
        self.extend(log.leaves_from(self.size(), head.size).await);
        self.assert_root(head.size, head.root.as_bytes());
    }

    /// Reads all of a Rekor v2 log once more, and compares it with what it has shown before.
    ///
    /// # Panics
    /// It is not the same.
    pub async fn assert_unchanged(&self, log: &Log) {
        assert!(log.leaves(self.size()).await == self.leaves, "an entry is not what it was");
    }

    fn extend(&mut self, leaves: Vec<Vec<u8>>) {
        for leaf in leaves {
            self.range.append(leaf_hash(&leaf));
            self.roots.push(*self.range.root().as_bytes());
            self.leaves.push(leaf);
        }
    }

    fn assert_root(&self, size: u64, root: &[u8; 32]) {
        let Some(before) = size.checked_sub(1) else { return };
        let known = usize::try_from(before).ok().and_then(|before| self.roots.get(before));
        let known = known.unwrap_or_else(|| panic!("a head of size {size} was signed; the log has {}", self.size()));
        assert_eq!(known, root, "the signed root of size {size} does not follow from the leaves");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_root_that_does_not_follow_is_found() {
        let mut audit = Audit::default();
        audit.extend((0..5_u8).map(|leaf| vec![leaf]).collect());
        let root = *audit.range.root().as_bytes();
        audit.assert_root(5, &root);
        for (size, root) in [(4, root), (6, root), (5, [0; 32])] {
            assert!(std::panic::catch_unwind(|| audit.assert_root(size, &root)).is_err(), "{size}");
        }
        assert_eq!((audit.leaf(4), audit.leaf(5), audit.since(3).len(), audit.since(6).len()), (Some(&[4][..]), None, 2, 0));
    }
}
