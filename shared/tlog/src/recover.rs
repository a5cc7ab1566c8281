//! Creation, and start-up: a check of the whole right edge, on which everything later is built.
//!
//! What is signed is the root. So the state row must lead to it, the tiles that memory is filled from must lead to it, and so must the
//! leaf hashes of the last entries, which are made again from the entries themselves. Tiles further left are checked in the same way
//! when they are first read; [`check_log`](crate::check_log) checks everything.
//!
//! What was moved to an object store is not read from there, but for one tile: a start is a check of what is local, and does not wait for
//! a service that only old entries need. The hashes that lead to the root are in the database in any case.

use std::ops::Range;
use std::path::Path;

use clock::Clock;
use jiff::Timestamp;
use merkle::{CompactRange, Hash, Node, Subtree, TILE_HEIGHT, TILE_WIDTH, Tile, leaf_hash};
use note::Checkpoint;

use crate::reader::Reader;
use crate::record::{HeadRecord, Kept, RecordError};
use crate::sequencer::chain;
use crate::tier::tile_name;
use crate::tree::{LeafTile, Tree};
use crate::{AppendError, Content, FullTile, OpenError, Row, State, Store, StoreError, Transaction, TreeHeadSigner};

/// How many tiles are read at a time.
const STEP: u64 = 256;

/// A log as it was found, in agreement with itself.
pub(crate) struct Recovered {
    pub(crate) state: State,
    pub(crate) tree: Tree,
}

/// Stores the first state: the empty tree with its signed head.
pub(crate) async fn create(store: &dyn Store, signer: &dyn TreeHeadSigner, clock: &dyn Clock) -> Result<(), OpenError> {
    let at = At::new(store);
    // Nothing is signed for a log that is there: its key may have signed another tree of size 0 at another time, but never need to.
    if store.state().await.map_err(|error| at.state(error))?.is_some() {
        return Err(OpenError::Exists { database: at.database });
    }
    let now = clock.now();
    let time = Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now);
    let mut state = State::empty(signer.origin(), signer.key_id(), time);
    let sign_failed = |source| OpenError::Sign { database: at.database.clone(), source };
    state.checkpoint = signer.sign(&state.head()).await.map_err(|error| sign_failed(error.into()))?;
    signer.verify(&state.checkpoint).map_err(|error| sign_failed(AppendError::from(error)))?;
    match store.create(&state).await {
        Err(StoreError::Exists) => Err(OpenError::Exists { database: at.database }),
        outcome => outcome.map_err(|error| at.store(error)),
    }
}

/// Keeps every other writer of a shared log waiting until what is returned is dropped.
pub(crate) async fn hold(store: &dyn Store) -> Result<Option<Box<dyn Transaction>>, OpenError> {
    if !store.shared() {
        return Ok(None);
    }
    match store.begin().await {
        Ok(held) => Ok(Some(held)),
        // Nothing is appended to such a log, and what is wrong with it is said by whoever reads it.
        Err(StoreError::Missing | StoreError::Damaged { .. }) => Ok(None),
        Err(error) => Err(At::new(store).store(error)),
    }
}

/// Reads a log and checks that everything at its right edge agrees.
pub(crate) async fn open(store: &dyn Store, signer: &dyn TreeHeadSigner) -> Result<Recovered, OpenError> {
    let at = At::new(store);

    // 1. The state row: undamaged, of this key and name, and in agreement with the head that was signed over it.
    let state = read_state(store, signer).await?;

    // 2. The entries: from 0 up to the size, no further. For those that were moved it must be known where to.
    check_extent(&at, store, &state).await?;
    let moved = store.moved().await.map_err(|error| at.store(error))?;
    if moved > state.size {
        return Err(at.state_damaged(format!("{moved} entries were moved to an object store, the state has {}", state.size)));
    }
    if moved > 0 && store.tier().is_none() {
        return Err(at.store(StoreError::Moved { index: moved - 1 }));
    }

    // 3. The last entries: none is missing, and each hashes to the leaf hash beside it.
    let leaves = last_leaves(&at, store, &state).await?;

    // 4. The last full leaf tile: the leaf hashes of its entries.
    check_last_tile(&at, store, moved, state.size).await?;

    // 5. The tree, from the stored tiles and the leaf hashes after the last full one: its frontier is the stored one, so all of them
    //    lead to the signed root.
    let above = above_leaf_tiles(&at, store, moved, state.size).await?;
    let edge = leaves.len() - (state.size % TILE_WIDTH) as usize;
    let tree = Tree::from_parts(above, &leaves[edge..]);
    check_frontier(&at, &tree, &state)?;

    // 6. The tiles above: what they would be if they were made again.
    check_upper_tiles(&at, store, &tree).await?;

    Ok(Recovered { state, tree })
}

