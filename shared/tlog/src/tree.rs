//! The tree in memory: every complete node from level 8 up (a quarter byte per entry), and all nodes of the unfinished leaf tile.
//!
//! What is missing, the nodes inside full leaf tiles, is one stored tile away. With this any proof needs at most the tiles of the
//! leaves it begins at, and a batch's own proofs need none.

use merkle::{CompactRange, Hash, Node, TILE_HEIGHT, TILE_WIDTH, node_hash};

use crate::FullTile;

/// Level of the roots of full leaf tiles.
const ABOVE_LEAF_TILES: u8 = TILE_HEIGHT;

/// Neighbouring complete nodes of one level, beginning with number `start`.
#[derive(Debug, Clone, Default)]
struct Row {
    start: u64,
    hashes: Vec<Hash>,
}

impl Row {
    fn get(&self, index: u64) -> Option<Hash> {
        self.hashes.get(usize::try_from(index.checked_sub(self.start)?).ok()?).copied()
    }

    fn end(&self) -> u64 {
        self.start + self.hashes.len() as u64
    }
}

/// A committed tree.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    range: CompactRange,
    /// By level. Below level 8 a row begins at the unfinished leaf tile, from there up at 0.
    rows: Vec<Row>,
}

/// Leaves on top of a tree, not part of it before [`Tree::apply`]: a batch that fails is dropped and was never there.
#[derive(Debug)]
pub(crate) struct Growth {
    from: u64,
    range: CompactRange,
    rows: Vec<Row>,
}

/// The nodes of a full leaf tile, levels 0 to 7.
#[derive(Debug)]
pub(crate) struct LeafTile {
    index: u64,
    rows: Vec<Vec<Hash>>,
}

impl Growth {
    pub(crate) fn push(&mut self, leaf: Hash) {
        let rows = &mut self.rows;
        let from = self.from;
        self.range.append_with(leaf, |node, hash| {
            while rows.len() <= usize::from(node.level) {
                rows.push(Row { start: from >> rows.len(), hashes: Vec::new() });
            }
            rows[usize::from(node.level)].hashes.push(hash);
        });
    }

    pub(crate) fn range(&self) -> &CompactRange {
        &self.range
    }

    /// The hash of a node that became complete by these leaves.
    pub(crate) fn node(&self, node: Node) -> Option<Hash> {
        self.rows.get(usize::from(node.level))?.get(node.index)
    }
}

