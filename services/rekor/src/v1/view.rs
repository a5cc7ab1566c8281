//! All trees of the log at one moment.

use std::net::IpAddr;
use std::sync::Arc;

use keys::Signer;
use merkle::Hash;
use tlog::{AppendError, Appended, Log, Place, ReadError, SignedTreeHead, Stored, Submission};

use super::answer::{Answer, Proven};
use super::entry_id::Named;
use super::error::ApiError;
use super::{App, TreeId};

/// A tree of the log with its own key: the one that takes entries, or one that was frozen before it.
#[derive(Debug)]
pub(super) struct Shard {
    pub(super) log: Log,
    pub(super) tree: TreeId,
    /// The tree's key: it signs promises too.
    pub(super) key: Arc<dyn Signer>,
}

/// The trees that can be read, each with one head: the frozen ones oldest first, then the one that takes entries.
///
/// A tree is not in it before the one that it follows is frozen: only then is it known at which index it begins. When all are frozen,
/// the last is in the place of the one that takes entries, and refuses them.
#[derive(Debug)]
pub(super) struct View<'a> {
    trees: Vec<Tree<'a>>,
}

/// A tree as it was at that moment.
#[derive(Debug, Clone)]
pub(super) struct Tree<'a> {
    pub(super) shard: &'a Shard,
    pub(super) head: Arc<SignedTreeHead>,
    /// The index of its first entry, in the count over all trees that promises name: as many entries are in the older ones.
    pub(super) first: u64,
}

/// A place in the tree that takes entries.
#[derive(Debug)]
pub(super) struct Admitted<'a> {
    tree: Tree<'a>,
    place: Place,
}

impl App {
    /// As it is now.
    pub(super) fn view(&self) -> View<'_> {
        let mut trees = Vec::with_capacity(self.shards.len());
        let mut first = 0;
        for shard in &self.shards {
            let head = shard.log.checkpoint();
            let (last, size) = (head.last, head.size);
            trees.push(Tree { shard, head, first });
            if !last {
                break;
            }
            first += size;
        }
        View { trees }
    }

    /// As it is now, after a look at the database when it does not reach so many entries over all trees: another process may have logged
    /// them.
    pub(super) async fn view_reaching(&self, entries: u64) -> View<'_> {
        let view = self.view();
        let Tree { shard, head, first } = view.active();
        match entries.checked_sub(*first) {
            Some(size) if size > head.size => {
                shard.log.reach(size).await;
                self.view()
            }
            _ => view,
        }
    }

    /// A place for an entry of about `bytes` from this client, in the tree that takes entries.
    pub(super) fn admit(&self, client: Option<IpAddr>, bytes: usize) -> Result<Admitted<'_>, AppendError> {
        let tree = self.view().into_active();
        let place = tree.shard.log.admit(client, bytes)?;
        Ok(Admitted { tree, place })
    }

    /// Logs an entry in the tree that takes entries, or finds the one there that it duplicates.
    ///
    /// A tree that another process has frozen says so here first; then the next one takes the entry, if there is one.
    pub(super) async fn append<'a>(
        &'a self,
        admitted: Admitted<'a>,
        submission: Arc<dyn Submission>,
    ) -> Result<(Tree<'a>, Appended), AppendError> {
        let Admitted { mut tree, place } = admitted;
        let mut outcome = tree.shard.log.append_in(place, Arc::clone(&submission)).await;
        while let Err(AppendError::Frozen) = outcome {
            let next = self.view().into_active();
            if next.shard.tree == tree.shard.tree {
                break;
            }
            tree = next;
            outcome = tree.shard.log.append(Arc::clone(&submission)).await;
        }
        outcome.map(|appended| (tree, appended))
    }
}

impl<'a> View<'a> {
    /// The tree that takes entries.
    pub(super) fn active(&self) -> &Tree<'a> {
        self.trees.last().expect("a log is opened with at least one tree")
    }

    fn into_active(mut self) -> Tree<'a> {
        self.trees.pop().expect("a log is opened with at least one tree")
    }

    /// Those that were frozen before it, oldest first.
    pub(super) fn inactive(&self) -> &[Tree<'a>] {
        &self.trees[..self.trees.len() - 1]
    }

    /// All of them in the order of their indexes.
    pub(super) fn trees(&self) -> &[Tree<'a>] {
        &self.trees
    }

    /// The tree of this number.
    pub(super) fn tree(&self, id: TreeId) -> Option<&Tree<'a>> {
        self.trees.iter().find(|tree| tree.shard.tree == id)
    }

    /// The entry of this name, in the order of [`View::named_everywhere`] the first; none when it is not there.
    pub(super) async fn named(&self, named: Named) -> Result<Option<Answer>, ApiError> {
        match named {
            Named::Leaf(leaf) => {
                for tree in self.newest_first() {
                    if let Some(answer) = tree.by_leaf(&leaf).await? {
                        return Ok(Some(answer));
                    }
                }
                Ok(None)
            }
            Named::Entry(id) => match self.tree(id.tree) {
                Some(tree) => tree.by_leaf(&id.leaf).await,
                None => Ok(None),
            },
        }
    }

    /// The entries with this leaf hash, one of each tree that has it: the tree that takes entries first, then the frozen ones.
    pub(super) async fn named_everywhere(&self, leaf: &Hash) -> Result<Vec<Answer>, ApiError> {
        let mut found = Vec::new();
        for tree in self.newest_first() {
            found.extend(tree.by_leaf(leaf).await?);
        }
        Ok(found)
    }

    /// The entry at this index, counted over all trees; none beyond them.
    pub(super) async fn at(&self, index: u64) -> Result<Option<Answer>, ApiError> {
        let tree = self.trees.iter().rev().find(|tree| tree.first <= index);
        match tree {
            Some(tree) => tree.at(index - tree.first).await,
            None => Ok(None),
        }
    }

    fn newest_first(&self) -> impl Iterator<Item = &Tree<'a>> {
        std::iter::once(self.active()).chain(self.inactive())
    }
}

impl Tree<'_> {
    async fn by_leaf(&self, leaf: &Hash) -> Result<Option<Answer>, ApiError> {
        match self.shard.log.index_of(leaf).await? {
            // Logged after `head` was taken: the newest one covers it.
            Some(index) if index >= self.head.size => Self { head: self.shard.log.checkpoint(), ..self.clone() }.at(index).await,
            Some(index) => self.at(index).await,
            None => Ok(None),
        }
    }

    /// The entry at this index of the tree, with its proof in the tree of `head`; none beyond that.
    async fn at(&self, index: u64) -> Result<Option<Answer>, ApiError> {
        if index >= self.head.size {
            return Ok(None);
        }
        let log = &self.shard.log;
        let Some(Stored { time, data, .. }) = log.entries(index..index + 1).await?.pop() else { return Ok(None) };
        let proof = log.inclusion_proof(index, self.head.size).await.map_err(|error| match error {
            ReadError::Store(error) => ApiError::Store(error),
            error @ (ReadError::OutOfRange(_) | ReadError::Beyond { .. }) => ApiError::Read(error),
        })?;
        self.answer(Proven { index, time, body: data, proof, head: Arc::clone(&self.head) }).await.map(Some)
    }
}
