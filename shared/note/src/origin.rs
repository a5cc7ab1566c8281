/// Checks that every Sigstore client takes `origin` for a Rekor v2 log, or for a CT log.
///
/// Clients decide by the first line of a checkpoint whether a log is Rekor v1: one that ends in ` - ` and digits is. Besides, the
/// origin is the name on the signature line, so it has no space, no `+` and no control character.
///
/// # Errors
/// [`OriginError`], naming what is in the way.
pub fn check_origin(origin: &str) -> Result<(), OriginError> {
    if origin.is_empty() {
        return Err(OriginError::Empty);
    }
    if split_rekor_v1_origin(origin).is_some() {
        return Err(OriginError::RekorV1 { origin: origin.to_owned() });
    }
    match origin.chars().find(|c| !allowed_in_name(*c)) {
        Some(found) => Err(OriginError::Character { origin: origin.to_owned(), found }),
        None => Ok(()),
    }
}

/// The origin of a Rekor v1 log: `host - tree id`. The name of its key is the host alone.
///
/// # Errors
/// [`OriginError`] when the host cannot be the name of a key.
pub fn rekor_v1_origin(host: &str, tree_id: u64) -> Result<String, OriginError> {
    check_origin(host)?;
    Ok(format!("{host} - {tree_id}"))
}

/// Host and tree id of what every client takes for the origin of a Rekor v1 log; the id is decimal digits, in any number.
#[must_use]
pub fn split_rekor_v1_origin(origin: &str) -> Option<(&str, &str)> {
    let (host, tree_id) = origin.rsplit_once(" - ")?;
    let digits = !tree_id.is_empty() && tree_id.bytes().all(|byte| byte.is_ascii_digit());
    digits.then_some((host, tree_id))
}

/// What the name of a key may contain (C2SP `signed-note`): no space of any kind, no plus, no control character.
pub(crate) fn allowed_in_name(c: char) -> bool {
    !c.is_whitespace() && !c.is_control() && c != '+'
}

/// An origin that some client would refuse, or take for a Rekor v1 log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginError {
    /// Nothing there.
    #[error("the origin is empty, expected a host name like log1.rekor.example.org")]
    Empty,
    /// Clients would take the log for Rekor v1.
    #[error("the origin `{origin}` ends like that of a Rekor v1 log (` - ` and digits), expected a host name alone")]
    RekorV1 {
        /// The origin.
        origin: String,
    },
    /// A character that no key name may have.
    #[error("the origin `{}` has the character {found:?}, expected no space, no plus and no control character", .origin.escape_debug())]
    Character {
        /// The origin.
        origin: String,
        /// The first such character.
        found: char,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_are_origins() {
        for origin in
            ["log1.rekor.example.org", "127.0.0.1:6962", "ctlog.example.org/2026", "a", "bücher.example", "x-1", "a-2026"]
        {
            assert_eq!(check_origin(origin), Ok(()), "{origin}");
        }
    }

    #[test]
    fn what_some_client_stumbles_on_is_refused() {
        assert_eq!(check_origin(""), Err(OriginError::Empty));
        for origin in ["rekor.example.org - 1193050959916656506", " - 0", "a b - 12"] {
            assert!(matches!(check_origin(origin), Err(OriginError::RekorV1 { .. })), "{origin}");
        }
        for (origin, bad) in [
            ("a b", ' '),
            ("a+b", '+'),
            ("a\nb", '\n'),
            ("a\u{a0}b", '\u{a0}'),
            ("a\u{2028}", '\u{2028}'),
            ("\0", '\0'),
            ("a - b", ' '),
        ] {
            assert_eq!(check_origin(origin), Err(OriginError::Character { origin: origin.to_owned(), found: bad }));
        }
    }

    #[test]
    fn a_rekor_v1_origin_is_a_host_and_a_tree() {
        let origin = rekor_v1_origin("rekor.example.org", 1_193_050_959_916_656_506).unwrap();
        assert_eq!(origin, "rekor.example.org - 1193050959916656506");
        assert_eq!(split_rekor_v1_origin(&origin), Some(("rekor.example.org", "1193050959916656506")));
        for other in ["rekor.example.org", "rekor.example.org - ", "rekor.example.org - 12a", "rekor.example.org -12"] {
            assert_eq!(split_rekor_v1_origin(other), None, "{other}");
        }
        assert!(rekor_v1_origin("a b", 1).is_err() && rekor_v1_origin("", 1).is_err() && rekor_v1_origin("a - 1", 1).is_err());
    }

    #[test]
    fn refusals_stay_on_one_line() {
        assert!(!check_origin("a\nb").unwrap_err().to_string().contains('\n'));
    }
}
