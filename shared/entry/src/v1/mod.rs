//! The kinds of a Rekor v1 log: hashedrekord 0.0.1, dsse 0.0.1, intoto 0.0.1 and 0.0.2.
//!
//! A proposal goes through two types: [`ProposedEntry`] (parsed, nothing of it believed) and [`VerifiedEntry`] (every check passed; the
//! only thing a log takes). [`ProposedEntry::locate`] is for looking up what is there: it takes the stored form of an entry too.
//!
//! What a verified entry means: the holder of this key signed this digest or envelope before the log answered. Chain, validity,
//! identity and revocation of a certificate are the verifier's business.
//!
//! What the bodies are made of is fixed for ever, oddities included: clients rebuild them, byte for byte (sigstore-java, gitsign), or
//! compare them member by member (sigstore-go, sigstore-python, sigstore-js).

mod dsse;
mod envelope;
mod error;
mod hashedrekord;
mod index_keys;
mod intoto_v001;
mod intoto_v002;
mod lenient;
mod verifier;
mod wire;

use merkle::Hash;
use serde::Deserialize;

use index_keys::IndexKeys;
use lenient::Object;
use wire::{HashMember, Proposal, Spec};

pub use error::ProposalError;
pub use index_keys::{MAX_INDEX_KEY, MAX_INDEX_KEYS, index_key};
pub use lenient::{Few, MAX_ITEMS};
pub use verifier::{PemVerifier, VerifierError};

/// The payload type of an in-toto statement.
const IN_TOTO: &str = "application/vnd.in-toto+json";

/// A proposed entry: parsed, nothing of it believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProposedEntry(Proposal);

impl<'de> Deserialize<'de> for ProposedEntry {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Object::deserialize(deserializer).map(|proposal| Self(proposal.0.unwrap_or_default()))
    }
}

impl ProposedEntry {
    /// Reads `{"kind":…,"apiVersion":…,"spec":{…}}`. Members that are unknown, null or of another type count as absent.
    ///
    /// # Errors
    /// [`ProposalError::Json`].
    pub fn from_json(body: &[u8]) -> Result<Self, ProposalError> {
        serde_json::from_slice(body).map_err(ProposalError::Json)
    }

    /// Checks everything that a log checks, signatures included.
    ///
    /// CPU-bound: up to 256 signature verifications over the whole payload. Call it outside any lock.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn verify(self) -> Result<VerifiedEntry, ProposalError> {
        match self.check()? {
            Checked::Insertable(entry) => Ok(entry),
            Checked::Stored { missing, .. } => Err(ProposalError::NotInsertable { missing }),
        }
    }

    /// The leaf hash that the entry has if it is logged. A proposal is verified as by [`verify`](Self::verify); the stored form of a
    /// dsse or intoto entry is taken as it is.
    ///
    /// # Errors
    /// As [`verify`](Self::verify).
    pub fn locate(self) -> Result<Hash, ProposalError> {
        match self.check()? {
            Checked::Insertable(entry) => Ok(entry.leaf_hash),
            Checked::Stored { body, .. } => Ok(merkle::leaf_hash(&body)),
        }
    }

    fn check(self) -> Result<Checked, ProposalError> {
        let required = |member| ProposalError::Required { member };
        let Proposal { kind, api_version, spec } = self.0;
        let kind = Kind::parse(&kind.filled().ok_or_else(|| required("kind"))?)?;
        let version = api_version.0.ok_or_else(|| required("apiVersion"))?;
        if !is_semantic_version(&version) {
            return Err(ProposalError::VersionForm);
        }
        let spec = spec.0.ok_or_else(|| required("spec"))?;
        kind.checker(&version)?(spec)
    }
}

/// Checks a proposal of one kind and version.
type Checker = fn(Spec) -> Result<Checked, ProposalError>;

/// A proposal that passed the checks of its kind.
enum Checked {
    /// It can be logged.
    Insertable(VerifiedEntry),
    /// What a body says of an entry, without the material that was verified when it was logged.
    Stored {
        body: Vec<u8>,
        /// The member that a proposal would have.
        missing: &'static str,
    },
}

