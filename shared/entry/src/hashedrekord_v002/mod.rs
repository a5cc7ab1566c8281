//! hashedrekord 0.0.2: a signature over a digest, and what it is checked with.
//!
//! What a verified entry means: the holder of this key signed this digest before the log answered. It says nothing about
//! who that is: certificate chain, validity, identity and revocation are the verifier's business.

mod canonical;
mod wire;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bundle::KeyDetails;
use merkle::Hash;
use pki::{Certificate, PublicKey};

use crate::algorithm::{default_key_details, hash_name};
use crate::error::RequestError;
use wire::{CreateEntryRequest, Object, RawBytes};

pub use canonical::{Verifier, canonical_hashedrekord_v002};

/// Kind of these entries, as a `TransparencyLogEntry` names it.
pub const KIND: &str = "hashedrekord";
/// Version of these entries.
pub const VERSION: &str = "0.0.2";
/// The longest canonical body: an entry bundle stores the length in two bytes.
pub const MAX_BODY: usize = 65_535;

/// A proposed entry: parsed, nothing of it believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashedRekordRequest {
    /// Digest of the artifact, or of the DSSE PAE.
    pub digest: Vec<u8>,
    /// ASN.1 ECDSA, PKCS #1 v1.5 or Ed25519ph, over the digest as prehashed message.
    pub signature: Vec<u8>,
    /// The key, or the certificate that carries it.
    pub verifier: Verifier<Vec<u8>>,
    /// The algorithm the caller claims.
    pub key_details: KeyDetails,
}

impl HashedRekordRequest {
    /// Reads a `CreateEntryRequest` in protobuf JSON.
    ///
    /// # Errors
    /// `Json`, `BothSet`, `NoEntry`, `Dsse`, `Missing`: what the form alone shows.
    pub fn from_json(body: &[u8]) -> Result<Self, RequestError> {
        if body.is_empty() {
            return Err(RequestError::NoEntry);
        }
        let Object(request) = serde_json::from_slice::<Object<CreateEntryRequest>>(body).map_err(RequestError::Json)?;
        let Object(entry) = match (request.hashed_rekord, request.dsse) {
            (Some(entry), None) => entry,
            (None, Some(_)) => return Err(RequestError::Dsse),
            (None, None) => return Err(RequestError::NoEntry),
            (Some(_), Some(_)) => {
                return Err(RequestError::BothSet { first: "hashedRekordRequestV002", second: "dsseRequestV002" });
            }
        };

        let Object(signature) = entry.signature.ok_or(RequestError::Missing { member: "signature" })?;
        let Object(verifier) = signature.verifier.ok_or(RequestError::Missing { member: "signature.verifier" })?;
        let proposed_verifier = match (verifier.public_key, verifier.x509_certificate) {
            (Some(key), None) => Verifier::PublicKey(raw_bytes(key, "signature.verifier.publicKey.rawBytes")?),
            (None, Some(leaf)) => Verifier::Certificate(raw_bytes(leaf, "signature.verifier.x509Certificate.rawBytes")?),
            (None, None) => {
                return Err(RequestError::Missing {
                    member: "signature.verifier.x509Certificate or signature.verifier.publicKey",
                });
            }
            (Some(_), Some(_)) => return Err(RequestError::BothSet { first: "publicKey", second: "x509Certificate" }),
        };
        Ok(Self {
            digest: not_empty(entry.digest, "digest")?,
            signature: not_empty(signature.content, "signature.content")?,
            verifier: proposed_verifier,
            key_details: verifier.key_details.ok_or(RequestError::Missing { member: "signature.verifier.keyDetails" })?,
        })
    }

    /// The `CreateEntryRequest` that a client sends.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let (member, key_details) = (self.verifier.member(), self.key_details.name());
        let (digest, signature, der) =
            (STANDARD.encode(&self.digest), STANDARD.encode(&self.signature), STANDARD.encode(self.verifier.der()));
        format!(
            "{{\"hashedRekordRequestV002\":{{\"digest\":\"{digest}\",\"signature\":{{\"content\":\"{signature}\",\
             \"verifier\":{{\"{member}\":{{\"rawBytes\":\"{der}\"}},\"keyDetails\":\"{key_details}\"}}}}}}}}"
        )
        .into_bytes()
    }

    /// Checks everything that a log checks, in this order: key or certificate, `keyDetails`, length of the digest, size, signature.
    ///
    /// CPU-bound (one signature verification): call it outside any lock.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn verify(self) -> Result<HashedRekord, RequestError> {
        let key = self.public_key()?;
        let key_details = default_key_details(key.kind()).ok_or(RequestError::KeyKind { kind: key.kind() })?;
        let hash = key.kind().hash();
        if self.key_details != key_details {
            return Err(RequestError::KeyDetails { found: self.key_details, expected: key_details });
        }
        if self.digest.len() != hash.len() {
            let (found, expected) = (self.digest.len(), hash.len());
            return Err(RequestError::DigestLength { found, expected, hash: hash_name(hash) });
        }
        let body = canonical_hashedrekord_v002(hash, &self.digest, &self.signature, &self.verifier, key_details);
        if body.len() > MAX_BODY {
            return Err(RequestError::TooLarge { found: body.len() });
        }
        key.verify_digest(hash, &self.digest, &self.signature).map_err(|_| RequestError::Signature { key_details })?;
        Ok(HashedRekord { leaf_hash: merkle::leaf_hash(&body), body })
    }

    fn public_key(&self) -> Result<PublicKey, RequestError> {
        match &self.verifier {
            Verifier::Certificate(der) => Ok(Certificate::from_der(der).map_err(RequestError::Certificate)?.public_key().clone()),
            Verifier::PublicKey(der) => PublicKey::from_spki_der(der).map_err(RequestError::PublicKey),
        }
    }
}

/// An entry that passed every check: its canonical body, ready to be a leaf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HashedRekord {
    body: Vec<u8>,
    leaf_hash: Hash,
}

impl HashedRekord {
    /// The canonical body: at most [`MAX_BODY`] bytes of ASCII JSON.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// SHA-256(0x00 ‖ body): the leaf of the tree, and what makes two entries the same.
    #[must_use]
    pub fn leaf_hash(&self) -> Hash {
        self.leaf_hash
    }
}

fn raw_bytes(Object(message): Object<RawBytes>, member: &'static str) -> Result<Vec<u8>, RequestError> {
    not_empty(message.raw_bytes, member)
}

fn not_empty(bytes: Option<bundle::Base64>, member: &'static str) -> Result<Vec<u8>, RequestError> {
    match bytes {
        Some(bytes) if !bytes.is_empty() => Ok(bytes.0),
        _ => Err(RequestError::Missing { member }),
    }
}

#[cfg(test)]
mod tests;
