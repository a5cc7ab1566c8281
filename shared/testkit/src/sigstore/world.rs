//! The authorities and logs, and what they sign.

use std::collections::BTreeMap;

use der::Encode as _;
use der::asn1::OctetStringRef;
use jiff::Timestamp;
use pki::Certificate;
use rcgen::{CertificateParams, CustomExtension, ExtendedKeyUsagePurpose, KeyUsagePurpose, SanType, SerialNumber};
use serde_json::{Value, json};
use tsp::{GenTime, PolicyId, Request, Serial, TokenTemplate};

use super::authority::{Ca, moment, params};
use super::legacy::{self, LegacyLayer};
use super::log::{Content, Tree};
use super::{Key, Leaf, Logged, Order, SctOf, Signer, V03, at, base64};

/// Certificate authority, logs and timestamp authority, with the trusted root that names them.
#[derive(Debug)]
pub struct World {
    root: Ca,
    intermediate: Ca,
    ct: Key,
    other_ct: Key,
    /// The key of the Rekor v2 log.
    pub v2: Key,
    /// The key of the Rekor v1 log.
    pub v1: Key,
    tsa: Key,
    tsa_chain: Vec<Vec<u8>>,
    template: TokenTemplate,
    /// The trusted root, as JSON.
    pub trusted_root: Value,
}

/// A signature before it is put into a form.
struct Made {
    content: Content,
    certificate: Option<Vec<u8>>,
    entry: Value,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// A new one; nothing it signs is trusted by another.
    #[must_use]
    pub fn new() -> Self {
        Self::with_ca_days((-400, 400))
    }

    /// With certificate authorities that are valid from and to so many days from [`SIGNED`](super::SIGNED); the root longer than the intermediate.
    #[must_use]
    pub fn with_ca_days((from, to): (i64, i64)) -> Self {
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
    #[must_use]
    pub fn sign(&self, order: &Order<'_>) -> Value {
        let Made { content, certificate, entry } = self.make(order);
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

    /// Makes the same in the form that cosign 2 attaches, whatever media type the order names.
    #[must_use]
    pub fn sign_legacy(&self, order: &Order<'_>) -> LegacyLayer {
        let Made { content, certificate, entry } = self.make(order);
        let text = |pointer: &str| entry.pointer(pointer).unwrap().as_str().unwrap();
        let number = |pointer: &str| text(pointer).parse::<i64>().unwrap();
        let promise = json!({
            "SignedEntryTimestamp": text("/inclusionPromise/signedEntryTimestamp"),
            "Payload": {
                "body": text("/canonicalizedBody"),
                "integratedTime": number("/integratedTime"),
                "logIndex": number("/logIndex"),
                "logID": self.v1.id().to_string(),
            },
        });
        let envelope = content.member == "dsseEnvelope";
        let layer = if envelope { content.json.to_string().into_bytes() } else { content.signed };
        let signature = if envelope { String::new() } else { base64(&content.signature) };
        let mut annotations: BTreeMap<String, String> = [(legacy::SIGNATURE, signature), (legacy::ENTRY, promise.to_string())]
            .map(|(name, value)| (name.to_owned(), value))
            .into();
        if let Some(der) = certificate {
            let chain = [&self.intermediate.der, &self.root.der].map(|der| Certificate::from_der(der).unwrap().to_pem()).concat();
            annotations.insert(legacy::CERTIFICATE.into(), Certificate::from_der(&der).unwrap().to_pem());
            annotations.insert(legacy::CHAIN.into(), chain);
        }
        if let Some(seconds) = order.stamped {
            let over = if envelope { &layer } else { &content.signature };
            let stamp = json!({"SignedRFC3161Timestamp": base64(&self.stamp(over, at(seconds)))});
            annotations.insert(legacy::TIMESTAMP.into(), stamp.to_string());
        }
        LegacyLayer { content: layer, annotations }
    }

    fn make(&self, order: &Order<'_>) -> Made {
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
            Logged::V1 { promise, proof } => self.log_v1(&content.entry_v1(&verifier), promise, proof),
            Logged::V1InToto => self.log_v1(&content.entry_in_toto(&verifier), true, false),
        };
        Made { content, certificate, entry }
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
    #[must_use]
    pub fn stamp(&self, message: &[u8], time: Timestamp) -> Vec<u8> {
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

    fn log_v1(&self, (kind, version, spec): &(&str, &str, Value), promise: bool, proof: bool) -> Value {
        let body = json!({"apiVersion": version, "kind": kind, "spec": spec}).to_string().into_bytes();
        let time = at(2).as_second();
        // A log of several shards: the index in the log is not the index in the tree.
        let index = 1002;
        let mut entry = json!({
            "logIndex": index.to_string(),
            "logId": {"keyId": base64(self.v1.id().as_bytes())},
            "kindVersion": {"kind": kind, "version": version},
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
    #[must_use]
    pub fn checkpoint(text: &str, name: &str, key: &Key) -> String {
        let hint = note::KeyHint::of(&key.id());
        let signature = note::NoteSignature { name: name.into(), hint, signature: key.sign(text.as_bytes()) };
        note::SignedNote::new(text.into(), vec![signature]).unwrap().to_string()
    }
}
