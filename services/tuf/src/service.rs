//! The running service: serves the repository and keeps snapshot and timestamp fresh, with the online keys alone.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chassis::reason::chain;
use chassis::{Explain as _, ReadyCheck};
use clock::Clock;
use jiff::{SignedDuration, Timestamp as Moment};
use keys::{FileKey, Signer};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::edition::Signers;
use crate::error::TufError;
use crate::metadata::{Expires, Role};
use crate::release::{Lifetimes, Place, Session};
use crate::repository::Repository;
use crate::serve;
use crate::store::{Directory, Store};

/// The trust root of an installation.
#[derive(Debug, Clone)]
pub struct Tuf(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    place: Place,
    store: Arc<dyn Store>,
    snapshot_key: Arc<dyn Signer>,
    timestamp_key: Arc<dyn Signer>,
    lifetimes: Lifetimes,
    clock: Arc<dyn Clock>,
    /// What was true at the last look. Held for moments, never across an await.
    seen: Mutex<Seen>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    /// Of root, targets, snapshot and timestamp; none before the first look.
    expires: Option<[Expires; 4]>,
    /// The last warning given, in days left, for root and targets.
    warned: [Option<i64>; 2],
}

/// What one look did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refreshed {
    /// The roles that were signed anew.
    pub(crate) signed: Vec<Role>,
    /// When the next look is due.
    pub(crate) again: Duration,
}

impl Tuf {
    /// Opens the repository: reads the online keys, checks everything as a client would, and signs what is due.
    ///
    /// Expired root or targets metadata is no error here, since only offline keys can mend it: the service starts, serves
    /// and is not ready.
    ///
    /// # Errors
    /// A key is missing or not the one that the root names; the repository is damaged, or was restored from a backup and is
    /// older than what was published.
    pub async fn open(config: &Config, clock: Arc<dyn Clock>) -> Result<Self, TufError> {
        let key = |role, path: &std::path::Path| match FileKey::load(path) {
            Ok(key) => Ok(Arc::new(key) as Arc<dyn Signer>),
            Err(source) => Err(TufError::KeyFile { role, source }),
        };
        let place = config.place();
        let store: Arc<dyn Store> = Arc::new(Directory::new(&place.directory));
        let inner = Inner {
            lifetimes: config.lifetimes()?,
            snapshot_key: key(Role::Snapshot, &config.snapshot_key)?,
            timestamp_key: key(Role::Timestamp, &config.timestamp_key)?,
            place,
            store,
            clock,
            seen: Mutex::new(Seen { expires: None, warned: [None; 2] }),
        };
        let tuf = Self(Arc::new(inner));
        tuf.refresh().await?;
        Ok(tuf)
    }

    /// The HTTP face.
    pub fn router(&self) -> axum::Router {
        serve::router(Directory::new(&self.0.place.directory))
    }

    /// Ready while no metadata has expired.
    #[must_use]
    pub fn ready(&self) -> Arc<dyn ReadyCheck> {
        Arc::new(self.clone())
    }

    /// Keeps snapshot and timestamp fresh until the returned handle is stopped.
    #[must_use]
    pub fn keep_fresh(&self) -> Freshness {
        let (tuf, stop) = (self.clone(), CancellationToken::new());
        let stopped = stop.clone();
        let task = tokio::spawn(async move {
            loop {
                let again = tuf.look().await;
                if stopped.run_until_cancelled(tokio::time::sleep(again)).await.is_none() {
                    return;
                }
            }
        });
        Freshness { stop, task }
    }

    /// One look; a failure is logged, and tried again soon. What was published stays valid meanwhile.
    async fn look(&self) -> Duration {
        match self.refresh().await {
            Ok(refreshed) => refreshed.again,
            Err(error) => {
                metrics::counter!("chancery_tuf_refresh_failures_total", "reason" => error.code()).increment(1);
                tracing::error!(code = error.code(), reason = chain(&error), "cannot keep the trust root fresh; trying again");
                self.0.retry()
            }
        }
    }

    /// Signs what is due, on a thread where file access and fsync may block.
    pub(crate) async fn refresh(&self) -> Result<Refreshed, TufError> {
        let (inner, runtime) = (Arc::clone(&self.0), tokio::runtime::Handle::current());
        let looked = tokio::task::spawn_blocking(move || runtime.block_on(inner.refresh())).await;
        looked.unwrap_or_else(|panicked| std::panic::resume_unwind(panicked.into_panic()))
    }

    /// A service on a store of the test's choosing.
    #[cfg(test)]
    pub(crate) fn on_store(
        place: &Place,
        store: Arc<dyn Store>,
        keys: (Arc<dyn Signer>, Arc<dyn Signer>),
        lifetimes: Lifetimes,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let seen = Mutex::new(Seen { expires: None, warned: [None; 2] });
        let (snapshot_key, timestamp_key) = keys;
        Self(Arc::new(Inner { place: place.clone(), store, snapshot_key, timestamp_key, lifetimes, clock, seen }))
    }
}

/// The background task of [`Tuf::keep_fresh`].
#[derive(Debug)]
pub struct Freshness {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Freshness {
    /// Finishes what is being published, and ends.
    pub async fn stop(self) {
        self.stop.cancel();
        if let Err(error) = self.task.await {
            tracing::error!(reason = chain(&error), "the task that keeps the trust root fresh had failed");
        }
    }
}

#[async_trait]
impl ReadyCheck for Tuf {
    fn name(&self) -> &str {
        "trust root not expired"
    }

