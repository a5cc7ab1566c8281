//! The roots that accepted chains end in, and the issuers below them that were verified already.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use merkle::Hash;
use moka::sync::Cache;
use pki::chain::check_links;
use pki::{Certificate, CertificateError};

use crate::chain::ChainRefusal;

/// Chains of issuers that are remembered. There is one per authority, and making one takes an accepted root's key.
const REMEMBERED: u64 = 64;

/// The configured roots, replaced whole when their file changes.
#[derive(Debug)]
pub(crate) struct Roots {
    path: PathBuf,
    current: ArcSwap<Accepted>,
}

/// One state of the roots' file.
#[derive(Debug)]
pub(crate) struct Accepted {
    text: String,
    roots: Vec<Certificate>,
    /// Issuers that lead to one of these roots, by SHA-256 of what was submitted after the certificate. It is dropped with
    /// the roots it was made under.
    verified: Cache<Hash, Arc<Issuers>>,
}

/// From the issuer of a submitted certificate to an accepted root, the root included; every link verified.
#[derive(Debug)]
pub(crate) struct Issuers(Vec<Certificate>);

/// The file with the roots cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// It cannot be read.
    #[error("the file {} with the accepted roots cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It holds something else.
    #[error("the file {} with the accepted roots does not hold certificates alone", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        source: CertificateError,
    },
}

impl Roots {
    /// Reads the roots at `path`: one or more PEM certificates.
    pub(crate) async fn load(path: &Path) -> Result<Self, RootsError> {
        let accepted = Accepted::parse(path, read(path).await?)?;
        Ok(Self { path: path.to_owned(), current: ArcSwap::from_pointee(accepted) })
    }

    /// The roots as they are now.
    pub(crate) fn current(&self) -> Arc<Accepted> {
        self.current.load_full()
    }

    /// Reads the file again; `true` when it had changed. What cannot be used changes nothing.
    pub(crate) async fn reload(&self) -> Result<bool, RootsError> {
        let text = read(&self.path).await?;
        if text == self.current.load().text {
            return Ok(false);
        }
        self.current.store(Arc::new(Accepted::parse(&self.path, text)?));
        Ok(true)
    }
}

async fn read(path: &Path) -> Result<String, RootsError> {
    tokio::fs::read_to_string(path).await.map_err(|source| RootsError::Unreadable { path: path.to_owned(), source })
}

impl Accepted {
    /// The roots in a PEM text; `path` is where it was read.
    pub(crate) fn parse(path: &Path, text: String) -> Result<Self, RootsError> {
        let mut roots =
            Certificate::chain_from_pem(&text).map_err(|source| RootsError::Malformed { path: path.to_owned(), source })?;
        roots.dedup();
        Ok(Self { text, roots, verified: Cache::new(REMEMBERED) })
    }

    /// The roots, in the order of the file.
    pub(crate) fn certificates(&self) -> &[Certificate] {
        &self.roots
    }

    /// The verified issuers of `leaf`, given what was submitted after it; the root may be missing.
    ///
    /// The chain above a leaf is the same for every certificate of an authority, so it is parsed and verified once; the link from
    /// the leaf to it is verified every time.
    pub(crate) fn issuers(&self, leaf: &Certificate, submitted: &[Vec<u8>]) -> Result<Arc<Issuers>, ChainRefusal> {
        let name = name_of(submitted);
        if let Some(issuers) = self.verified.get(&name) {
            check_links(&[leaf.clone(), issuers.issuer().clone()]).map_err(ChainRefusal::Link)?;
            return Ok(issuers);
        }
        let issuers = Arc::new(self.complete(leaf, submitted)?);
        // Without issuers there is nothing in the name that says which root was meant.
        if !submitted.is_empty() {
            self.verified.insert(name, Arc::clone(&issuers));
        }
        Ok(issuers)
    }

    /// Parses what was submitted after the leaf, adds the root if it is missing, and verifies every link.
    fn complete(&self, leaf: &Certificate, submitted: &[Vec<u8>]) -> Result<Issuers, ChainRefusal> {
        let mut chain = vec![leaf.clone()];
        for der in submitted {
            let position = chain.len() + 1;
            // Whatever follows a root is not part of the chain, and the submitted chain counts whole or not at all.
            if self.ends_in_root(&chain) {
                return Err(ChainRefusal::AfterRoot { position });
            }
            let certificate = Certificate::from_der(der);
            chain.push(certificate.map_err(|source| ChainRefusal::Certificate { position, source })?);
        }
        if !self.ends_in_root(&chain) {
            let last = chain.last().unwrap_or(leaf);
            let root = self.root_of(last).ok_or_else(|| self.unknown(last, chain.len()))?;
            chain.push(root.clone());
        }
        check_links(&chain).map_err(ChainRefusal::Link)?;
        chain.remove(0);
        Ok(Issuers(chain))
    }

    /// Whether the last certificate is an accepted root. The first is the one to be logged, whatever it is.
    fn ends_in_root(&self, chain: &[Certificate]) -> bool {
        chain.len() > 1 && chain.last().is_some_and(|last| self.roots.contains(last))
    }

    fn root_of(&self, certificate: &Certificate) -> Option<&Certificate> {
        self.roots.iter().find(|root| {
            root.subject_der() == certificate.issuer_der() && certificate.verify_signature(root.public_key()).is_ok()
        })
    }

    fn unknown(&self, last: &Certificate, position: usize) -> ChainRefusal {
        let accepted = self.roots.iter().map(Certificate::short).collect::<Vec<_>>().join(", ");
        ChainRefusal::UnknownRoot { position, last: last.short(), accepted }
    }
}

impl Issuers {
    /// The certificate that issued the submitted one.
    pub(crate) fn issuer(&self) -> &Certificate {
        &self.0[0]
    }

    /// From the issuer to the root.
    pub(crate) fn certificates(&self) -> &[Certificate] {
        &self.0
    }
}

/// One hash for a list of byte strings: each with its length, so that no two lists are the same bytes.
fn name_of(list: &[Vec<u8>]) -> Hash {
    let mut bytes = Vec::with_capacity(list.iter().map(|item| item.len() + 8).sum());
    for item in list {
        bytes.extend((item.len() as u64).to_be_bytes());
        bytes.extend(item);
    }
    merkle::sha256(&bytes)
}
