//! Showing a registry who we are: Basic, or a token from the service it names (distribution, "Token Authentication").

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::future::Cache;
use oci::RepositoryName;
use reqwest::{RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use crate::Inner;
use crate::challenge::challenges;
use crate::error::{RegistryError, causes, words};
use crate::exchange::{Call, read};
use crate::observe::Kind;

/// An account.
#[derive(Clone)]
pub struct Credentials {
    /// Its name.
    pub username: String,
    /// Its password or access token.
    pub password: Zeroizing<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("username", &self.username).finish_non_exhaustive()
    }
}

/// What a token is for: `repository:NAME:ACTIONS`, one or several.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Scope(Vec<String>);

impl Scope {
    pub(crate) fn none() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn pull(repository: &RepositoryName) -> Self {
        Self(vec![format!("repository:{repository}:pull")])
    }

    /// To write to `repository`, and to read `from` when a blob is mounted from there: one token must say both.
    pub(crate) fn push(repository: &RepositoryName, from: Option<&RepositoryName>) -> Self {
        let from = from.map(|from| format!("repository:{from}:pull"));
        Self(std::iter::once(format!("repository:{repository}:pull,push")).chain(from).collect())
    }
}

/// What is known of one registry's wishes, and the tokens that it believes.
pub(crate) struct Authenticator {
    credentials: Option<Credentials>,
    scheme: Mutex<Option<Scheme>>,
    pinged: OnceCell<()>,
    tokens: Cache<Scope, Token>,
}

#[derive(Debug, Clone)]
enum Scheme {
    Basic,
    Bearer { realm: Url, service: Option<String> },
}

/// A token, and for how long it is believed.
#[derive(Clone, PartialEq, Eq)]
struct Token {
    text: Zeroizing<String>,
    life: Duration,
}

/// What goes into `Authorization`.
#[derive(Clone, PartialEq, Eq)]
enum Shown {
    Nothing,
    Password,
    Token(Token),
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator").field("credentials", &self.credentials).finish_non_exhaustive()
    }
}

impl Authenticator {
    pub(crate) fn new(credentials: Option<Credentials>) -> Self {
        const TOKENS: u64 = 1_000;
        let tokens = Cache::builder().max_capacity(TOKENS).expire_after(Life).build();
        Self { credentials, scheme: Mutex::default(), pinged: OnceCell::new(), tokens }
    }

