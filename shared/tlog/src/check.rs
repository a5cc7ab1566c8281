use std::sync::Arc;

use merkle::{Hash, Node, TILE_HEIGHT, TILE_WIDTH, leaf_hash, node_hash};
use objects::ObjectError;

use crate::recover::{At, check_data, check_time, read_state, read_tiles};
use crate::tier::tile_name;
use crate::tree::{Growth, Tree};
use crate::{FullTile, OpenError, Store, StoreError, TreeHeadSigner};

/// How many entries are read at a time.
const STEP: u64 = 1_024;

/// What was found by [`check_log`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckReport {
    /// Entries, each hashed again.
    pub entries: u64,
    /// Full tiles, each compared with what it must be.
    pub tiles: u64,
    /// The root they lead to, which is the signed one.
    pub root: Hash,
}

/// How much is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// Everything that leads to the signed root: each entry is hashed again, each tile compared with what it must be.
    Whole,
    /// Besides, each tile by a second implementation, and each entry through what it is found by.
    Deep,
}

/// Computes the whole log anew from its entries and compares everything that is stored with it.
///
/// # Errors
/// As [`check_log_to`].
pub async fn check_log(store: &dyn Store, signer: &dyn TreeHeadSigner) -> Result<CheckReport, OpenError> {
    check_log_to(store, signer, Depth::Whole, &|_, _| ()).await
}

