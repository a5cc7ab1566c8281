//! What the bundle should be about.

use std::fmt;
use std::io::Read;
use std::str::FromStr;

use aws_lc_rs::digest::Context;
use pki::HashAlgorithm;

/// The artifact that a bundle should be about.
pub enum Artifact<'a> {
    /// The artifact itself.
    Bytes(&'a [u8]),
    /// The artifact, read once to its end in constant memory.
    Reader(&'a mut dyn Read),
    /// Its digest alone.
    Digest(ArtifactDigest),
}

impl fmt::Debug for Artifact<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::Reader(_) => f.write_str("Reader"),
            Self::Digest(digest) => write!(f, "Digest({digest})"),
        }
    }
}

/// A digest with its algorithm, written `sha256:HEX`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ArtifactDigest {
    algorithm: HashAlgorithm,
    digest: Vec<u8>,
}

impl ArtifactDigest {
    /// A digest that is as long as its algorithm says.
    ///
    /// # Errors
    /// [`ArtifactDigestError`] when it is not.
    pub fn new(algorithm: HashAlgorithm, digest: Vec<u8>) -> Result<Self, ArtifactDigestError> {
        if digest.len() == algorithm.len() { Ok(Self { algorithm, digest }) } else { Err(ArtifactDigestError) }
    }
}

impl FromStr for ArtifactDigest {
    type Err = ArtifactDigestError;

    fn from_str(text: &str) -> Result<Self, ArtifactDigestError> {
        let (name, digits) = text.split_once(':').ok_or(ArtifactDigestError)?;
        let algorithm = ALGORITHMS.into_iter().find(|algorithm| prefix(*algorithm) == name).ok_or(ArtifactDigestError)?;
        Self::new(algorithm, hex::decode(digits).map_err(|_| ArtifactDigestError)?)
    }
}

impl fmt::Display for ArtifactDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", prefix(self.algorithm), hex::encode(&self.digest))
    }
}

/// A text is no digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a digest is written sha256:HEX with 64 hex digits, sha384:HEX with 96 or sha512:HEX with 128")]
pub struct ArtifactDigestError;

const ALGORITHMS: [HashAlgorithm; 3] = [HashAlgorithm::Sha256, HashAlgorithm::Sha384, HashAlgorithm::Sha512];

/// As in-toto statements and OCI digests name it.
pub(crate) const fn prefix(algorithm: HashAlgorithm) -> &'static str {
    match algorithm {
        HashAlgorithm::Sha256 => "sha256",
        HashAlgorithm::Sha384 => "sha384",
        HashAlgorithm::Sha512 => "sha512",
    }
}

/// Every digest of the artifact that is known, and its bytes when they are at hand.
pub(crate) struct Digested<'a> {
    pub(crate) bytes: Option<&'a [u8]>,
    digests: Vec<ArtifactDigest>,
}

impl<'a> Digested<'a> {
    /// Reads the artifact once.
    pub(crate) fn of(artifact: Artifact<'a>) -> std::io::Result<Self> {
        let (bytes, digests) = match artifact {
            Artifact::Bytes(bytes) => (Some(bytes), digest_all(&mut &*bytes)?),
            Artifact::Reader(reader) => (None, digest_all(reader)?),
            Artifact::Digest(digest) => (None, vec![digest]),
        };
        Ok(Self { bytes, digests })
    }

    pub(crate) fn get(&self, algorithm: HashAlgorithm) -> Option<&[u8]> {
        self.digests.iter().find(|digest| digest.algorithm == algorithm).map(|digest| digest.digest.as_slice())
    }

    /// The first of them: the only one, or SHA-256.
    pub(crate) fn first(&self) -> &ArtifactDigest {
        self.digests.first().expect("an artifact has at least one digest")
    }

    /// Which algorithm the first is of.
    pub(crate) fn first_algorithm(&self) -> &'static str {
        prefix(self.first().algorithm)
    }
}

fn digest_all(reader: &mut dyn Read) -> std::io::Result<Vec<ArtifactDigest>> {
    use aws_lc_rs::digest::{SHA256, SHA384, SHA512};
    let mut contexts = [Context::new(&SHA256), Context::new(&SHA384), Context::new(&SHA512)];
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let length = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        contexts.iter_mut().for_each(|context| context.update(&buffer[..length]));
    }
    let digest =
        |(algorithm, context): (HashAlgorithm, Context)| ArtifactDigest { algorithm, digest: context.finish().as_ref().to_vec() };
    Ok(ALGORITHMS.into_iter().zip(contexts).map(digest).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_as_text() {
        let text = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(text.parse::<ArtifactDigest>().unwrap().to_string(), text);
        assert_eq!(Digested::of(Artifact::Bytes(b"abc")).unwrap().first().to_string(), text);
        for text in ["", "sha256", "sha256:", "sha256:ba", "SHA256:00", "sha1:00", &format!("sha512:{}", "00".repeat(32))] {
            assert_eq!(text.parse::<ArtifactDigest>(), Err(ArtifactDigestError), "{text}");
        }
    }

    #[test]
    fn readers_are_read_whole() {
        struct Slow<'a>(&'a [u8]);
        impl Read for Slow<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
                let length = self.0.len().min(7).min(buffer.len());
                buffer[..length].copy_from_slice(&self.0[..length]);
                self.0 = &self.0[length..];
                Ok(length)
            }
        }
        let data = vec![5; 1000];
        let mut slow = Slow(&data);
        let slow = Digested::of(Artifact::Reader(&mut slow)).unwrap();
        let whole = Digested::of(Artifact::Bytes(&data)).unwrap();
        for algorithm in ALGORITHMS {
            assert_eq!(whole.get(algorithm), slow.get(algorithm));
            assert_eq!(whole.get(algorithm).unwrap(), algorithm.digest(&data));
        }
    }
}
