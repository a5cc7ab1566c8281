//! What a Rekor v1 entry says, compared with what was signed: kind, digest, signature, and certificate or key.
//!
//! The log signed the body, so it is read leniently where it says more; what must be in it must be in it once, and be this.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pki::{Certificate, HashAlgorithm, pem_blocks};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use sigstore_verify::types::bundle::TransparencyLogEntry;

use crate::artifact::prefix;
use crate::refusal::Refusal;
use crate::signature::{Content, Signed};

/// Whether the stored body of `entry` is about what was signed, and about nothing else.
pub(super) fn compare(entry: &TransparencyLogEntry, signed: &Signed<'_>) -> Result<(), Refusal> {
    let (kind, body) = (entry.kind_version, entry.canonicalized_body.as_bytes());
    let compared = match (&signed.content, kind.kind(), kind.version()) {
        (Content::Message { algorithm, digest }, "hashedrekord", "0.0.1") => {
            read(body, entry).and_then(|spec: HashedRekord| spec.compare(*algorithm, digest, signed))
        }
        (Content::Envelope { payload, .. }, "dsse", "0.0.1") => {
            read(body, entry).and_then(|spec: Dsse| spec.compare(payload, signed))
        }
        (Content::Envelope { payload_type, payload, .. }, "intoto", "0.0.2") => {
            read(body, entry).and_then(|spec: InToto| spec.content.compare(payload_type, payload, signed))
        }
        _ => Err("it is of a kind that holds no such signature"),
    };
    compared.map_err(|what| Refusal::EntryMismatch { index: entry.log_index.get(), what: what.into() })
}

type Compared<T = ()> = Result<T, &'static str>;

/// The `spec` of a body of the kind that the entry says it is: the same body may not be read in two ways.
fn read<S: DeserializeOwned>(body: &[u8], entry: &TransparencyLogEntry) -> Compared<S> {
    const UNREADABLE: &str = "its body is not of its kind";
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Body<S> {
        kind: String,
        api_version: String,
        spec: S,
    }
    let Body { kind, api_version, spec } = serde_json::from_slice(body).map_err(|_| UNREADABLE)?;
    let wanted = entry.kind_version;
    if kind == wanted.kind() && api_version == wanted.version() { Ok(spec) } else { Err(UNREADABLE) }
}

#[derive(Deserialize)]
struct HashedRekord {
    data: Data,
    signature: LoggedSignature,
}

#[derive(Deserialize)]
struct Data {
    hash: LoggedHash,
}

#[derive(Deserialize)]
struct LoggedHash {
    algorithm: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LoggedSignature {
    content: String,
    public_key: LoggedKey,
}

#[derive(Deserialize)]
struct LoggedKey {
    content: String,
}

impl HashedRekord {
    fn compare(&self, algorithm: HashAlgorithm, digest: &[u8], signed: &Signed<'_>) -> Compared {
        self.data.hash.is(algorithm, digest, "it names another digest")?;
        same_signature(&self.signature.content, signed)?;
        same_signer(&self.signature.public_key.content, signed)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Dsse {
    envelope_hash: LoggedHash,
    payload_hash: LoggedHash,
    signatures: Vec<DsseSignature>,
}

#[derive(Deserialize)]
struct DsseSignature {
    signature: String,
    verifier: String,
}

impl Dsse {
    fn compare(&self, payload: &[u8], signed: &Signed<'_>) -> Compared {
        self.payload_hash.is(HashAlgorithm::Sha256, &HashAlgorithm::Sha256.digest(payload), "it names another payload")?;
        // A bundle does not keep the envelope's own bytes; the signature says as much.
        if let Some(envelope) = signed.envelope {
            self.envelope_hash.is(HashAlgorithm::Sha256, &HashAlgorithm::Sha256.digest(envelope), "it names another envelope")?;
        }
        let [one] = &self.signatures[..] else { return Err(SIGNATURES) };
        same_signature(&one.signature, signed)?;
        same_signer(&one.verifier, signed)
    }
}

const SIGNATURES: &str = "it holds none or several signatures";

#[derive(Deserialize)]
struct InToto {
    content: InTotoContent,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InTotoContent {
    envelope: InTotoEnvelope,
    payload_hash: LoggedHash,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InTotoEnvelope {
    payload_type: String,
    signatures: Vec<InTotoSignature>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct InTotoSignature {
    public_key: String,
    sig: String,
}

impl InTotoContent {
    fn compare(&self, payload_type: &str, payload: &[u8], signed: &Signed<'_>) -> Compared {
        self.payload_hash.is(HashAlgorithm::Sha256, &HashAlgorithm::Sha256.digest(payload), "it names another payload")?;
        if self.envelope.payload_type != payload_type {
            return Err("it names another type of payload");
        }
        let [one] = &self.envelope.signatures[..] else { return Err(SIGNATURES) };
        // In base64 twice, once more than anywhere else.
        let once = decode(&one.sig).and_then(|text| String::from_utf8(text).ok()).ok_or(SIGNATURE)?;
        same_signature(&once, signed)?;
        same_signer(&one.public_key, signed)
    }
}

impl LoggedHash {
    fn is(&self, algorithm: HashAlgorithm, digest: &[u8], otherwise: &'static str) -> Compared {
        let same = self.algorithm == prefix(algorithm) && hex::decode(&self.value).is_ok_and(|value| value == digest);
        if same { Ok(()) } else { Err(otherwise) }
    }
}

const SIGNATURE: &str = "it holds another signature";

fn same_signature(logged: &str, signed: &Signed<'_>) -> Compared {
    if decode(logged).is_some_and(|logged| logged == signed.signature) { Ok(()) } else { Err(SIGNATURE) }
}

/// The first block of the PEM in base64 is this certificate, or this key; above a certificate may stand its chain.
fn same_signer(logged: &str, signed: &Signed<'_>) -> Compared {
    const SIGNER: &str = "it names another certificate or key";
    let pem = decode(logged).and_then(|pem| String::from_utf8(pem).ok()).ok_or(SIGNER)?;
    let blocks = pem_blocks(&pem).map_err(|_| SIGNER)?;
    let same = match (signed.certificate, &blocks[..]) {
        (Some(certificate), [(label, der), ..]) => label == "CERTIFICATE" && der == certificate.der(),
        (None, [(label, der)]) if label == "PUBLIC KEY" => der == signed.key.spki_der(),
        (None, [(label, der), ..]) if label == "CERTIFICATE" => {
            Certificate::from_der(der).is_ok_and(|certificate| certificate.public_key() == signed.key)
        }
        _ => false,
    };
    if same { Ok(()) } else { Err(SIGNER) }
}

fn decode(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}