/// Where a head is known from that was given to [`Log::open`](crate::Log::open).
pub(crate) const ANCHOR: &str = "what the log was opened with";

/// Checks that the log reaches a head that was published, and has its root there. `known` says where that head is known from.
pub(crate) async fn check_published(
    store: &dyn Store,
    reader: &Reader,
    state: &State,
    published: &Checkpoint,
    known: &str,
) -> Result<(), OpenError> {
    let at = At::new(store);
    if published.origin != state.origin {
        return Err(OpenError::OriginMismatch {
            database: at.database,
            stored: state.origin.clone(),
            given: published.origin.clone(),
        });
    }
    if published.size > state.size {
        return Err(OpenError::RolledBack {
            database: at.database,
            stored: state.size,
            published: published.size,
            known: known.to_owned(),
        });
    }
    let root = reader.root_at(published.size).await.map_err(|error| at.store(error))?;
    if root == published.root {
        return Ok(());
    }
    Err(OpenError::Diverged {
        database: at.database,
        size: published.size,
        stored: root.short(),
        published: published.root.short(),
        known: known.to_owned(),
    })
}

/// Opens the record of published heads, checks that the log reaches them, and writes down where the log is now.
///
/// Of a log that several processes write, those of the others on this machine are compared too. Nobody writes meanwhile, see [`hold`].
pub(crate) async fn open_record(
    path: &Path,
    store: &dyn Store,
    signer: &dyn TreeHeadSigner,
    reader: &Reader,
    state: &State,
) -> Result<HeadRecord, OpenError> {
    let at = At::new(store);
    let opened = if store.shared() { HeadRecord::open_free(path) } else { HeadRecord::open(path) };
    let (mut record, kept) = opened.map_err(|error| at.record(path, error))?;
    if kept.is_empty() {
        tracing::info!(log = state.origin, record = %record.path().display(), size = state.size, "a record of published heads begins");
    }
    check_recorded(record.path(), &kept, store, signer, reader, state).await?;
    let others = HeadRecord::files(path).filter(|other| store.shared() && other != record.path() && other.exists());
    for other in others {
        let kept = HeadRecord::peek(&other).map_err(|error| at.record(&other, error))?;
        check_recorded(&other, &kept, store, signer, reader, state).await?;
    }
    // Also shows, before anything is served, that it can be written.
    let written = record.write(&state.checkpoint, state.frozen).and_then(|()| record.sync());
    written.map_err(|error| at.record(record.path(), error.into()))?;
    Ok(record)
}

/// Checks that the log reaches the heads that a record has.
pub(crate) async fn check_recorded(
    path: &Path,
    kept: &[Kept],
    store: &dyn Store,
    signer: &dyn TreeHeadSigner,
    reader: &Reader,
    state: &State,
) -> Result<(), OpenError> {
    let at = At::new(store);
    for (head, last) in recorded_heads(&at, path, signer, kept)? {
        check_published(store, reader, state, &head, &path.display().to_string()).await?;
        // Its tree alone does not tell a frozen log from what it was before.
        if last && !(state.frozen && state.size == head.size) {
            return Err(at.thawed(path, head.size));
        }
    }
    Ok(())
}

/// The heads in a record, the newest first, each with whether the log was frozen with it: that is what was given up, if anything was.
///
/// A head of another log or key is no rollback: the file belongs to somebody else, and is not written over.
pub(crate) fn recorded_heads(
    at: &At,
    path: &Path,
    signer: &dyn TreeHeadSigner,
    kept: &[Kept],
) -> Result<Vec<(Checkpoint, bool)>, OpenError> {
    let heads = kept.iter().map(|kept| signer.verify(&kept.note).map(|head| (head, kept.last))).collect::<Result<Vec<_>, _>>();
    let mut heads = heads.map_err(|error| at.record_foreign(path, error.to_string()))?;
    heads.sort_by_key(|(head, last)| std::cmp::Reverse((head.size, *last)));
    Ok(heads)
}

