//! The certificate transparency log, as its client: submit a precertificate, believe nothing but a verified SCT.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chassis::reason;
use ct::{AddChainResponse, Malformed, Sct, SctError, SignedEntry};
use http::{HeaderMap, StatusCode, header};
use pki::{Certificate, PublicKey};
use reqwest::{Client, Response};
use tokio::time::{Instant, sleep, timeout_at};

/// From the first attempt to the last, pauses included.
const TOTAL: Duration = Duration::from_secs(10);
/// The pause after the first attempt; it doubles up to [`LONGEST_PAUSE`]. A log that asks for a longer one gets it.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// The longest answer that is read; real ones have 300 bytes.
const MAX_ANSWER: usize = 16 << 10;

/// The log and how to reach it.
#[derive(Debug)]
pub(crate) struct CtLog {
    client: Client,
    url: String,
    key: PublicKey,
    /// The end of every request body: the issuing chain, and what closes the JSON.
    chain: String,
    issuer_key_hash: [u8; 32],
}

/// Evidence that the configured log promised to include a precertificate. Made by [`CtLog::submit`] only.
#[derive(Debug)]
pub(crate) struct Promised(Sct);

impl Promised {
    pub(crate) fn sct(&self) -> &Sct {
        &self.0
    }
}

/// There is no promise of the log, so there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CtLogError {
    /// No connection, or it broke.
    #[error("the certificate log {url} could not be reached")]
    Unreachable {
        /// Where the submission went.
        url: String,
        /// What the client said.
        #[source]
        source: reqwest::Error,
    },
    /// No answer in time, or only ones that ask to come back later.
    #[error("the certificate log {url} gave no answer within {} s; the last attempt: {last}", TOTAL.as_secs())]
    Timeout {
        /// Where the submission went.
        url: String,
        /// Why there was another attempt.
        last: String,
    },
    /// It says no.
    #[error("the certificate log {url} answered {status}, expected 200: {body}")]
    Refused {
        /// Where the submission went.
        url: String,
        /// The HTTP status.
        status: StatusCode,
        /// The beginning of what it said.
        body: String,
    },
    /// More than an SCT.
    #[error("the answer of the certificate log is longer than {MAX_ANSWER} bytes")]
    TooLarge,
    /// Not an SCT.
    #[error("the answer of the certificate log is not an SCT: {reason}")]
    Malformed {
        /// What is wrong with it.
        reason: String,
    },
    /// An SCT that promises nothing.
    #[error("the SCT does not verify under the configured key of the certificate log ({key})")]
    Sct {
        /// Fingerprint of the configured key.
        key: String,
        /// What is wrong with it.
        #[source]
        source: SctError,
    },
}

impl CtLog {
    /// A log at `url` with `key`, for precertificates of the authority with `chain`.
    pub(crate) fn new(client: Client, url: &str, key: PublicKey, chain: &[Certificate]) -> Self {
        let rest: String = chain.iter().map(|certificate| format!(",\"{}\"", STANDARD.encode(certificate.der()))).collect();
        Self {
            client,
            url: format!("{}/ct/v1/add-pre-chain", url.trim_end_matches('/')),
            key,
            chain: format!("{rest}]}}"),
            issuer_key_hash: chain[0].public_key().fingerprint(),
        }
    }

    /// Submits the precertificate with this DER, whose TBSCertificate without poison is `defanged_tbs`.
    pub(crate) async fn submit(&self, precertificate: &[u8], defanged_tbs: &[u8]) -> Result<Promised, CtLogError> {
        let body = format!("{{\"chain\":[\"{}\"{}", STANDARD.encode(precertificate), self.chain);
        let answer = self.answer(body).await?;
        let answer: AddChainResponse =
            serde_json::from_slice(&answer).map_err(|error| CtLogError::Malformed { reason: error.to_string() })?;
        let sct = answer.sct().map_err(|error: Malformed| CtLogError::Malformed { reason: error.to_string() })?;
        let entry = SignedEntry::Precert { issuer_key_hash: self.issuer_key_hash, tbs: defanged_tbs.to_vec() };
        sct.verify(&self.key, entry).map_err(|source| CtLogError::Sct { key: self.key.short(), source })?;
        Ok(Promised(sct))
    }

    /// The body of a 200. Submitting again is harmless: the log knows a precertificate it has, and answers with its first promise.
    async fn answer(&self, body: String) -> Result<Vec<u8>, CtLogError> {
        let body = bytes::Bytes::from(body);
        let deadline = Instant::now() + TOTAL;
        let mut pause = FIRST_PAUSE;
        let mut last = "it was silent".to_owned();
        loop {
            let request = self.client.post(&self.url).header(header::CONTENT_TYPE, "application/json").body(body.clone());
            let Ok(sent) = timeout_at(deadline, request.send()).await else { return Err(self.timeout(last)) };
            let wait = match sent {
                Ok(response) if comes_back_later(response.status()) => {
                    last = format!("answered {}", response.status());
                    retry_after(response.headers()).unwrap_or_default().max(pause)
                }
                Ok(response) => {
                    return timeout_at(deadline, self.read(response)).await.unwrap_or_else(|_| Err(self.timeout(last)));
                }
                Err(error) if error.is_connect() || error.is_request() => {
                    last = reason::chain(&error.without_url());
                    pause
                }
                Err(error) => return Err(CtLogError::Unreachable { url: self.url.clone(), source: error.without_url() }),
            };
            if wait >= deadline.saturating_duration_since(Instant::now()) {
                return Err(self.timeout(last));
            }
            sleep(wait).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn read(&self, mut response: Response) -> Result<Vec<u8>, CtLogError> {
        let status = response.status();
        let broken = |error: reqwest::Error| CtLogError::Unreachable { url: self.url.clone(), source: error.without_url() };
        let mut answer = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(broken)? {
            if answer.len() + chunk.len() > MAX_ANSWER {
                return Err(CtLogError::TooLarge);
            }
            answer.extend_from_slice(&chunk);
        }
        if status == StatusCode::OK {
            return Ok(answer);
        }
        let body = String::from_utf8_lossy(&answer).chars().take(200).collect();
        Err(CtLogError::Refused { url: self.url.clone(), status, body })
    }

    fn timeout(&self, last: String) -> CtLogError {
        CtLogError::Timeout { url: self.url.clone(), last }
    }
}

fn comes_back_later(status: StatusCode) -> bool {
    [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE].contains(&status)
}

/// Whole seconds only; a date would need the log's clock and ours to agree.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok().map(Duration::from_secs)
}
