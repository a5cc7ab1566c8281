//! Names of entries: the leaf hash as 64 hex digits (a UUID), or the tree's 16 and then those (an entry id).

use std::fmt;

use merkle::Hash;

use super::tree_id::TreeId;

/// The full name of an entry, 80 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct EntryId {
    pub(super) tree: TreeId,
    pub(super) leaf: Hash,
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.tree.hex(), self.leaf)
    }
}

/// What somebody asks for by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Named {
    /// In whichever tree it is.
    Leaf(Hash),
    /// In this tree alone.
    Entry(EntryId),
}

/// A text that names no entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoName {
    /// Not 64 or 80 hex digits.
    #[error("should match '^([0-9a-fA-F]{{64}}|[0-9a-fA-F]{{80}})$'")]
    Pattern,
    /// The first 16 digits of 80 cannot be a tree.
    #[error("{0} is not a valid TreeID")]
    Tree(String),
}

/// Reads a name, in either case.
pub(super) fn parse(text: &str) -> Result<Named, NoName> {
    if !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(NoName::Pattern);
    }
    let (tree, leaf) = match text.len() {
        64 => (None, text),
        80 => (Some(&text[..16]), &text[16..]),
        _ => return Err(NoName::Pattern),
    };
    let mut bytes = [0; Hash::LEN];
    hex::decode_to_slice(leaf, &mut bytes).map_err(|_| NoName::Pattern)?;
    let leaf = Hash::new(bytes);
    let Some(digits) = tree else { return Ok(Named::Leaf(leaf)) };
    let number = u64::from_str_radix(digits, 16).map_err(|_| NoName::Pattern)?;
    let tree = TreeId::new(number).ok_or_else(|| NoName::Tree(digits.to_ascii_lowercase()))?;
    Ok(Named::Entry(EntryId { tree, leaf }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_both_lengths_and_cases_are_read() {
        let leaf = merkle::leaf_hash(b"x");
        let id = EntryId { tree: TreeId::new(0x24296fb24b8ad77a).unwrap(), leaf };
        assert_eq!(parse(&leaf.to_string()), Ok(Named::Leaf(leaf)));
        assert_eq!(id.to_string(), format!("24296fb24b8ad77a{leaf}"));
        for text in [id.to_string(), id.to_string().to_uppercase()] {
            assert_eq!(parse(&text), Ok(Named::Entry(id)));
        }
        for text in ["", &leaf.to_string()[1..], &format!("{id}0"), &format!("g{}", &leaf.to_string()[1..]), &"é".repeat(32)] {
            assert_eq!(parse(text), Err(NoName::Pattern), "{text}");
        }
        for tree in ["0000000000000000", "ffffffffffffffff", "8000000000000000"] {
            assert_eq!(parse(&format!("{tree}{leaf}")), Err(NoName::Tree(tree.into())));
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_every_name_comes_back(text in "[0-9a-fA-F]{0,90}|.{0,90}") {
            match parse(&text) {
                Ok(Named::Leaf(leaf)) => prop_assert_eq!(leaf.to_string(), text.to_lowercase()),
                Ok(Named::Entry(id)) => prop_assert_eq!(id.to_string(), text.to_lowercase()),
                Err(_) => {}
            }
        }
    }
}
