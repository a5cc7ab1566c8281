//! Patterns that select repositories in the configuration.

use std::str::FromStr;
use std::sync::Arc;

use crate::name::RepositoryName;
use crate::text::{shown, text_type};

/// `prod/*` is every name below `prod/`, `*` every name, anything else that one name.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepositoryPattern(Arc<str>);

text_type!(RepositoryPattern);

impl RepositoryPattern {
    /// Whether the pattern selects `name`.
    #[must_use]
    pub fn matches(&self, name: &RepositoryName) -> bool {
        match self.0.strip_suffix('*') {
            // The slash stays: `prod/*` selects neither `prod` nor `products/app`.
            Some(prefix) => name.as_str().strip_prefix(prefix).is_some_and(|rest| !rest.is_empty()),
            None => name.as_str() == &*self.0,
        }
    }

    /// Whether there may be a name that both select.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        match (self.0.strip_suffix('*'), other.0.strip_suffix('*')) {
            (Some(one), Some(two)) => one.starts_with(two) || two.starts_with(one),
            (Some(prefix), None) => other.0.len() > prefix.len() && other.0.starts_with(prefix),
            (None, Some(prefix)) => self.0.len() > prefix.len() && self.0.starts_with(prefix),
            (None, None) => self == other,
        }
    }
}

/// Why a text is no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is not a pattern of repositories; expected a name, a name with /* behind it, or *", shown(.0))]
pub struct PatternError(pub String);

impl FromStr for RepositoryPattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let name = text.strip_suffix("/*").unwrap_or(text);
        let good = text == "*" || name.parse::<RepositoryName>().is_ok();
        if good { Ok(Self(text.into())) } else { Err(PatternError(text.to_owned())) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pattern(text: &str) -> RepositoryPattern {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_selected() {
        let selects = |text: &str, name: &str| pattern(text).matches(&name.parse().unwrap());
        assert!(selects("prod/*", "prod/app") && selects("prod/*", "prod/team/app"));
        assert!(!selects("prod/*", "prod") && !selects("prod/*", "products/app") && !selects("prod/*", "staging/prod/app"));
        assert!(selects("*", "anything/at/all"));
        assert!(selects("prod/app", "prod/app") && !selects("prod/app", "prod/app/x"));
    }

    #[test]
    fn what_is_no_pattern() {
        for bad in ["", "/*", "prod*", "*/app", "prod/*/app", "prod/**", "Prod/*", "prod/*/"] {
            assert_eq!(bad.parse::<RepositoryPattern>(), Err(PatternError(bad.into())), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn patterns_that_select_one_name_overlap(one in "[ab](/[ab]){0,2}(/\\*)?", two in "[ab](/[ab]){0,2}(/\\*)?", name in "[ab](/[ab]){0,3}") {
            let (one, two, name) = (pattern(&one), pattern(&two), name.parse().unwrap());
            if one.matches(&name) && two.matches(&name) {
                prop_assert!(one.overlaps(&two) && two.overlaps(&one));
            }
        }
    }
}
