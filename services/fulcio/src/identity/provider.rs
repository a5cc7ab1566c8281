//! An issuer's keys over the network: discovery, the key set, and when to ask again.
//!
//! Every call is bounded: [`TIMEOUT`] for discovery and key set together, [`MAX_DOCUMENT`] bytes each, redirects within one
//! origin, no proxy. Keys that were fetched once are kept whatever happens later: an issuer that is down takes nobody's tokens
//! away, and a forged token cannot make us ask more often than every [`FLOOR`].

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use clock::Clock;
use jiff::{SignedDuration, Timestamp};
use reqwest::Client;
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use super::jwk::KeySet;

/// Discovery and key set together.
const TIMEOUT: Duration = Duration::from_secs(5);
/// The longest document that is read.
const MAX_DOCUMENT: usize = 256 << 10;
/// How long after a fetch that succeeded no other is made.
const FLOOR: SignedDuration = SignedDuration::from_secs(30);
/// How long after a fetch that failed, while there are no keys at all, no other is made.
const FLOOR_WITHOUT_KEYS: SignedDuration = SignedDuration::from_secs(2);
/// Keys older than this are fetched again in the background, so that a key the issuer withdrew is forgotten.
const STALE: SignedDuration = SignedDuration::from_mins(10);

/// The issuer, or the way to it, is at fault: nothing the caller could mend.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the keys of issuer {issuer} could not be fetched")]
pub struct ProviderError {
    /// The issuer.
    pub issuer: String,
    /// What went wrong, with the URL.
    #[source]
    pub reason: FetchError,
}

/// One document could not be had.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FetchError {
    /// No answer.
    #[error("{url} did not answer: {reason}")]
    Unreachable {
        /// The document.
        url: String,
        /// The whole chain of causes.
        reason: String,
    },
    /// Too slow.
    #[error("no answer within {} s", TIMEOUT.as_secs())]
    Timeout,
    /// Not 200.
    #[error("{url} answered {status}, expected 200")]
    Status {
        /// The document.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// Beyond the limit.
    #[error("{url} is larger than {MAX_DOCUMENT} bytes")]
    TooLarge {
        /// The document.
        url: String,
    },
    /// Not the expected JSON.
    #[error("{url} is not {expected}: {reason}")]
    Malformed {
        /// The document.
        url: String,
        /// What it should be.
        expected: &'static str,
        /// What the parser said.
        reason: String,
    },
    /// Discovery speaks for someone else (OpenID Connect Discovery §4.3).
    #[error("{url} says issuer is {found}, expected {expected}")]
    OtherIssuer {
        /// The discovery document.
        url: String,
        /// Its `issuer`.
        found: String,
        /// The configured issuer.
        expected: String,
    },
    /// The key set lies where we do not go.
    #[error("jwks_uri {found} is not acceptable: {expected}")]
    JwksElsewhere {
        /// What discovery says.
        found: String,
        /// Where it may lie.
        expected: &'static str,
    },
}

/// Where an issuer's key set may lie. Whoever chooses `jwks_uri` chooses what we connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JwksScope {
    /// The operator named this very issuer, so its discovery document is believed: any host, never down from https to http.
    /// (Google's keys, for one, lie on another host.)
    Anywhere,
    /// The issuer merely fits a pattern: its own origin only.
    SameOrigin,
}

/// One issuer's keys.
#[derive(Debug)]
pub(crate) struct Provider {
    issuer: String,
    scope: JwksScope,
    client: Client,
    clock: Arc<dyn Clock>,
    keys: ArcSwapOption<Fetched>,
    /// Held while fetching, so that requests that need the same keys wait for one fetch. Guards the last attempt.
    attempt: Mutex<Option<Attempt>>,
}

/// A key set and when it came.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) keys: KeySet,
    at: Timestamp,
}

#[derive(Debug)]
struct Attempt {
    at: Timestamp,
    failed: Option<ProviderError>,
}

