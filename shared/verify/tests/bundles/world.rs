//! A whole Sigstore with keys that live as long as a test: certificate authority, CT log, Rekor v2 and v1 logs, timestamp
//! authority, and the trusted root that names them. Its clock stands still at [`SIGNED`].

use std::sync::LazyLock;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use der::Encode as _;
use der::asn1::OctetStringRef;
use jiff::{SignedDuration, Timestamp};
use merkle::{Hash, leaf_hash, node_hash, sha256};
use pki::{Certificate, HashAlgorithm, PublicKey};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType, SerialNumber,
};
use serde_json::{Value, json};
use time::OffsetDateTime;
use tsp::{GenTime, PolicyId, Request, Serial, TokenTemplate};
use verify::{IdentityPolicy, Matcher, Policy};

/// When everything is signed. Not now: sigstore-verify refuses what lies in the machine's future.
pub(crate) static SIGNED: LazyLock<Timestamp> = LazyLock::new(|| "2025-06-01T12:00:00Z".parse().unwrap());
pub(crate) const ARTIFACT: &[u8] = b"an artifact";
pub(crate) const IDENTITY: &str = "https://ghe.example/platform/app/.github/workflows/build.yml@refs/heads/main";
pub(crate) const ISSUER: &str = "https://ghe.example/_services/token";
pub(crate) const PREDICATE: &str = "https://slsa.dev/provenance/v1";

pub(crate) fn at(seconds: i64) -> Timestamp {
    *SIGNED + SignedDuration::from_secs(seconds)
}

pub(crate) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(crate) fn policy() -> Policy {
    Policy::identity(IdentityPolicy { identity: Matcher::Exact(IDENTITY.into()), issuer: Matcher::Exact(ISSUER.into()) })
}

/// An ECDSA key.
pub(crate) struct Key {
    pair: EcdsaKeyPair,
    rcgen: KeyPair,
    pub(crate) public: PublicKey,
}

impl Key {
    pub(crate) fn p256() -> Self {
        Self::generate(&rcgen::PKCS_ECDSA_P256_SHA256)
    }

    pub(crate) fn p384() -> Self {
        Self::generate(&rcgen::PKCS_ECDSA_P384_SHA384)
    }

    fn generate(algorithm: &'static rcgen::SignatureAlgorithm) -> Self {
        let rcgen = KeyPair::generate_for(algorithm).unwrap();
        let public = PublicKey::from_pem(&rcgen.public_key_pem()).unwrap();
        let signing = match public.kind() {
            pki::KeyKind::P384 => &ECDSA_P384_SHA384_ASN1_SIGNING,
            _ => &ECDSA_P256_SHA256_ASN1_SIGNING,
        };
        Self { pair: EcdsaKeyPair::from_pkcs8(signing, &rcgen.serialize_der()).unwrap(), rcgen, public }
    }

    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(&SystemRandom::new(), message).unwrap().as_ref().to_vec()
    }

    fn id(&self) -> Hash {
        sha256(self.public.spki_der())
    }
}

/// A certificate authority's certificate and key.
struct Ca {
    params: CertificateParams,
    key: Key,
    der: Vec<u8>,
}

impl Ca {
    fn new(name: &str, issuer: Option<&Self>, days: (i64, i64), purpose: Option<ExtendedKeyUsagePurpose>) -> Self {
        let mut params = params(name, days);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.extended_key_usages = purpose.into_iter().collect();
        let key = Key::p384();
        let certificate = match issuer {
            None => params.self_signed(&key.rcgen).unwrap(),
            Some(ca) => params.signed_by(&key.rcgen, &ca.issuer()).unwrap(),
        };
        Self { der: certificate.der().to_vec(), params, key }
    }

    fn issuer(&self) -> Issuer<'_, &KeyPair> {
        Issuer::from_params(&self.params, &self.key.rcgen)
    }
}

fn params(name: &str, (from, to): (i64, i64)) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Example");
    params.distinguished_name.push(DnType::CommonName, name);
    (params.not_before, params.not_after) = (moment(from * 86_400), moment(to * 86_400));
    params
}

fn moment(seconds: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp(at(seconds).as_second()).unwrap()
}

