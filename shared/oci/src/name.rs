//! Names of repositories (distribution-spec, "Pulling manifests").

use std::str::FromStr;
use std::sync::Arc;

use crate::text::{shown, text_type};

/// The longest name. Many clients refuse more than this for host and name together.
pub const MAX_NAME_LENGTH: usize = 255;

/// The name of a repository: components of `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*` with `/` between them. Cheap to clone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepositoryName(Arc<str>);

text_type!(RepositoryName);

impl RepositoryName {
    /// What of this name lies below `prefix`: `library/alpine` of `hub/library/alpine` below `hub`. Nothing for the prefix itself.
    #[must_use]
    pub fn below(&self, prefix: &Self) -> Option<Self> {
        let rest = self.0.strip_prefix(&*prefix.0)?.strip_prefix('/')?;
        Some(Self(rest.into()))
    }
}

/// Why a text is no name of a repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing at all.
    #[error("the repository name is empty; expected something like team/app")]
    Empty,
    /// Longer than clients take.
    #[error("the repository name has {0} characters; at most {MAX_NAME_LENGTH} are allowed")]
    Long(usize),
    /// Upper case, which is the most common mistake.
    #[error("repository name `{}` has upper-case letters; write it in lower case", shown(.0))]
    UpperCase(String),
    /// Any other deviation from the grammar.
    #[error("`{}` is not a repository name; expected lower-case letters and digits, separated by one of . _ __ - or /", shown(.0))]
    Grammar(String),
}

impl FromStr for RepositoryName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text {
            "" => Err(NameError::Empty),
            _ if text.len() > MAX_NAME_LENGTH => Err(NameError::Long(text.chars().count())),
            _ if text.split('/').all(is_component) => Ok(Self(text.into())),
            _ if text.to_ascii_lowercase().split('/').all(is_component) => Err(NameError::UpperCase(text.to_owned())),
            _ => Err(NameError::Grammar(text.to_owned())),
        }
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(text: &str) -> bool {
    let alphanumeric = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let separator = |run: &str| matches!(run, "" | "." | "_" | "__") || run.bytes().all(|byte| byte == b'-');
    let ends_well = |end: Option<&u8>| end.copied().is_some_and(alphanumeric);
    ends_well(text.as_bytes().first())
        && ends_well(text.as_bytes().last())
        && text.split(|c: char| c.is_ascii() && alphanumeric(c as u8)).all(separator)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_grammar_of_the_specification() {
        for good in
            ["a", "0", "a/b/c", "a.b", "a_b", "a__b", "a-b", "a---b", "library/alpine", "ghcr.io/org/app", "a1.b2_c3__d4-e5"]
        {
            assert_eq!(good.parse::<RepositoryName>().unwrap().as_str(), good);
        }
        for bad in [
            "/a", "a/", "a//b", ".a", "a.", "-a", "a-", "a..b", "a___b", "a._b", "a.-b", "a-_b", "a b", "ä", "a%2fb", "a:b",
            "../a", "a/..",
        ] {
            assert_eq!(bad.parse::<RepositoryName>(), Err(NameError::Grammar(bad.into())), "{bad}");
        }
        assert_eq!("".parse::<RepositoryName>(), Err(NameError::Empty));
        assert_eq!("Team/App".parse::<RepositoryName>(), Err(NameError::UpperCase("Team/App".into())));
        assert!("a".repeat(255).parse::<RepositoryName>().is_ok());
        assert_eq!("a".repeat(256).parse::<RepositoryName>(), Err(NameError::Long(256)));
    }

    #[test]
    fn below_is_by_whole_components() {
        let name = |text: &str| text.parse::<RepositoryName>().unwrap();
        assert_eq!(name("hub/library/alpine").below(&name("hub")), Some(name("library/alpine")));
        assert_eq!(name("hubs/a").below(&name("hub")), None);
        assert_eq!(name("hub").below(&name("hub")), None);
        assert_eq!(name("a/b/c").below(&name("a/b")), Some(name("c")));
    }

    proptest! {
        #[test]
        fn as_the_regular_expression_says(text in "[a-zA0-9._/-]{0,12}") {
            // A second opinion, written as the specification writes it.
            let component = |part: &str| {
                let mut rest = part.trim_start_matches(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
                let mut good = rest.len() < part.len();
                while good && !rest.is_empty() {
                    let after = if rest.starts_with('-') { rest.trim_start_matches('-') } else {
                        rest.strip_prefix("__").or_else(|| rest.strip_prefix('_')).or_else(|| rest.strip_prefix('.')).unwrap_or(rest)
                    };
                    let next = after.trim_start_matches(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
                    good = after.len() < rest.len() && next.len() < after.len();
                    rest = next;
                }
                good
            };
            prop_assert_eq!(text.parse::<RepositoryName>().is_ok(), text.split('/').all(component));
        }

        #[test]
        fn any_text_is_refused_or_kept_as_it_is(text in "\\PC*") {
            if let Ok(name) = text.parse::<RepositoryName>() {
                prop_assert_eq!(name.as_str(), text);
            }
        }
    }
}
