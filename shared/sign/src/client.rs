//! The three conversations: certificate authority, timestamp authority, log.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bundle::{Bundle, SignedBy, TransparencyLogEntry};
use jiff::Timestamp;
use pki::Certificate;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::content::{EphemeralKey, Signed};
use crate::endpoints::Endpoints;
use crate::error::{Service, SignError};
use crate::token::IdentityToken;

/// The most bytes of an answer that are read.
const ANSWER_LIMIT: usize = 1 << 20;

/// A keyless signer: an HTTP client and the services it talks to.
#[derive(Debug, Clone)]
pub struct Keyless {
    http: reqwest::Client,
    endpoints: Endpoints,
}

/// A timestamp over a signature.
#[derive(Debug, Clone)]
pub struct Timestamped {
    /// The whole TimeStampResp, DER, as bundles carry it.
    pub response: Vec<u8>,
    /// When the authority says it saw the signature.
    pub time: Timestamp,
}

/// A log entry, as the log answered it.
#[derive(Debug, Clone)]
pub struct Logged(pub TransparencyLogEntry);

/// The bundle of a keyless signature.
#[must_use]
pub fn assemble(signed: Signed, certificate: &Certificate, timestamp: Timestamped, logged: Logged) -> Bundle {
    let signed_by = SignedBy::certificate(certificate.der());
    Bundle::new(signed_by, signed.into_bundle_content(), vec![logged.0], vec![timestamp.response])
}

impl Keyless {
    /// Signs with `endpoints` through `http`.
    #[must_use]
    pub fn new(http: reqwest::Client, endpoints: Endpoints) -> Self {
        Self { http, endpoints }
    }

    /// A certificate for `key` and the identity of `token`: `POST /api/v2/signingCert`.
    ///
    /// # Errors
    /// Refused, unreachable, or an answer without a certificate for this key.
    pub async fn certify(&self, token: &IdentityToken, key: &EphemeralKey) -> Result<Certificate, SignError> {
        let proof = key.signature(token.subject().as_bytes()).await?;
        let body = json!({
            "publicKeyRequest": {
                "publicKey": { "algorithm": "ECDSA", "content": key.public_key().to_pem() },
                "proofOfPossession": BASE64.encode(proof),
            },
        });
        let url = format!("{}/api/v2/signingCert", self.endpoints.fulcio);
        let request = self.http.post(&url).bearer_auth(token.raw()).json(&body);
        let answer: SigningCertificate = parse(Service::Fulcio, &exchange(Service::Fulcio, &url, request).await?)?;
        let bad = |reason: String| SignError::Answer { service: Service::Fulcio, reason };
        let pem = answer.signed_certificate_embedded_sct.chain.certificates.into_iter().next();
        let pem = pem.ok_or_else(|| bad("the chain is empty".to_owned()))?;
        let certificate = Certificate::from_pem(&pem).map_err(|error| bad(error.to_string()))?;
        if certificate.public_key().spki_der() != key.public_key().spki_der() {
            return Err(bad("the certificate is for another key".to_owned()));
        }
        Ok(certificate)
    }

    /// A timestamp over the signature: RFC 3161, without nonce and certificate, as cosign asks.
    ///
    /// # Errors
    /// Refused, unreachable, or a token for something else.
    pub async fn timestamp(&self, signed: &Signed) -> Result<Timestamped, SignError> {
        let bad = |reason: String| SignError::Answer { service: Service::Tsa, reason };
        let query = tsp::Request::new(tsp::HashAlgorithm::Sha256.digest(signed.signature()));
        let request =
            self.http.post(&self.endpoints.tsa).header("content-type", "application/timestamp-query").body(query.to_der());
        let response = exchange(Service::Tsa, &self.endpoints.tsa, request).await?;
        let token = match tsp::Response::from_der(&response).map_err(|error| bad(error.to_string()))? {
            tsp::Response::Granted(token) => token,
            tsp::Response::Refused(refused) => return Err(bad(refused.to_string())),
        };
        token.check_answers(&query).map_err(|error| bad(error.to_string()))?;
        Ok(Timestamped { time: token.time(), response })
    }

    /// Logs the signature with its certificate: `POST /api/v2/log/entries`.
    ///
    /// # Errors
    /// Refused, unreachable, or an answer that is no log entry.
    pub async fn log(&self, signed: &Signed, certificate: &Certificate) -> Result<Logged, SignError> {
        let body = json!({
            "hashedRekordRequestV002": {
                "digest": BASE64.encode(signed.digest()),
                "signature": {
                    "content": BASE64.encode(signed.signature()),
                    "verifier": {
                        "x509Certificate": { "rawBytes": BASE64.encode(certificate.der()) },
                        "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                    },
                },
            },
        });
        let url = format!("{}/api/v2/log/entries", self.endpoints.rekor);
        let answer = exchange(Service::Rekor, &url, self.http.post(&url).json(&body)).await?;
        parse(Service::Rekor, &answer).map(Logged)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SigningCertificate {
    signed_certificate_embedded_sct: WithChain,
}

#[derive(Deserialize)]
struct WithChain {
    chain: Chain,
}

#[derive(Deserialize)]
struct Chain {
    certificates: Vec<String>,
}

/// Sends a request and returns the body of a 200 or 201; of anything else the reason that the server gave.
async fn exchange(service: Service, url: &str, request: reqwest::RequestBuilder) -> Result<Vec<u8>, SignError> {
    let unreachable = |source| SignError::Unreachable { service, url: url.to_owned(), source };
    let mut response = request.send().await.map_err(unreachable)?;
    let status = response.status().as_u16();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > ANSWER_LIMIT {
            return Err(SignError::Answer { service, reason: format!("it is larger than {ANSWER_LIMIT} bytes") });
        }
        body.extend_from_slice(&chunk);
    }
    if matches!(status, 200 | 201) { Ok(body) } else { Err(SignError::Refused { service, status, reason: reason(&body) }) }
}

/// The `message` of a JSON error body, or the start of whatever came, on one line.
fn reason(body: &[u8]) -> String {
    let message = serde_json::from_slice::<Value>(body).ok().and_then(|body| body["message"].as_str().map(str::to_owned));
    let text = message.unwrap_or_else(|| String::from_utf8_lossy(&body[..body.len().min(500)]).into_owned());
    text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

fn parse<T: serde::de::DeserializeOwned>(service: Service, body: &[u8]) -> Result<T, SignError> {
    serde_json::from_slice(body).map_err(|error| SignError::Answer { service, reason: error.to_string() })
}

#[cfg(test)]
mod tests;
