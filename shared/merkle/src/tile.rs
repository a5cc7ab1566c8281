use std::fmt;
use std::str::FromStr;

use crate::Node;

/// Levels of the tree in one tile.
pub const TILE_HEIGHT: u8 = 8;
/// Hashes in a full tile, entries in a full bundle.
pub const TILE_WIDTH: u64 = 1 << TILE_HEIGHT;

/// A tile of hashes (C2SP `tlog-tiles`): `width` hashes of tile level `level`, beginning with number `index`·256.
///
/// Hash `i` of level `l` is the root of the leaves `i·256^l` up to but without `(i + 1)·256^l`; only complete ones appear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tile {
    /// Tile level: 0 holds leaf hashes, each further one the roots of the full tiles below.
    pub level: u8,
    /// Number of the tile in its level.
    pub index: u64,
    /// How many hashes: 1 to 255 for a partial tile, 256 for a full one.
    pub width: u16,
}

impl Tile {
    /// The full tile at this place.
    #[must_use]
    pub const fn full(level: u8, index: u64) -> Self {
        Self { level, index, width: TILE_WIDTH as u16 }
    }

    /// Whether it has all its 256 hashes and will never change again.
    #[must_use]
    pub const fn is_full(self) -> bool {
        self.width as u64 == TILE_WIDTH
    }

    /// How many hashes tile level `level` has in a tree of `size` leaves.
    #[must_use]
    pub const fn hashes_in_level(level: u8, size: u64) -> u64 {
        match size.checked_shr(level as u32 * TILE_HEIGHT as u32) {
            Some(count) => count,
            None => 0,
        }
    }

    /// The tile at this place in a tree of `size` leaves: full, partial at the right edge, or none at all.
    #[must_use]
    pub fn at(level: u8, index: u64, size: u64) -> Option<Self> {
        let first = index.checked_mul(TILE_WIDTH)?;
        let width = Self::hashes_in_level(level, size).checked_sub(first)?.min(TILE_WIDTH);
        (width > 0).then_some(Self { level, index, width: width as u16 })
    }

    /// Whether a tree of `size` leaves has all its hashes.
    #[must_use]
    pub fn exists_in(self, size: u64) -> bool {
        self.width > 0 && Self::at(self.level, self.index, size).is_some_and(|there| there.width >= self.width)
    }

    /// The size of the smallest tree that has all its hashes; `u64::MAX` where that is no number of leaves.
    #[must_use]
    pub fn least_size(self) -> u64 {
        let hashes = self.index.checked_mul(TILE_WIDTH).and_then(|first| first.checked_add(self.width.into()));
        let leaves = 1_u64.checked_shl(u32::from(self.level) * u32::from(TILE_HEIGHT));
        hashes.zip(leaves).and_then(|(hashes, leaves)| hashes.checked_mul(leaves)).unwrap_or(u64::MAX)
    }
}

/// Where the hash of a [`Node`] comes from: `count` neighbouring hashes of one tile, beginning at `first`, folded together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Tile level.
    pub level: u8,
    /// Number of the tile in its level.
    pub index: u64,
    /// First of the hashes in the tile.
    pub first: u16,
    /// How many hashes: a power of two, 1 to 128.
    pub count: u16,
}

impl Node {
    /// In which tile this node's hash is found, or the hashes it is computed from.
    #[must_use]
    pub const fn place(self) -> Place {
        let rest = self.level % TILE_HEIGHT;
        let first = (self.index << rest) & (TILE_WIDTH - 1);
        Place {
            level: self.level / TILE_HEIGHT,
            index: self.index >> (TILE_HEIGHT - rest),
            first: first as u16,
            count: 1 << rest,
        }
    }
}

/// What lies at a path below `tile/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TileKind {
    /// `tile/<L>/`: hashes of this tile level, 0 to 63.
    Hashes(u8),
    /// `tile/entries/`: an entry bundle of `tlog-tiles`.
    Entries,
    /// `tile/data/`: a data tile of `static-ct-api`.
    Data,
}

/// The name of a tile or bundle: `tile/<L>/<N>[.p/<W>]`, `tile/entries/…`, `tile/data/…`.
///
/// N is written in groups of three digits, all but the last prefixed `x`: 1234067 is `x001/x234/067`.
/// There is exactly one spelling of each name; parsing refuses any other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TilePath {
    /// Hashes of a level, or entries.
    pub kind: TileKind,
    /// Number of the tile or bundle.
    pub index: u64,
    /// 1 to 255 when the path says `.p/<W>`, else 256.
    pub width: u16,
}

