//! An issuer's keys over the network: discovery, the key set, and when to ask again.
//!
//! Every call is bounded: [`TIMEOUT`] for discovery and key set together, [`MAX_DOCUMENT`] bytes each, redirects within one
//! origin, no proxy. Keys that were fetched once are kept whatever happens later: an issuer that is down takes nobody's tokens
//! away, and a forged token cannot make us ask more often than every [`FLOOR`]. Nor can it keep us from asking: a fetch, once
//! begun, does not end with the request that caused it. Issuers that merely fit a pattern share one [`Allowance`].

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use clock::Clock;
use jiff::{SignedDuration, Timestamp};
use reqwest::Client;
use serde::Deserialize;
use tokio::sync::{Mutex, OwnedMutexGuard};
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
/// Keys older than this are fetched again before a token is believed, if the issuer answers: nobody asked for so long that no
/// fetch in the background could forget a withdrawn key.
const OLD: SignedDuration = SignedDuration::from_hours(1);
/// How many first fetches the issuers of one pattern may cause within [`PER`].
const FIRST_FETCHES: u32 = 8;
const PER: SignedDuration = SignedDuration::from_secs(1);

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
    /// Not asked.
    #[error("too many issuers of this pattern were asked just now; try again in a second")]
    Busy,
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

/// What the issuers of one pattern may ask for together. Whoever sends tokens invents as many of them as he likes; all lie on the
/// same few hosts, which would soon answer nobody from here.
#[derive(Debug, Default)]
pub(crate) struct Allowance(std::sync::Mutex<Option<Spent>>);

#[derive(Debug)]
struct Spent {
    since: Timestamp,
    fetches: u32,
}

impl Allowance {
    fn take(&self, now: Timestamp) -> bool {
        let mut spent = self.0.lock().expect("nothing panics while it is held");
        match spent.as_mut().filter(|spent| age(spent.since, now) < PER) {
            Some(spent) if spent.fetches >= FIRST_FETCHES => return false,
            Some(spent) => spent.fetches += 1,
            None => *spent = Some(Spent { since: now, fetches: 1 }),
        }
        true
    }
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
    attempt: Arc<Mutex<Option<Attempt>>>,
    /// For an issuer that fits a pattern.
    allowance: Option<Arc<Allowance>>,
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
    /// An issuer that the operator named.
    pub(crate) fn named(issuer: String, client: Client, clock: Arc<dyn Clock>) -> Arc<Self> {
        Self::new(issuer, JwksScope::Anywhere, client, clock, None)
    }

    /// An issuer that fits a pattern.
    pub(crate) fn of_pattern(issuer: String, client: Client, clock: Arc<dyn Clock>, allowance: Arc<Allowance>) -> Arc<Self> {
        Self::new(issuer, JwksScope::SameOrigin, client, clock, Some(allowance))
    }

    fn new(
        issuer: String,
        scope: JwksScope,
        client: Client,
        clock: Arc<dyn Clock>,
        allowance: Option<Arc<Allowance>>,
    ) -> Arc<Self> {
        Arc::new(Self { issuer, scope, client, clock, keys: ArcSwapOption::empty(), attempt: Arc::default(), allowance })
    }

    /// The keys at hand, fetched if there are none yet or they are old.
    pub(crate) async fn keys(self: &Arc<Self>) -> Result<Arc<Fetched>, ProviderError> {
        let Some(fetched) = self.keys.load_full() else { return self.fetch_unless_just_done(None).await };
        let age = age(fetched.at, self.clock.now());
        if age > OLD {
            return self.fetch_unless_just_done(Some(&fetched)).await;
        }
        if age > STALE && self.attempt.try_lock().is_ok_and(|last| !self.too_soon(last.as_ref())) {
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

    async fn fetch_unless_just_done(self: &Arc<Self>, seen: Option<&Arc<Fetched>>) -> Result<Arc<Fetched>, ProviderError> {
        let last = Arc::clone(&self.attempt).lock_owned().await;
        let at_hand = self.keys.load_full();
        if let Some(fetched) = &at_hand
            && seen.is_none_or(|seen| !Arc::ptr_eq(seen, fetched))
        {
            return Ok(Arc::clone(fetched));
        }
        if self.too_soon(last.as_ref()) {
            let failed = last.as_ref().and_then(|attempt| attempt.failed.clone());
            return at_hand.ok_or_else(|| failed.unwrap_or_else(|| self.failed(FetchError::Timeout)));
        }
        if at_hand.is_none() && self.allowance.as_ref().is_some_and(|allowance| !allowance.take(self.clock.now())) {
            return Err(self.failed(FetchError::Busy));
        }
        // A task of its own: in the caller's it would end when the caller hangs up, and count as the attempt that it was. Whoever
        // sent forged tokens and hung up at once could keep an issuer's new keys from everybody.
        let task = tokio::spawn(Arc::clone(self).fetch_and_keep(last, at_hand.clone()));
        task.await.unwrap_or_else(|_| at_hand.ok_or_else(|| self.failed(FetchError::Timeout)))
    }

    async fn fetch_and_keep(
        self: Arc<Self>,
        mut last: OwnedMutexGuard<Option<Attempt>>,
        at_hand: Option<Arc<Fetched>>,
    ) -> Result<Arc<Fetched>, ProviderError> {
        let outcome = tokio::time::timeout(TIMEOUT, self.fetch()).await.unwrap_or(Err(FetchError::Timeout));
        let outcome = outcome.map_err(|reason| self.failed(reason));
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
                crate::metric::issuer_failed(self.label());
                tracing::warn!(issuer = self.issuer, reason = %error.reason, stale = at_hand.is_some(), "could not fetch the keys of an issuer");
                at_hand.ok_or(error)
            }
        }
    }

    fn failed(&self, reason: FetchError) -> ProviderError {
        ProviderError { issuer: self.issuer.clone(), reason }
    }

    /// The label of a series. Tokens could invent issuers that fit a pattern without end, and each would be a time series.
    fn label(&self) -> String {
        match self.scope {
            JwksScope::Anywhere => self.issuer.clone(),
            JwksScope::SameOrigin => "pattern".to_owned(),
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

/// How long ago `then` was. A clock that stepped far back must not keep us from asking until it has caught up.
fn age(then: Timestamp, now: Timestamp) -> SignedDuration {
    now.duration_since(then).abs()
}
