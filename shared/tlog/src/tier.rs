//! Where complete bundles of entries go when the database is not to keep them, and in what form.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use merkle::{Hash, TILE_WIDTH, Tile, TileKind, TilePath, leaf_hash, sha256};
use objects::{ObjectError, Objects, ObjectsConfig};

use crate::sequencer::chain;
use crate::{Content, Leaf, Row, Stored};

/// That complete bundles of entries are moved out of the database, and how.
#[derive(Debug, Clone)]
pub struct Tier {
    /// Where to. What is there under these names is this log's alone.
    pub objects: Objects,
    /// In what form. It never changes in the life of a log.
    pub form: Form,
    /// So many of the newest entries stay in the database.
    pub keep_entries: u64,
    /// Memory for bundles that were read.
    pub cache_bytes: u64,
    /// How often it is looked whether there is more to move.
    pub every: Duration,
}

impl Tier {
    /// A tier with the usual pauses and cache.
    #[must_use]
    pub fn new(objects: Objects, form: Form, keep_entries: u64) -> Self {
        Self { objects, form, keep_entries, cache_bytes: 16 << 20, every: Duration::from_secs(1) }
    }

    /// As it is configured for the log of this name, whose objects have names that begin with it.
    ///
    /// A service that does not answer keeps no log from starting: what it has is old, and it is asked again whenever that is needed.
    ///
    /// # Errors
    /// [`ObjectError`] for each mistake that an operator can make.
    pub async fn open(place: &ObjectsConfig, log: &str, form: Form, keep_entries: u64) -> Result<Self, ObjectError> {
        let (objects, unanswered) = Objects::open_even_if_down(place).await?;
        if let Some(error) = unanswered {
            let objects = objects.location();
            tracing::warn!(
                log,
                objects,
                error = chain(&error),
                "the object store does not answer; it is asked again when it is needed"
            );
        }
        Ok(Self::new(objects.under(log)?, form, keep_entries))
    }

    /// The same, to look at what is there: nothing is written.
    ///
    /// # Errors
    /// As [`Tier::open`]; besides, a service that does not answer.
    pub async fn open_to_read(place: &ObjectsConfig, log: &str, form: Form) -> Result<Self, ObjectError> {
        Ok(Self::new(Objects::open_to_read(place).await?.under(log)?, form, 0))
    }

    /// Place and name of an object, for messages.
    pub(crate) fn shown(&self, name: &str) -> String {
        format!("{}/{name}", self.objects.location().trim_end_matches('/'))
    }
}

/// What a bundle of 256 entries looks like as an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// An entry bundle of C2SP `tlog-tiles`, at `tile/entries/NNN`: each entry behind its length in two bytes. For entries of at most
    /// 65,535 bytes with nothing beside them; with a checkpoint such objects are a log that any reader of tiles can read.
    TlogTiles,
    /// For all others, at `leaves/NNN`: each entry's data behind its length in four bytes, big-endian, then in the same way what is kept
    /// beside it.
    Leaves,
}

impl Form {
    /// Name of the object with this number.
    pub(crate) fn name(self, index: u64) -> String {
        let path = TilePath { kind: TileKind::Entries, index, width: TILE_WIDTH as u16 }.to_string();
        match self {
            Self::TlogTiles => path,
            Self::Leaves => path.replacen("tile/entries/", "leaves/", 1),
        }
    }

    /// The bundle of these entries; none when one of them does not fit the form.
    pub(crate) fn encode<'a>(self, leaves: impl Iterator<Item = &'a Leaf> + Clone) -> Option<Bytes> {
        let mut bundle = Vec::with_capacity(leaves.clone().map(|leaf| leaf.length() + 8).sum());
        for Leaf { data, extra } in leaves {
            match self {
                Self::TlogTiles if !extra.is_empty() => return None,
                Self::TlogTiles => bundle.extend_from_slice(&u16::try_from(data.len()).ok()?.to_be_bytes()),
                Self::Leaves => bundle.extend_from_slice(&u32::try_from(data.len()).ok()?.to_be_bytes()),
            }
            bundle.extend_from_slice(data);
            if self == Self::Leaves {
                bundle.extend_from_slice(&u32::try_from(extra.len()).ok()?.to_be_bytes());
                bundle.extend_from_slice(extra);
            }
        }
        Some(bundle.into())
    }
}

/// A bundle that was read: its bytes are in the form, what they say is not yet believed.
#[derive(Debug)]
pub(crate) struct Bundle {
    bytes: Bytes,
    /// For each of 256 entries, where its data and what is kept beside it are.
    entries: Vec<(Range<usize>, Range<usize>)>,
}

impl Bundle {
    /// Takes an object apart. None when it is not 256 entries in the form, and nothing behind them.
    pub(crate) fn parse(form: Form, bytes: Bytes) -> Option<Self> {
        let mut reader = Fields { bytes: &bytes, at: 0 };
        let mut entries = Vec::with_capacity(TILE_WIDTH as usize);
        for _ in 0..TILE_WIDTH {
            entries.push(match form {
                Form::TlogTiles => (reader.field::<2>()?, 0..0),
                Form::Leaves => (reader.field::<4>()?, reader.field::<4>()?),
            });
        }
        (reader.at == bytes.len()).then_some(Self { bytes, entries })
    }

