//! Digests: `algorithm:encoded` (image-spec, descriptor.md).

use std::str::FromStr;
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256, SHA512};

use crate::text::{shown, text_type};

/// The algorithms that the image-spec registers and clients use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Algorithm {
    /// SHA-256, which everybody uses.
    Sha256,
    /// SHA-512.
    Sha512,
}

impl Algorithm {
    /// As it stands before the colon.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// How many hexadecimal digits follow the colon.
    #[must_use]
    pub const fn hex_length(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }

    fn of_name(name: &str) -> Option<Self> {
        [Self::Sha256, Self::Sha512].into_iter().find(|algorithm| algorithm.name() == name)
    }
}

/// The digest of some content, in the one spelling there is: lower-case hexadecimal. Cheap to clone.
///
/// The same content may be known under a SHA-256 and a SHA-512 digest: the two are different values here.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(Arc<str>);

text_type!(Digest);

impl Digest {
    /// The SHA-256 digest of `content`.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self::with(Algorithm::Sha256, content)
    }

    /// The digest of `content` by `algorithm`.
    #[must_use]
    pub fn with(algorithm: Algorithm, content: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(content);
        hasher.finish()
    }

    /// Whether `content` is what this digest names, by its own algorithm.
    #[must_use]
    pub fn verify(&self, content: &[u8]) -> bool {
        Self::with(self.algorithm(), content) == *self
    }

    /// What stands before the colon.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        if self.0.starts_with("sha512:") { Algorithm::Sha512 } else { Algorithm::Sha256 }
    }

    /// What stands behind the colon.
    #[must_use]
    pub fn hex(&self) -> &str {
        &self.0[self.algorithm().name().len() + 1..]
    }

    /// The first twelve hexadecimal digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.hex()[..12]
    }
}

/// Why a text is no digest that we take.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DigestError {
    /// Not `algorithm:encoded`.
    #[error("`{}` is not a digest; expected sha256:<64 lower-case hexadecimal digits>", shown(.0))]
    Shape(String),
    /// An algorithm that is not registered, or that we do not know.
    #[error("digest algorithm `{}` is not supported; expected sha256 or sha512", shown(.0))]
    Algorithm(String),
    /// The part behind the colon does not fit the algorithm.
    #[error("`{}` is not a {} digest; expected {} lower-case hexadecimal digits behind the colon",
        shown(.text), .algorithm.name(), .algorithm.hex_length())]
    Encoded {
        /// The digest as given.
        text: String,
        /// Its algorithm.
        algorithm: Algorithm,
    },
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let (name, encoded) = text.split_once(':').ok_or_else(|| DigestError::Shape(text.to_owned()))?;
        let algorithm = Algorithm::of_name(name).ok_or_else(|| DigestError::Algorithm(name.to_owned()))?;
        let fits = encoded.len() == algorithm.hex_length() && encoded.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if fits { Ok(Self(text.into())) } else { Err(DigestError::Encoded { text: text.to_owned(), algorithm }) }
    }
}

/// A digest in the making.
#[derive(Clone)]
pub struct Hasher {
    algorithm: Algorithm,
    context: Context,
}

impl Hasher {
    /// Nothing hashed yet.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        let context = match algorithm {
            Algorithm::Sha256 => Context::new(&SHA256),
            Algorithm::Sha512 => Context::new(&SHA512),
        };
        Self { algorithm, context }
    }

    /// Hashes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.context.update(bytes);
    }

    /// The digest of all bytes so far.
    #[must_use]
    pub fn finish(self) -> Digest {
        Digest(format!("{}:{}", self.algorithm.name(), hex::encode(self.context.finish())).into())
    }
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hasher").field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The empty JSON object, whose digest the image-spec prints.
    const EMPTY: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

    #[test]
    fn the_digest_of_the_empty_object_is_the_one_of_the_specification() {
        let digest = Digest::of(b"{}");
        assert_eq!(digest.as_str(), EMPTY);
        assert_eq!((digest.algorithm(), digest.short()), (Algorithm::Sha256, "44136fa355b3"));
        assert!(digest.verify(b"{}") && !digest.verify(b"{ }"));
    }

    #[test]
    fn sha512_is_another_value_of_the_same_content() {
        let digest = Digest::with(Algorithm::Sha512, b"{}");
        assert_eq!((digest.algorithm(), digest.hex().len()), (Algorithm::Sha512, 128));
        assert!(digest.verify(b"{}") && digest != Digest::of(b"{}"));
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
    }

    #[test]
    fn refusals_say_what_was_expected() {
        let refused = |text: &str| text.parse::<Digest>().unwrap_err().to_string();
        assert_eq!(refused("latest"), "`latest` is not a digest; expected sha256:<64 lower-case hexadecimal digits>");
        assert_eq!(refused("md5:abc"), "digest algorithm `md5` is not supported; expected sha256 or sha512");
        assert!(refused("blake3:00").contains("`blake3`"));
        assert!(refused("SHA256:00").contains("`SHA256`"), "the algorithm is lower case");
        for bad in ["sha256:baddigeststring", "sha256:", &EMPTY.to_uppercase().replace("SHA256", "sha256"), &EMPTY[..70]] {
            assert!(refused(bad).contains("expected 64 lower-case hexadecimal digits"), "{bad}");
        }
        assert!(refused(&format!("{EMPTY}00")).contains("64"));
        assert!(refused(&EMPTY.replace("256", "512")).contains("128"));
        assert!(refused("\u{1b}[2J").contains("\\u{1b}"), "nothing that a terminal obeys");
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_kept_as_it_is(text in "\\PC*") {
            if let Ok(digest) = text.parse::<Digest>() {
                prop_assert_eq!(digest.as_str(), text);
            }
        }

        #[test]
        fn in_pieces_as_at_once(content: Vec<u8>, at: proptest::sample::Index, wide: bool) {
            let algorithm = if wide { Algorithm::Sha512 } else { Algorithm::Sha256 };
            let at = at.index(content.len() + 1);
            let mut hasher = Hasher::new(algorithm);
            hasher.update(&content[..at]);
            hasher.update(&content[at..]);
            let digest = hasher.finish();
            prop_assert!(digest.verify(&content));
            prop_assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        }
    }
}
