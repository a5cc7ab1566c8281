//! Roots and proofs against RFC 6962 written naively, against `rs_merkle`, and against every small change.

mod common;

use common::{FullTree, decimal_leaves, naive_consistency, naive_path, naive_root};
use merkle::{CompactRange, EMPTY_ROOT, Hash, ProofError, ProofPlan, leaf_hash, verify_consistency, verify_inclusion};
use proptest::prelude::*;

#[derive(Clone)]
struct Rfc6962;

impl rs_merkle::Hasher for Rfc6962 {
    type Hash = [u8; 32];

    fn hash(data: &[u8]) -> [u8; 32] {
        *leaf_hash(data).as_bytes()
    }

    fn concat_and_hash(left: &[u8; 32], right: Option<&[u8; 32]>) -> [u8; 32] {
        right.map_or(*left, |right| *merkle::node_hash(&Hash::new(*left), &Hash::new(*right)).as_bytes())
    }
}

/// Every size whose tree is compared leaf by leaf.
const SMALL: usize = 1_000;

/// Astride the size at which the first tile of tiles of tiles begins: 256^2.
const AROUND_TILES_OF_TILES: [usize; 5] = [65_534, 65_535, 65_536, 65_537, 65_793];

/// Leaves where something changes: at the ends, at the edges of tiles, and at the largest powers of two below the size.
fn telling(size: usize) -> Vec<usize> {
    let top = size.next_power_of_two() / 2;
    let mut indexes =
        vec![0, 1, 254, 255, 256, 257, 65_279, 65_280, 65_535, 65_536, top - 1, top, size / 2, size / 3, size - 2, size - 1];
    indexes.retain(|index| *index < size);
    indexes
}

fn assert_paths_agree(
    ours: &FullTree,
    theirs: &rs_merkle::MerkleTree<Rfc6962>,
    size: usize,
    indexes: impl Iterator<Item = usize>,
) {
    assert_eq!(Some(*ours.root_at(size as u64).as_bytes()), theirs.root());
    for index in indexes {
        let proof = ours.prove(&ProofPlan::inclusion(index as u64, size as u64).expect("the tree has this leaf"));
        let bytes: Vec<_> = proof.iter().map(|hash| *hash.as_bytes()).collect();
        assert_eq!(bytes, theirs.proof(&[index]).proof_hashes(), "leaf {index} of {size}");
    }
}

#[test]
fn roots_and_paths_agree_with_rs_merkle_for_every_size() {
    let leaves = decimal_leaves(SMALL as u64);
    let ours = FullTree::new(&leaves);
    let raw: Vec<_> = leaves.iter().map(|leaf| *leaf.as_bytes()).collect();
    for size in 1..=SMALL {
        let theirs = rs_merkle::MerkleTree::<Rfc6962>::from_leaves(&raw[..size]);
        assert_paths_agree(&ours, &theirs, size, 0..size);
    }
}

#[test]
fn roots_and_paths_agree_with_rs_merkle_around_tiles_of_tiles() {
    let leaves = decimal_leaves(66_000);
    let ours = FullTree::new(&leaves);
    let raw: Vec<_> = leaves.iter().map(|leaf| *leaf.as_bytes()).collect();
    for size in AROUND_TILES_OF_TILES {
        let theirs = rs_merkle::MerkleTree::<Rfc6962>::from_leaves(&raw[..size]);
        assert_paths_agree(&ours, &theirs, size, telling(size).into_iter());
    }
}

#[test]
fn consistency_agrees_with_the_rfc_for_every_size_and_around_tiles_of_tiles() {
    let leaves = decimal_leaves(66_000);
    let tree = FullTree::new(&leaves);
    for new in (2..=SMALL).chain(AROUND_TILES_OF_TILES) {
        let new_root = tree.root_at(new as u64);
        for old in telling(new).into_iter().filter(|old| *old > 0) {
            let proof = tree.prove(&ProofPlan::consistency(old as u64, new as u64).unwrap());
            assert_eq!(proof, naive_consistency(old, &leaves[..new]), "{old} to {new}");
            verify_consistency(old as u64, new as u64, &proof, &tree.root_at(old as u64), &new_root).unwrap();
        }
    }
}

#[test]
fn roots_and_paths_agree_with_the_rfc_and_verify() {
    let leaves = decimal_leaves(130);
    let tree = FullTree::new(&leaves);
    for size in 0..=130_usize {
        let root = tree.root_at(size as u64);
        assert_eq!(root, naive_root(&leaves[..size]));
        for (index, leaf) in leaves[..size].iter().enumerate() {
            let plan = ProofPlan::inclusion(index as u64, size as u64).unwrap();
            let proof = tree.prove(&plan);
            assert_eq!((proof.len(), &proof), (plan.len(), &naive_path(index, &leaves[..size])));
            verify_inclusion(leaf, index as u64, size as u64, &proof, &root).unwrap();
        }
    }
}

#[test]
fn consistency_agrees_with_the_rfc_and_verifies_for_all_pairs() {
    let leaves = decimal_leaves(130);
    let tree = FullTree::new(&leaves);
    for new in 1..=130_usize {
        for old in 1..=new {
            let proof = tree.prove(&ProofPlan::consistency(old as u64, new as u64).unwrap());
            assert_eq!(proof, naive_consistency(old, &leaves[..new]), "{old} to {new}");
            let (old, new) = (old as u64, new as u64);
            verify_consistency(old, new, &proof, &tree.root_at(old), &tree.root_at(new)).unwrap();
        }
    }
}