impl Tree {
    /// A tree from what a store has: the hashes of tile level 1, and the leaves after the last full leaf tile.
    pub(crate) fn from_parts(above_leaf_tiles: Vec<Hash>, edge: &[Hash]) -> Self {
        let from = above_leaf_tiles.len() as u64 * TILE_WIDTH;
        let mut rows: Vec<_> = (0..ABOVE_LEAF_TILES).map(|level| Row { start: from >> level, hashes: Vec::new() }).collect();
        let mut row = above_leaf_tiles;
        while !row.is_empty() {
            let parents = row.chunks_exact(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
            rows.push(Row { start: 0, hashes: std::mem::replace(&mut row, parents) });
        }
        let hashes = frontier(from, &rows);
        let range = CompactRange::from_hashes(from, hashes).expect("one hash per set bit of the size");
        let mut tree = Self { range, rows };
        let mut growth = tree.grow();
        edge.iter().for_each(|leaf| growth.push(*leaf));
        tree.apply(growth);
        tree
    }

    pub(crate) fn range(&self) -> &CompactRange {
        &self.range
    }

    pub(crate) fn size(&self) -> u64 {
        self.range.size()
    }

    /// The hash of a complete node, unless it lies inside a full leaf tile.
    pub(crate) fn node(&self, node: Node) -> Option<Hash> {
        self.rows.get(usize::from(node.level))?.get(node.index)
    }

    /// Nothing yet, on top of this tree.
    pub(crate) fn grow(&self) -> Growth {
        Growth { from: self.size(), range: self.range.clone(), rows: Vec::new() }
    }

    /// The tiles that become full by `growth`, level by level, in order.
    pub(crate) fn completed_tiles(&self, growth: &Growth) -> Vec<FullTile> {
        let mut tiles = Vec::new();
        // A tile is full when its root is complete: a node whose level is a multiple of the height.
        for level in (ABOVE_LEAF_TILES..growth.rows.len() as u8).step_by(TILE_HEIGHT.into()) {
            let roots = &growth.rows[usize::from(level)];
            let below = level - TILE_HEIGHT;
            for index in roots.start..roots.end() {
                let hash = |n| {
                    let node = Node { level: below, index: index * TILE_WIDTH + n };
                    growth.rows[usize::from(below)]
                        .get(node.index)
                        .or_else(|| self.node(node))
                        .expect("a full tile has all its nodes")
                };
                let hashes = (0..TILE_WIDTH).flat_map(|n| *hash(n).as_bytes()).collect();
                tiles.push(FullTile { level: below / TILE_HEIGHT, index, hashes });
            }
        }
        tiles
    }

    /// Makes `growth` part of the tree. Returns the leaf tiles that became full and are no longer held here.
    ///
    /// # Panics
    /// When `growth` did not begin at this tree's size.
    pub(crate) fn apply(&mut self, growth: Growth) -> Vec<LeafTile> {
        assert_eq!(growth.from, self.size(), "a batch is applied to the tree it was built on");
        for (level, row) in growth.rows.into_iter().enumerate() {
            if level == self.rows.len() {
                self.rows.push(Row::default());
            }
            self.rows[level].hashes.extend(row.hashes);
        }
        self.range = growth.range;
        let first = self.rows.first().map_or(0, |leaves| leaves.start / TILE_WIDTH);
        (first..self.size() / TILE_WIDTH).map(|index| self.take_leaf_tile(index)).collect()
    }

    /// The hashes of a tile above the leaf tiles, or of the unfinished leaf tile.
    pub(crate) fn tile(&self, tile: merkle::Tile) -> Option<Vec<u8>> {
        let row = self.rows.get(usize::from(tile.level) * usize::from(TILE_HEIGHT))?;
        let first = usize::try_from((tile.index * TILE_WIDTH).checked_sub(row.start)?).ok()?;
        let hashes = row.hashes.get(first..first + usize::from(tile.width))?;
        Some(hashes.iter().flat_map(|hash| *hash.as_bytes()).collect())
    }

    fn take_leaf_tile(&mut self, index: u64) -> LeafTile {
        let take = |level: u8| {
            let row = &mut self.rows[usize::from(level)];
            let width = TILE_WIDTH as usize >> level;
            row.start += width as u64;
            row.hashes.drain(..width).collect()
        };
        LeafTile { index, rows: (0..ABOVE_LEAF_TILES).map(take).collect() }
    }
}

impl LeafTile {
    /// The tile with these leaf hashes, and its root. None when they are not 256.
    pub(crate) fn from_bytes(index: u64, leaves: &[u8]) -> Option<(Self, Hash)> {
        if leaves.len() != TILE_WIDTH as usize * Hash::LEN {
            return None;
        }
        let mut row: Vec<_> = leaves.chunks_exact(Hash::LEN).map(|leaf| Hash::try_from(leaf).expect("32 bytes")).collect();
        let mut rows = Vec::with_capacity(ABOVE_LEAF_TILES.into());
        while row.len() > 1 {
            let parents = row.chunks_exact(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
            rows.push(std::mem::replace(&mut row, parents));
        }
        Some((Self { index, rows }, row[0]))
    }

    pub(crate) fn index(&self) -> u64 {
        self.index
    }

    /// The hash of a node inside this tile; the caller has seen that it is.
    pub(crate) fn node(&self, node: Node) -> Option<Hash> {
        let row = self.rows.get(usize::from(node.level))?;
        row.get((node.index as usize) & (row.len() - 1)).copied()
    }

    pub(crate) fn leaf_hashes(&self) -> &[Hash] {
        &self.rows[0]
    }

    /// The first `width` leaf hashes.
    pub(crate) fn leaves(&self, width: u16) -> Vec<u8> {
        self.rows[0][..usize::from(width)].iter().flat_map(|hash| *hash.as_bytes()).collect()
    }
}

/// The perfect subtrees of a tree of `size` leaves, whole leaf tiles all of them.
fn frontier(size: u64, rows: &[Row]) -> Vec<Hash> {
    let hash = |node: Node| rows[usize::from(node.level)].get(node.index).expect("every level is there");
    merkle::Subtree::whole(size).nodes().map(hash).collect()
}

#[cfg(test)]
mod tests {
    use merkle::{ProofPlan, Tile, leaf_hash, verify_inclusion};

    use super::*;

    fn leaf(n: u64) -> Hash {
        leaf_hash(&n.to_be_bytes())
    }