/// The state row, checked against itself, the key, the name and its signed head.
pub(crate) async fn read_state(store: &dyn Store, signer: &dyn TreeHeadSigner) -> Result<State, OpenError> {
    let at = At::new(store);
    let found = store.state().await.map_err(|error| at.state(error))?;
    let Some(state) = found else { return Err(OpenError::Missing { database: at.database }) };
    if state.key_id != signer.key_id() {
        return Err(OpenError::KeyMismatch {
            database: at.database,
            origin: state.origin.clone(),
            stored: state.key_id.short(),
            given: signer.key_id().short(),
        });
    }
    if state.origin != signer.origin() {
        return Err(OpenError::OriginMismatch { database: at.database, stored: state.origin, given: signer.origin().to_owned() });
    }
    let range =
        CompactRange::from_hashes(state.size, state.frontier.clone()).map_err(|error| at.state_damaged(error.to_string()))?;
    if range.root() != state.root {
        return Err(at.state_damaged(format!("frontier leads to root {}, root is {}", range.root().short(), state.root.short())));
    }
    let head = signer.verify(&state.checkpoint).map_err(|error| at.state_damaged(error.to_string()))?;
    if (&head.origin, head.size, head.root) != (&state.origin, state.size, state.root) {
        let (signed, stored) = ((head.size, head.root.short()), (state.size, state.root.short()));
        return Err(
            at.state_damaged(format!("head signed over size {} root {}, state is {} {}", signed.0, signed.1, stored.0, stored.1))
        );
    }
    Ok(state)
}

/// The database a message is about.
pub(crate) struct At {
    pub(crate) database: String,
}

impl At {
    pub(crate) fn new(store: &dyn Store) -> Self {
        Self { database: store.location() }
    }

    pub(crate) fn store(&self, source: StoreError) -> OpenError {
        let database = self.database.clone();
        match source {
            StoreError::Moved { index } => OpenError::ObjectsUnset { database, index },
            StoreError::Objects { source, .. } => OpenError::Objects { database, source },
            StoreError::Object { name, what } => OpenError::ObjectDamaged { database, name, what },
            source => OpenError::Store { database, source },
        }
    }

    pub(crate) fn record(&self, path: &Path, source: RecordError) -> OpenError {
        OpenError::Record { database: self.database.clone(), record: path.display().to_string(), source }
    }

    pub(crate) fn record_foreign(&self, path: &Path, what: String) -> OpenError {
        OpenError::RecordForeign { database: self.database.clone(), record: path.display().to_string(), what }
    }

    pub(crate) fn thawed(&self, record: &Path, size: u64) -> OpenError {
        OpenError::Thawed { database: self.database.clone(), size, known: record.display().to_string() }
    }

    pub(crate) fn state(&self, error: StoreError) -> OpenError {
        match error {
            StoreError::Damaged { what } => self.state_damaged(what),
            error => self.store(error),
        }
    }

    pub(crate) fn state_damaged(&self, what: String) -> OpenError {
        OpenError::StateDamaged { database: self.database.clone(), what }
    }

    pub(crate) fn tile_damaged(&self, level: u8, index: u64, what: &str) -> OpenError {
        OpenError::TileDamaged { database: self.database.clone(), level, index, what: what.to_owned() }
    }

    pub(crate) fn entry_damaged(&self, index: u64, what: &str) -> OpenError {
        OpenError::EntryDamaged { database: self.database.clone(), index, what: what.to_owned() }
    }
}

async fn check_extent(at: &At, store: &dyn Store, state: &State) -> Result<(), OpenError> {
    let extent = store.extent().await.map_err(|error| at.store(error))?;
    let expected = state.size.checked_sub(1).map(|last| (0, last));
    if extent == expected {
        return Ok(());
    }
    let describe = |extent: Option<(u64, u64)>| extent.map_or("none".to_owned(), |(first, last)| format!("{first} to {last}"));
    Err(at.state_damaged(format!("entries are {}, expected {} by the size in the state", describe(extent), describe(expected))))
}

