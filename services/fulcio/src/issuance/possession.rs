//! The client's key: read, strong enough, held by whoever asks, and of a permitted kind. In upstream's order.

use pki::{Csr, CsrError, HashAlgorithm, KeyError, KeyKind, PublicKey, UnknownSignatureAlgorithm};

use super::policy::Authorized;
use crate::config::ClientAlgorithm;

/// What a request says about its key.
#[derive(Debug)]
pub(crate) enum RequestedKey {
    /// A key, and a signature with it over the identity.
    PublicKey {
        /// PEM, or (v1 only) DER SubjectPublicKeyInfo.
        key: Vec<u8>,
        /// The signature.
        proof: Vec<u8>,
    },
    /// A PEM certificate signing request. Only its key and its own signature matter.
    Csr(Vec<u8>),
}

/// Evidence that whoever asks holds the private half of a key that may have certificates. Made by [`prove`] only.
#[derive(Debug)]
pub(crate) struct PossessionProven(PublicKey);

impl PossessionProven {
    /// The key.
    pub(crate) fn key(&self) -> &PublicKey {
        &self.0
    }
}

/// The key, or the proof, is refused: the caller's to mend.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyRefusal {
    /// None was sent.
    #[error("no public key was sent; expected publicKeyRequest.publicKey.content as PEM, or certificateSigningRequest")]
    Missing,
    /// It cannot be read, or is weak.
    #[error("the public key cannot be used")]
    Key(#[source] KeyError),
    /// The request cannot be read.
    #[error("the certificate signing request cannot be used")]
    Csr(#[source] CsrError),
    /// The request is signed with something unknown here.
    #[error(transparent)]
    CsrAlgorithm(UnknownSignatureAlgorithm),
    /// The request's own signature.
    #[error("the certificate signing request is not signed by the key in it")]
    CsrSignature,
    /// The proof.
    #[error(
        "the proof of possession does not verify: expected a signature with the {kind} key of the request{hash} over {challenges}"
    )]
    Proof {
        /// The key's kind.
        kind: KeyKind,
        /// How the message is hashed.
        hash: &'static str,
        /// The identities that may be signed.
        challenges: String,
    },
    /// A kind of key that gets no certificate here.
    #[error("{found} is not permitted; permitted are {permitted}")]
    NotPermitted {
        /// Key and hash.
        found: String,
        /// The configured names.
        permitted: String,
    },
}

/// Reads the key and checks that whoever asks holds it.
pub(crate) fn prove(
    authorized: &Authorized,
    requested: &RequestedKey,
    permitted: &[ClientAlgorithm],
) -> Result<PossessionProven, KeyRefusal> {
    let (key, hash) = match requested {
        RequestedKey::PublicKey { key, proof } => {
            let key = read(key)?;
            check_proof(&key, proof, authorized.identity().challenges())?;
            let hash = own_hash(key.kind());
            (key, hash)
        }
        RequestedKey::Csr(pem) => from_csr(pem)?,
    };
    check_permitted(key.kind(), hash, permitted)?;
    Ok(PossessionProven(key))
}

fn read(key: &[u8]) -> Result<PublicKey, KeyRefusal> {
    if key.is_empty() {
        return Err(KeyRefusal::Missing);
    }
    PublicKey::from_pem_or_der(key).map_err(KeyRefusal::Key)
}

/// Clients sign whichever of `email` and `sub` they find first; see `identity::principal` for which are taken.
fn check_proof(key: &PublicKey, proof: &[u8], challenges: &[String]) -> Result<(), KeyRefusal> {
    if challenges.iter().any(|challenge| key.verify_proof(challenge.as_bytes(), proof).is_ok()) {
        return Ok(());
    }
    let hash = match key.kind() {
        KeyKind::P256 | KeyKind::Rsa { .. } => " and SHA-256",
        KeyKind::P384 => " and SHA-384",
        KeyKind::P521 => " and SHA-512",
        KeyKind::Ed25519 => "",
    };
    Err(KeyRefusal::Proof { kind: key.kind(), hash, challenges: challenges.join(" or ") })
}

fn from_csr(pem: &[u8]) -> Result<(PublicKey, Option<HashAlgorithm>), KeyRefusal> {
    let csr = Csr::from_pem(&String::from_utf8_lossy(pem)).map_err(KeyRefusal::Csr)?;
    let algorithm = csr.signature_algorithm().map_err(KeyRefusal::CsrAlgorithm)?;
    csr.verify().map_err(|_| KeyRefusal::CsrSignature)?;
    Ok((csr.public_key().clone(), algorithm.hash()))
}

/// `None` for Ed25519, which takes the whole message.
fn own_hash(kind: KeyKind) -> Option<HashAlgorithm> {
    (kind != KeyKind::Ed25519).then(|| kind.hash())
}

fn check_permitted(kind: KeyKind, hash: Option<HashAlgorithm>, permitted: &[ClientAlgorithm]) -> Result<(), KeyRefusal> {
    if algorithm(kind, hash).is_some_and(|algorithm| permitted.contains(&algorithm)) {
        return Ok(());
    }
    let found = hash.map_or_else(|| kind.to_string(), |hash| format!("{kind} with {hash}"));
    let permitted = permitted.iter().map(|algorithm| algorithm.name()).collect::<Vec<_>>().join(", ");
    Err(KeyRefusal::NotPermitted { found, permitted })
}

fn algorithm(kind: KeyKind, hash: Option<HashAlgorithm>) -> Option<ClientAlgorithm> {
    use HashAlgorithm::{Sha256, Sha384, Sha512};
    Some(match (kind, hash) {
        (KeyKind::P256, Some(Sha256)) => ClientAlgorithm::EcdsaP256Sha256,
        (KeyKind::P384, Some(Sha384)) => ClientAlgorithm::EcdsaP384Sha384,
        (KeyKind::P384, Some(Sha256)) => ClientAlgorithm::EcdsaP384Sha256,
        (KeyKind::P521, Some(Sha512)) => ClientAlgorithm::EcdsaP521Sha512,
        (KeyKind::P521, Some(Sha256)) => ClientAlgorithm::EcdsaP521Sha256,
        (KeyKind::Rsa { bits: 2048 }, Some(Sha256)) => ClientAlgorithm::Rsa2048Sha256,
        (KeyKind::Rsa { bits: 3072 }, Some(Sha256)) => ClientAlgorithm::Rsa3072Sha256,
        (KeyKind::Rsa { bits: 4096 }, Some(Sha256)) => ClientAlgorithm::Rsa4096Sha256,
        (KeyKind::Ed25519, None) => ClientAlgorithm::Ed25519,
        _ => return None,
    })
}
