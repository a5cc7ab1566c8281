//! Tags (distribution-spec, "Pulling manifests").

use std::str::FromStr;
use std::sync::Arc;

use crate::text::{shown, text_type};

/// The longest tag.
pub const MAX_TAG_LENGTH: usize = 128;

/// A tag: `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`. Cheap to clone; ordered by bytes, as tag lists are.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tag(Arc<str>);

text_type!(Tag);

/// Why a text is no tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{}` is not a tag; expected at most {MAX_TAG_LENGTH} letters, digits and . _ - , beginning with a letter, a digit or _",
    shown(.0)
)]
pub struct TagError(pub String);

impl FromStr for Tag {
    type Err = TagError;

    fn from_str(text: &str) -> Result<Self, TagError> {
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        let good = text.len() <= MAX_TAG_LENGTH
            && text.bytes().next().is_some_and(word)
            && text.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-');
        if good { Ok(Self(text.into())) } else { Err(TagError(text.to_owned())) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_grammar_of_the_specification() {
        for good in ["latest", "1.0", "_", "A-b.c_d", "sha256-0123.sig", &"x".repeat(128)] {
            assert_eq!(good.parse::<Tag>().unwrap().as_str(), good);
        }
        for bad in ["", ".a", "-a", "a b", "a+b", "a:b", "a/b", "ä", &"x".repeat(129)] {
            assert!(bad.parse::<Tag>().is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_kept_as_it_is(text in "\\PC*") {
            if let Ok(tag) = text.parse::<Tag>() {
                prop_assert_eq!(tag.as_str(), text);
            }
        }
    }
}
