use std::fmt;
use std::str::FromStr;

/// The number of a log's tree: what tells it from every other tree of the same name. Positive and below 2^63, since clients keep it
/// in a signed integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TreeId(u64);

impl TreeId {
    /// The tree of this number; none for 0 and for what is no positive signed integer.
    #[must_use]
    pub fn new(number: u64) -> Option<Self> {
        (number != 0 && i64::try_from(number).is_ok()).then_some(Self(number))
    }

    /// A tree that no other log has: drawn at random, once for ever.
    ///
    /// # Errors
    /// When the random source fails.
    pub(super) fn draw() -> Result<Self, aws_lc_rs::error::Unspecified> {
        loop {
            let mut bytes = [0; 8];
            aws_lc_rs::rand::fill(&mut bytes)?;
            if let Some(tree) = Self::new(u64::from_be_bytes(bytes) >> 1) {
                return Ok(tree);
            }
        }
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }

    /// 16 hex digits, as in the ids of entries.
    pub(super) fn hex(self) -> String {
        format!("{:016x}", self.0)
    }
}

impl fmt::Display for TreeId {
    /// Decimal, as everywhere but in the ids of entries.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for TreeId {
    type Err = NoTreeId;

    fn from_str(text: &str) -> Result<Self, NoTreeId> {
        let tree = text.parse().ok().and_then(Self::new).ok_or(NoTreeId)?;
        // One spelling: it is compared as a part of texts.
        if tree.to_string() == text { Ok(tree) } else { Err(NoTreeId) }
    }
}

/// Not the number of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a decimal number between 1 and 2^63 - 1 without leading zeros")]
pub struct NoTreeId;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_has_one_spelling_of_each_kind() {
        let tree: TreeId = "2605736670972794746".parse().unwrap();
        assert_eq!((tree.to_string().as_str(), tree.hex().as_str()), ("2605736670972794746", "24296fb24b8ad77a"));
        assert_eq!(TreeId::new(1).unwrap().hex(), "0000000000000001");
        for text in ["0", "", "-1", "+1", "01", "9223372036854775808", "18446744073709551616", "a", " 1"] {
            assert_eq!(text.parse::<TreeId>(), Err(NoTreeId), "{text}");
        }
        assert_eq!("9223372036854775807".parse::<TreeId>().unwrap().get(), (1 << 63) - 1);
    }

    #[test]
    fn no_tree_is_drawn_twice() {
        let (one, two) = (TreeId::draw().unwrap(), TreeId::draw().unwrap());
        assert_ne!(one, two);
        assert_eq!(TreeId::new(one.get()), Some(one));
    }
}
