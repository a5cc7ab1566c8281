mod dsse;
mod hashedrekord;
mod index;
mod intoto;
mod properties;
mod public;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self as sig, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair};
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE, Engine as _};
use pki::{HashAlgorithm, PublicKey};
use serde_json::{Value, json};

use super::*;

/// Something that signs, and what verifies it.
struct Signer {
    pair: Pair,
    pem: String,
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Rsa(Box<RsaKeyPair>),
    Ed25519(Ed25519KeyPair),
}

impl Signer {
    fn p256() -> Self {
        Self::ecdsa(&sig::ECDSA_P256_SHA256_ASN1_SIGNING, "3059301306072a8648ce3d020106082a8648ce3d030107034200")
    }

    fn p384() -> Self {
        Self::ecdsa(&sig::ECDSA_P384_SHA384_ASN1_SIGNING, P384)
    }

    fn p521() -> Self {
        Self::ecdsa(&sig::ECDSA_P521_SHA512_ASN1_SIGNING, "30819b301006072a8648ce3d020106052b81040023038186 00")
    }

    fn ecdsa(algorithm: &'static sig::EcdsaSigningAlgorithm, prefix: &str) -> Self {
        let pair = EcdsaKeyPair::generate(algorithm).unwrap();
        let pem = pem_of(prefix, pair.public_key().as_ref());
        Self { pair: Pair::Ecdsa(pair), pem }
    }

    fn rsa2048() -> Self {
        use aws_lc_rs::encoding::AsDer as _;
        let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
        let spki: aws_lc_rs::encoding::PublicKeyX509Der<'_> = pair.public_key().as_der().unwrap();
        let pem = PublicKey::from_spki_der(spki.as_ref()).unwrap().to_pem();
        Self { pair: Pair::Rsa(Box::new(pair)), pem }
    }

    fn ed25519() -> Self {
        let pair = Ed25519KeyPair::generate().unwrap();
        let pem = pem_of("302a300506032b6570032100", pair.public_key().as_ref());
        Self { pair: Pair::Ed25519(pair), pem }
    }

    fn sign(&self, message: &[u8]) -> Vec<u8> {
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Ecdsa(pair) => pair.sign(&random, message).unwrap().as_ref().to_vec(),
            Pair::Ed25519(pair) => pair.sign(message).as_ref().to_vec(),
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&sig::RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
                signature
            }
        }
    }

    /// `sha256:` and the hash of the key's PEM.
    fn index_key(&self) -> String {
        format!("sha256:{}", sha256(self.pem.as_bytes()))
    }
}

const P384: &str = "3076301006072a8648ce3d020106052b81040022036200";

fn pem_of(prefix: &str, point: &[u8]) -> String {
    let spki = [&hex::decode(prefix.replace(' ', "")).unwrap()[..], point].concat();
    PublicKey::from_spki_der(&spki).unwrap().to_pem()
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(HashAlgorithm::Sha256.digest(bytes))
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    BASE64_STANDARD.encode(bytes)
}

fn pae(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    [format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).as_bytes(), payload].concat()
}

/// An envelope over `payload`, signed by each.
fn envelope(payload: &[u8], signers: &[&Signer]) -> Value {
    let signatures: Vec<_> =
        signers.iter().map(|signer| json!({"keyid": "", "sig": b64(signer.sign(&pae(IN_TOTO, payload)))})).collect();
    json!({"payload": b64(payload), "payloadType": IN_TOTO, "signatures": signatures})
}

fn read(proposal: &Value) -> Result<ProposedEntry, ProposalError> {
    ProposedEntry::from_json(proposal.to_string().as_bytes())
}

fn verify(proposal: &Value) -> Result<VerifiedEntry, ProposalError> {
    read(proposal)?.verify()
}

fn verified(proposal: &Value) -> VerifiedEntry {
    let entry = verify(proposal).unwrap_or_else(|error| panic!("{error:?}: {proposal}"));
    assert_eq!(read(proposal).unwrap().locate().unwrap(), entry.leaf_hash());
    assert_eq!(entry.leaf_hash(), merkle::leaf_hash(entry.body()));
    let canonical = serde_json_canonicalizer::to_vec(&body(&entry)).unwrap();
    assert_eq!(std::str::from_utf8(entry.body()).unwrap(), std::str::from_utf8(&canonical).unwrap(), "RFC 8785");
    entry
}