impl Provider {
    pub(crate) fn new(issuer: String, scope: JwksScope, client: Client, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { issuer, scope, client, clock, keys: ArcSwapOption::empty(), attempt: Mutex::new(None) })
    }

    /// The keys at hand, fetched if there are none yet.
    pub(crate) async fn keys(self: &Arc<Self>) -> Result<Arc<Fetched>, ProviderError> {
        let Some(fetched) = self.keys.load_full() else { return self.fetch_unless_just_done(None).await };
        if age(fetched.at, self.clock.now()) > STALE && self.attempt.try_lock().is_ok_and(|last| !self.too_soon(last.as_ref())) {
            let this = Arc::clone(self);
            let seen = Arc::clone(&fetched);
            tokio::spawn(async move { this.fetch_unless_just_done(Some(&seen)).await });
        }
        Ok(fetched)
    }

    /// Keys other than `seen`, which did not verify a token; `None` when the issuer has no newer ones, or was asked just now.
    pub(crate) async fn newer_than(self: &Arc<Self>, seen: &Arc<Fetched>) -> Option<Arc<Fetched>> {
        let fetched = self.fetch_unless_just_done(Some(seen)).await.ok()?;
        (!Arc::ptr_eq(&fetched, seen)).then_some(fetched)
    }

    async fn fetch_unless_just_done(&self, seen: Option<&Arc<Fetched>>) -> Result<Arc<Fetched>, ProviderError> {
        let mut last = self.attempt.lock().await;
        let at_hand = self.keys.load_full();
        if let Some(fetched) = &at_hand
            && seen.is_none_or(|seen| !Arc::ptr_eq(seen, fetched))
        {
            return Ok(Arc::clone(fetched));
        }
        if self.too_soon(last.as_ref()) {
            let failed = last.as_ref().and_then(|attempt| attempt.failed.clone());
            return match (at_hand, failed) {
                (Some(fetched), _) => Ok(fetched),
                (None, Some(error)) => Err(error),
                (None, None) => unreachable!("an attempt that did not fail left keys"),
            };
        }
        // Written before the fetch: a caller who hangs up in the middle must not make room for the next fetch.
        let given_up = ProviderError { issuer: self.issuer.clone(), reason: FetchError::Timeout };
        *last = Some(Attempt { at: self.clock.now(), failed: Some(given_up) });
        let outcome = tokio::time::timeout(TIMEOUT, self.fetch()).await.unwrap_or(Err(FetchError::Timeout));
        let outcome = outcome.map_err(|reason| ProviderError { issuer: self.issuer.clone(), reason });
        let at = self.clock.now();
        *last = Some(Attempt { at, failed: outcome.as_ref().err().cloned() });
        match outcome {
            Ok(keys) => {
                tracing::debug!(issuer = self.issuer, keys = keys.len(), "fetched the keys of an issuer");
                let fetched = Arc::new(Fetched { keys, at });
                self.keys.store(Some(Arc::clone(&fetched)));
                Ok(fetched)
            }
            Err(error) => {
                tracing::warn!(issuer = self.issuer, reason = %error.reason, stale = at_hand.is_some(), "could not fetch the keys of an issuer");
                at_hand.ok_or(error)
            }
        }
    }

    fn too_soon(&self, last: Option<&Attempt>) -> bool {
        let floor = if self.keys.load().is_some() { FLOOR } else { FLOOR_WITHOUT_KEYS };
        last.is_some_and(|attempt| age(attempt.at, self.clock.now()) < floor)
    }

    async fn fetch(&self) -> Result<KeySet, FetchError> {
        let discovery = format!("{}/.well-known/openid-configuration", self.issuer.strip_suffix('/').unwrap_or(&self.issuer));
        let document: Discovery = parse(&discovery, "a discovery document", &self.get(&discovery).await?)?;
        if document.issuer != self.issuer {
            return Err(FetchError::OtherIssuer { url: discovery, found: document.issuer, expected: self.issuer.clone() });
        }
        let jwks = self.jwks_url(&document.jwks_uri)?;
        let keys = self.get(jwks.as_str()).await?;
        let announced = document.id_token_signing_alg_values_supported;
        let malformed = |error: serde_json::Error| malformed(jwks.as_str(), "a JSON Web Key Set", &error);
        KeySet::parse(&keys, &announced).map_err(malformed)
    }

    fn jwks_url(&self, found: &str) -> Result<Url, FetchError> {
        let refused = |expected| FetchError::JwksElsewhere { found: found.to_owned(), expected };
        let url = Url::parse(found).map_err(|_| refused("expected a URL"))?;
        let issuer = Url::parse(&self.issuer).map_err(|_| refused("the issuer is no URL"))?;
        let same_origin = url.origin() == issuer.origin();
        match self.scope {
            JwksScope::SameOrigin if !same_origin => Err(refused("expected the origin of the issuer, which fits a pattern only")),
            JwksScope::Anywhere if !same_origin && url.scheme() != "https" => {
                Err(refused("expected https, or the origin of the issuer"))
            }
            _ => Ok(url),
        }
    }

    /// One document, counted while it arrives: a length that a peer announces is no promise.
    async fn get(&self, url: &str) -> Result<Vec<u8>, FetchError> {
        let unreachable = |error: reqwest::Error| FetchError::Unreachable {
            url: url.to_owned(),
            reason: chassis::reason::chain(&error.without_url()),
        };
        let mut response = self.client.get(url).header("accept", "application/json").send().await.map_err(unreachable)?;
        if response.status() != http::StatusCode::OK {
            return Err(FetchError::Status { url: url.to_owned(), status: response.status().as_u16() });
        }
        let mut document = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
            if document.len() + chunk.len() > MAX_DOCUMENT {
                return Err(FetchError::TooLarge { url: url.to_owned() });
            }
            document.extend_from_slice(&chunk);
        }
        Ok(document)
    }
}

/// What is read of a discovery document. GitHub's and Kubernetes' lack most of what the specification requires.
#[derive(Debug, Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
    #[serde(default)]
    id_token_signing_alg_values_supported: Vec<String>,
}

fn parse<'d, T: Deserialize<'d>>(url: &str, expected: &'static str, document: &'d [u8]) -> Result<T, FetchError> {
    serde_json::from_slice(document).map_err(|error| malformed(url, expected, &error))
}

fn malformed(url: &str, expected: &'static str, error: &serde_json::Error) -> FetchError {
    FetchError::Malformed { url: url.to_owned(), expected, reason: error.to_string() }
}

/// How long ago `then` was; a clock that stepped back counts as no time at all.
fn age(then: Timestamp, now: Timestamp) -> SignedDuration {
    now.duration_since(then).max(SignedDuration::ZERO)
}
