//! The Rekor v2 log as its clients and its auditors see it (rekor-tiles 2.3, C2SP tlog-tiles).

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use merkle::{CompactRange, Hash, TILE_WIDTH, TileKind, TilePath, leaf_hash, verify_inclusion};
use note::{Checkpoint, KeyHint, SignedNote, ecdsa_key_id};
use pki::PublicKey;
use serde_json::{Value, json};
use testkit::Environment;

/// A log at a URL, with the key that the trusted root gives it.
#[derive(Debug, Clone)]
pub struct Log {
    url: String,
    origin: String,
    key: PublicKey,
    http: reqwest::Client,
}

/// A signed tree head whose signature was verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Head {
    /// Leaves in the tree.
    pub size: u64,
    /// Root of the tree.
    pub root: [u8; 32],
}

/// An entry that was answered, and verified against the answer's own checkpoint.
#[derive(Debug, Clone)]
pub struct Logged {
    /// Its place in the log.
    pub index: u64,
    /// The leaf.
    pub body: Vec<u8>,
    /// The checkpoint it came with.
    pub head: Head,
}

impl Log {
    /// The log of an environment.
    ///
    /// # Panics
    /// The trusted root does not have exactly one log of this URL, with an ECDSA key.
    #[must_use]
    pub fn of(environment: &Environment) -> Self {
        Self::new(environment.get("CHANCERY_REKOR_URL"), &environment.path("CHANCERY_TRUSTED_ROOT"), testkit::http(&[]))
    }

    /// The log at `url`, whose key is in the trusted root in a file.
    ///
    /// # Panics
    /// As [`Self::of`].
    #[must_use]
    pub fn new(url: &str, trusted_root: &std::path::Path, http: reqwest::Client) -> Self {
        let trusted_root: Value =
            serde_json::from_slice(&std::fs::read(trusted_root).expect("it can be read")).expect("it is JSON");
        let logs: Vec<&Value> =
            trusted_root["tlogs"].as_array().expect("it has logs").iter().filter(|log| log["baseUrl"] == url).collect();
        let [log] = logs.as_slice() else { panic!("one log expected") };
        let spki = decoded(&log["publicKey"]["rawBytes"]);
        let key_id = ecdsa_key_id(&spki);
        assert_eq!(decoded(&log["logId"]["keyId"]), key_id.as_bytes(), "the log id is the whole key id");
        let host = url.split("://").nth(1).expect("a URL has a host");
        let origin = host.rsplit_once(':').map_or(host, |(host, _)| host).to_owned();
        Self { url: url.to_owned(), origin, key: PublicKey::from_spki_der(&spki).expect("a key"), http }
    }

