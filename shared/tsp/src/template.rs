//! Tokens being issued: what stays the same, what changes, and the signature in between.

use aws_lc_rs::digest;
use der::Tag;

use crate::encode::{CONTEXT_0, CONTEXT_4, NULL, OBJECT_IDENTIFIER, OCTET_STRING, ONE, SEQUENCE, SET, THREE, set_of, tlv};
use crate::read::{Fields, context};
use crate::{GenTime, HashAlgorithm, Integer, PolicyId, Request, Serial};

/// `id-signedData`.
const SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
/// `id-ct-TSTInfo`.
pub(crate) const TST_INFO: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x01, 0x04];
const CONTENT_TYPE: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x03];
const MESSAGE_DIGEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x04];
const SIGNING_TIME: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x05];
const SIGNING_CERTIFICATE_V2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x02, 0x2f];
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];

/// `PKIStatusInfo { granted }`.
const GRANTED: &[u8] = &[SEQUENCE, 3, 2, 1, 0];
/// `Accuracy { seconds 1 }`.
const ONE_SECOND: &[u8] = &[SEQUENCE, 3, 2, 1, 1];

/// How a token is signed; follows from the key in the signing certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignatureAlgorithm {
    /// ECDSA P-256 with SHA-256.
    EcdsaP256Sha256,
    /// ECDSA P-384 with SHA-384.
    EcdsaP384Sha384,
    /// RSA PKCS#1 v1.5 with SHA-256.
    RsaSha256,
}

impl SignatureAlgorithm {
    /// The hash over the content and over the signed attributes.
    #[must_use]
    pub const fn hash(self) -> HashAlgorithm {
        match self {
            Self::EcdsaP256Sha256 | Self::RsaSha256 => HashAlgorithm::Sha256,
            Self::EcdsaP384Sha384 => HashAlgorithm::Sha384,
        }
    }

    /// `AlgorithmIdentifier`: without parameters for ECDSA (RFC 5758 §3.2), with NULL for RSA (RFC 4055 §5).
    fn to_der(self) -> Vec<u8> {
        let (oid, parameters): (&[u8], &[u8]) = match self {
            Self::EcdsaP256Sha256 => (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02], &[]),
            Self::EcdsaP384Sha384 => (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03], &[]),
            Self::RsaSha256 => (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b], NULL),
        };
        tlv(SEQUENCE, &[&tlv(OBJECT_IDENTIFIER, &[oid]), parameters])
    }
}

/// What all tokens of one signing certificate have in common, encoded once.
#[derive(Debug, Clone)]
pub struct TokenTemplate {
    algorithm: SignatureAlgorithm,
    /// `digestAlgorithms`.
    digest_algorithms: Vec<u8>,
    /// `[0] certificates`.
    certificates: Vec<u8>,
    /// The first members of `SignerInfo`: version, issuerAndSerialNumber, digestAlgorithm.
    signer: Vec<u8>,
    signature_algorithm: Vec<u8>,
    /// `tsa` of `TSTInfo`: the certificate's subject.
    tsa: Vec<u8>,
    content_type: Vec<u8>,
    signing_certificate: Vec<u8>,
}

impl TokenTemplate {
    /// For a signing certificate (`leaf`, DER). A token that is asked for certificates includes it and `others`, sorted as
    /// DER wants them: sigstore-python refuses any other order.
    ///
    /// # Errors
    /// [`TemplateError`].
    pub fn new(leaf: &[u8], others: &[&[u8]]) -> Result<Self, TemplateError> {
        let certificate = SigningCertificate::read(leaf)?;
        let algorithm = certificate.algorithm.ok_or(TemplateError::UnsupportedKey)?;
        let digest_algorithm = tlv(SEQUENCE, &[&algorithm.hash().oid_der()]);
        let mut included: Vec<&[u8]> = others.iter().copied().chain([leaf]).collect();
        included.sort_unstable();
        included.dedup();
        let issuer_and_serial = tlv(SEQUENCE, &[certificate.issuer, certificate.serial]);
        Ok(Self {
            algorithm,
            digest_algorithms: tlv(SET, &[&digest_algorithm]),
            certificates: tlv(CONTEXT_0, &included),
            signer: [ONE, &issuer_and_serial, &digest_algorithm].concat(),
            signature_algorithm: algorithm.to_der(),
            tsa: tlv(CONTEXT_0, &[&tlv(CONTEXT_4, &[certificate.subject])]),
            content_type: attribute(CONTENT_TYPE, &tlv(OBJECT_IDENTIFIER, &[TST_INFO])),
            signing_certificate: attribute(SIGNING_CERTIFICATE_V2, &certificate.signing_certificate_v2(leaf)),
        })
    }

