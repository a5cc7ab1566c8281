//! Keys in files: unencrypted PKCS#8 PEM, mode 0600.

mod pair;
mod write;

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use pki::{KeyKind, PublicKey};
use zeroize::Zeroizing;

use crate::{SignError, Signer};
use pair::Pair;

/// Longer files are not keys: an RSA 4096 key is about 3 KiB.
const LARGEST_FILE: u64 = 64 * 1024;

/// A private key held in memory.
pub struct FileKey {
    pair: Pair,
    public_key: PublicKey,
}

impl FileKey {
    /// Draws a new key.
    ///
    /// # Errors
    /// [`GenerateError`]: P-521 is for verification only, and RSA comes in 2048, 3072 and 4096 bits.
    pub fn generate(kind: KeyKind) -> Result<Self, GenerateError> {
        let pair = Pair::generate(kind)?;
        Self::new(pair).ok_or(GenerateError::Failed { kind })
    }

    /// Reads the first PEM block of `text`: an unencrypted PKCS#8 `PRIVATE KEY`, ECDSA P-256 or P-384, Ed25519, or RSA.
    ///
    /// # Errors
    /// [`ParseError`], which never contains any of the text.
    pub fn from_pem(text: &str) -> Result<Self, ParseError> {
        let block = pem::parse(text).map_err(|_| ParseError::NotPem)?;
        if block.tag() != LABEL {
            return Err(ParseError::of_label(block.tag()));
        }
        let pkcs8 = Zeroizing::new(block.into_contents());
        Self::new(Pair::from_pkcs8(&pkcs8).ok_or(ParseError::Unsupported)?).ok_or(ParseError::Unsupported)
    }

    /// Reads a key file.
    ///
    /// # Errors
    /// [`KeyFileError::Read`] and [`KeyFileError::Parse`], which name the file and never its content.
    pub fn load(path: &Path) -> Result<Self, KeyFileError> {
        let read = |source| KeyFileError::Read { path: path.to_owned(), source };
        let mut text = Zeroizing::new(String::with_capacity(4096));
        File::open(path).map_err(read)?.take(LARGEST_FILE).read_to_string(&mut text).map_err(read)?;
        Self::from_pem(&text).map_err(|source| KeyFileError::Parse { path: path.to_owned(), source })
    }

    /// The key as PKCS#8 PEM.
    #[must_use]
    pub fn to_pem(&self) -> Zeroizing<String> {
        let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
        Zeroizing::new(pem::encode_config(&pem::Pem::new(LABEL, self.pair.pkcs8().as_slice()), config))
    }

    /// Writes the key to a new file that only its owner may read. When this returns, the file is on disk under its name.
    ///
    /// # Errors
    /// [`KeyFileError::Exists`]: a key is never overwritten. [`KeyFileError::Write`]: nothing is left behind.
    pub fn create_file(&self, path: &Path) -> Result<(), KeyFileError> {
        write::create(path, self.to_pem().as_bytes())
    }

    /// A pair that has shown that its halves belong together.
    fn new(pair: Pair) -> Option<Self> {
        const PROBE: &[u8] = b"chancery key probe";
        let public_key = PublicKey::from_spki_der(&pair.spki()?).ok()?;
        public_key.verify(PROBE, &pair.sign(PROBE)?).ok()?;
        Some(Self { pair, public_key })
    }
}

const LABEL: &str = "PRIVATE KEY";

#[async_trait]
impl Signer for FileKey {
    fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// Inline: a signature takes 10 to 100 µs (RSA about 1 ms), less than handing it to another thread.
    async fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SignError> {
        self.pair
            .sign(message)
            .ok_or_else(|| SignError { fingerprint: self.public_key.short(), source: "the crypto library refused".into() })
    }
}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FileKey").field(&self.public_key).finish()
    }
}

/// No key was drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GenerateError {
    /// We do not sign with such keys.
    #[error("keys of the kind {kind} are not generated; expected ECDSA P-256 or P-384, Ed25519, or RSA 2048, 3072 or 4096")]
    Kind {
        /// What was asked for.
        kind: KeyKind,
    },
    /// The random source or the crypto library failed.
    #[error("the crypto library could not generate a key of the kind {kind}")]
    Failed {
        /// What was asked for.
        kind: KeyKind,
    },
}

/// The text is not a private key that can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// No PEM block.
    #[error("it is not PEM; expected an unencrypted PKCS#8 key (-----BEGIN PRIVATE KEY-----)")]
    NotPem,
    /// An encrypted key.
    #[error("the key is encrypted; expected unencrypted PKCS#8: openssl pkcs8 -topk8 -nocrypt -in FILE")]
    Encrypted,
    /// An older format of the same kind of key.
    #[error("the key is not in PKCS#8 form; convert it: openssl pkcs8 -topk8 -nocrypt -in FILE")]
    NotPkcs8,
    /// Some other PEM.
    #[error("it is PEM, but not a private key; expected -----BEGIN PRIVATE KEY-----")]
    NotPrivate,
    /// PKCS#8, but damaged or of another kind.
    #[error("the key is damaged or of an unsupported kind; expected ECDSA P-256 or P-384, Ed25519, or RSA 2048, 3072 or 4096")]
    Unsupported,
}

impl ParseError {
    fn of_label(label: &str) -> Self {
        match label {
            "ENCRYPTED PRIVATE KEY" => Self::Encrypted,
            "EC PRIVATE KEY" | "RSA PRIVATE KEY" => Self::NotPkcs8,
            _ => Self::NotPrivate,
        }
    }
}

/// A key file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// Reading failed.
    #[error("the key file {} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// There is no key in it.
    #[error("the key file {} cannot be used", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ParseError,
    },
    /// There is a file already.
    #[error("the key file {} exists already; keys are never overwritten", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Writing failed.
    #[error("the key file {} cannot be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

#[cfg(test)]
mod tests;