    /// The same log, at another address.
    #[must_use]
    pub fn at(&self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self.clone() }
    }

    /// As [`Self::append`], with a refusal as an error too.
    ///
    /// # Errors
    /// No answer, or one that is not 201: it says nothing about whether the entry was written.
    ///
    /// # Panics
    /// A 201 without a sound proof.
    pub async fn try_append(&self, entry: &Entry) -> Result<Logged, String> {
        let answer = self.post(entry.request.to_string()).await.map_err(|error| error.to_string())?;
        let (status, text) = (answer.status(), answer.text().await.map_err(|error| error.to_string())?);
        if status == 201 { Ok(self.verified(&serde_json::from_str(&text).expect("a 201 is JSON"), entry)) } else { Err(text) }
    }

    /// The current checkpoint; none when there is no answer.
    ///
    /// # Panics
    /// It is not signed by the log.
    pub async fn try_head(&self) -> Option<Head> {
        let answer = self.http.get(format!("{}/checkpoint", self.url)).send().await.ok()?;
        (answer.status() == 200).then_some(())?;
        Some(self.verified_note(&answer.text().await.ok()?))
    }

    /// Submits an entry and verifies the answer: the leaf is the entry's, and the proof leads to the checkpoint's root.
    ///
    /// # Errors
    /// No answer, which says nothing about whether the entry was written.
    ///
    /// # Panics
    /// Any answer that is not 201 with a sound proof.
    pub async fn append(&self, entry: &Entry) -> reqwest::Result<Logged> {
        let answer = self.post(entry.request.to_string()).await?;
        let (status, text) = (answer.status(), answer.text().await?);
        assert_eq!(status, 201, "{text}");
        Ok(self.verified(&serde_json::from_str(&text).expect("a 201 is JSON"), entry))
    }

    /// Posts a body as it is.
    ///
    /// # Errors
    /// No answer.
    pub async fn post(&self, body: impl Into<reqwest::Body>) -> reqwest::Result<reqwest::Response> {
        let url = format!("{}/api/v2/log/entries", self.url);
        self.http.post(url).header("content-type", "application/json").body(body).send().await
    }

    /// The current checkpoint.
    ///
    /// # Panics
    /// It cannot be had, or is not signed by the log.
    pub async fn head(&self) -> Head {
        let note = self.get("checkpoint").await;
        self.verified_note(std::str::from_utf8(&note).expect("a checkpoint is text"))
    }

    /// Every leaf below `size`, from the entry bundles.
    ///
    /// # Panics
    /// A bundle is missing or holds another number of entries.
    pub async fn leaves(&self, size: u64) -> Vec<Vec<u8>> {
        self.leaves_from(0, size).await
    }

    /// As [`Self::leaves`], without those before `first`.
    ///
    /// # Panics
    /// As there.
    pub async fn leaves_from(&self, first: u64, size: u64) -> Vec<Vec<u8>> {
        let mut leaves = Vec::new();
        let bundle = first / TILE_WIDTH;
        for index in bundle..size.div_ceil(TILE_WIDTH) {
            let width = (size - index * TILE_WIDTH).min(TILE_WIDTH) as u16;
            let path = TilePath { kind: TileKind::Entries, index, width };
            let bundle = self.get(&path.to_string()).await;
            let mut rest = bundle.as_slice();
            let before = leaves.len();
            while let Some((length, after)) = rest.split_first_chunk::<2>() {
                let (leaf, after) = after.split_at(usize::from(u16::from_be_bytes(*length)));
                leaves.push(leaf.to_vec());
                rest = after;
            }
            assert_eq!((rest.len(), leaves.len() - before), (0, usize::from(width)), "{path}");
        }
        // Those that share a bundle with the first.
        leaves.drain(..leaves.len().min((first % TILE_WIDTH) as usize));
        leaves
    }

    /// Reads a resource below the log's URL.
    ///
    /// # Panics
    /// The answer is not 200.
    pub async fn get(&self, path: &str) -> Vec<u8> {
        let answer = self.http.get(format!("{}/{path}", self.url)).send().await.unwrap_or_else(|error| panic!("{path}: {error}"));
        assert_eq!(answer.status(), 200, "{path}");
        answer.bytes().await.expect("the whole body arrives").to_vec()
    }

    fn verified(&self, answer: &Value, entry: &Entry) -> Logged {
        let body = decoded(&answer["canonicalizedBody"]);
        assert_eq!(String::from_utf8_lossy(&body), entry.body, "the leaf is the canonical form of what was sent");
        let proof = &answer["inclusionProof"];
        let number = |value: &Value| value.as_str().expect("64-bit numbers are strings").parse::<u64>().expect("a number");
        let index = number(&answer["logIndex"]);
        let head = self.verified_note(proof["checkpoint"]["envelope"].as_str().expect("a checkpoint"));
        assert_eq!((number(&proof["logIndex"]), number(&proof["treeSize"])), (index, head.size));
        assert_eq!(decoded(&proof["rootHash"]), head.root);
        let hashes: Vec<Hash> = proof["hashes"].as_array().expect("hashes").iter().map(hash).collect();
        verify_inclusion(&leaf_hash(&body), index, head.size, &hashes, &head.root.into()).expect("the proof leads to the root");
        Logged { index, body, head }
    }

    fn verified_note(&self, note: &str) -> Head {
        let note: SignedNote = note.parse().unwrap_or_else(|error| panic!("{error}: {note}"));
        let hint = KeyHint::of(&ecdsa_key_id(self.key.spki_der()));
        let signature = note.signatures_by(&self.origin, hint).next().expect("the log's signature is there");
        self.key.verify(note.text().as_bytes(), &signature.signature).expect("the log's signature verifies");
        let checkpoint: Checkpoint = note.text().parse().expect("a checkpoint");
        assert_eq!(checkpoint.origin, self.origin);
        Head { size: checkpoint.size, root: *checkpoint.root.as_bytes() }
    }
}

