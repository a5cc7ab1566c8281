//! DSSE envelopes and who signed them.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::BTreeSet;

use aws_lc_rs::digest::{Context, SHA256};
use pki::{HashAlgorithm, KeyKind, PublicKey};
use serde::Deserialize;
use serde::de::Error as _;

use super::error::ProposalError;
use super::lenient::{Few, Object};
use super::wire::{decode_base64, decode_base64_either};

/// An envelope whose parts were decoded; nothing of it is verified.
#[derive(Debug)]
pub(super) struct Envelope<'a> {
    pub(super) payload_type: Cow<'a, str>,
    pub(super) payload: Vec<u8>,
    /// Whether the payload was written in the standard alphabet.
    pub(super) standard_base64: bool,
    signatures: Vec<EnvelopeSignature<'a>>,
    /// SHA-256 of what was signed: hashed once, however many keys and signatures there are.
    digest: Vec<u8>,
    /// What was signed, for keys that need all of it.
    message: OnceCell<Vec<u8>>,
}

#[derive(Debug)]
struct EnvelopeSignature<'a> {
    text: Cow<'a, str>,
    bytes: Vec<u8>,
}

impl<'a> Envelope<'a> {
    /// Reads an envelope in JSON; members that are not its own are read over, and so are key ids.
    pub(super) fn from_json(text: &'a str) -> Result<Self, ProposalError> {
        #[derive(Deserialize)]
        struct Wire<'a> {
            #[serde(default, rename = "payloadType", borrow)]
            payload_type: Cow<'a, str>,
            #[serde(default, borrow)]
            payload: Cow<'a, str>,
            #[serde(default, borrow)]
            signatures: Few<Signature<'a>>,
        }
        #[derive(Deserialize)]
        struct Signature<'a> {
            #[serde(default, borrow)]
            sig: Cow<'a, str>,
        }
        let Object(wire) = serde_json::from_str(text).map_err(ProposalError::Envelope)?;
        let wire: Wire<'a> = wire.ok_or_else(|| ProposalError::Envelope(serde_json::Error::custom("expected an object")))?;
        if !wire.signatures.is_whole() {
            return Err(ProposalError::TooMany { member: "signatures", found: wire.signatures.count });
        }
        let signatures = wire.signatures.items.into_iter().map(|signature| signature.sig).collect();
        Self::new(wire.payload_type, wire.payload.as_bytes(), signatures)
    }

    /// An envelope of its parts: payload and signatures in base64.
    pub(super) fn new(payload_type: Cow<'a, str>, payload: &[u8], signatures: Vec<Cow<'a, str>>) -> Result<Self, ProposalError> {
        if signatures.is_empty() {
            return Err(ProposalError::Unsigned);
        }
        let refused = |part| ProposalError::EnvelopeBase64 { part };
        let standard = decode_base64(payload);
        let standard_base64 = standard.is_some();
        let payload = standard.or_else(|| decode_base64_either(payload)).ok_or_else(|| refused("payload"))?;
        let signature = |text: Cow<'a, str>| {
            let bytes = decode_base64_either(text.as_bytes()).ok_or_else(|| refused("signatures"))?;
            Ok(EnvelopeSignature { text, bytes })
        };
        let signatures = signatures.into_iter().map(signature).collect::<Result<_, ProposalError>>()?;
        let mut context = Context::new(&SHA256);
        context.update(pae_header(&payload_type, payload.len()).as_bytes());
        context.update(&payload);
        let digest = context.finish().as_ref().to_vec();
        Ok(Self { payload_type, payload, standard_base64, signatures, digest, message: OnceCell::new() })
    }

    /// The distinct signatures, as they are written.
    pub(super) fn distinct(&self) -> BTreeSet<&str> {
        self.signatures.iter().map(|signature| signature.text.as_ref()).collect()
    }

    /// The first signature that this key made. A key counts for no other, whatever else it signed.
    pub(super) fn first_signed_by(&self, key: &PublicKey) -> Option<&str> {
        let first = self.signatures.iter().find(|signature| self.verifies(key, &signature.bytes))?;
        Some(&first.text)
    }

    fn verifies(&self, key: &PublicKey, signature: &[u8]) -> bool {
        if key.kind() == KeyKind::Ed25519 {
            let message = || [pae_header(&self.payload_type, self.payload.len()).as_bytes(), &self.payload].concat();
            return key.verify(self.message.get_or_init(message), signature).is_ok();
        }
        // SHA-256 whatever the curve: that is how this contract verifies.
        key.verify_digest_either_form(HashAlgorithm::Sha256, &self.digest, signature).is_ok()
    }
}

/// What comes before the payload in the DSSE pre-authentication encoding.
fn pae_header(payload_type: &str, payload: usize) -> String {
    format!("DSSEv1 {} {payload_type} {payload} ", payload_type.len())
}
