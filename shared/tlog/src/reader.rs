//! Proofs and tiles, for the published head and every size before it. Nothing here touches the write path.

use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use arc_swap::ArcSwap;
use bytes::Bytes;
use merkle::{Hash, Node, ProofPlan, Subtree, TILE_HEIGHT, TILE_WIDTH, Tile};
use moka::future::Cache;

use crate::tree::{Growth, LeafTile, Tree};
use crate::{FullTile, Leaf, Limits, ReadError, SignedTreeHead, Store, StoreError, Stored};

pub(crate) struct Reader {
    store: Arc<dyn Store>,
    /// Written by the sequencer alone, after a commit. It may be ahead of `head` for a moment, never behind.
    tree: RwLock<Tree>,
    /// What readers are told. Swapped last, so that whoever sees a head finds everything below it.
    head: ArcSwap<SignedTreeHead>,
    /// Full leaf tiles, each checked against the tree when it was read.
    leaf_tiles: Cache<u64, Arc<LeafTile>>,
}

impl Reader {
    pub(crate) fn new(store: Arc<dyn Store>, tree: Tree, head: SignedTreeHead, limits: &Limits) -> Self {
        Self { store, tree: RwLock::new(tree), head: ArcSwap::from_pointee(head), leaf_tiles: Cache::new(limits.leaf_tiles) }
    }

    pub(crate) fn head(&self) -> Arc<SignedTreeHead> {
        self.head.load_full()
    }

    /// The tree as it was committed last. Only for as long as it takes to look something up.
    pub(crate) fn tree(&self) -> RwLockReadGuard<'_, Tree> {
        // A tree whose writer panicked is whole or the process cannot append any more: what was published can still be read.
        self.tree.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a committed batch visible: nodes first, then the head that covers them.
    pub(crate) async fn publish(&self, growth: Growth, head: SignedTreeHead) -> Arc<SignedTreeHead> {
        let full = self.tree.write().expect("only the sequencer writes, and it ends when it panics").apply(growth);
        for tile in full {
            self.leaf_tiles.insert(tile.index(), Arc::new(tile)).await;
        }
        let head = Arc::new(head);
        self.head.store(Arc::clone(&head));
        head
    }

    pub(crate) async fn inclusion_proof(&self, index: u64, size: u64) -> Result<Vec<Hash>, ReadError> {
        self.check_size(size)?;
        Ok(self.prove(&ProofPlan::inclusion(index, size)?).await?)
    }

    pub(crate) async fn consistency_proof(&self, old: u64, new: u64) -> Result<Vec<Hash>, ReadError> {
        self.check_size(new)?;
        Ok(self.prove(&ProofPlan::consistency(old, new)?).await?)
    }

    pub(crate) async fn tile(&self, tile: Tile) -> Result<Option<Bytes>, StoreError> {
        if !tile.exists_in(self.head().size) {
            return Ok(None);
        }
        if let Some(hashes) = self.tree().tile(tile) {
            return Ok(Some(hashes.into()));
        }
        // Not in memory, so it is a leaf tile that is full by now; a partial one is its beginning.
        Ok(Some(self.leaf_tile(tile.index).await?.leaves(tile.width).into()))
    }

    pub(crate) async fn entries(&self, range: Range<u64>) -> Result<Vec<Stored>, StoreError> {
        let end = range.end.min(self.head().size);
        if range.start >= end {
            return Ok(Vec::new());
        }
        let entries = self.store.entries(range.start..end).await?;
        let complete = entries.iter().map(|entry| entry.index).eq(range.start..end);
        if complete {
            Ok(entries)
        } else {
            Err(StoreError::damaged(format!("entries are missing between {} and {end}", range.start)))
        }
    }

    /// The leaf of an entry that the published head covers.
    pub(crate) async fn leaf(&self, index: u64) -> Result<Leaf, StoreError> {
        let entry = self.store.entries(index..index + 1).await?.pop();
        let Stored { data, extra, .. } = entry.ok_or_else(|| StoreError::damaged(format!("entry {index} is missing")))?;
        Ok(Leaf { data, extra })
    }

    /// The root of the first `size` leaves, which are no more than the tree has.
    pub(crate) async fn root_at(&self, size: u64) -> Result<Hash, StoreError> {
        self.compute(|node| Subtree::whole(size).root(node)).await
    }

    async fn prove(&self, plan: &ProofPlan) -> Result<Vec<Hash>, StoreError> {
        self.compute(|node| plan.hashes(node)).await
    }

    /// Computes something from nodes in memory, and in the leaf tiles it turns out to need: for a proof those it begins at, one or two.
    async fn compute<T>(
        &self,
        from_nodes: impl Fn(&dyn Fn(Node) -> Result<Hash, u64>) -> Result<T, u64>,
    ) -> Result<T, StoreError> {
        let mut tiles: Vec<Arc<LeafTile>> = Vec::new();
        loop {
            let computed = {
                let tree = self.tree();
                from_nodes(&|node| tree.node(node).or_else(|| inside(&tiles, node)).ok_or(node.place().index))
            };
            match computed {
                Ok(result) => return Ok(result),
                Err(missing) => tiles.push(self.leaf_tile(missing).await?),
            }
        }
    }

    /// A full leaf tile, which leads to the tree.
    pub(crate) async fn leaf_tile(&self, index: u64) -> Result<Arc<LeafTile>, StoreError> {
        self.leaf_tiles.try_get_with(index, self.load_leaf_tile(index)).await.map_err(|error| match error.as_ref() {
            StoreError::Objects { doing, source } => StoreError::Objects { doing, source: Arc::clone(source) },
            StoreError::Object { name, what } => StoreError::Object { name: name.clone(), what: what.clone() },
            _ => StoreError::Failed { doing: "reading a leaf tile", source: error.into() },
        })
    }

    /// Reads a full leaf tile and checks it: what the tree in memory says its root is was signed.
    async fn load_leaf_tile(&self, index: u64) -> Result<Arc<LeafTile>, StoreError> {
        let found = self.leaf_tile_hashes(index).await?;
        let expected = self.tree().node(Node { level: TILE_HEIGHT, index });
        match found.and_then(|hashes| LeafTile::from_bytes(index, &hashes)) {
            Some((tile, root)) if Some(root) == expected => Ok(Arc::new(tile)),
            _ => Err(StoreError::damaged(format!("leaf tile {index} is missing or does not lead to the signed root"))),
        }
    }

    /// The hashes of a full leaf tile, as one string of bytes. One that was moved is made again of what the database has kept: a proof
    /// needs nothing from anywhere else.
    async fn leaf_tile_hashes(&self, index: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let first = index * TILE_WIDTH;
        if self.store.tier().is_some() && first < self.store.moved().await? {
            let leaves = self.store.leaf_hashes(first..first + TILE_WIDTH).await?;
            return Ok(Some(leaves.iter().flat_map(|(_, leaf)| *leaf.as_bytes()).collect()));
        }
        let tile = self.store.tiles(0, index..index + 1).await?.pop();
        Ok(tile.map(|FullTile { hashes, .. }| hashes))
    }

    fn check_size(&self, asked: u64) -> Result<(), ReadError> {
        let published = self.head().size;
        if asked > published { Err(ReadError::Beyond { asked, published }) } else { Ok(()) }
    }
}

fn inside(tiles: &[Arc<LeafTile>], node: Node) -> Option<Hash> {
    let place = node.place();
    if place.level > 0 {
        return None;
    }
    tiles.iter().find(|tile| tile.index() == place.index)?.node(node)
}