/// The leaf hashes of the last 256 entries, or of all if there are fewer: as stored, and as the entries hash again.
async fn last_leaves(at: &At, store: &dyn Store, state: &State) -> Result<Vec<Hash>, OpenError> {
    let range = state.size.saturating_sub(TILE_WIDTH)..state.size;
    let leaves = read_leaves(at, store, range.clone()).await?;
    let rows = store.rows(range.clone()).await.map_err(|error| at.store(error))?;
    for (leaf, Row { index, time, content, .. }) in leaves.iter().zip(&rows) {
        if let Content::Here(here) = content {
            check_data(at, *index, &here.data, leaf)?;
        }
        check_time(at, *index, *time, state.time)?;
    }
    Ok(leaves)
}

/// The data of an entry against the leaf hash stored beside it.
pub(crate) fn check_data(at: &At, index: u64, data: &[u8], leaf: &Hash) -> Result<(), OpenError> {
    if leaf_hash(data) == *leaf {
        Ok(())
    } else {
        Err(at.entry_damaged(index, "its data does not hash to the leaf hash stored beside it"))
    }
}

/// The time of an entry against that of the head that covers it.
pub(crate) fn check_time(at: &At, index: u64, time: Timestamp, head_time: Timestamp) -> Result<(), OpenError> {
    if time <= head_time { Ok(()) } else { Err(at.entry_damaged(index, "its time is after that of the head that covers it")) }
}

/// What was moved last is where the log looks for it. An object store that does not answer keeps no log from starting.
///
/// While others can append: nobody waits for an object store with the state row in his hands.
pub(crate) async fn check_moved(store: &dyn Store) -> Result<(), OpenError> {
    let (at, Some(tier)) = (At::new(store), store.tier()) else { return Ok(()) };
    let moved = match store.moved().await {
        Ok(moved) => moved,
        // That is said by whoever reads the state.
        Err(StoreError::Missing) => 0,
        Err(error) => return Err(at.store(error)),
    };
    let (at, Some(last)) = (&at, (moved / TILE_WIDTH).checked_sub(1)) else { return Ok(()) };
    match store.tiles(0, last..last + 1).await {
        Ok(tiles) => {
            let found = tiles.first().map(|tile| tile.hashes.as_slice()).unwrap_or_default();
            let expected = local_leaf_tile(at, store, last).await?;
            if found == expected {
                return Ok(());
            }
            Err(at.store(StoreError::Object {
                name: tier.shown(&tile_name(0, last)),
                what: "is not the leaf tile of this log".to_owned(),
            }))
        }
        Err(error @ StoreError::Objects { .. }) => {
            let (log, error) = (at.database.as_str(), chain(&error));
            tracing::warn!(
                log,
                error,
                "the object store does not answer; entries that were moved there cannot be read meanwhile"
            );
            Ok(())
        }
        Err(error) => Err(at.store(error)),
    }
}

/// The leaf tile of entries whose hashes are in the database, and perhaps nothing else of them.
async fn local_leaf_tile(at: &At, store: &dyn Store, index: u64) -> Result<Vec<u8>, OpenError> {
    let first = index * TILE_WIDTH;
    let leaves = read_leaves(at, store, first..first + TILE_WIDTH).await?;
    Ok(leaves.iter().flat_map(|leaf| *leaf.as_bytes()).collect())
}

async fn read_leaves(at: &At, store: &dyn Store, range: Range<u64>) -> Result<Vec<Hash>, OpenError> {
    let leaves = store.leaf_hashes(range.clone()).await.map_err(|error| match error {
        StoreError::Damaged { what } => at.entry_damaged(range.start, &what),
        error => at.store(error),
    })?;
    let gap = range
        .clone()
        .zip(leaves.iter().map(Some).chain(std::iter::repeat(None)))
        .find(|(n, leaf)| leaf.is_none_or(|leaf| leaf.0 != *n));
    match gap {
        Some((index, _)) => Err(at.entry_damaged(index, "it is missing")),
        None => Ok(leaves.into_iter().map(|(_, leaf)| leaf).collect()),
    }
}

