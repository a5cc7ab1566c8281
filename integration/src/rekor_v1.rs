//! The Rekor v1 log as its clients see it (rekor 1.5: openapi.yaml).

use std::collections::BTreeMap;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::EcdsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use merkle::leaf_hash;
use serde_json::{Value, json};
use testkit::Environment;

use crate::rekor::spki;

/// A log at a URL.
#[derive(Debug, Clone)]
pub struct LogV1 {
    url: String,
    http: reqwest::Client,
}

/// An entry that was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedV1 {
    /// 80 hex digits: tree and leaf hash.
    pub id: String,
    /// Its place in the log.
    pub index: u64,
    /// When it was logged, Unix seconds.
    pub time: u64,
    /// The leaf.
    pub body: Vec<u8>,
}

impl LogV1 {
    /// The log of an environment.
    #[must_use]
    pub fn of(environment: &Environment) -> Self {
        Self { url: environment.get("CHANCERY_REKOR_V1_URL").to_owned(), http: testkit::http(&[]) }
    }

    /// Submits an entry and compares the answer with it.
    ///
    /// # Errors
    /// No answer, which says nothing about whether the entry was written.
    ///
    /// # Panics
    /// Any answer that is not 201 with this entry.
    pub async fn append(&self, entry: &EntryV1) -> reqwest::Result<LoggedV1> {
        let request = self.http.post(format!("{}/api/v1/log/entries", self.url)).header("content-type", "application/json");
        let answer = request.body(entry.request.clone()).send().await?;
        let (status, etag, text) = (answer.status(), answer.headers().get("etag").cloned(), answer.text().await?);
        assert_eq!(status, 201, "{text}");
        let logged = read(&text);
        assert_eq!(etag.as_ref().map(|etag| etag.as_bytes()), Some(logged.id.as_bytes()), "the header names the entry");
        assert_eq!(String::from_utf8_lossy(&logged.body), entry.body, "the leaf is the canonical form of what was sent");
        let leaf = hex::encode(leaf_hash(&logged.body).as_bytes());
        assert_eq!(logged.id.get(16..), Some(leaf.as_str()), "the name ends with the leaf's hash");
        Ok(logged)
    }

    /// Reads an entry by its name of 80 digits.
    ///
    /// # Panics
    /// It is not there.
    pub async fn get(&self, id: &str) -> LoggedV1 {
        let url = format!("{}/api/v1/log/entries/{id}", self.url);
        let answer = self.http.get(&url).send().await.unwrap_or_else(|error| panic!("{url}: {error}"));
        assert_eq!(answer.status(), 200, "{url}");
        read(&answer.text().await.expect("the whole body arrives"))
    }
}

/// An answer with one entry.
fn read(text: &str) -> LoggedV1 {
    let answer: BTreeMap<String, Value> = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"));
    let (id, entry) = answer.into_iter().next().expect("an answer has one entry");
    let number = |name: &str| entry[name].as_u64().unwrap_or_else(|| panic!("{name} is a number: {entry}"));
    let body = STANDARD.decode(entry["body"].as_str().expect("a body is text")).expect("a body is base64");
    LoggedV1 { id, index: number("logIndex"), time: number("integratedTime"), body }
}

/// A hashedrekord 0.0.1 that no log has seen.
#[derive(Debug, Clone)]
pub struct EntryV1 {
    /// The request's body.
    pub request: String,
    /// The leaf it becomes: keys sorted, no spaces (RFC 8785).
    pub body: String,
}

impl EntryV1 {
    /// A new one by a key.
    ///
    /// # Panics
    /// The key cannot sign.
    #[must_use]
    pub fn by(key: &EcdsaKeyPair) -> Self {
        let artifact: [u8; 32] = rand::random();
        let signature = STANDARD.encode(key.sign(&SystemRandom::new(), &artifact).expect("a P-256 key signs any message"));
        let hash = hex::encode(digest(&SHA256, &artifact));
        let public_key = STANDARD.encode(pem(&spki(key)));
        let spec = json!({
            "data": {"hash": {"algorithm": "sha256", "value": hash}},
            "signature": {"content": signature, "publicKey": {"content": public_key}},
        });
        let request = json!({"kind": "hashedrekord", "apiVersion": "0.0.1", "spec": spec}).to_string();
        let body = format!(
            r#"{{"apiVersion":"0.0.1","kind":"hashedrekord","spec":{{"data":{{"hash":{{"algorithm":"sha256","value":"{hash}"}}}},"signature":{{"content":"{signature}","publicKey":{{"content":"{public_key}"}}}}}}}}"#
        );
        Self { request, body }
    }
}

/// A public key as PEM with lines of 64 columns (RFC 7468).
#[must_use]
pub fn pem(spki: &[u8]) -> String {
    let encoded = STANDARD.encode(spki);
    let lines = encoded.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned() + "\n");
    format!("-----BEGIN PUBLIC KEY-----\n{}-----END PUBLIC KEY-----\n", lines.collect::<String>())
}