fn body(entry: &VerifiedEntry) -> Value {
    serde_json::from_slice(entry.body()).unwrap()
}

/// The code and text of a refusal, which is one line.
fn refusal(proposal: &Value) -> (&'static str, String) {
    described(&verify(proposal).expect_err(&proposal.to_string()))
}

fn described(error: &ProposalError) -> (&'static str, String) {
    let text = error.to_string();
    assert!(!text.contains('\n') && text.len() < 400, "{text}");
    (error.code(), text)
}

#[track_caller]
fn assert_refused(proposal: &Value, code: &str, text: &str) {
    let found = refusal(proposal);
    assert!(found.0 == code && found.1.contains(text), "{found:?}, expected {code} {text}: {proposal}");
}

#[test]
fn what_is_no_proposal_is_refused() {
    for text in ["", "{", "{} {}", "{\"kind\":\"dsse\",\"kind\":\"dsse\"}", "\u{feff}{}"] {
        let error = ProposedEntry::from_json(text.as_bytes()).unwrap_err();
        assert_eq!(error.code(), "entry_json", "{text}");
    }
    for text in ["null", "[]", "3", "\"x\"", "[[\"dsse\",\"0.0.1\"]]"] {
        let proposal = ProposedEntry::from_json(text.as_bytes()).unwrap();
        assert!(matches!(proposal.verify(), Err(ProposalError::Required { member: "kind" })), "{text}");
    }
    let deep = format!("{{\"spec\":{}", "[".repeat(100_000));
    assert_eq!(ProposedEntry::from_json(deep.as_bytes()).unwrap_err().code(), "entry_json");
}

#[test]
fn kind_version_and_spec_must_be_there() {
    let full = json!({"kind": "dsse", "apiVersion": "0.0.1", "spec": {}});
    for member in ["kind", "apiVersion", "spec"] {
        for value in [None, Some(Value::Null), Some(json!(5)), Some(json!([1, {"a": [2]}]))] {
            let mut proposal = full.clone();
            match value {
                Some(value) => proposal[member] = value,
                None => drop(proposal.as_object_mut().unwrap().remove(member)),
            }
            let error = verify(&proposal).unwrap_err();
            assert!(matches!(error, ProposalError::Required { member: found } if found == member), "{error:?} {proposal}");
            assert_eq!(error.to_string(), format!("{member} in body is required"));
        }
    }
    let with_kind = |kind: &str| json!({"kind": kind, "apiVersion": "0.0.1", "spec": {}});
    assert_refused(&with_kind(""), "entry_type", "kind in body is required");
    assert_refused(&with_kind("nope"), "entry_type", "invalid kind value: \"nope\"");
    assert_refused(&with_kind("DSSE"), "entry_type", "invalid kind value");
    assert!(refusal(&with_kind(&"é\n".repeat(9_999))).1.len() < 400);
    for kind in ["alpine", "cose", "helm", "jar", "rekord", "rfc3161", "rpm", "tuf"] {
        // With whatever such a spec holds.
        let proposal =
            json!({"kind": kind, "apiVersion": "0.0.1", "spec": {"publicKey": {"content": "x"}, "data": 1, "signature": []}});
        let text = format!("entry kind '{kind}' is not enabled for submission on this server");
        assert_refused(&proposal, "entry_kind_disabled", &text);
    }
}

#[test]
fn versions_are_semantic_and_known() {
    let with = |kind: &str, version: &str| json!({"kind": kind, "apiVersion": version, "spec": {}});
    for version in ["", "x", "1", "1.0", "1.0.0.0", "01.0.0", "1.0.0-", "1.0.0-01", "1.0.0+", "1.0.0-a..b", "1.0.0 ", "-1.0.0"] {
        assert_refused(&with("dsse", version), "entry_version", "apiVersion in body should match");
    }
    for version in ["9.9.9", "0.0.2-rc.1", "0.0.1+build.5", "0.0.1-0.a-b"] {
        for (kind, expected) in [("dsse", "0.0.1"), ("hashedrekord", "0.0.1"), ("intoto", "0.0.1 or 0.0.2")] {
            let text = format!("unable to locate entry for version {version} of kind {kind}; expected {expected}");
            assert_refused(&with(kind, version), "entry_version", &text);
        }
    }
    assert_refused(&with("hashedrekord", "0.0.2"), "entry_version", "unable to locate");
}