    fn scheme(&self) -> Option<Scheme> {
        self.scheme.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Life;

impl Expiry<Scope, Token> for Life {
    fn expire_after_create(&self, _: &Scope, token: &Token, _: Instant) -> Option<Duration> {
        Some(token.life)
    }
}

impl Inner {
    /// One request, with whatever the registry wants to see. A token that it no longer believes is replaced once.
    pub(crate) async fn authorised(&self, call: &Call) -> Result<Response, RegistryError> {
        if self.auth.credentials.is_some() {
            // A repository that the public may see in part would otherwise be answered without asking who we are.
            self.auth.pinged.get_or_try_init(|| self.ping()).await?;
        }
        let shown = self.to_show(&call.scope, None).await?;
        let answer = self.request(call, &shown).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        let wanted = self.learn(&answer)?;
        if let (Shown::Token(old), Some(cached)) = (&shown, self.auth.tokens.get(&call.scope).await)
            && *old == cached
        {
            self.auth.tokens.invalidate(&call.scope).await;
        }
        let fresh = self.to_show(&call.scope, wanted).await?;
        if fresh == shown {
            return Err(self.unauthorised(answer).await);
        }
        let answer = self.request(call, &fresh).await?;
        if answer.status() == StatusCode::UNAUTHORIZED { Err(self.unauthorised(answer).await) } else { Ok(answer) }
    }

    fn show(&self, request: RequestBuilder, shown: &Shown) -> RequestBuilder {
        match (shown, &self.auth.credentials) {
            (Shown::Password, Some(account)) => request.basic_auth(&account.username, Some(account.password.as_str())),
            (Shown::Token(token), _) => request.bearer_auth(token.text.as_str()),
            (Shown::Nothing | Shown::Password, _) => request,
        }
    }

    async fn request(&self, call: &Call, shown: &Shown) -> Result<Response, RegistryError> {
        self.observe(call.kind, self.show(call.request(&self.http, &call.url), shown).send().await)
    }

    /// Asks the registry how it wants to be talked to. Any answer will do.
    async fn ping(&self) -> Result<(), RegistryError> {
        let url = Url::parse(&format!("{}/v2/", self.base.as_str().trim_end_matches('/'))).expect("a path behind a base URL");
        let answer = self.request(&Call::get(Kind::Ping, url, Scope::none(), "v2 API".to_owned()), &Shown::Nothing).await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            self.learn(&answer)?;
        }
        Ok(())
    }

    /// Takes from a refusal what the registry wants to see, and the scope it says a token needs.
    fn learn(&self, refusal: &Response) -> Result<Option<String>, RegistryError> {
        let challenges = challenges(refusal.headers());
        let of = |scheme: &str| challenges.iter().find(|challenge| challenge.scheme == scheme);
        let (scheme, scope) = match (of("bearer"), of("basic")) {
            (Some(bearer), _) => {
                let realm = bearer.parameters.get("realm").and_then(|realm| Url::parse(realm).ok());
                let realm = realm.ok_or_else(|| self.malformed("a challenge", "its realm is not a URL"))?;
                self.reach.check_realm(&realm).map_err(|reason| self.elsewhere(&realm, reason))?;
                (
                    Scheme::Bearer { realm, service: bearer.parameters.get("service").cloned() },
                    bearer.parameters.get("scope").cloned(),
                )
            }
            (None, Some(_)) => (Scheme::Basic, None),
            (None, None) => return Ok(None),
        };
        *self.auth.scheme.lock().unwrap_or_else(PoisonError::into_inner) = Some(scheme);
        Ok(scope)
    }

    async fn to_show(&self, scope: &Scope, wanted: Option<String>) -> Result<Shown, RegistryError> {
        match self.auth.scheme() {
            Some(Scheme::Bearer { realm, service }) => {
                // Requests that come together need one token together.
                let fetch = self.fetch_token(realm, service, scope, wanted);
                let token = self.auth.tokens.try_get_with(scope.clone(), fetch).await;
                token.map(Shown::Token).map_err(|error| (*error).clone())
            }
            Some(Scheme::Basic) if self.auth.credentials.is_some() => Ok(Shown::Password),
            Some(Scheme::Basic) | None => Ok(Shown::Nothing),
        }
    }

    async fn fetch_token(
        &self,
        realm: Url,
        service: Option<String>,
        scope: &Scope,
        wanted: Option<String>,
    ) -> Result<Token, RegistryError> {
        const LARGEST: usize = 64 << 10;
        let account = self.auth.credentials.as_ref();
        let url = token_url(realm, service, scope, wanted, account);
        let shown = if account.is_some() { Shown::Password } else { Shown::Nothing };
        let answer = self.observe(Kind::Token, self.show(self.http.get(url), &shown).send().await)?;
        match answer.status().as_u16() {
            200 => {}
            400 | 401 | 403 => return Err(self.unauthorised(answer).await),
            _ => return Err(self.refused(answer).await),
        }
        let body = read(self, answer, LARGEST).await?;
        let issued: Issued = serde_json::from_slice(&body).map_err(|_| self.malformed("a token", "it is not the JSON of one"))?;
        issued.token().ok_or_else(|| self.malformed("a token", "there is no token in it"))
    }

    async fn unauthorised(&self, refusal: Response) -> RegistryError {
        const LARGEST: usize = 64 << 10;
        let status = refusal.status().as_u16();
        let body = read(self, refusal, LARGEST).await.unwrap_or_default();
        let reason = match (words(&body), &self.auth.credentials) {
            ((_, message), _) if !message.is_empty() => message,
            ((Some(code), _), _) => code,
            (_, Some(account)) => format!("it answered {status} to account {}", account.username),
            (_, None) => format!("it answered {status} to a request without an account"),
        };
        RegistryError::Unauthorised { registry: self.name.clone(), reason }
    }

    fn observe(&self, kind: Kind, answer: Result<Response, reqwest::Error>) -> Result<Response, RegistryError> {
        self.observer.answered(kind, answer.as_ref().ok().map(|answer| answer.status().as_u16()));
        let remaining =
            |answer: &Response| answer.headers().get("ratelimit-remaining")?.to_str().ok()?.split(';').next()?.parse().ok();
        if let Some(remaining) = answer.as_ref().ok().and_then(remaining) {
            self.observer.rate_limit_remaining(remaining);
        }
        answer.map_err(|error| self.unreachable(causes(error)))
    }

    /// One request after a redirect: what it is about goes along, who we are does not.
    pub(crate) async fn request_elsewhere(&self, call: &Call, target: &Url) -> Result<Response, RegistryError> {
        if target.origin() == self.base.origin() {
            let moved = Call { url: target.clone(), ..call.clone() };
            return self.authorised(&moved).await;
        }
        self.observe(call.kind, call.request(&self.http, target).send().await)
    }
}

fn token_url(
    mut realm: Url,
    service: Option<String>,
    scope: &Scope,
    wanted: Option<String>,
    account: Option<&Credentials>,
) -> Url {
    let wanted = wanted.filter(|wanted| !scope.0.contains(wanted));
    let mut query = realm.query_pairs_mut();
    query.extend_pairs(service.map(|service| ("service", service)));
    query.extend_pairs(scope.0.iter().chain(&wanted).map(|scope| ("scope", scope)));
    query.extend_pairs(account.map(|account| ("account", &account.username)));
    drop(query);
    realm
}

#[derive(Deserialize)]
struct Issued {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
}

impl Issued {
    fn token(self) -> Option<Token> {
        // The specification's default and least; a token is replaced a little before it ends.
        const LEAST: u64 = 60;
        const MOST: u64 = 3_600;
        const EARLY: u64 = 10;
        let text = self.token.or(self.access_token).filter(|text| !text.is_empty())?;
        let seconds = self.expires_in.unwrap_or(LEAST).clamp(LEAST, MOST) - EARLY;
        Some(Token { text: text.into(), life: Duration::from_secs(seconds) })
    }
}