/// The certificate of one signature.
#[derive(Clone)]
pub(crate) struct Leaf {
    /// A URI; or a username (`user!domain`), which makes it an otherName.
    pub(crate) name: String,
    pub(crate) issuer: String,
    /// First and last second, counted from [`SIGNED`].
    pub(crate) seconds: (i64, i64),
    pub(crate) purpose: ExtendedKeyUsagePurpose,
    pub(crate) sct: SctOf,
}

/// What kind of SCT it carries.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum SctOf {
    ListedLog,
    OtherLog,
    OtherCertificate,
    /// Of the listed log, so many seconds from [`SIGNED`].
    ListedLogAt(i64),
    Nobody,
}

impl Default for Leaf {
    fn default() -> Self {
        Self {
            name: IDENTITY.into(),
            issuer: ISSUER.into(),
            seconds: (-5, 595),
            purpose: ExtendedKeyUsagePurpose::CodeSigning,
            sct: SctOf::ListedLog,
        }
    }
}

/// Who signs.
#[derive(Clone)]
pub(crate) enum Signer<'a> {
    Certified(Leaf),
    Key(&'a Key),
}

/// What is signed.
#[derive(Clone)]
pub(crate) enum What {
    Message,
    Envelope { payload_type: &'static str, statement: Value },
}

/// Where it is logged.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Logged {
    V2,
    /// With inclusion promise, inclusion proof, or both.
    V1 {
        promise: bool,
        proof: bool,
    },
}

/// One signature to be made.
#[derive(Clone)]
pub(crate) struct Order<'a> {
    pub(crate) signer: Signer<'a>,
    pub(crate) what: What,
    pub(crate) logged: Logged,
    /// Seconds from [`SIGNED`].
    pub(crate) stamped: Option<i64>,
    pub(crate) media_type: &'static str,
}

pub(crate) const V03: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
pub(crate) const V02: &str = "application/vnd.dev.sigstore.bundle+json;version=0.2";
pub(crate) const V01: &str = "application/vnd.dev.sigstore.bundle+json;version=0.1";

impl Default for Order<'_> {
    /// What cosign 3 makes of a blob.
    fn default() -> Self {
        Self {
            signer: Signer::Certified(Leaf::default()),
            what: What::Message,
            logged: Logged::V2,
            stamped: Some(1),
            media_type: V03,
        }
    }
}

impl Order<'_> {
    /// What cosign 3 makes of an attestation.
    pub(crate) fn attestation() -> Self {
        Self { what: What::Envelope { payload_type: "application/vnd.in-toto+json", statement: statement() }, ..Self::default() }
    }

    /// What clients of Rekor v1 make.
    pub(crate) fn v1() -> Self {
        Self { logged: Logged::V1 { promise: true, proof: true }, stamped: None, ..Self::default() }
    }
}

pub(crate) fn statement() -> Value {
    json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [
            {"name": "other", "digest": {"sha256": hex::encode(HashAlgorithm::Sha256.digest(b"other"))}},
            {"name": "app", "digest": {"sha256": hex::encode(HashAlgorithm::Sha256.digest(ARTIFACT))}},
        ],
        "predicateType": PREDICATE,
        "predicate": {},
    })
}