#[test]
fn changed_inclusion_proofs_are_refused() {
    let leaves = decimal_leaves(70);
    let tree = FullTree::new(&leaves);
    for size in 1..=70_u64 {
        let root = tree.root_at(size);
        for index in 0..size {
            let proof = tree.prove(&ProofPlan::inclusion(index, size).unwrap());
            let leaf = &leaves[index as usize];
            for changed in changes(&proof, &root) {
                assert!(verify_inclusion(leaf, index, size, &changed, &root).is_err(), "{index} of {size}: {changed:?}");
            }
            assert!(verify_inclusion(&EMPTY_ROOT, index, size, &proof, &root).is_err());
            assert!(verify_inclusion(leaf, index, size, &proof, leaf).is_err() || size == 1);
            for other in (0..size).filter(|other| *other != index) {
                assert!(verify_inclusion(leaf, other, size, &proof, &root).is_err(), "{index} as {other} of {size}");
            }
            assert!(verify_inclusion(leaf, size, size, &proof, &root).is_err());
        }
    }
}

#[test]
fn changed_consistency_proofs_are_refused() {
    let tree = FullTree::new(&decimal_leaves(70));
    for new in 1..=70_u64 {
        for old in 1..=new {
            let (old_root, new_root) = (tree.root_at(old), tree.root_at(new));
            let proof = tree.prove(&ProofPlan::consistency(old, new).unwrap());
            for changed in changes(&proof, &old_root) {
                assert!(verify_consistency(old, new, &changed, &old_root, &new_root).is_err(), "{old} to {new}: {changed:?}");
            }
            assert!(verify_consistency(old, new, &proof, &EMPTY_ROOT, &new_root).is_err());
            assert!(verify_consistency(old, new, &proof, &old_root, &EMPTY_ROOT).is_err());
            if old < new {
                assert!(verify_consistency(old, new, &proof, &new_root, &old_root).is_err());
                assert!(verify_consistency(new, old, &proof, &new_root, &old_root).is_err());
            }
        }
    }
}

#[test]
fn proofs_of_nothing_are_judged_as_documented() {
    let leaf = leaf_hash(b"0");
    assert_eq!(verify_consistency(0, 5, &[], &EMPTY_ROOT, &leaf), Ok(()));
    assert_eq!(verify_consistency(0, 0, &[], &EMPTY_ROOT, &EMPTY_ROOT), Ok(()));
    assert_eq!(verify_consistency(0, 5, &[leaf], &EMPTY_ROOT, &leaf), Err(ProofError::TooLong));
    assert!(matches!(verify_consistency(0, 5, &[], &leaf, &leaf), Err(ProofError::Root { .. })));
    assert_eq!(verify_consistency(5, 5, &[leaf], &leaf, &leaf), Err(ProofError::TooLong));
    assert_eq!(verify_consistency(3, 5, &[], &leaf, &leaf), Err(ProofError::TooShort));
    assert_eq!(verify_inclusion(&leaf, 0, 1, &[], &leaf), Ok(()));
    assert_eq!(verify_inclusion(&leaf, 0, 1, &[leaf], &leaf), Err(ProofError::TooLong));
    assert_eq!(verify_inclusion(&leaf, 0, 2, &[], &leaf), Err(ProofError::TooShort));
}

/// Every way to change a proof a little: longer at either end, shorter, one hash flipped or swapped with its neighbour.
fn changes(proof: &[Hash], extra: &Hash) -> Vec<Vec<Hash>> {
    let mut changes = vec![[proof, &[*extra]].concat(), [&[*extra], proof].concat()];
    for at in 0..proof.len() {
        changes.push([&proof[..at], &proof[at + 1..]].concat());
        let mut flipped = proof.to_vec();
        let mut bytes = *flipped[at].as_bytes();
        bytes[at % 32] ^= 0x80;
        flipped[at] = Hash::new(bytes);
        changes.push(flipped);
        if at > 0 && proof[at] != proof[at - 1] {
            let mut swapped = proof.to_vec();
            swapped.swap(at - 1, at);
            changes.push(swapped);
        }
    }
    changes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_trees_prove_themselves(data in prop::collection::vec(any::<[u8; 3]>(), 1..1_200), a: prop::sample::Index, b: prop::sample::Index) {
        let leaves: Vec<_> = data.iter().map(|data| leaf_hash(data)).collect();
        let tree = FullTree::new(&leaves);
        let size = leaves.len() as u64;
        prop_assert_eq!(tree.range.root(), naive_root(&leaves));
        let index = a.index(leaves.len());
        let proof = tree.prove(&ProofPlan::inclusion(index as u64, size).unwrap());
        prop_assert_eq!(&proof, &naive_path(index, &leaves));
        prop_assert_eq!(verify_inclusion(&leaves[index], index as u64, size, &proof, &tree.range.root()), Ok(()));
        let old = 1 + b.index(leaves.len()) as u64;
        let proof = tree.prove(&ProofPlan::consistency(old, size).unwrap());
        prop_assert_eq!(verify_consistency(old, size, &proof, &tree.root_at(old), &tree.range.root()), Ok(()));
    }

    #[test]
    fn foreign_proofs_never_panic(index: u64, size: u64, hashes in prop::collection::vec(any::<[u8; 32]>(), 0..70)) {
        let proof: Vec<_> = hashes.into_iter().map(Hash::new).collect();
        let _ = verify_inclusion(&EMPTY_ROOT, index, size, &proof, &EMPTY_ROOT);
        let _ = verify_consistency(index, size, &proof, &EMPTY_ROOT, &EMPTY_ROOT);
        let _ = CompactRange::from_hashes(size, proof);
    }
}
