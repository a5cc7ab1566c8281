//! Who may do what.
//!
//! Without a secret everybody may read and write, which [`Config`](crate::Config) allows on loopback only. With one, whoever has it
//! may write; who has none may read if that is configured, and nothing otherwise. Promotions have secrets of their own.
//!
//! A right to write is a value, [`Actor`], that only this module makes: a write without it does not compile.

mod credentials;
mod promoters;
mod secret;
mod session;

use std::path::Path;
use std::sync::Arc;

use axum::http::{HeaderMap, header};
use jiff::Timestamp;
use oci::RepositoryName;

use crate::{Config, PromoterConfig, StartError};

use self::credentials::Credentials;
use self::promoters::Promoter;
use self::secret::Secret;
pub use self::secret::SecretError;
use self::session::{SessionError, Sessions};

/// The rules of this gateway.
#[derive(Debug)]
pub(crate) struct Access {
    /// Without one everybody who reaches it may do everything: this machine alone.
    lock: Option<Lock>,
    promoters: Vec<Promoter>,
    /// `Bearer realm="…",service="…"`, which every challenge begins with.
    challenge: String,
}

/// Whoever knows the secret may do everything, others perhaps read.
#[derive(Debug)]
struct Lock {
    push: Secret,
    sessions: Sessions,
    anonymous_pull: bool,
}

/// What somebody may do to every repository; more includes less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Read.
    Pull,
    /// Read, write and delete.
    Push,
}

/// Who wrote, for histories and reports: proof that somebody was allowed to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Actor(Arc<str>);

impl Actor {
    /// For tests of what an actor does.
    #[cfg(test)]
    pub(crate) fn named(name: &str) -> Self {
        Self(name.into())
    }

    /// The name to record.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Access {
    /// Reads the secrets that `config` names.
    ///
    /// # Errors
    /// [`StartError`]: a secret is missing, too short, or one for two purposes.
    pub(crate) fn load(config: &Config) -> Result<Self, StartError> {
        let failed = |purpose: &str, path: &Path| {
            let (purpose, path) = (purpose.to_owned(), path.to_owned());
            |source| StartError::Secret { purpose, path, source }
        };
        let mut promoters = Vec::new();
        for PromoterConfig { name, token_file } in &config.promoters {
            let promoter = Promoter::read(Actor(name.as_str().into()), token_file).map_err(failed(name, token_file))?;
            promoters.push(promoter);
        }
        let lock = match &config.push_token_file {
            None => None,
            Some(path) => {
                let push = Secret::read(path).map_err(failed("pushing", path))?;
                Some(Lock { sessions: push.sessions(), push, anonymous_pull: config.anonymous_pull })
            }
        };
        let mut known: Vec<(&str, [u8; 32])> = Vec::new();
        known.extend(promoters.iter().filter_map(|one| one.secret(|secret| Some((one.actor().as_str(), secret?.digest())))));
        known.extend(lock.iter().map(|lock| ("pushing", lock.push.digest())));
        secret::all_different(&known)?;
        // The host that clients know already: some refuse to send a password to any other in a private network.
        let (realm, service) = (config.public_url.trim_end_matches('/'), config.host());
        let challenge = format!("Bearer realm=\"{realm}/token\",service=\"{service}\"");
        Ok(Self { lock, promoters, challenge })
    }

    /// Rules that let nobody in: the secret is drawn at random, and nobody is told.
    pub(crate) fn locked() -> Self {
        let push = Secret::drawn();
        Self {
            lock: Some(Lock { sessions: push.sessions(), push, anonymous_pull: false }),
            promoters: Vec::new(),
            challenge: String::new(),
        }
    }

    /// Whether clients can ask for sessions: only where something is locked.
    pub(crate) fn has_sessions(&self) -> bool {
        self.lock.is_some()
    }