impl TilePath {
    /// The name of a hash tile.
    #[must_use]
    pub const fn hashes(tile: Tile) -> Self {
        Self { kind: TileKind::Hashes(tile.level), index: tile.index, width: tile.width }
    }
}

impl fmt::Display for TilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            TileKind::Hashes(level) => write!(f, "tile/{level}/")?,
            TileKind::Entries => f.write_str("tile/entries/")?,
            TileKind::Data => f.write_str("tile/data/")?,
        }
        let mut group = 1_000_u64.pow(self.index.checked_ilog10().unwrap_or(0) / 3);
        while group > 1 {
            write!(f, "x{:03}/", self.index / group % 1_000)?;
            group /= 1_000;
        }
        write!(f, "{:03}", self.index % 1_000)?;
        if u64::from(self.width) < TILE_WIDTH { write!(f, ".p/{}", self.width) } else { Ok(()) }
    }
}

impl FromStr for TilePath {
    type Err = TilePathError;

    /// Parses a path relative to the log's prefix, without a leading slash.
    fn from_str(path: &str) -> Result<Self, TilePathError> {
        let (kind, rest) = path.strip_prefix("tile/").and_then(|rest| rest.split_once('/')).ok_or(TilePathError)?;
        let kind = match kind {
            "entries" => TileKind::Entries,
            "data" => TileKind::Data,
            level => TileKind::Hashes(decimal(level).filter(|level| *level < 64).ok_or(TilePathError)? as u8),
        };
        let (number, width) = match rest.split_once(".p/") {
            Some((number, width)) => (number, decimal(width).filter(|w| (1..TILE_WIDTH).contains(w)).ok_or(TilePathError)?),
            None => (rest, TILE_WIDTH),
        };
        let parsed = Self { kind, index: grouped(number).ok_or(TilePathError)?, width: width as u16 };
        if parsed.to_string() == path { Ok(parsed) } else { Err(TilePathError) }
    }
}

/// Not the name of a tile or bundle. Such a path names nothing: the answer to it is 404.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a tile path: expected tile/LEVEL/NUMBER or tile/entries/NUMBER, with NUMBER like x001/x234/067, and .p/WIDTH if partial"
)]
pub struct TilePathError;