    /// Grows in batches of changing sizes and keeps what becomes full, as a store would.
    fn grown(size: u64, batches: &[u64]) -> (Tree, Vec<LeafTile>, Vec<FullTile>) {
        let (mut tree, mut leaf_tiles, mut full) = (Tree::default(), Vec::new(), Vec::new());
        for batch in batches.iter().cycle() {
            let mut growth = tree.grow();
            (tree.size()..size.min(tree.size() + batch)).for_each(|n| growth.push(leaf(n)));
            full.extend(tree.completed_tiles(&growth));
            leaf_tiles.extend(tree.apply(growth));
            if tree.size() == size {
                return (tree, leaf_tiles, full);
            }
        }
        unreachable!("the cycle has no end")
    }

    fn naive(size: u64) -> CompactRange {
        let mut range = CompactRange::new();
        (0..size).for_each(|n| range.append(leaf(n)));
        range
    }

    #[test]
    fn batches_of_any_size_grow_the_same_tree() {
        for size in [0, 1, 255, 256, 257, 511, 512, 513, 70_000] {
            for batches in [&[1][..], &[1_024], &[255, 1, 1], &[300, 7, 256]] {
                let (tree, leaf_tiles, full) = grown(size, batches);
                assert_eq!(tree.range(), &naive(size), "{size} by {batches:?}");
                assert_eq!(leaf_tiles.len() as u64, size / 256);
                assert!(leaf_tiles.iter().zip(0..).all(|(tile, index)| tile.index() == index));
                let expected = size / 256 + size / 65_536;
                assert_eq!(full.len() as u64, expected, "{size} by {batches:?}");
                assert!(full.iter().all(|tile| tile.hashes.len() == 8_192));
            }
        }
    }

    #[test]
    fn a_tree_from_stored_parts_is_the_tree_that_was_grown() {
        for size in [0, 1, 255, 256, 257, 512, 70_000, 131_072] {
            let (tree, ..) = grown(size, &[1_000]);
            let full = size / 256 * 256;
            let above = (0..size / 256).map(|index| tree.node(Node { level: 8, index }).unwrap()).collect();
            let edge: Vec<_> = (full..size).map(leaf).collect();
            let loaded = Tree::from_parts(above, &edge);
            assert_eq!(loaded.range(), tree.range());
            for level in 0..20 {
                for index in 0..600 {
                    let node = Node { level, index };
                    assert_eq!(loaded.node(node), tree.node(node), "{node:?} of {size}");
                }
            }
        }
    }

    #[test]
    fn every_node_is_in_the_tree_or_in_a_leaf_tile() {
        let size = 1_300;
        let (tree, leaf_tiles, _) = grown(size, &[1_000, 100]);
        for index in 0..size {
            let plan = ProofPlan::inclusion(index, size).unwrap();
            let node = |node: Node| tree.node(node).or_else(|| leaf_tiles[node.place().index as usize].node(node)).ok_or(node);
            let proof = plan.hashes(node).unwrap();
            verify_inclusion(&leaf(index), index, size, &proof, &tree.range().root()).unwrap();
        }
    }

    #[test]
    fn tiles_are_cut_from_rows() {
        let (tree, leaf_tiles, full) = grown(70_000, &[1_024]);
        let bytes = |hashes: Vec<Hash>| hashes.iter().flat_map(|hash| *hash.as_bytes()).collect::<Vec<_>>();
        let edge = Tile { level: 0, index: 273, width: 7 };
        assert_eq!(tree.tile(edge), Some(bytes((69_888..69_895).map(leaf).collect())));
        assert_eq!(tree.tile(Tile { width: 112, ..edge }).unwrap().len(), 112 * 32);
        assert_eq!((tree.tile(Tile { width: 113, ..edge }), tree.tile(Tile::full(0, 0))), (None, None));
        assert_eq!(
            tree.tile(Tile { level: 2, index: 0, width: 1 }),
            Some(tree.node(Node { level: 16, index: 0 }).unwrap().as_bytes().to_vec())
        );
        let stored = full.iter().find(|tile| (tile.level, tile.index) == (1, 0)).unwrap();
        assert_eq!(tree.tile(Tile::full(1, 0)).as_ref(), Some(&stored.hashes));
        assert_eq!(leaf_tiles[3].leaves(2), bytes(vec![leaf(768), leaf(769)]));
        let (reread, root) = LeafTile::from_bytes(3, &leaf_tiles[3].leaves(256)).unwrap();
        assert_eq!((reread.rows, Some(root)), (leaf_tiles[3].rows.clone(), tree.node(Node { level: 8, index: 3 })));
        assert!(LeafTile::from_bytes(3, &[0; 8_191]).is_none());
    }
}
