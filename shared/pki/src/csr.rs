//! PKCS #10 certificate signing requests: only the key and the proof that its holder asks.
//!
//! Subject, names and requested extensions are never looked at; older sigstore-python even puts text there that
//! no strict parser takes.

use der::asn1::BitString;
use der::{Decode as _, Header, Reader, SliceReader, Tag};
use spki::AlgorithmIdentifierOwned;

use crate::algorithm::{SignatureAlgorithm, UnknownSignatureAlgorithm};
use crate::key::{BadSignature, KeyError, PublicKey};
use crate::pem_text::{self, PemError};

/// A request whose key can be used. Whether its signer holds that key says [`Csr::verify`].
#[derive(Debug, Clone)]
pub struct Csr {
    /// CertificationRequestInfo: what is signed.
    info: Vec<u8>,
    public_key: PublicKey,
    algorithm: Result<SignatureAlgorithm, UnknownSignatureAlgorithm>,
    signature: Vec<u8>,
}

/// The bytes are not a request that can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CsrError {
    /// Not PEM.
    #[error("the certificate signing request is not PEM")]
    Pem(#[from] PemError),
    /// A PEM block of another type.
    #[error("the PEM block is {found}, expected CERTIFICATE REQUEST")]
    Label {
        /// The block's label.
        found: String,
    },
    /// Not a CertificationRequest in DER, or bytes after it.
    #[error("not a DER certificate signing request")]
    Der,
    /// Its public key.
    #[error("the public key of the certificate signing request cannot be used")]
    Key(#[from] KeyError),
}

/// The request proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CsrSignatureError {
    /// An algorithm that is not accepted, SHA-1 and RSA-PSS among them.
    #[error(transparent)]
    Algorithm(#[from] UnknownSignatureAlgorithm),
    /// Not signed with the key it carries.
    #[error(transparent)]
    Signature(#[from] BadSignature),
}

impl Csr {
    /// Parses the first PEM block of `text`: `CERTIFICATE REQUEST` or `NEW CERTIFICATE REQUEST`.
    ///
    /// # Errors
    /// [`CsrError`].
    pub fn from_pem(text: &str) -> Result<Self, CsrError> {
        let (label, der) = pem_text::first_block(text)?;
        match label.as_str() {
            "CERTIFICATE REQUEST" | "NEW CERTIFICATE REQUEST" => Self::from_der(&der),
            _ => Err(CsrError::Label { found: label }),
        }
    }

    /// Parses a DER CertificationRequest (RFC 2986 §4).
    ///
    /// # Errors
    /// [`CsrError`].
    pub fn from_der(der: &[u8]) -> Result<Self, CsrError> {
        let fields = Fields::read(der).map_err(|_| CsrError::Der)?;
        Ok(Self {
            info: fields.info.to_vec(),
            public_key: PublicKey::from_spki_der(fields.spki)?,
            algorithm: SignatureAlgorithm::from_identifier(&fields.algorithm),
            signature: fields.signature.raw_bytes().to_vec(),
        })
    }

    /// The key that asks for a certificate.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public_key
    }

    /// What the request is signed with.
    ///
    /// # Errors
    /// [`UnknownSignatureAlgorithm`]: SHA-1, RSA-PSS, or anything else that is not accepted.
    pub fn signature_algorithm(&self) -> Result<SignatureAlgorithm, UnknownSignatureAlgorithm> {
        self.algorithm
    }

    /// Checks that the request is signed with the key it carries: the proof of possession.
    ///
    /// # Errors
    /// [`CsrSignatureError`].
    pub fn verify(&self) -> Result<(), CsrSignatureError> {
        Ok(self.algorithm?.verify(&self.public_key, &self.info, &self.signature)?)
    }
}

struct Fields<'a> {
    info: &'a [u8],
    spki: &'a [u8],
    algorithm: AlgorithmIdentifierOwned,
    signature: BitString,
}

impl<'a> Fields<'a> {
    fn read(der: &'a [u8]) -> der::Result<Self> {
        let mut request = SliceReader::new(der)?;
        enter(&mut request)?;
        let info = request.tlv_bytes()?;
        let (algorithm, signature) = (request.decode()?, request.decode::<BitString>()?);
        if signature.has_unused_bits() {
            return Err(request.error(Tag::BitString.value_error()));
        }
        request.finish()?;

        let mut fields = SliceReader::new(info)?;
        enter(&mut fields)?;
        fields.decode::<u8>()?; // version
        fields.tlv_bytes()?; // subject
        let spki = fields.tlv_bytes()?;
        Ok(Self { info, spki, algorithm, signature })
    }
}

/// Steps into a SEQUENCE that must reach to the end of the input.
fn enter(reader: &mut SliceReader<'_>) -> der::Result<()> {
    let header = Header::decode(reader)?;
    header.tag().assert_eq(Tag::Sequence)?;
    if header.length() == reader.remaining_len() { Ok(()) } else { Err(reader.error(Tag::Sequence.length_error())) }
}

#[cfg(test)]
mod tests;
