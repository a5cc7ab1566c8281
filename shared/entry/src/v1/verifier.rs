//! What a signature is checked with: PEM, a public key or a certificate with or without its chain.

use merkle::sha256;
use pki::chain::{ChainError, check_links};
use pki::{Certificate, CertificateError, KeyError, PemError, PublicKey, pem_blocks};

/// A key as entries of Rekor v1 carry it, in its one spelling.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PemVerifier {
    key: PublicKey,
    /// Leaf first; none for a key alone.
    certificates: Vec<Certificate>,
    pem: String,
}

/// The most certificates of a chain.
const MAX_CERTIFICATES: usize = 10;

impl PemVerifier {
    /// Reads a `PUBLIC KEY`, or a `CERTIFICATE` with those above it. Text before the first block is skipped.
    ///
    /// # Errors
    /// [`VerifierError`]: also for a block of another type, such as a PKCS #1 key, and for anything after a key but white space.
    pub fn from_pem(bytes: &[u8]) -> Result<Self, VerifierError> {
        let text = std::str::from_utf8(bytes).map_err(|_| VerifierError::Text)?.trim();
        let blocks = pem_blocks(text)?;
        if !text.ends_with("-----") {
            return Err(VerifierError::Trailing);
        }
        if let [(label, der)] = &blocks[..]
            && label == "PUBLIC KEY"
        {
            let key = PublicKey::from_spki_der(der).map_err(VerifierError::PublicKey)?;
            return Ok(Self { pem: key.to_pem(), key, certificates: Vec::new() });
        }
        if blocks.len() > MAX_CERTIFICATES {
            return Err(VerifierError::TooMany { found: blocks.len() });
        }
        let certificate = |(label, der): &(String, Vec<u8>)| match label.as_str() {
            "CERTIFICATE" => Certificate::from_der(der).map_err(VerifierError::Certificate),
            _ => Err(VerifierError::Label { found: super::error::shown(label) }),
        };
        let certificates: Vec<_> = blocks.iter().map(certificate).collect::<Result<_, _>>()?;
        let pem = certificates.iter().map(Certificate::to_pem).collect();
        Ok(Self { key: certificates[0].public_key().clone(), certificates, pem })
    }

    /// The key, or that of the first certificate.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// The spelling that goes into a body: lines of 64 characters, nothing between the blocks, a final newline.
    #[must_use]
    pub fn canonical_pem(&self) -> &str {
        &self.pem
    }

    /// The key under which the search index has it: `sha256:` and the hash of [`canonical_pem`](Self::canonical_pem).
    #[must_use]
    pub fn index_key(&self) -> String {
        format!("sha256:{}", sha256(self.pem.as_bytes()))
    }

    /// Whom the first certificate is for, in any kind of name that has a text; empty for a key.
    #[must_use]
    pub fn subjects(&self) -> Vec<String> {
        self.certificates.first().map(|leaf| leaf.extensions().subject_texts()).unwrap_or_default()
    }

    /// Checks that a chain is one: each certificate issued by the next, all valid when the first one began. Whose root it is, is
    /// no question for a log.
    ///
    /// # Errors
    /// [`VerifierError::Chain`] or [`VerifierError::ChainTime`].
    pub fn check_chain(&self) -> Result<(), VerifierError> {
        let [leaf, above @ ..] = &self.certificates[..] else { return Ok(()) };
        if above.is_empty() {
            return Ok(());
        }
        check_links(&self.certificates).map_err(VerifierError::Chain)?;
        match above.iter().position(|certificate| !certificate.is_valid_at(leaf.not_before())) {
            Some(position) => Err(VerifierError::ChainTime { number: position + 2 }),
            None => Ok(()),
        }
    }
}

/// Not a key or certificate that an entry can carry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifierError {
    /// Not even text.
    #[error("invalid public key: failure decoding PEM; expected a PUBLIC KEY or CERTIFICATE block in base64")]
    Text,
    /// Not PEM.
    #[error("invalid public key: failure decoding PEM")]
    Pem(#[from] PemError),
    /// Something behind the last block.
    #[error("invalid public key: there is text after the last PEM block")]
    Trailing,
    /// A block of another type.
    #[error("invalid public key: cannot handle type {found}; expected PUBLIC KEY or CERTIFICATE")]
    Label {
        /// Its label.
        found: String,
    },
    /// A key that cannot be used.
    #[error("invalid public key")]
    PublicKey(#[source] KeyError),
    /// A certificate that cannot be used.
    #[error("invalid certificate")]
    Certificate(#[source] CertificateError),
    /// A chain longer than any real one.
    #[error("too many certificates: found {found}, the most accepted is {MAX_CERTIFICATES}")]
    TooMany {
        /// How many there are.
        found: usize,
    },
    /// Certificates that do not belong together.
    #[error("the certificates are not a chain, leaf first")]
    Chain(#[source] ChainError),
    /// A certificate that was over, or not begun, when the leaf was issued.
    #[error("certificate {number} of the chain is not valid at the time at which the first one begins")]
    ChainTime {
        /// From 1, the leaf.
        number: usize,
    },
}

impl VerifierError {
    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Text | Self::Pem(_) | Self::Trailing | Self::Label { .. } | Self::PublicKey(_) => "entry_public_key",
            Self::Certificate(_) | Self::TooMany { .. } | Self::Chain(_) | Self::ChainTime { .. } => "entry_certificate",
        }
    }
}
