//! References to an image: `[HOST/]NAME:TAG` or `[HOST/]NAME@DIGEST`.

use std::fmt;
use std::str::FromStr;

use crate::digest::{Digest, DigestError};
use crate::name::{NameError, RepositoryName};
use crate::tag::{Tag, TagError};
use crate::text::shown;

/// What in a repository is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Target {
    /// Whatever the tag points to now.
    Tag(Tag),
    /// Exactly this content.
    Digest(Digest),
}

/// Why the last segment of a manifest's path names nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// It contains a colon and so is a digest, but not one that we take.
    #[error(transparent)]
    Digest(#[from] DigestError),
    /// It contains none and is no tag.
    #[error(transparent)]
    Tag(#[from] TagError),
}

impl FromStr for Target {
    type Err = TargetError;

    /// A tag has no colon, a digest has one: no text is both.
    fn from_str(text: &str) -> Result<Self, TargetError> {
        if text.contains(':') { Ok(Self::Digest(text.parse()?)) } else { Ok(Self::Tag(text.parse()?)) }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tag(tag) => tag.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

/// An image as a person names it.
///
/// The first component is a host when it contains a dot or a colon or is `localhost`, as everywhere else. With both a tag and a
/// digest the digest counts and the tag is dropped. There is no default tag: who promotes or verifies says what.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Reference {
    /// The registry with its port, if the reference names one.
    pub host: Option<String>,
    /// The repository.
    pub repository: RepositoryName,
    /// What in the repository.
    pub target: Target,
}

/// Why a text is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// There is nothing to say what in the repository is meant.
    #[error("`{}` names no tag and no digest; write {}:TAG or {}@sha256:…", shown(.0), shown(.0), shown(.0))]
    NoTarget(String),
    /// There is a scheme.
    #[error("`{}` is a URL; write HOST/NAME:TAG without the scheme", shown(.0))]
    Url(String),
    /// What stands before the first slash looks like a host and is none.
    #[error("`{}` is not a host; expected something like registry.example:5000", shown(.0))]
    Host(String),
    /// The repository.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The tag.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// The digest.
    #[error(transparent)]
    Digest(#[from] DigestError),
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.contains("://") {
            return Err(ReferenceError::Url(text.to_owned()));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse::<Digest>()?)),
            None => (text, None),
        };
        let (host, rest) = split_host(rest)?;
        let (name, tag) = match rest.split_once(':') {
            Some((name, tag)) => (name, Some(tag.parse::<Tag>()?)),
            None => (rest, None),
        };
        let repository = name.parse()?;
        let target = digest.map(Target::Digest).or(tag.map(Target::Tag));
        let target = target.ok_or_else(|| ReferenceError::NoTarget(text.to_owned()))?;
        Ok(Self { host: host.map(str::to_owned), repository, target })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(host) = &self.host {
            write!(f, "{host}/")?;
        }
        match &self.target {
            Target::Tag(tag) => write!(f, "{}:{tag}", self.repository),
            Target::Digest(digest) => write!(f, "{}@{digest}", self.repository),
        }
    }
}

fn split_host(text: &str) -> Result<(Option<&str>, &str), ReferenceError> {
    let Some((first, rest)) = text.split_once('/') else { return Ok((None, text)) };
    if !first.contains(['.', ':']) && first != "localhost" {
        return Ok((None, text));
    }
    if is_host(first) { Ok((Some(first), rest)) } else { Err(ReferenceError::Host(first.to_owned())) }
}

/// A host name, an IPv4 address or an IPv6 address in brackets, each with an optional port.
fn is_host(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) if address.parse::<std::net::Ipv6Addr>().is_ok() => (None, port),
        Some(_) => return false,
        None => text.find(':').map_or((Some(text), ""), |colon| (Some(&text[..colon]), &text[colon..])),
    };
    let label = |label: &str| {
        let inner = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        !label.is_empty() && inner && !label.starts_with('-') && !label.ends_with('-')
    };
    let digits = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|port| port > 0);
    host.is_none_or(|host| host.split('.').all(label)) && (port.is_empty() || port.strip_prefix(':').is_some_and(digits))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const D: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

    fn parts(text: &str) -> (Option<String>, String, String) {
        let reference: Reference = text.parse().unwrap();
        (reference.host, reference.repository.to_string(), reference.target.to_string())
    }

    #[test]
    fn with_and_without_a_host() {
        let some = |host: &str, name: &str, target: &str| (Some(host.to_owned()), name.to_owned(), target.to_owned());
        let none = |name: &str, target: &str| (None, name.to_owned(), target.to_owned());
        assert_eq!(parts("prod/app:1.0"), none("prod/app", "1.0"));
        assert_eq!(parts("app:1.0"), none("app", "1.0"));
        assert_eq!(parts("localhost:5000/app:1.0"), some("localhost:5000", "app", "1.0"));
        assert_eq!(parts("localhost/app:1.0"), some("localhost", "app", "1.0"));
        assert_eq!(parts("Registry.Example/team/app:1"), some("Registry.Example", "team/app", "1"));
        assert_eq!(parts("127.0.0.1:5000/a:1"), some("127.0.0.1:5000", "a", "1"));
        assert_eq!(parts("[::1]:5000/a:1"), some("[::1]:5000", "a", "1"));
        assert_eq!(parts(&format!("ghcr.io/org/app@{D}")), some("ghcr.io", "org/app", D));
        assert_eq!(parts(&format!("org/app:v1@{D}")), none("org/app", D), "the digest counts");
    }

    #[test]
    fn refusals_teach() {
        let refused = |text: &str| text.parse::<Reference>().unwrap_err().to_string();
        assert_eq!(refused("prod/app"), "`prod/app` names no tag and no digest; write prod/app:TAG or prod/app@sha256:…");
        assert_eq!(
            refused("https://r.example/app:1"),
            "`https://r.example/app:1` is a URL; write HOST/NAME:TAG without the scheme"
        );
        assert!(refused("Prod/app:1").contains("lower case"));
        assert!(refused("prod/app:").contains("is not a tag"));
        assert!(refused("prod/app@sha256:1").contains("64 lower-case hexadecimal digits"));
        for host in [
            "a..b/x:1",
            "r.example:/x:1",
            "r.example:99999/x:1",
            "r.example:0/x:1",
            "[::g]/x:1",
            "[::1]5/x:1",
            "-a.b/x:1",
            ".:5/x:1",
        ] {
            assert!(refused(host).contains("is not a host"), "{host}: {}", refused(host));
        }
    }

    #[test]
    fn a_target_with_a_colon_is_a_digest() {
        assert!(matches!(D.parse(), Ok(Target::Digest(_))));
        assert!(matches!("latest".parse(), Ok(Target::Tag(_))));
        assert!(matches!("sha256:bad".parse::<Target>(), Err(TargetError::Digest(_))));
        assert!(matches!("".parse::<Target>(), Err(TargetError::Tag(_))));
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(host in "(|localhost:[1-9][0-9]{0,3}/|[a-z]{1,5}\\.[a-z]{2,3}/)", name in "[a-z]{1,5}(/[a-z0-9]{1,5}){0,2}", tag in "[a-z0-9]{1,9}") {
            let text = format!("{host}{name}:{tag}");
            prop_assert_eq!(text.parse::<Reference>().unwrap().to_string(), text);
        }

        #[test]
        fn no_text_breaks_it(text in "\\PC*") {
            if let Ok(reference) = text.parse::<Reference>() {
                prop_assert_eq!(&reference.to_string().parse::<Reference>().unwrap(), &reference);
            }
        }
    }
}