    async fn check(&self) -> Result<(), String> {
        let Some(expires) = self.0.seen().expires else { return Err("not read yet".into()) };
        let now = self.0.clock.now();
        let mut expired = Role::ALL.iter().zip(expires).filter(|(_, expires)| !expires.left(now).is_positive());
        expired.next().map_or(Ok(()), |(role, expires)| Err(format!("the {role} metadata expired at {expires}")))
    }
}

impl Inner {
    async fn refresh(&self) -> Result<Refreshed, TufError> {
        let now = self.clock.now();
        // The lock is held from here to the end: a command that publishes targets comes before or after, never between.
        let mut session = Session::open_store(&self.place, Arc::clone(&self.store))?;
        session.refuse_rolled_back(&[Role::Root, Role::Targets])?;
        session.check_key(Role::Snapshot, &*self.snapshot_key)?;
        session.check_key(Role::Timestamp, &*self.timestamp_key)?;
        let due = self.due(&session, now);
        if !due.is_empty() {
            let signers = Signers { root: None, targets: None, snapshot: &*self.snapshot_key, timestamp: &*self.timestamp_key };
            let published = session.release(due, &signers, &[], &self.lifetimes, now).await?;
            tracing::debug!(versions = ?published.versions, "signed the trust root's metadata anew");
        }
        let current = session.current().expect("an opened session has a repository");
        self.remember(current, now);
        Ok(Refreshed { signed: due.to_vec(), again: self.again(current, now) })
    }

    /// Which roles to sign anew: a tail of [`Role::ALL`].
    fn due(&self, session: &Session, now: Moment) -> &'static [Role] {
        const SNAPSHOT_ON: &[Role] = &[Role::Snapshot, Role::Timestamp];
        let Some(current) = session.current() else { return &[] };
        let rolled_back = session.rolled_back(SNAPSHOT_ON);
        let due = |role| rolled_back.contains(&role) || self.rest(current, role, now).is_zero();
        if due(Role::Snapshot) {
            SNAPSHOT_ON
        } else if due(Role::Timestamp) {
            &SNAPSHOT_ON[1..]
        } else {
            &[]
        }
    }

    /// How long until `role` is to be signed anew: when a seventh of its life is over. Zero also when more is left than a
    /// whole life: the configuration or the clock was set back since.
    fn rest(&self, current: &Repository, role: Role, now: Moment) -> Duration {
        let life = match role {
            Role::Snapshot => self.lifetimes.snapshot,
            Role::Root | Role::Targets | Role::Timestamp => self.lifetimes.timestamp,
        };
        let left = Duration::try_from(current.expires(role).left(now)).unwrap_or(Duration::ZERO);
        if left > life { Duration::ZERO } else { left.saturating_sub(life - life / 7) }
    }

    /// When to look again: when something is due, and often enough to notice what others published and a clock that was set.
    fn again(&self, current: &Repository, now: Moment) -> Duration {
        let rest = |role| self.rest(current, role, now);
        rest(Role::Snapshot).min(rest(Role::Timestamp)).clamp(SHORTEST_PAUSE, LONGEST_PAUSE)
    }

    fn retry(&self) -> Duration {
        (self.lifetimes.timestamp.min(self.lifetimes.snapshot) / 7).min(LONGEST_PAUSE)
    }

    fn remember(&self, current: &Repository, now: Moment) {
        let expires = Role::ALL.map(|role| current.expires(role));
        for (role, expires) in Role::ALL.into_iter().zip(expires) {
            let object = match role {
                Role::Root => "tuf_root",
                Role::Targets => "tuf_targets",
                Role::Snapshot => "tuf_snapshot",
                Role::Timestamp => "tuf_timestamp",
            };
            metrics::gauge!("chancery_seconds_to_expiry", "object" => object).set(expires.left(now).as_secs_f64());
        }
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.expires = Some(expires);
        for (role, (expires, warned)) in
            [Role::Root, Role::Targets].into_iter().zip(expires.into_iter().zip(seen.warned.iter_mut()))
        {
            let days = warning(expires, now);
            if days.is_some() && days != *warned {
                warn(role, expires, now);
            }
            *warned = days;
        }
    }

    fn seen(&self) -> Seen {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Between two looks at most.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Between two looks at least.
const SHORTEST_PAUSE: Duration = Duration::from_millis(100);

/// Which warning is due for metadata that only offline keys can renew: the fewest days of 60, 30, 7, 1 and 0 that the rest
/// of its life fits into.
fn warning(expires: Expires, now: Moment) -> Option<i64> {
    let left = expires.left(now);
    [0, 1, 7, 30, 60].into_iter().find(|days| left <= SignedDuration::from_hours(days * 24))
}

fn warn(role: Role, expires: Expires, now: Moment) {
    let left = expires.left(now);
    if left.is_positive() {
        let days = left.as_hours() / 24;
        tracing::warn!("the trust root's {role} metadata expires at {expires}, in {days} days; renew it with the offline keys");
    } else {
        tracing::error!(
            "the trust root's {role} metadata expired at {expires}, and clients refuse it; renew it with the offline keys"
        );
    }
}