    /// Who sent these headers.
    ///
    /// # Errors
    /// [`AccessError::Unauthorized`]: they bring credentials, and wrong ones. Falling back to an anonymous caller would hide that.
    pub(crate) fn caller(&self, headers: &HeaderMap, now: Timestamp) -> Result<Caller<'_>, AccessError> {
        // A page of another site can make a browser send requests to this machine, and clients of registries send no such header.
        let browser = headers.contains_key(header::ORIGIN);
        let (level, named) = match &self.lock {
            None => (Some(Level::Push), true),
            Some(Lock { push, sessions, anonymous_pull }) => match Credentials::of(headers) {
                Credentials::None => (anonymous_pull.then_some(Level::Pull), false),
                Credentials::Password(password) if push.is(password.as_bytes()) => (Some(Level::Push), true),
                Credentials::Token(token) if push.is(token.as_bytes()) => (Some(Level::Push), true),
                Credentials::Token(token) => {
                    let level = sessions.level(token, now).map_err(|why| self.unauthorized(why.into(), None))?;
                    (Some(level), true)
                }
                Credentials::Password(_) | Credentials::Unreadable => return Err(self.unauthorized(Why::Wrong, None)),
            },
        };
        Ok(Caller { access: self, level, named, browser })
    }

    /// A session for whoever sent these headers, with the right to write only if it is asked for.
    ///
    /// # Errors
    /// [`AccessError::Unauthorized`]: wrong credentials, or none where they are needed.
    pub(crate) fn session(&self, headers: &HeaderMap, wanted: Level, now: Timestamp) -> Result<String, AccessError> {
        self.session_of(&Credentials::of(headers), wanted, now)
    }

    /// A session for whoever knows `password`.
    ///
    /// # Errors
    /// [`AccessError::Unauthorized`]: it is wrong.
    pub(crate) fn session_by_password(&self, password: &str, wanted: Level, now: Timestamp) -> Result<String, AccessError> {
        self.session_of(&Credentials::Password(password.to_owned()), wanted, now)
    }

    /// Who may promote with these headers' bearer token. Every token is compared, so that time does not tell which is close.
    ///
    /// # Errors
    /// [`AccessError::Promoter`].
    pub(crate) fn promoter(&self, headers: &HeaderMap) -> Result<Actor, AccessError> {
        let Credentials::Token(token) = Credentials::of(headers) else { return Err(AccessError::Promoter) };
        let knows = |promoter: &&Promoter| promoter.secret(|secret| secret.is_some_and(|secret| secret.is(token.as_bytes())));
        let matching: Vec<&Promoter> = self.promoters.iter().filter(knows).collect();
        // A secret may have been changed to one that is known for something else: then nobody knows whose it is.
        let pushes = self.lock.as_ref().is_some_and(|lock| lock.push.is(token.as_bytes()));
        match matching[..] {
            [promoter] if !pushes => Ok(promoter.actor().clone()),
            _ => Err(AccessError::Promoter),
        }
    }

    fn session_of(&self, credentials: &Credentials<'_>, wanted: Level, now: Timestamp) -> Result<String, AccessError> {
        let Some(Lock { push, sessions, anonymous_pull }) = &self.lock else {
            return Err(self.unauthorized(Why::Nobody, None));
        };
        let may = match credentials {
            Credentials::None if *anonymous_pull => Level::Pull,
            Credentials::None => return Err(self.unauthorized(Why::Nobody, None)),
            Credentials::Password(password) if push.is(password.as_bytes()) => Level::Push,
            Credentials::Password(_) | Credentials::Token(_) | Credentials::Unreadable => {
                return Err(self.unauthorized(Why::Wrong, None));
            }
        };
        Ok(sessions.begin(may.min(wanted), now))
    }

    fn unauthorized(&self, why: Why, scope: Option<String>) -> AccessError {
        let mut challenge = self.challenge.clone();
        if let Some(scope) = scope {
            challenge.push_str(&format!(",scope=\"{scope}\""));
        }
        match why {
            Why::Nobody => {}
            Why::Wrong | Why::Expired => challenge.push_str(",error=\"invalid_token\""),
            Why::Less => challenge.push_str(",error=\"insufficient_scope\""),
        }
        AccessError::Unauthorized { challenge, why }
    }
}

