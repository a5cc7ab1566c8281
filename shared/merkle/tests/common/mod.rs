//! A tree that keeps every complete node, and RFC 6962 written down word by word as its oracle.
#![allow(dead_code, unreachable_pub, missing_debug_implementations, reason = "a test helper: each file uses its part")]

use std::collections::HashMap;
use std::convert::Infallible;

use merkle::{CompactRange, EMPTY_ROOT, Hash, Node, ProofPlan, Subtree, leaf_hash, node_hash};

/// The test entries of the C2SP vectors: decimal numbers.
pub fn decimal_leaves(size: u64) -> Vec<Hash> {
    (0..size).map(|n| leaf_hash(n.to_string().as_bytes())).collect()
}

pub struct FullTree {
    pub range: CompactRange,
    pub nodes: HashMap<Node, Hash>,
}

impl FullTree {
    pub fn new(leaves: &[Hash]) -> Self {
        let mut range = CompactRange::new();
        let mut nodes = HashMap::new();
        for leaf in leaves {
            range.append_with(*leaf, |node, hash| assert!(nodes.insert(node, hash).is_none(), "{node:?} twice"));
        }
        Self { range, nodes }
    }

    pub fn root_at(&self, size: u64) -> Hash {
        self.fetch(|node| Subtree::whole(size).root(node))
    }

    pub fn prove(&self, plan: &ProofPlan) -> Vec<Hash> {
        self.fetch(|node| plan.hashes(node))
    }

    fn fetch<T>(&self, ask: impl FnOnce(&dyn Fn(Node) -> Result<Hash, Infallible>) -> Result<T, Infallible>) -> T {
        let Ok(answer) = ask(&|node| Ok(self.nodes[&node]));
        answer
    }
}

/// MTH of RFC 6962 §2.1.
pub fn naive_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => EMPTY_ROOT,
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node_hash(&naive_root(left), &naive_root(right))
        }
    }
}

/// PATH of RFC 6962 §2.1.1.
pub fn naive_path(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() <= 1 {
        return vec![];
    }
    let k = split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut path, beside) =
        if index < k { (naive_path(index, left), naive_root(right)) } else { (naive_path(index - k, right), naive_root(left)) };
    path.push(beside);
    path
}

/// PROOF of RFC 6962 §2.1.2.
pub fn naive_consistency(old: usize, leaves: &[Hash]) -> Vec<Hash> {
    naive_subproof(old, leaves, true)
}

fn naive_subproof(old: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
    if old == leaves.len() {
        return if whole { vec![] } else { vec![naive_root(leaves)] };
    }
    let k = split(leaves.len());
    let (left, right) = leaves.split_at(k);
    let (mut proof, beside) = if old <= k {
        (naive_subproof(old, left, whole), naive_root(right))
    } else {
        (naive_subproof(old - k, right, false), naive_root(left))
    };
    proof.push(beside);
    proof
}

fn split(n: usize) -> usize {
    n.next_power_of_two() / 2
}