    pub(crate) fn length(&self) -> usize {
        self.bytes.len()
    }

    /// The entry of this row, of which the database has kept the hashes; none when it is not what the row says.
    pub(crate) fn entry(&self, row: &Row) -> Option<Stored> {
        let Content::Moved { extra: digest } = &row.content else { return None };
        let (data, extra) = self.entries.get((row.index % TILE_WIDTH) as usize)?;
        let (data, extra) = (&self.bytes[data.clone()], &self.bytes[extra.clone()]);
        let whole = leaf_hash(data) == row.leaf_hash && digest_of(extra) == *digest;
        whole.then(|| Stored { index: row.index, time: row.time, data: data.to_vec(), extra: extra.to_vec() })
    }
}

/// What a database keeps of what was beside an entry.
fn digest_of(extra: &[u8]) -> Option<Hash> {
    (!extra.is_empty()).then(|| sha256(extra))
}

/// Name of the object of a full tile.
pub(crate) fn tile_name(level: u8, index: u64) -> String {
    TilePath::hashes(Tile::full(level, index)).to_string()
}

struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Fields<'_> {
    /// What stands behind its length of `N` bytes.
    fn field<const N: usize>(&mut self) -> Option<Range<usize>> {
        let (length, rest) = self.bytes.get(self.at..)?.split_first_chunk::<N>()?;
        let length = length.iter().fold(0_usize, |length, byte| length << 8 | usize::from(*byte));
        if length > rest.len() {
            return None;
        }
        let from = self.at + N;
        self.at = from + length;
        Some(from..self.at)
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;

    fn leaves(extra: bool) -> Vec<Leaf> {
        let leaf = |n: usize| Leaf { data: vec![n as u8; n * 3], extra: vec![7; if extra { n % 5 } else { 0 }] };
        (0..256).map(leaf).collect()
    }

    fn row(index: u64, leaf: &Leaf) -> Row {
        let content = Content::Moved { extra: digest_of(&leaf.extra) };
        Row { index, time: Timestamp::UNIX_EPOCH, leaf_hash: leaf_hash(&leaf.data), content }
    }

    #[test]
    fn what_was_put_is_read_in_either_form() {
        for (form, extra) in [(Form::TlogTiles, false), (Form::Leaves, false), (Form::Leaves, true)] {
            let leaves = leaves(extra);
            let bytes = form.encode(leaves.iter()).unwrap();
            let bundle = Bundle::parse(form, bytes.clone()).unwrap();
            for (n, leaf) in leaves.iter().enumerate() {
                let row = row(512 + n as u64, leaf);
                let stored = bundle.entry(&row).unwrap();
                assert_eq!((stored.index, &stored.data, &stored.extra), (row.index, &leaf.data, &leaf.extra));
            }
            assert!(Bundle::parse(form, bytes.slice(..bytes.len() - 1)).is_none());
            assert!(Bundle::parse(form, [&bytes[..], b"\0"].concat().into()).is_none());
            assert!(Bundle::parse(form, form.encode(leaves[1..].iter()).unwrap()).is_none(), "255 are no bundle");
        }
    }

    #[test]
    fn an_entry_that_is_not_what_the_row_says_is_not_given() {
        let leaves = leaves(true);
        let bytes = Form::Leaves.encode(leaves.iter()).unwrap().to_vec();
        // In entry 9: 27 bytes of data, 4 beside it, each behind four bytes of length.
        let start = leaves[..9].iter().map(|leaf| leaf.length() + 8).sum::<usize>();
        let row = row(9, &leaves[9]);
        for at in (start + 4..start + 31).chain(start + 35..start + 39) {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            let bundle = Bundle::parse(Form::Leaves, changed.into()).unwrap();
            assert_eq!(bundle.entry(&row), None, "{at}");
        }
        let none = Row { content: Content::Moved { extra: None }, ..row };
        assert_eq!(Bundle::parse(Form::Leaves, bytes.into()).unwrap().entry(&none), None, "there was nothing beside it");
    }

    #[test]
    fn what_does_not_fit_tlog_tiles_has_no_such_form() {
        let fits =
            |data: usize, extra: usize| Form::TlogTiles.encode([Leaf { data: vec![0; data], extra: vec![0; extra] }].iter());
        assert_eq!((fits(65_535, 0).is_some(), fits(65_536, 0).is_some(), fits(1, 1).is_some()), (true, false, false));
    }

    #[test]
    fn objects_have_names() {
        assert_eq!(
            (Form::TlogTiles.name(7).as_str(), Form::Leaves.name(1_234_067).as_str()),
            ("tile/entries/007", "leaves/x001/x234/067")
        );
        assert_eq!(tile_name(1, 12), "tile/1/012");
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_bundle_or_not(bytes in prop::collection::vec(prop_oneof![4 => Just(0_u8), 1 => any::<u8>()], 0..3_000)) {
            for form in [Form::TlogTiles, Form::Leaves] {
                if let Some(bundle) = Bundle::parse(form, bytes.clone().into()) {
                    prop_assert_eq!(bundle.entries.len(), 256);
                }
            }
        }
    }
}