/// Somebody who sent a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caller<'a> {
    access: &'a Access,
    level: Option<Level>,
    named: bool,
    browser: bool,
}

impl Caller<'_> {
    /// May learn that this is a registry. Who sent no credentials may not, wherever anything needs them: clients take this answer to
    /// decide whether to ask for a session at all, and would then push without one.
    pub(crate) fn may_enter(&self) -> Result<(), AccessError> {
        if self.named { Ok(()) } else { Err(self.access.unauthorized(Why::Nobody, None)) }
    }

    /// May read `repository`.
    pub(crate) fn may_pull(&self, repository: &RepositoryName) -> Result<(), AccessError> {
        match self.level {
            Some(Level::Pull | Level::Push) => Ok(()),
            None => Err(self.access.unauthorized(Why::Nobody, Some(format!("repository:{repository}:pull")))),
        }
    }

    /// May write to `repository`.
    pub(crate) fn may_push(&self, repository: &RepositoryName) -> Result<Actor, AccessError> {
        self.may_write(|| format!("repository:{repository}:pull,push"))
    }

    /// May delete from `repository`.
    pub(crate) fn may_delete(&self, repository: &RepositoryName) -> Result<Actor, AccessError> {
        self.may_write(|| format!("repository:{repository}:pull,delete"))
    }

    /// May learn the names of all repositories: whoever may write to any of them.
    pub(crate) fn may_list(&self) -> Result<(), AccessError> {
        match self.level {
            Some(Level::Push) => Ok(()),
            Some(Level::Pull) | None => Err(self.less(|| "registry:catalog:*".to_owned())),
        }
    }

    fn may_write(&self, scope: impl FnOnce() -> String) -> Result<Actor, AccessError> {
        if self.browser {
            return Err(AccessError::Browser);
        }
        match (self.level, &self.access.lock) {
            (Some(Level::Push), None) => Ok(Actor("anonymous".into())),
            (Some(Level::Push), Some(_)) => Ok(Actor("push token".into())),
            (Some(Level::Pull) | None, _) => Err(self.less(scope)),
        }
    }

    fn less(&self, scope: impl FnOnce() -> String) -> AccessError {
        self.access.unauthorized(if self.named { Why::Less } else { Why::Nobody }, Some(scope()))
    }
}

/// Somebody may not do what was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AccessError {
    /// Credentials are missing, wrong, or not enough.
    #[error("{why}; log in with any user name and the secret of gateway.push_token_file as password")]
    Unauthorized {
        /// The value of `WWW-Authenticate`.
        challenge: String,
        /// What is the matter with the credentials.
        why: Why,
    },
    /// A page in a browser.
    #[error("pages in a browser may not write here; the request has a header Origin, which clients of registries do not send")]
    Browser,
    /// No promoter's token.
    #[error("promotions need the bearer token of one of gateway.promoters; chancery promote takes it with --token-file")]
    Promoter,
}

/// What is the matter with some credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Why {
    /// There are none.
    #[error("this needs credentials, and the request has none")]
    Nobody,
    /// They are not those of this registry.
    #[error("these credentials are not those of this registry")]
    Wrong,
    /// They were.
    #[error("this session has expired")]
    Expired,
    /// They are, and do not reach far enough.
    #[error("this session does not allow it")]
    Less,
}

impl From<SessionError> for Why {
    fn from(error: SessionError) -> Self {
        match error {
            SessionError::Foreign => Self::Wrong,
            SessionError::Expired => Self::Expired,
        }
    }
}

/// How long a session lasts.
pub(crate) const SESSION_SECONDS: i64 = session::SECONDS;

#[cfg(test)]
mod tests;