pub(crate) struct World {
    root: Ca,
    intermediate: Ca,
    ct: Key,
    other_ct: Key,
    pub(crate) v2: Key,
    pub(crate) v1: Key,
    tsa: Key,
    tsa_chain: Vec<Vec<u8>>,
    template: TokenTemplate,
    pub(crate) trusted_root: Value,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with_ca_days((-400, 400))
    }

    /// Certificate authorities that are valid from and to so many days from [`SIGNED`]; the root longer than the intermediate.
    pub(crate) fn with_ca_days((from, to): (i64, i64)) -> Self {
        let root = Ca::new("root", None, (from, to), None);
        let intermediate = Ca::new("intermediate", Some(&root), (-400, 400), Some(ExtendedKeyUsagePurpose::CodeSigning));
        let tsa_root = Ca::new("tsa root", None, (-400, 400), None);
        let tsa = Key::p256();
        let mut leaf = params("tsa", (-100, 100));
        leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let mut purpose = CustomExtension::from_oid_content(&[2, 5, 29, 37], vec![0x30, 10, 6, 8, 0x2b, 6, 1, 5, 5, 7, 3, 8]);
        purpose.set_criticality(true);
        leaf.custom_extensions.push(purpose);
        let leaf = leaf.signed_by(&tsa.rcgen, &tsa_root.issuer()).unwrap().der().to_vec();
        let template = TokenTemplate::new(&leaf, &[]).unwrap();
        let tsa_chain = vec![leaf, tsa_root.der];
        let (ct, other_ct, v2, v1) = (Key::p256(), Key::p256(), Key::p256(), Key::p256());
        let mut world = Self { root, intermediate, ct, other_ct, v2, v1, tsa, tsa_chain, template, trusted_root: Value::Null };
        world.trusted_root = world.describe();
        world
    }

    pub(crate) fn verifier(&self) -> verify::Verifier {
        verify::Verifier::from_trusted_root(&self.trusted_root.to_string()).unwrap()
    }

    fn describe(&self) -> Value {
        let valid_for = json!({"start": at(-100 * 86_400).to_string()});
        let log = |url: &str, key: &Key| {
            json!({
                "baseUrl": url,
                "hashAlgorithm": "SHA2_256",
                "publicKey": {"rawBytes": base64(key.public.spki_der()), "keyDetails": "PKIX_ECDSA_P256_SHA_256", "validFor": valid_for},
                "logId": {"keyId": base64(key.id().as_bytes())},
            })
        };
        let authority = |uri: &str, chain: &[&[u8]]| {
            let certificates: Vec<Value> = chain.iter().map(|der| json!({"rawBytes": base64(der)})).collect();
            json!({
                "subject": {"organization": "Example", "commonName": "x"},
                "uri": uri,
                "certChain": {"certificates": certificates},
                "validFor": valid_for,
            })
        };
        json!({
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [log("https://log1.rekor.example", &self.v2), log("https://rekor-v1.example", &self.v1)],
            "certificateAuthorities": [authority("https://fulcio.example", &[&self.intermediate.der, &self.root.der])],
            "ctlogs": [log("https://ctlog.example", &self.ct)],
            "timestampAuthorities": [authority("https://tsa.example", &[&self.tsa_chain[0], &self.tsa_chain[1]])],
        })
    }

    /// Makes a signature and everything that goes with it.
    pub(crate) fn sign(&self, order: &Order<'_>) -> Value {
        let ephemeral = Key::p256();
        let (key, certificate) = match &order.signer {
            Signer::Certified(leaf) => (&ephemeral, Some(self.certify(&ephemeral, leaf))),
            Signer::Key(key) => (*key, None),
        };
        let content = Content::sign(&order.what, key);
        let verifier = match &certificate {
            Some(der) => Certificate::from_der(der).unwrap().to_pem(),
            None => key.public.to_pem(),
        };
        let entry = match order.logged {
            Logged::V2 => self.log_v2(&content, key, certificate.as_deref()),
            Logged::V1 { promise, proof } => self.log_v1(&content, &verifier, promise, proof),
        };
        let mut material = json!({"tlogEntries": [entry]});
        match certificate {
            None => material["publicKey"] = json!({"hint": "key"}),
            Some(der) if order.media_type == V03 => material["certificate"] = json!({"rawBytes": base64(&der)}),
            Some(der) => material["x509CertificateChain"] = json!({"certificates": [{"rawBytes": base64(&der)}]}),
        }
        if let Some(seconds) = order.stamped {
            let stamp = base64(&self.stamp(&content.signature, at(seconds)));
            material["timestampVerificationData"] = json!({"rfc3161Timestamps": [{"signedTimestamp": stamp}]});
        }
        let mut bundle = json!({"mediaType": order.media_type, "verificationMaterial": material});
        bundle[content.member] = content.json;
        bundle
    }

    fn certify(&self, key: &Key, leaf: &Leaf) -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.serial_number = Some(SerialNumber::from_slice(&[0x41; 20]));
        (params.not_before, params.not_after) = (moment(leaf.seconds.0), moment(leaf.seconds.1));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![leaf.purpose.clone()];
        params.subject_alt_names = if leaf.name.contains('!') {
            vec![SanType::OtherName((vec![1, 3, 6, 1, 4, 1, 57264, 1, 7], rcgen::OtherNameValue::Utf8String(leaf.name.clone())))]
        } else {
            vec![SanType::URI(leaf.name.as_str().try_into().unwrap())]
        };
        let issuer = der::asn1::Utf8StringRef::new(&leaf.issuer).unwrap().to_der().unwrap();
        params.custom_extensions.push(CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 57264, 1, 8], issuer));
        let issue =
            |params: &CertificateParams| params.signed_by(&key.rcgen, &self.intermediate.issuer()).unwrap().der().to_vec();
        if leaf.sct == SctOf::Nobody {
            return issue(&params);
        }
        // The to-be-signed part without the list is that of the precertificate without its poison.
        let precertificate = Certificate::from_der(&issue(&params)).unwrap();
        let list = ct::sct_list(&[self.promise_certificate(precertificate.tbs_der(), leaf.sct)]).unwrap();
        let list = OctetStringRef::new(&list).unwrap().to_der().unwrap();
        params.custom_extensions.push(CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 11129, 2, 4, 2], list));
        issue(&params)
    }

    fn promise_certificate(&self, tbs: &[u8], of: SctOf) -> ct::Sct {
        let log = if of == SctOf::OtherLog { &self.other_ct } else { &self.ct };
        let seconds = if let SctOf::ListedLogAt(seconds) = of { seconds } else { -4 };
        let mut tbs = tbs.to_vec();
        if of == SctOf::OtherCertificate {
            tbs.push(0);
        }
        let entry = ct::SignedEntry::Precert { issuer_key_hash: self.intermediate.key.public.fingerprint(), tbs };
        let timestamp = u64::try_from(at(seconds).as_millisecond()).unwrap();
        let leaf = ct::TimestampedEntry { timestamp, entry, extensions: vec![] }.to_leaf().unwrap();
        let signature = ct::DigitallySigned(log.sign(&leaf));
        ct::Sct { log_id: ct::LogId::of(&log.public), timestamp, extensions: vec![], signature }
    }

    /// An RFC 3161 response over `message`.
    pub(crate) fn stamp(&self, message: &[u8], time: Timestamp) -> Vec<u8> {
        let request = Request::new(tsp::HashAlgorithm::Sha256.digest(message));
        let draft = self.template.draft(&request, PolicyId::SIGSTORE, Serial::from_random([7; 20]), GenTime::at(time).unwrap());
        let signature = self.tsa.sign(draft.to_be_signed());
        draft.finish(&signature)
    }

    fn log_v2(&self, content: &Content, key: &Key, certificate: Option<&[u8]>) -> Value {
        let kind = key.public.kind();
        let (hash, details) = (kind.hash(), entry::default_key_details(kind).unwrap());
        let digest = hash.digest(&content.signed);
        let verifier = match certificate {
            Some(der) => entry::Verifier::Certificate(der),
            None => entry::Verifier::PublicKey(key.public.spki_der()),
        };
        let body = entry::canonical_hashedrekord_v002(hash, &digest, &content.signature, &verifier, details);
        let proof = Tree::around(&body).prove("log1.rekor.example", "log1.rekor.example", &self.v2, &[]);
        json!({
            "logIndex": "2",
            "logId": {"keyId": base64(self.v2.id().as_bytes())},
            "kindVersion": {"kind": "hashedrekord", "version": "0.0.2"},
            "integratedTime": "0",
            "inclusionPromise": null,
            "inclusionProof": proof,
            "canonicalizedBody": base64(&body),
        })
    }

    fn log_v1(&self, content: &Content, verifier: &str, promise: bool, proof: bool) -> Value {
        let signature = base64(&content.signature);
        let verifier = base64(verifier.as_bytes());
        let (kind, spec) = if content.member == "messageSignature" {
            let hash = hex::encode(HashAlgorithm::Sha256.digest(ARTIFACT));
            let spec = json!({
                "data": {"hash": {"algorithm": "sha256", "value": hash}},
                "signature": {"content": signature, "publicKey": {"content": verifier}},
            });
            ("hashedrekord", spec)
        } else {
            let payload_hash = hex::encode(HashAlgorithm::Sha256.digest(&content.payload));
            let spec = json!({
                "envelopeHash": {"algorithm": "sha256", "value": "00".repeat(32)},
                "payloadHash": {"algorithm": "sha256", "value": payload_hash},
                "signatures": [{"signature": signature, "verifier": verifier}],
            });
            ("dsse", spec)
        };
        let body = json!({"apiVersion": "0.0.1", "kind": kind, "spec": spec}).to_string().into_bytes();
        let time = at(2).as_second();
        // A log of several shards: the index in the log is not the index in the tree.
        let index = 1002;
        let mut entry = json!({
            "logIndex": index.to_string(),
            "logId": {"keyId": base64(self.v1.id().as_bytes())},
            "kindVersion": {"kind": kind, "version": "0.0.1"},
            "integratedTime": time.to_string(),
            "canonicalizedBody": base64(&body),
        });
        if promise {
            let payload = format!(
                "{{\"body\":\"{}\",\"integratedTime\":{time},\"logID\":\"{}\",\"logIndex\":{index}}}",
                base64(&body),
                self.v1.id()
            );
            entry["inclusionPromise"] = json!({"signedEntryTimestamp": base64(&self.v1.sign(payload.as_bytes()))});
        }
        if proof {
            let origin = "rekor-v1.example - 1193050959916656506";
            entry["inclusionProof"] = Tree::around(&body).prove(origin, "rekor-v1.example", &self.v1, &["Timestamp: 1748779202"]);
        }
        entry
    }

    /// A checkpoint with this text, signed by `key` under `name`.
    pub(crate) fn checkpoint(text: &str, name: &str, key: &Key) -> String {
        let hint = note::KeyHint::of(&key.id());
        let signature = note::NoteSignature { name: name.into(), hint, signature: key.sign(text.as_bytes()) };
        note::SignedNote::new(text.into(), vec![signature]).unwrap().to_string()
    }
}