async fn check_last_tile(at: &At, store: &dyn Store, moved: u64, size: u64) -> Result<(), OpenError> {
    let Some(index) = (size / TILE_WIDTH).checked_sub(1).filter(|index| *index >= moved / TILE_WIDTH) else { return Ok(()) };
    let tiles = read_tiles(at, store, 0, index..index + 1).await?;
    let first = index * TILE_WIDTH;
    let leaves = read_leaves(at, store, first..first + TILE_WIDTH).await?;
    let Some(differs) = tiles[0].hashes.chunks(Hash::LEN).zip(&leaves).position(|(stored, leaf)| stored != leaf.as_ref()) else {
        return Ok(());
    };
    // Tile and entry contradict each other: the entry itself says which of them is wrong.
    let entry = first + differs as u64;
    let data = store.entries(entry..entry + 1).await.map_err(|error| at.store(error))?;
    if data.first().is_some_and(|stored| leaf_hash(&stored.data) == leaves[differs]) {
        Err(at.tile_damaged(0, index, &format!("its hash {differs} is not the leaf hash of entry {entry}")))
    } else {
        Err(at.entry_damaged(entry, "its data does not hash to the leaf hash stored beside it"))
    }
}

/// The roots of all full leaf tiles: full tiles of level 1 as stored, the rest computed from the leaf tiles, or where these were moved from
/// what they are made of.
async fn above_leaf_tiles(at: &At, store: &dyn Store, moved: u64, size: u64) -> Result<Vec<Hash>, OpenError> {
    let count = size / TILE_WIDTH;
    let stored = count / TILE_WIDTH;
    let mut roots = Vec::with_capacity(count as usize);
    for from in (0..stored).step_by(STEP as usize) {
        for tile in read_tiles(at, store, 1, from..stored.min(from + STEP)).await? {
            roots.extend(tile.hashes.chunks_exact(Hash::LEN).map(|hash| Hash::try_from(hash).expect("32 bytes")));
        }
    }
    let here = (moved / TILE_WIDTH).clamp(stored * TILE_WIDTH, count);
    for index in stored * TILE_WIDTH..here {
        let hashes = local_leaf_tile(at, store, index).await?;
        roots.push(LeafTile::from_bytes(index, &hashes).expect("256 were read").1);
    }
    for tile in read_tiles(at, store, 0, here..count).await? {
        let (_, root) = LeafTile::from_bytes(tile.index, &tile.hashes).expect("its length was checked");
        roots.push(root);
    }
    Ok(roots)
}

fn check_frontier(at: &At, tree: &Tree, state: &State) -> Result<(), OpenError> {
    let pairs = Subtree::whole(state.size).nodes().zip(tree.range().hashes().iter().zip(&state.frontier));
    for (Node { level, index }, (computed, stored)) in pairs {
        if computed != stored {
            let what = "it does not lead to the signed root";
            return Err(match level.checked_sub(TILE_HEIGHT) {
                None => at.entry_damaged(index << level, what),
                Some(above) if above < TILE_HEIGHT => at.tile_damaged(0, index << above, what),
                Some(above) => at.tile_damaged(1, index << (above - TILE_HEIGHT), what),
            });
        }
    }
    Ok(())
}

async fn check_upper_tiles(at: &At, store: &dyn Store, tree: &Tree) -> Result<(), OpenError> {
    for level in 2.. {
        let full = Tile::hashes_in_level(level, tree.size()) / TILE_WIDTH;
        if full == 0 {
            break;
        }
        for from in (0..full).step_by(STEP as usize) {
            for tile in read_tiles(at, store, level, from..full.min(from + STEP)).await? {
                if tree.tile(Tile::full(level, tile.index)).as_ref() != Some(&tile.hashes) {
                    return Err(at.tile_damaged(level, tile.index, "it is not made of the roots of the tiles below"));
                }
            }
        }
    }
    Ok(())
}

/// Full tiles, every one of them there and of the right length.
pub(crate) async fn read_tiles(at: &At, store: &dyn Store, level: u8, range: Range<u64>) -> Result<Vec<FullTile>, OpenError> {
    let tiles = store.tiles(level, range.clone()).await.map_err(|error| at.store(error))?;
    for (n, index) in range.enumerate() {
        match tiles.get(n) {
            Some(tile) if tile.index == index && tile.hashes.len() == TILE_WIDTH as usize * Hash::LEN => {}
            Some(tile) if tile.index == index => return Err(at.tile_damaged(level, index, "it has not 256 hashes")),
            _ => return Err(at.tile_damaged(level, index, "it is missing")),
        }
    }
    Ok(tiles)
}
