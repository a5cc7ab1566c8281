//! The certificate authority as its clients see it (Fulcio's HTTP API, version 2).

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::EcdsaKeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::rekor::{new_key, spki};

/// A certificate authority at a URL.
#[derive(Debug, Clone)]
pub struct Ca {
    url: String,
    http: reqwest::Client,
}

/// A refusal in the shape of grpc-gateway.
#[derive(Debug)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// The number of the gRPC status.
    pub code: i64,
    /// What clients print.
    pub message: String,
}

impl Ca {
    /// The authority at a base URL.
    #[must_use]
    pub fn new(url: &str, http: reqwest::Client) -> Self {
        Self { url: url.to_owned(), http }
    }

    /// Asks for a certificate for a new key; the chain as PEM, leaf first.
    ///
    /// # Errors
    /// The refusal.
    pub async fn certify(&self, token: &str) -> Result<Vec<String>, Refusal> {
        self.try_certify(token).await.unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    /// As [`Self::certify`], for a server that may be gone.
    ///
    /// # Errors
    /// No answer; within, the refusal.
    pub async fn try_certify(&self, token: &str) -> reqwest::Result<Result<Vec<String>, Refusal>> {
        self.try_ask(&request(token, &new_key(), subject(token).as_bytes())).await
    }

    /// Sends a signing request as it is.
    ///
    /// # Errors
    /// The refusal.
    ///
    /// # Panics
    /// No answer, or one that is neither a chain nor a refusal.
    pub async fn ask(&self, request: &Value) -> Result<Vec<String>, Refusal> {
        self.try_ask(request).await.unwrap_or_else(|error| panic!("no answer: {error}"))
    }

    async fn try_ask(&self, request: &Value) -> reqwest::Result<Result<Vec<String>, Refusal>> {
        let url = format!("{}/api/v2/signingCert", self.url);
        let answer = self.http.post(url).header("content-type", "application/json").body(request.to_string()).send().await?;
        let status = answer.status().as_u16();
        let text = answer.text().await?;
        let answer: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{status}, {error}: {text}"));
        if status != 200 {
            let message = answer["message"].as_str().unwrap_or_else(|| panic!("a refusal has a message: {text}")).to_owned();
            return Ok(Err(Refusal { status, code: answer["code"].as_i64().expect("a refusal has a code"), message }));
        }
        let chain = &answer["signedCertificateEmbeddedSct"]["chain"]["certificates"];
        let chain = chain.as_array().unwrap_or_else(|| panic!("a chain is answered: {text}"));
        Ok(Ok(chain.iter().map(|pem| pem.as_str().expect("PEM").to_owned()).collect()))
    }
}

/// A signing request with a proof of possession over `proven`.
///
/// # Panics
/// Never: a P-256 key signs any message.
#[must_use]
pub fn request(token: &str, key: &EcdsaKeyPair, proven: &[u8]) -> Value {
    let proof = key.sign(&SystemRandom::new(), proven).expect("a P-256 key signs any message");
    json!({
        "credentials": {"oidcIdentityToken": token},
        "publicKeyRequest": {
            "publicKey": {"algorithm": "ECDSA", "content": pem("PUBLIC KEY", &spki(key))},
            "proofOfPossession": STANDARD.encode(proof),
        },
    })
}

/// What a client proves possession over: the e-mail address where the token has one, else the subject.
///
/// # Panics
/// It is not a token with either.
#[must_use]
pub fn subject(token: &str) -> String {
    let claims = claims(token);
    let subject = claims["email"].as_str().or_else(|| claims["sub"].as_str());
    subject.unwrap_or_else(|| panic!("no subject in {claims}")).to_owned()
}

/// The claims of a token, unverified.
///
/// # Panics
/// It is not a token.
#[must_use]
pub fn claims(token: &str) -> Value {
    let claims = token.split('.').nth(1).expect("a token has three parts");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).expect("a token is base64url")).expect("claims are JSON")
}

/// Bytes as PEM.
#[must_use]
pub fn pem(label: &str, der: &[u8]) -> String {
    let encoded = STANDARD.encode(der);
    let lines: Vec<&str> =
        encoded.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("base64 is ASCII")).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}
