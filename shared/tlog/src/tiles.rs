//! A check of any log that is published as tiles (C2SP `tlog-tiles`): ours, exported ones, other people's.
//!
//! Nothing but the signed checkpoint is believed. Every entry is hashed, every tile compared with what those hashes make of it, and the
//! root with the one that was signed; on the way it is found out which of two that disagree is wrong.

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use merkle::{Hash, TILE_HEIGHT, TILE_WIDTH, Tile, TileKind, TilePath, leaf_hash};
use note::Checkpoint;

use crate::check::rs_merkle_root;
use crate::tree::{LeafTile, Tree};
use crate::{CheckReport, Depth, HeadError, NoteVerifier};

/// How many bundles are read ahead.
const AHEAD: usize = 8;

/// Where tiles are read from.
///
/// Contract: the content of a path never changes, but for `checkpoint`; what has been published stays. Reads may run concurrently.
#[async_trait]
pub trait TileSource: Send + Sync {
    /// What is at this path below the log's prefix, for example `tile/0/007`; none when there is nothing.
    ///
    /// # Errors
    /// When nobody can tell: the source cannot be reached, or failed.
    async fn read(&self, path: &str) -> Result<Option<Bytes>, Box<dyn std::error::Error + Send + Sync>>;
}

/// The log is not what its key signed, or could not be read.
#[derive(Debug, thiserror::Error)]
pub enum TileFault {
    /// A file could not be read.
    #[error("{path} could not be read")]
    Unreadable {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no checkpoint: no log is published as tiles there, or not yet.
    #[error("checkpoint is missing: no log is published as tiles there")]
    NotPublished,
    /// A file is not there, and the checkpoint says that it is.
    #[error("{path} is missing")]
    Missing {
        /// Which.
        path: String,
    },
    /// The checkpoint is not signed by the log's key.
    #[error("the checkpoint is not the log's")]
    Head(#[from] HeadError),
    /// The checkpoint is that of another log.
    #[error("the checkpoint is of the log {found}, expected {expected}")]
    Origin {
        /// Its first line.
        found: String,
        /// The one it should have.
        expected: String,
    },
    /// A file is not of its form.
    #[error("{path} is not of its form: {what}")]
    Malformed {
        /// Which.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// An entry is not what was logged.
    #[error("entry {index} is damaged: {what}")]
    Entry {
        /// Which.
        index: u64,
        /// What it does not agree with.
        what: String,
    },
    /// A tile is not made of what is below it.
    #[error("{path} is damaged: {what}")]
    Tile {
        /// Which.
        path: String,
        /// What it does not agree with.
        what: String,
    },
    /// Entries and tiles agree with each other, and not with the checkpoint.
    #[error("entries and tiles lead to root {computed}, the checkpoint signs {signed} for size {size}")]
    Root {
        /// What they lead to.
        computed: String,
        /// What is signed.
        signed: String,
        /// For how many entries.
        size: u64,
    },
}

impl TileFault {
    /// The stable code, an anchor in the error reference.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } => "log_unreadable",
            Self::NotPublished => "log_not_published",
            Self::Missing { .. } => "log_file_missing",
            Self::Head(_) => "log_head_invalid",
            Self::Origin { .. } => "log_origin_mismatch",
            Self::Malformed { .. } => "log_file_malformed",
            Self::Entry { .. } => "log_entry_damaged",
            Self::Tile { .. } => "log_tile_damaged",
            Self::Root { .. } => "log_root_mismatch",
        }
    }
}

/// Reads the whole log and compares all of it with its signed checkpoint. `progress` is told again and again how many entries of how
/// many were checked.
///
/// The log may grow meanwhile: what is checked is the tree of the checkpoint that was read first. Memory is a quarter byte per entry.
///
/// # Errors
/// [`TileFault`], naming the first thing that does not agree.
pub async fn check_tiles(
    source: &dyn TileSource,
    verifier: &NoteVerifier,
    depth: Depth,
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<(Checkpoint, CheckReport), TileFault> {
    let head = read_head(source, verifier).await?;
    let check = Check { source, head: &head, depth };
    let (mut tree, mut tiles) = (Tree::default(), 0);
    let pairs = stream::iter(0..head.size.div_ceil(TILE_WIDTH)).map(|index| check.read_pair(index));
    let mut pairs = std::pin::pin!(pairs.buffered(AHEAD));
    while let Some(pair) = pairs.next().await {
        let pair = pair?;
        check.compare_pair(&tree, &pair).await?;
        let mut growth = tree.grow();
        pair.leaves.iter().for_each(|leaf| growth.push(*leaf));
        for expected in tree.completed_tiles(&growth) {
            tiles += 1;
            if expected.level > 0 {
                check.compare_tile(Tile::full(expected.level, expected.index), &expected.hashes).await?;
            }
            if depth == Depth::Deep {
                let root = merkle::Node { level: (expected.level + 1) * TILE_HEIGHT, index: expected.index };
                if growth.node(root) != rs_merkle_root(&expected.hashes) {
                    let path = path_of(Tile::full(expected.level, expected.index));
                    return Err(TileFault::Tile { path, what: "a second implementation computes another root of it".into() });
                }
            }
        }
        tree.apply(growth);
        progress(tree.size(), head.size);
    }
    tiles += check.edge(&tree).await?;
    let computed = tree.range().root();
    if computed != head.root {
        return Err(TileFault::Root { computed: computed.short(), signed: head.root.short(), size: head.size });
    }
    let report = CheckReport { entries: head.size, tiles, root: head.root };
    Ok((head.clone(), report))
}

/// The entries of a bundle: each behind its length in two bytes, big-endian. None when the bytes end early.
#[must_use]
pub fn parse_bundle(mut bundle: &[u8]) -> Option<Vec<&[u8]>> {
    let mut entries = Vec::new();
    while !bundle.is_empty() {
        let (length, rest) = bundle.split_first_chunk::<2>()?;
        let (entry, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
        entries.push(entry);
        bundle = rest;
    }
    Some(entries)
}

async fn read_head(source: &dyn TileSource, verifier: &NoteVerifier) -> Result<Checkpoint, TileFault> {
    let path = "checkpoint".to_owned();
    let bytes = match source.read(&path).await {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Err(TileFault::NotPublished),
        Err(source) => return Err(TileFault::Unreadable { path, source }),
    };
    let Ok(note) = std::str::from_utf8(&bytes) else {
        return Err(TileFault::Malformed { path, what: "it is not UTF-8".into() });
    };
    let head = verifier.verify(note)?;
    if head.origin == verifier.origin() {
        Ok(head)
    } else {
        Err(TileFault::Origin { found: head.origin, expected: verifier.origin().to_owned() })
    }
}

/// A bundle and the leaf tile beside it.
struct Pair {
    tile: Tile,
    /// Of the entries in the bundle.
    leaves: Vec<Hash>,
    /// As the tile has them.
    hashes: Bytes,
}

struct Check<'a> {
    source: &'a dyn TileSource,
    head: &'a Checkpoint,
    depth: Depth,
}

impl Check<'_> {
    async fn read_pair(&self, index: u64) -> Result<Pair, TileFault> {
        let tile = Tile::at(0, index, self.head.size).expect("the index is below the size");
        let width = usize::from(tile.width);
        let bundle = TilePath { kind: TileKind::Entries, index, width: tile.width };
        let bytes = self.read(bundle).await?;
        let malformed = |what: String| TileFault::Malformed { path: bundle.to_string(), what };
        let entries = parse_bundle(&bytes).ok_or_else(|| malformed("an entry is cut off".into()))?;
        // A full bundle may stand for a partial one; more than that is nobody's.
        if entries.len() < width || entries.len() > TILE_WIDTH as usize {
            return Err(malformed(format!("it has {} entries, expected {width}", entries.len())));
        }
        let leaves = entries[..width].iter().map(|entry| leaf_hash(entry)).collect();
        Ok(Pair { tile, leaves, hashes: self.hashes(tile).await? })
    }

    /// The hashes of a tile, as many as it is wide.
    async fn hashes(&self, tile: Tile) -> Result<Bytes, TileFault> {
        let bytes = self.read(TilePath::hashes(tile)).await?;
        let (length, most) = (usize::from(tile.width) * Hash::LEN, TILE_WIDTH as usize * Hash::LEN);
        if bytes.len() < length || bytes.len() > most || bytes.len() % Hash::LEN != 0 {
            let what = format!("it has {} bytes, expected {length}", bytes.len());
            return Err(TileFault::Malformed { path: path_of(tile), what });
        }
        Ok(bytes.slice(..length))
    }

    /// What is at a path. A partial file may be gone once the full one is there, which begins with it.
    async fn read(&self, path: TilePath) -> Result<Bytes, TileFault> {
        let full = TilePath { width: TILE_WIDTH as u16, ..path };
        for path in [path, full] {
            match self.source.read(&path.to_string()).await {
                Ok(Some(bytes)) => return Ok(bytes),
                Ok(None) => {}
                Err(source) => return Err(TileFault::Unreadable { path: path.to_string(), source }),
            }
        }
        Err(TileFault::Missing { path: path.to_string() })
    }

    /// Entries and leaf tile agree; if not, what is above them, or the signed root, says which of them is wrong.
    async fn compare_pair(&self, tree: &Tree, pair: &Pair) -> Result<(), TileFault> {
        let Some(n) = differs(&bytes_of(&pair.leaves), &pair.hashes) else { return Ok(()) };
        let index = pair.tile.index * TILE_WIDTH + n as u64;
        let path = path_of(pair.tile);
        let tile_hashes: Vec<Hash> = pair.hashes.chunks_exact(Hash::LEN).filter_map(|hash| Hash::try_from(hash).ok()).collect();
        let (by_entries, by_tile, truth) = if pair.tile.is_full() {
            let root = |hashes: &[u8]| LeafTile::from_bytes(pair.tile.index, hashes).map(|(_, root)| root);
            (root(&bytes_of(&pair.leaves)), root(&pair.hashes), self.parent(pair.tile.index).await?)
        } else {
            let root = |hashes: &[Hash]| {
                let mut growth = tree.grow();
                hashes.iter().for_each(|hash| growth.push(*hash));
                Some(growth.range().root())
            };
            (root(&pair.leaves), root(&tile_hashes), Some(self.head.root))
        };
        Err(if truth.is_some() && truth == by_tile {
            TileFault::Entry {
                index,
                what: format!("it does not hash to what {path} has for it, which leads to the signed root"),
            }
        } else if truth.is_some() && truth == by_entries {
            TileFault::Tile { path, what: format!("its hash {n} is not that of entry {index}, which leads to the signed root") }
        } else {
            TileFault::Entry {
                index,
                what: format!("it does not hash to what {path} has for it, and neither fits the tile above"),
            }
        })
    }

    /// The root of a full leaf tile, as the tile above has it.
    async fn parent(&self, index: u64) -> Result<Option<Hash>, TileFault> {
        let Some(tile) = Tile::at(1, index / TILE_WIDTH, self.head.size) else { return Ok(None) };
        let hashes = self.hashes(tile).await?;
        let at = (index % TILE_WIDTH) as usize * Hash::LEN;
        Ok(hashes.get(at..at + Hash::LEN).and_then(|hash| Hash::try_from(hash).ok()))
    }

    async fn compare_tile(&self, tile: Tile, expected: &[u8]) -> Result<(), TileFault> {
        let found = self.hashes(tile).await?;
        let Some(n) = differs(expected, &found) else { return Ok(()) };
        let below = TilePath::hashes(Tile::full(tile.level - 1, tile.index * TILE_WIDTH + n as u64));
        Err(TileFault::Tile { path: path_of(tile), what: format!("its hash {n} is not the root of {below}") })
    }

    async fn compare_edge(&self, tile: Tile, expected: &[u8]) -> Result<(), TileFault> {
        if tile.level > 0 {
            return self.compare_tile(tile, expected).await;
        }
        if self.hashes(tile).await? == expected {
            return Ok(());
        }
        Err(TileFault::Tile { path: path_of(tile), what: "it is not the beginning of the wider one".to_owned() })
    }

    /// The partial tiles at the right edge, above the leaf tiles; deep, in every width that there is.
    async fn edge(&self, tree: &Tree) -> Result<u64, TileFault> {
        let mut tiles = 0;
        for level in 0..u8::MAX {
            let hashes = Tile::hashes_in_level(level, self.head.size);
            if hashes == 0 {
                break;
            }
            let Some(last) = Tile::at(level, hashes / TILE_WIDTH, self.head.size) else { continue };
            tiles += 1;
            let narrowest = if self.depth == Depth::Deep { 1 } else { last.width };
            for width in narrowest..=last.width {
                let tile = Tile { width, ..last };
                let expected = tree.tile(tile).expect("the edge of the tree is in memory");
                let compared = self.compare_edge(tile, &expected).await;
                // A size that was never published needs no tiles of its own: an export has none.
                if !(width < last.width && matches!(compared, Err(TileFault::Missing { .. }))) {
                    compared?;
                }
            }
        }
        Ok(tiles)
    }
}

fn path_of(tile: Tile) -> String {
    TilePath::hashes(tile).to_string()
}

fn bytes_of(hashes: &[Hash]) -> Vec<u8> {
    hashes.iter().flat_map(|hash| *hash.as_bytes()).collect()
}

/// The number of the first hash that differs.
fn differs(expected: &[u8], found: &[u8]) -> Option<usize> {
    expected.chunks(Hash::LEN).zip(found.chunks(Hash::LEN)).position(|(expected, found)| expected != found)
}