/// Digits only; that there is one spelling is checked by writing the path again.
fn decimal(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

fn grouped(text: &str) -> Option<u64> {
    let (first, last) = text.rsplit_once('/').map_or((None, text), |(first, last)| (Some(first), last));
    let mut number = 0_u64;
    for group in first.into_iter().flat_map(|first| first.split('/')) {
        number = number.checked_mul(1_000)?.checked_add(three_digits(group.strip_prefix('x')?)?)?;
    }
    number.checked_mul(1_000)?.checked_add(three_digits(last)?)
}

fn three_digits(text: &str) -> Option<u64> {
    if text.len() == 3 { decimal(text) } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_are_written_in_groups_of_three() {
        let name = |kind, index, width| TilePath { kind, index, width }.to_string();
        assert_eq!(name(TileKind::Hashes(0), 7, 256), "tile/0/007");
        assert_eq!(name(TileKind::Hashes(1), 1_234_067, 256), "tile/1/x001/x234/067");
        assert_eq!(name(TileKind::Hashes(0), 273, 112), "tile/0/273.p/112");
        assert_eq!(name(TileKind::Entries, 1_000, 1), "tile/entries/x001/000.p/1");
        assert_eq!(name(TileKind::Data, 0, 256), "tile/data/000");
        assert_eq!(name(TileKind::Hashes(63), u64::MAX, 255), "tile/63/x018/x446/x744/x073/x709/x551/615.p/255");
    }

    #[test]
    fn a_tile_exists_from_its_least_size_on() {
        for (level, index, width) in [(0, 0, 1), (0, 0, 256), (0, 7, 3), (1, 0, 1), (1, 3, 255), (2, 1, 256), (6, 0, 255)] {
            let tile = Tile { level, index, width };
            let size = tile.least_size();
            assert!(tile.exists_in(size) && !tile.exists_in(size - 1), "{tile:?}");
        }
        for (level, index) in [(0, u64::MAX), (0, u64::MAX / 256), (7, 1), (8, 0), (255, 0)] {
            assert_eq!(Tile::full(level, index).least_size(), u64::MAX, "{level} {index}");
        }
    }

    #[test]
    fn other_spellings_are_refused() {
        for path in [
            "",
            "tile",
            "tile/",
            "tile/0",
            "tile/0/",
            "tile/0/7",
            "tile/0/07",
            "tile/0/0007",
            "tile/00/007",
            "tile/64/007",
            "tile/-1/007",
            "tile/0/x000/007",
            "tile/0/001/007",
            "tile/0/x001/x007",
            "tile/0/x1/007",
            "tile/0/007/",
            "/tile/0/007",
            "tile/0/007.p/0",
            "tile/0/007.p/256",
            "tile/0/007.p/01",
            "tile/0/007.p/",
            "tile/0/007.p/1/",
            "tile/0/007.p/1.p/1",
            "tile/0/+07",
            "tile/0/007?x",
            "tile/0/ 07",
            "tile/0/x018/x446/x744/x073/x709/x551/616",
            "tile/0/x001/x018/x446/x744/x073/x709/x551/615",
            "tile/Entries/000",
            "tile/0/٠٠٧",
        ] {
            assert_eq!(path.parse::<TilePath>(), Err(TilePathError), "{path}");
        }
    }

    #[test]
    fn the_tiles_of_a_tree_of_70_000() {
        assert_eq!(Tile::at(0, 272, 70_000), Some(Tile::full(0, 272)));
        assert_eq!(Tile::at(0, 273, 70_000), Some(Tile { level: 0, index: 273, width: 112 }));
        assert_eq!(Tile::at(0, 274, 70_000), None);
        assert_eq!(Tile::at(1, 1, 70_000), Some(Tile { level: 1, index: 1, width: 17 }));
        assert_eq!(Tile::at(2, 0, 70_000), Some(Tile { level: 2, index: 0, width: 1 }));
        assert_eq!(Tile::at(3, 0, 70_000), None);
        assert_eq!(Tile::at(63, 0, u64::MAX), None);
        assert_eq!(Tile::at(0, u64::MAX, u64::MAX), None);
        assert_eq!((Tile::at(0, 1, 256), Tile::at(1, 0, 256)), (None, Some(Tile { level: 1, index: 0, width: 1 })));
        assert!(
            Tile { level: 0, index: 273, width: 112 }.exists_in(70_000)
                && Tile { level: 0, index: 0, width: 3 }.exists_in(70_000)
        );
        assert!(
            !Tile { level: 0, index: 273, width: 113 }.exists_in(70_000) && !Tile { level: 0, index: 0, width: 0 }.exists_in(1)
        );
    }

    #[test]
    fn nodes_are_found_in_their_tiles() {
        let place = |level, index| Node { level, index }.place();
        assert_eq!(place(0, 300), Place { level: 0, index: 1, first: 44, count: 1 });
        assert_eq!(place(7, 3), Place { level: 0, index: 1, first: 128, count: 128 });
        assert_eq!(place(8, 300), Place { level: 1, index: 1, first: 44, count: 1 });
        assert_eq!(place(9, 150), Place { level: 1, index: 1, first: 44, count: 2 });
    }

    proptest! {
        #[test]
        fn names_survive_a_round_trip(level in 0_u8..64, index: u64, width in 1_u16..=256, kind in 0..3) {
            let kind = [TileKind::Hashes(level), TileKind::Entries, TileKind::Data][kind as usize];
            let path = TilePath { kind, index, width };
            prop_assert_eq!(path.to_string().parse(), Ok(path));
        }

        #[test]
        fn what_parses_is_written_the_same(text in "tile/(entries|data|[0-9]{1,2})/(x?[0-9]{3}/){0,3}[0-9]{3}(\\.p/[0-9]{1,3})?") {
            if let Ok(path) = text.parse::<TilePath>() {
                prop_assert_eq!(path.to_string(), text);
            }
        }

        #[test]
        fn nothing_panics(text in "\\PC*") {
            let _ = text.parse::<TilePath>();
            let _ = format!("tile/{text}").parse::<TilePath>();
        }
    }
}
