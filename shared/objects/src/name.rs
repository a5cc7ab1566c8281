//! Names of objects: ours to build, so few characters are enough.

use crate::ObjectError;

/// Longest name, prefix and all. S3 takes 1,024 bytes.
const MOST_NAME: usize = 900;
/// Longest part between slashes. File systems take 255 bytes, and files on their way have a few more.
const MOST_PART: usize = 200;

/// Checks a name or a prefix: parts of letters, digits, `.`, `_`, `-`, between single slashes, none of which begins with a dot.
///
/// What passes leads nowhere else in a file system, means the same in a URL as out of it, and is never the name of a file on its way.
///
/// # Errors
/// [`ObjectError::Name`].
pub(crate) fn check(name: &str) -> Result<(), ObjectError> {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let part = |part: &str| !part.is_empty() && part.len() <= MOST_PART && !part.starts_with('.') && part.bytes().all(letter);
    if name.len() <= MOST_NAME && name.split('/').all(part) { Ok(()) } else { Err(ObjectError::Name(name.to_owned())) }
}

/// A name below a prefix, which may be empty.
pub(crate) fn below(prefix: &str, name: &str) -> Result<String, ObjectError> {
    check(name)?;
    let whole = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
    check(&whole).map(|()| whole)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_nowhere_else() {
        for good in ["checkpoint", "tile/0/x001/x234/067.p/255", "rekor.corp.example/tile/entries/000", "a_b-c..d"] {
            assert_eq!(below("", good).unwrap(), good);
            assert_eq!(below("logs/rekor", good).unwrap(), format!("logs/rekor/{good}"));
        }
        let long = "a".repeat(201);
        for bad in ["", "/", "/a", "a/", "a//b", ".", "..", "a/../b", "./a", ".hidden", "a/.b", "a#1", "a%2f", "a b", "ä", &long]
        {
            assert!(matches!(check(bad), Err(ObjectError::Name(name)) if name == bad), "{bad}");
        }
        assert!(check(&["a"; 450].join("/")).is_ok() && check(&["a"; 451].join("/")).is_err());
        assert!(below(&["a"; 450].join("/"), "b").is_err(), "the whole counts");
    }
}