/// A signature and what it is over.
struct Content {
    member: &'static str,
    json: Value,
    signed: Vec<u8>,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

impl Content {
    fn sign(what: &What, key: &Key) -> Self {
        let hash = key.public.kind().hash();
        match what {
            What::Message => {
                let signature = key.sign(ARTIFACT);
                let algorithm = format!("SHA2_{}", hash.len() * 8);
                let digest = json!({"algorithm": algorithm, "digest": base64(&hash.digest(ARTIFACT))});
                let json = json!({"messageDigest": digest, "signature": base64(&signature)});
                Self { member: "messageSignature", json, signed: ARTIFACT.to_vec(), payload: vec![], signature }
            }
            What::Envelope { payload_type, statement } => {
                let payload = statement.to_string().into_bytes();
                let mut signed = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
                signed.extend(&payload);
                let signature = key.sign(&signed);
                let json = json!({
                    "payload": base64(&payload),
                    "payloadType": payload_type,
                    "signatures": [{"sig": base64(&signature), "keyid": ""}],
                });
                Self { member: "dsseEnvelope", json, signed, payload, signature }
            }
        }
    }
}

/// A tree of four leaves, the third of which is ours.
struct Tree([Hash; 4]);

impl Tree {
    fn around(body: &[u8]) -> Self {
        Self([leaf_hash(b"seed 0"), leaf_hash(b"seed 1"), leaf_hash(body), leaf_hash(b"a later one")])
    }

    fn prove(&self, origin: &str, name: &str, key: &Key, extensions: &[&str]) -> Value {
        let [a, b, c, d] = &self.0;
        let (left, right) = (node_hash(a, b), node_hash(c, d));
        let root = node_hash(&left, &right);
        let mut text = note::Checkpoint::new(origin, 4, root).text();
        extensions.iter().for_each(|line| text.extend([line, "\n"]));
        json!({
            "logIndex": "2",
            "treeSize": "4",
            "rootHash": base64(root.as_bytes()),
            "hashes": [base64(d.as_bytes()), base64(left.as_bytes())],
            "checkpoint": {"envelope": World::checkpoint(&text, name, key)},
        })
    }
}