/// As [`check_log`], to this depth; `progress` is told again and again how many entries of how many were checked.
///
/// It takes time in proportion to the log. The log must not be written meanwhile.
///
/// # Errors
/// [`OpenError`], naming the first thing that does not agree.
pub async fn check_log_to(
    store: &dyn Store,
    signer: &dyn TreeHeadSigner,
    depth: Depth,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<CheckReport, OpenError> {
    let at = At::new(store);
    let state = read_state(store, signer).await?;
    let failed = |error| at.store(error);
    let count = store.count().await.map_err(failed)?;
    if count != state.size {
        return Err(at.state_damaged(format!("there are {count} entries, expected {} by the size in the state", state.size)));
    }
    let moved = store.moved().await.map_err(failed)?;
    let (mut tree, mut tiles, mut last_time) = (Tree::default(), 0, None);
    for from in (0..state.size).step_by(STEP as usize) {
        let range = from..state.size.min(from + STEP);
        let leaves = store.leaf_hashes(range.clone()).await.map_err(failed)?;
        let entries = store.entries(range.clone()).await.map_err(failed)?;
        let mut growth = tree.grow();
        for (n, index) in range.enumerate() {
            let (Some((_, leaf)), Some(entry)) = (leaves.get(n), entries.get(n)) else {
                return Err(at.entry_damaged(index, "it is missing"));
            };
            if leaves[n].0 != index || entry.index != index {
                return Err(at.entry_damaged(index, "it is missing"));
            }
            check_data(&at, index, &entry.data, leaf)?;
            check_time(&at, index, entry.time, state.time)?;
            if depth == Depth::Deep {
                check_found(&at, store, index, leaf).await?;
            }
            if last_time.replace(entry.time).is_some_and(|last| entry.time < last) {
                return Err(at.entry_damaged(index, "its time is before that of the entry before it"));
            }
            growth.push(leaf_hash(&entry.data));
        }
        for expected in tree.completed_tiles(&growth) {
            let found = read_tiles(&at, store, expected.level, expected.index..expected.index + 1).await?;
            if found[0] != expected {
                return Err(at.tile_damaged(expected.level, expected.index, "it is not made of the hashes below it"));
            }
            check_copy(&at, store, &expected, moved).await?;
            if depth == Depth::Deep && !second_opinion(&tree, &growth, &expected) {
                return Err(at.tile_damaged(
                    expected.level,
                    expected.index,
                    "a second implementation computes another root of it",
                ));
            }
            tiles += 1;
        }
        tree.apply(growth);
        progress(tree.size(), state.size);
    }
    check_no_more_tiles(&at, store, state.size).await?;
    if tree.range().root() != state.root || tree.range().hashes() != state.frontier {
        return Err(at.state_damaged(format!(
            "entries lead to root {}, state has {}",
            tree.range().root().short(),
            state.root.short()
        )));
    }
    Ok(CheckReport { entries: state.size, tiles, root: state.root })
}

/// The entry is found by its leaf hash: there, or where an equal leaf came first.
async fn check_found(at: &At, store: &dyn Store, index: u64, leaf: &Hash) -> Result<(), OpenError> {
    match store.index_of(leaf).await.map_err(|error| at.store(error))? {
        Some(found) if found <= index => Ok(()),
        Some(_) | None => Err(at.entry_damaged(index, "it is not found by its leaf hash: an index of the database is damaged")),
    }
}

/// A tile above the leaf tiles of entries that were moved is in the database and with them: it is as good there.
async fn check_copy(at: &At, store: &dyn Store, tile: &FullTile, moved: u64) -> Result<(), OpenError> {
    let Some(tier) = store.tier().filter(|_| tile.level > 0) else { return Ok(()) };
    if (tile.index + 1).saturating_mul(TILE_WIDTH.saturating_pow(u32::from(tile.level) + 1)) > moved {
        return Ok(());
    }
    let name = tile_name(tile.level, tile.index);
    let found = tier.objects.get(&name, tile.hashes.len()).await;
    let wrong = |what: &str| StoreError::Object { name: tier.shown(&name), what: what.to_owned() };
    let error = match found {
        Ok(Some(hashes)) if hashes == tile.hashes => return Ok(()),
        Ok(None) => wrong("is missing"),
        Ok(Some(_)) | Err(ObjectError::TooLarge { .. }) => wrong("is not the tile that the database has"),
        Err(error) => StoreError::Objects { doing: "reading an object", source: Arc::new(error) },
    };
    Err(at.store(error))
}

/// Whether `rs_merkle`, which shares no code with us, agrees on the root of a full tile.
fn second_opinion(tree: &Tree, growth: &Growth, tile: &FullTile) -> bool {
    let root = Node { level: (tile.level + 1) * TILE_HEIGHT, index: tile.index };
    let ours = growth.node(root).or_else(|| tree.node(root));
    ours.is_some() && ours == rs_merkle_root(&tile.hashes)
}

/// The root of a row of hashes, 32 bytes each, by `rs_merkle`.
pub(crate) fn rs_merkle_root(hashes: &[u8]) -> Option<Hash> {
    let leaves: Vec<[u8; Hash::LEN]> = hashes.chunks_exact(Hash::LEN).filter_map(|hash| hash.try_into().ok()).collect();
    rs_merkle::MerkleTree::<Rfc6962>::from_leaves(&leaves).root().map(Hash::new)
}

#[derive(Clone)]
struct Rfc6962;

impl rs_merkle::Hasher for Rfc6962 {
    type Hash = [u8; Hash::LEN];

    fn hash(data: &[u8]) -> Self::Hash {
        *leaf_hash(data).as_bytes()
    }

    fn concat_and_hash(left: &Self::Hash, right: Option<&Self::Hash>) -> Self::Hash {
        right.map_or(*left, |right| *node_hash(&Hash::new(*left), &Hash::new(*right)).as_bytes())
    }
}

/// A tile beyond the size would be taken for one that was written with entries.
async fn check_no_more_tiles(at: &At, store: &dyn Store, size: u64) -> Result<(), OpenError> {
    for level in 0..8 {
        let full = merkle::Tile::hashes_in_level(level, size) / TILE_WIDTH;
        if let Some(more) = store.tiles(level, full..full + STEP).await.map_err(|error| at.store(error))?.first() {
            return Err(at.tile_damaged(level, more.index, "the log has not so many entries"));
        }
    }
    Ok(())
}
