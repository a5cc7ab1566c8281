use merkle::{Hash, TILE_WIDTH, leaf_hash};

use crate::recover::{At, check_entry, read_state, read_tiles};
use crate::tree::Tree;
use crate::{OpenError, Store, TreeHeadSigner};

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

/// Computes the whole log anew from its entries and compares everything that is stored with it.
///
/// It takes time in proportion to the log. The log must not be written meanwhile.
///
/// # Errors
/// [`OpenError`], naming the first thing that does not agree.
pub async fn check_log(store: &dyn Store, signer: &dyn TreeHeadSigner) -> Result<CheckReport, OpenError> {
    let at = At::new(store);
    let state = read_state(store, signer).await?;
    let failed = |error| at.store(error);
    let count = store.count().await.map_err(failed)?;
    if count != state.size {
        return Err(at.state_damaged(format!("there are {count} entries, expected {} by the size in the state", state.size)));
    }
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
            check_entry(&at, entry, leaf, state.time)?;
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
            tiles += 1;
        }
        tree.apply(growth);
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