/// Computes the root of the tree at every size that `heads` names, and compares: a log that keeps all of these promises has
/// never shrunk, forked or changed an entry.
///
/// # Panics
/// Two heads of one size differ, or a root does not follow from the leaves.
pub fn assert_consistent(leaves: &[Vec<u8>], heads: impl IntoIterator<Item = Head>) {
    let mut roots = BTreeMap::new();
    for head in heads {
        let other = roots.insert(head.size, head.root);
        assert!(other.is_none_or(|other| other == head.root), "two roots were signed for size {}", head.size);
    }
    let mut range = CompactRange::new();
    let mut leaves = leaves.iter();
    for (size, root) in roots {
        while range.size() < size {
            let leaf = leaves.next().unwrap_or_else(|| panic!("a head of size {size} was signed; the log has {}", range.size()));
            range.append(leaf_hash(leaf));
        }
        assert_eq!(range.root().as_bytes(), &root, "the signed root of size {size} does not follow from the leaves");
    }
}

/// A hashedrekord that no log has seen: something random, signed by a key of its own.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The request's body.
    pub request: Value,
    /// The leaf it becomes.
    pub body: String,
    /// The digest, as both spell it.
    pub digest: String,
}

impl Entry {
    /// A new one.
    #[must_use]
    pub fn random() -> Self {
        Self::by(&new_key())
    }

    /// A new one by a key; making keys is what takes longest when many are wanted.
    #[must_use]
    pub fn by(key: &EcdsaKeyPair) -> Self {
        let artifact: [u8; 32] = rand::random();
        let signature = key.sign(&SystemRandom::new(), &artifact).expect("a P-256 key signs any message");
        let digest = STANDARD.encode(digest(&SHA256, &artifact));
        let content = STANDARD.encode(signature);
        let spki = STANDARD.encode(spki(key));
        // The canonical form has its members in order and no spaces (rekor-v2-spec §3).
        let body = format!(
            r#"{{"apiVersion":"0.0.2","kind":"hashedrekord","spec":{{"hashedRekordV002":{{"data":{{"algorithm":"SHA2_256","digest":"{digest}"}},"signature":{{"content":"{content}","verifier":{{"keyDetails":"PKIX_ECDSA_P256_SHA_256","publicKey":{{"rawBytes":"{spki}"}}}}}}}}}}}}"#
        );
        let request = json!({"hashedRekordRequestV002": {
            "digest": digest,
            "signature": {"content": content, "verifier": {"publicKey": {"rawBytes": spki}, "keyDetails": "PKIX_ECDSA_P256_SHA_256"}},
        }});
        Self { request, body, digest }
    }
}

/// A new P-256 key.
#[must_use]
pub fn new_key() -> EcdsaKeyPair {
    EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a P-256 key can be generated")
}

/// A P-256 key's SubjectPublicKeyInfo, DER.
#[must_use]
pub fn spki(key: &EcdsaKeyPair) -> Vec<u8> {
    // SEQUENCE { SEQUENCE { ecPublicKey, prime256v1 }, BIT STRING }, then the 65 bytes of the point.
    let mut spki = hex::decode("3059301306072a8648ce3d020106082a8648ce3d030107034200").expect("hex digits");
    spki.extend_from_slice(key.public_key().as_ref());
    spki
}

fn decoded(value: &Value) -> Vec<u8> {
    STANDARD.decode(value.as_str().expect("bytes are base64")).expect("bytes are base64")
}

fn hash(value: &Value) -> Hash {
    Hash::try_from(decoded(value).as_slice()).expect("a hash has 32 bytes")
}
