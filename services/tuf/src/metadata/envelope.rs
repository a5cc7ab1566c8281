//! `{"signatures":[{"keyid","sig"}],"signed":{…}}`: signing and checking.

use std::collections::{BTreeMap, BTreeSet};

use keys::{SignError, Signer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Key, KeyId, Metadata, NotCanonical, Role, RoleKeys, canonical};

/// A document whose signatures were not checked yet.
#[derive(Debug)]
pub(crate) struct Envelope<T> {
    signatures: Vec<Signature>,
    /// The bytes that the signatures must be over.
    message: Vec<u8>,
    signed: T,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    keyid: KeyId,
    sig: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<T> {
    signatures: Vec<Signature>,
    signed: T,
}

/// A metadata file is not what its role's keys signed.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// Not the document of that role, in the form that every client reads.
    #[error("it is not {role} metadata that every client reads")]
    Shape {
        /// Whose it should be.
        role: Role,
        /// What does not fit.
        #[source]
        source: serde_json::Error,
    },
    /// Another role's document.
    #[error("it is {found} metadata, expected {expected}")]
    Role {
        /// What it says it is.
        found: Role,
        /// What it should be.
        expected: Role,
    },
    /// Clients would compute different bytes to check.
    #[error("it has no canonical form")]
    Canonical(#[from] NotCanonical),
    /// tough refuses the file, others count the key once.
    #[error("the key {0} signed it twice")]
    Repeated(KeyId),
    /// Fewer good signatures than the role demands.
    #[error("{good} of its keys signed it, {needed} must")]
    Threshold {
        /// Distinct keys with a good signature.
        good: usize,
        /// How many must be.
        needed: u32,
    },
}

impl<T: Metadata> Envelope<T> {
    /// Reads a metadata file.
    ///
    /// # Errors
    /// It is not this role's document as we write it.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, EnvelopeError> {
        let shape = |source| EnvelopeError::Shape { role: T::ROLE, source };
        let wire: Wire<Value> = serde_json::from_slice(bytes).map_err(shape)?;
        // The message is made from what the file says, not from what we understood of it.
        let message = canonical(&wire.signed)?;
        let signed: T = serde_json::from_value(wire.signed).map_err(shape)?;
        match signed.header().role {
            found if found != T::ROLE => Err(EnvelopeError::Role { found, expected: T::ROLE }),
            _ => Ok(Self { signatures: wire.signatures, message, signed }),
        }
    }

    /// The document, if enough of the role's keys signed it. Signatures by other keys do not count and do no harm.
    ///
    /// # Errors
    /// [`EnvelopeError::Threshold`], [`EnvelopeError::Repeated`].
    pub(crate) fn verify(&self, keys: &BTreeMap<KeyId, Key>, role: &RoleKeys) -> Result<&T, EnvelopeError> {
        let mut seen = BTreeSet::new();
        // By key, not by id: the same key under two ids is one signer.
        let mut good = BTreeSet::new();
        for signature in &self.signatures {
            if !seen.insert(signature.keyid) {
                return Err(EnvelopeError::Repeated(signature.keyid));
            }
            let key = keys.get(&signature.keyid).filter(|_| role.keyids.contains(&signature.keyid));
            let key = key.filter(|key| key.id() == signature.keyid).and_then(Key::public_key);
            let (Some(key), Ok(sig)) = (key, hex::decode(&signature.sig)) else { continue };
            if key.verify(&self.message, &sig).is_ok() {
                good.insert(key.fingerprint());
            }
        }
        if good.len() < role.threshold.get() as usize {
            return Err(EnvelopeError::Threshold { good: good.len(), needed: role.threshold.get() });
        }
        Ok(&self.signed)
    }

    /// The document, whoever signed it: for a root that vouches for itself, whose keys are inside.
    pub(crate) fn unverified(&self) -> &T {
        &self.signed
    }
}

/// Signs a document with each of `signers`; the bytes of the file, indented for people.
///
/// # Errors
/// A key could not sign.
pub(crate) async fn sign<T: Metadata + Sync>(document: &T, signers: &[&dyn Signer]) -> Result<Vec<u8>, SigningFailed> {
    let message = canonical(document)?;
    let mut signatures = Vec::with_capacity(signers.len());
    for signer in signers {
        let keyid = Key::new(signer.public_key())?.id();
        signatures.push(Signature { keyid, sig: hex::encode(signer.sign(&message).await?) });
    }
    let mut bytes = serde_json::to_vec_pretty(&Wire { signatures, signed: document }).map_err(NotCanonical::from)?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// A document could not be signed.
#[derive(Debug, thiserror::Error)]
pub enum SigningFailed {
    /// The document is not one that clients agree on.
    #[error("the metadata has no canonical form")]
    Canonical(#[from] NotCanonical),
    /// The key is of another kind.
    #[error("the key cannot sign for a TUF role")]
    Key(#[from] super::NotP256),
    /// The key did not sign.
    #[error("the signature was not made")]
    Sign(#[from] SignError),
}
