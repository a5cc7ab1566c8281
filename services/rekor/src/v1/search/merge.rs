//! Several lists of entries as one: all that are in any of them, or those that are in each. A page of each list is in memory.

use std::collections::VecDeque;
use std::future::Future;

use merkle::Hash;
use tlog::{Log, StoreError};

/// How lists go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::v1) enum Operator {
    /// What is in each.
    And,
    /// What is in any.
    Or,
}

/// Where the list of a word is read: entries from an index on, in order.
pub(super) trait Postings {
    /// At most `limit` of them.
    fn read(&self, word: &str, from: u64, limit: u32) -> impl Future<Output = Result<Vec<(u64, Hash)>, StoreError>> + Send;
}

impl Postings for Log {
    fn read(&self, word: &str, from: u64, limit: u32) -> impl Future<Output = Result<Vec<(u64, Hash)>, StoreError>> + Send {
        self.search(word, from, limit)
    }
}

/// Entries read at a time, from each list and for an answer.
const PAGE: u32 = 512;

/// The lists of some words.
#[derive(Debug)]
pub(super) struct Merge<P> {
    postings: P,
    operator: Operator,
    lists: Vec<List>,
}

/// Some of the entries, and whether there are no more.
#[derive(Debug)]
pub(super) struct Page {
    pub(super) leaves: Vec<Hash>,
    pub(super) last: bool,
}

#[derive(Debug)]
struct List {
    word: String,
    /// Read and not yet used, by index.
    ahead: VecDeque<(u64, Hash)>,
    /// Where to read on; none at the end.
    next: Option<u64>,
}

impl<P: Postings> Merge<P> {
    pub(super) fn new(postings: P, words: Vec<String>, operator: Operator) -> Self {
        let list = |word| List { word, ahead: VecDeque::new(), next: Some(0) };
        Self { postings, operator, lists: words.into_iter().map(list).collect() }
    }

    /// The next entries, each once and in order.
    pub(super) async fn page(&mut self) -> Result<Page, StoreError> {
        let mut leaves = Vec::new();
        while leaves.len() < PAGE as usize {
            match self.entry().await? {
                Some(leaf) => leaves.push(leaf),
                None => return Ok(Page { leaves, last: true }),
            }
        }
        Ok(Page { leaves, last: false })
    }

    async fn entry(&mut self) -> Result<Option<Hash>, StoreError> {
        loop {
            for list in &mut self.lists {
                list.fill(&self.postings).await?;
            }
            let fronts = self.lists.iter().map(|list| list.ahead.front().map(|(index, _)| *index));
            let (index, taken) = match self.operator {
                Operator::Or => match fronts.flatten().min() {
                    Some(least) => (least, true),
                    None => return Ok(None),
                },
                // What is in each list is not before the furthest of their fronts.
                Operator::And => match fronts.collect::<Option<Vec<_>>>() {
                    Some(fronts) if !fronts.is_empty() => {
                        let (least, most) = (fronts.iter().min(), fronts.iter().max());
                        (most.copied().unwrap_or_default(), least == most)
                    }
                    Some(_) | None => return Ok(None),
                },
            };
            let mut leaf = None;
            for list in &mut self.lists {
                match taken {
                    true => leaf = list.take(index).or(leaf),
                    false => list.skip_to(index),
                }
            }
            if taken {
                return Ok(leaf);
            }
        }
    }
}

impl List {
    async fn fill(&mut self, postings: &impl Postings) -> Result<(), StoreError> {
        if let (true, Some(from)) = (self.ahead.is_empty(), self.next) {
            self.ahead = postings.read(&self.word, from, PAGE).await?.into();
            let full = self.ahead.len() >= PAGE as usize;
            self.next = self.ahead.back().filter(|_| full).map(|(index, _)| index + 1);
        }
        Ok(())
    }

    /// Takes the entry at `index` from the front, if it is there.
    fn take(&mut self, index: u64) -> Option<Hash> {
        self.ahead.pop_front_if(|(front, _)| *front == index).map(|(_, leaf)| leaf)
    }

    /// Drops everything before `index`.
    fn skip_to(&mut self, index: u64) {
        while self.ahead.pop_front_if(|(front, _)| *front < index).is_some() {}
        if self.ahead.is_empty() {
            self.next = self.next.map(|next| next.max(index));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    struct Lists(BTreeMap<String, BTreeSet<u64>>);

    fn leaf(index: u64) -> Hash {
        merkle::leaf_hash(&index.to_be_bytes())
    }

    impl Postings for Lists {
        async fn read(&self, word: &str, from: u64, limit: u32) -> Result<Vec<(u64, Hash)>, StoreError> {
            let list = self.0.get(word).map(|list| list.range(from..)).into_iter().flatten();
            Ok(list.take(limit as usize).map(|index| (*index, leaf(*index))).collect())
        }
    }

    async fn merged(lists: &[BTreeSet<u64>], operator: Operator) -> Vec<Hash> {
        let words: Vec<_> = (0..lists.len()).map(|n| n.to_string()).collect();
        let mut merge = Merge::new(Lists(words.iter().cloned().zip(lists.iter().cloned()).collect()), words, operator);
        let mut all = Vec::new();
        loop {
            let Page { leaves, last } = merge.page().await.unwrap();
            assert!(leaves.len() <= PAGE as usize && (last || leaves.len() == PAGE as usize));
            all.extend(leaves);
            if last {
                return all;
            }
        }
    }

    #[tokio::test]
    async fn nothing_is_found_without_a_word() {
        for operator in [Operator::And, Operator::Or] {
            assert_eq!(merged(&[], operator).await, []);
            assert_eq!(merged(&[BTreeSet::new()], operator).await, []);
        }
    }

    #[tokio::test]
    async fn lists_longer_than_a_page_are_read_to_their_ends() {
        for length in [511, 512, 513, 1_024, 1_500] {
            let (evens, all): (BTreeSet<u64>, BTreeSet<u64>) = ((0..length).map(|n| 2 * n).collect(), (0..2 * length).collect());
            for (operator, expected) in [(Operator::And, &evens), (Operator::Or, &all)] {
                let expected: Vec<_> = expected.iter().copied().map(leaf).collect();
                assert!(merged(&[evens.clone(), all.clone()], operator).await == expected, "{length} {operator:?}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn it_is_the_algebra_of_sets(lists in prop::collection::vec(prop::collection::btree_set(0u64..3_000, 0..1_200), 1..4)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let or = lists.iter().flatten().copied().collect::<BTreeSet<_>>();
            let and = or.iter().copied().filter(|index| lists.iter().all(|list| list.contains(index))).collect::<BTreeSet<_>>();
            for (operator, expected) in [(Operator::Or, or), (Operator::And, and)] {
                let expected: Vec<_> = expected.into_iter().map(leaf).collect();
                prop_assert!(runtime.block_on(merged(&lists, operator)) == expected, "{operator:?}");
            }
        }
    }
}