    /// How tokens are signed.
    #[must_use]
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.algorithm
    }

    /// A token that answers `request`, still to be signed. `policy` is the one it is issued under; the caller has checked
    /// that it is the one requested, if any, and that it serves the request's extensions.
    #[must_use]
    pub fn draft(&self, request: &Request, policy: PolicyId, serial: Serial, time: GenTime) -> TokenDraft<'_> {
        let info = self.tst_info(request, policy, serial, time);
        let attributes = self.signed_attributes(&info, time);
        TokenDraft { template: self, info, attributes, certificates: request.certificates }
    }

    /// `TSTInfo` (RFC 3161 §2.4.2).
    fn tst_info(&self, request: &Request, policy: PolicyId, serial: Serial, time: GenTime) -> Vec<u8> {
        let nonce = request.nonce.as_ref().map(Integer::to_der).unwrap_or_default();
        tlv(
            SEQUENCE,
            &[
                ONE,
                &policy.to_der(),
                &request.imprint.to_der(),
                &tlv(crate::encode::INTEGER, &[serial.as_bytes()]),
                &time.generalized_time(),
                ONE_SECOND,
                &nonce,
                &self.tsa,
            ],
        )
    }

    /// `SignedAttributes` as `SET OF`: the bytes that are signed (RFC 5652 §5.4).
    fn signed_attributes(&self, info: &[u8], time: GenTime) -> Vec<u8> {
        let signing_time = attribute(SIGNING_TIME, &time.signing_time());
        let digest = self.algorithm.hash().digest(info);
        let message_digest = attribute(MESSAGE_DIGEST, &tlv(OCTET_STRING, &[digest.digest()]));
        set_of(SET, [&self.content_type, &signing_time, &message_digest, &self.signing_certificate])
    }
}

/// A token without its signature.
#[derive(Debug)]
pub struct TokenDraft<'a> {
    template: &'a TokenTemplate,
    info: Vec<u8>,
    attributes: Vec<u8>,
    certificates: bool,
}

impl TokenDraft<'_> {
    /// What the authority's key has to sign, hashed with [`SignatureAlgorithm::hash`].
    #[must_use]
    pub fn to_be_signed(&self) -> &[u8] {
        &self.attributes
    }

    /// The DER `TimeStampResp` that grants the token, given the signature (ECDSA: DER; RSA: PKCS#1 v1.5).
    #[must_use]
    pub fn finish(mut self, signature: &[u8]) -> Vec<u8> {
        let template = self.template;
        // Inside the SignerInfo the same attributes are tagged [0] IMPLICIT instead of SET OF (RFC 5652 §5.3).
        self.attributes[0] = CONTEXT_0;
        let signature = tlv(OCTET_STRING, &[signature]);
        let signer_info = tlv(SEQUENCE, &[&template.signer, &self.attributes, &template.signature_algorithm, &signature]);
        let content = tlv(CONTEXT_0, &[&tlv(OCTET_STRING, &[&self.info])]);
        let encapsulated = tlv(SEQUENCE, &[&tlv(OBJECT_IDENTIFIER, &[TST_INFO]), &content]);
        let certificates: &[u8] = if self.certificates { &template.certificates } else { &[] };
        let signed_data =
            tlv(SEQUENCE, &[THREE, &template.digest_algorithms, &encapsulated, certificates, &tlv(SET, &[&signer_info])]);
        let token = tlv(SEQUENCE, &[&tlv(OBJECT_IDENTIFIER, &[SIGNED_DATA]), &tlv(CONTEXT_0, &[&signed_data])]);
        tlv(SEQUENCE, &[GRANTED, &token])
    }
}

/// Why a certificate cannot sign tokens. Always the operator's error.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// Not a certificate.
    #[error("the signing certificate is not one DER certificate")]
    Malformed(#[from] der::Error),
    /// A key no client verifies timestamps with.
    #[error("the signing certificate's key must be ECDSA P-256 (the default), ECDSA P-384 or RSA")]
    UnsupportedKey,
}

/// The parts of a certificate that a token repeats, byte for byte.
struct SigningCertificate<'a> {
    /// The whole `INTEGER`.
    serial: &'a [u8],
    issuer: &'a [u8],
    subject: &'a [u8],
    algorithm: Option<SignatureAlgorithm>,
}

impl<'a> SigningCertificate<'a> {
    fn read(der: &'a [u8]) -> Result<Self, der::Error> {
        let mut tbs = Fields::whole(der, Tag::Sequence)?.nested(Tag::Sequence)?;
        tbs.optional(context(0))?;
        let serial = tbs.raw()?;
        let _signature = tbs.raw()?;
        let issuer = tbs.raw()?;
        let _validity = tbs.raw()?;
        let subject = tbs.raw()?;
        let mut key_algorithm = tbs.nested(Tag::Sequence)?.nested(Tag::Sequence)?;
        let algorithm = match key_algorithm.contents(Tag::ObjectIdentifier)? {
            RSA => Some(SignatureAlgorithm::RsaSha256),
            EC_PUBLIC_KEY => match key_algorithm.optional(Tag::ObjectIdentifier)? {
                Some(P256) => Some(SignatureAlgorithm::EcdsaP256Sha256),
                Some(P384) => Some(SignatureAlgorithm::EcdsaP384Sha384),
                _ => None,
            },
            _ => None,
        };
        Ok(Self { serial, issuer, subject, algorithm })
    }

    /// `SigningCertificateV2` with one `ESSCertIDv2` (RFC 5035): SHA-256, which as the default is not written, and
    /// issuerSerial.
    fn signing_certificate_v2(&self, leaf: &[u8]) -> Vec<u8> {
        let hash = tlv(OCTET_STRING, &[digest::digest(&digest::SHA256, leaf).as_ref()]);
        let issuer = tlv(SEQUENCE, &[&tlv(CONTEXT_4, &[self.issuer])]);
        let id = tlv(SEQUENCE, &[&hash, &tlv(SEQUENCE, &[&issuer, self.serial])]);
        tlv(SEQUENCE, &[&tlv(SEQUENCE, &[&id])])
    }
}

/// `Attribute` with one value.
fn attribute(oid: &[u8], value: &[u8]) -> Vec<u8> {
    tlv(SEQUENCE, &[&tlv(OBJECT_IDENTIFIER, &[oid]), &tlv(SET, &[value])])
}

#[cfg(test)]
mod tests;