/// An entry that passed every check, ready to be a leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifiedEntry {
    body: Vec<u8>,
    leaf_hash: Hash,
    index_keys: Vec<String>,
}

impl VerifiedEntry {
    fn new(body: Vec<u8>, index_keys: IndexKeys) -> Self {
        Self { leaf_hash: merkle::leaf_hash(&body), body, index_keys: index_keys.into_vec() }
    }

    /// The canonical body (RFC 8785): the leaf data, byte for byte.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// SHA-256(0x00 ‖ body): the leaf of the tree, the entry's UUID, and what makes two entries the same.
    #[must_use]
    pub fn leaf_hash(&self) -> Hash {
        self.leaf_hash
    }

    /// The words under which the entry is found, each once, as [`index_key`] has them: names in certificates as they are, every hash
    /// with its algorithm before it, those of keys included. At most [`MAX_INDEX_KEYS`] of at most [`MAX_INDEX_KEY`] characters.
    #[must_use]
    pub fn index_keys(&self) -> &[String] {
        &self.index_keys
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    HashedRekord,
    Dsse,
    Intoto,
}

impl Kind {
    fn parse(name: &str) -> Result<Self, ProposalError> {
        /// Kinds of Rekor that are next to never used, and whose parsers are a risk to who runs them.
        const DISABLED: [&str; 8] = ["alpine", "cose", "helm", "jar", "rekord", "rfc3161", "rpm", "tuf"];
        match name {
            hashedrekord::KIND => Ok(Self::HashedRekord),
            dsse::KIND => Ok(Self::Dsse),
            intoto_v002::KIND => Ok(Self::Intoto),
            _ => Err(match DISABLED.into_iter().find(|disabled| *disabled == name) {
                Some(kind) => ProposalError::KindDisabled { kind },
                None => ProposalError::UnknownKind { kind: error::shown(name) },
            }),
        }
    }

    fn checker(self, version: &str) -> Result<Checker, ProposalError> {
        let (kind, expected) = match (self, version) {
            (Self::HashedRekord, hashedrekord::VERSION) => return Ok(hashedrekord::check),
            (Self::Dsse, dsse::VERSION) => return Ok(dsse::check),
            (Self::Intoto, intoto_v001::VERSION) => return Ok(intoto_v001::check),
            (Self::Intoto, intoto_v002::VERSION) => return Ok(intoto_v002::check),
            (Self::HashedRekord, _) => (hashedrekord::KIND, hashedrekord::VERSION),
            (Self::Dsse, _) => (dsse::KIND, dsse::VERSION),
            (Self::Intoto, _) => (intoto_v002::KIND, "0.0.1 or 0.0.2"),
        };
        Err(ProposalError::UnknownVersion { kind, version: error::shown(version), expected })
    }
}

/// The value of a hash that can only be SHA-256, as it was sent.
fn sha256_value(hash: HashMember, member: &'static str) -> Result<String, ProposalError> {
    if hash.algorithm.0.as_deref() != Some("sha256") {
        return Err(ProposalError::HashAlgorithm { member, expected: "sha256" });
    }
    let value = hash.value.0.unwrap_or_default();
    match value.len() == 64 && value.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        true => Ok(value),
        false => Err(ProposalError::HashValue { member, expected: 64 }),
    }
}

/// MAJOR.MINOR.PATCH, with pre-release and build parts allowed (Semantic Versioning 2.0.0 §2, §9, §10).
fn is_semantic_version(text: &str) -> bool {
    let (rest, build) = text.split_once('+').map_or((text, None), |(rest, build)| (rest, Some(build)));
    let (core, pre) = rest.split_once('-').map_or((rest, None), |(core, pre)| (core, Some(pre)));
    let number = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) && (part == "0" || !part.starts_with('0'))
    };
    let identifier = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let numeric = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    core.split('.').count() == 3
        && core.split('.').all(number)
        && pre.is_none_or(|pre| pre.split('.').all(|part| identifier(part) && (!numeric(part) || number(part))))
        && build.is_none_or(|build| build.split('.').all(identifier))
}

#[cfg(test)]
mod tests;
