//! A process: services that are served together and drained in order.
//!
//! ```no_run
//! # use chassis::{Process, Service, Shutdown, config::ListenConfig, listen::Listener, telemetry::{self, LogFormat}};
//! # async fn main_() -> Result<(), Box<dyn std::error::Error>> {
//! let telemetry = telemetry::start(LogFormat::Text, telemetry::DEFAULT_FILTER)?;
//! let shutdown = Shutdown::on_signals()?;
//! let admin = Listener::bind("admin", &ListenConfig::loopback(2112)).await?;
//! let tsa = Listener::bind("tsa", &ListenConfig::loopback(3004)).await?; // every socket, before anything is served
//! let services = vec![Service::new(tsa, axum::Router::new())]; // in the order in which they will be drained
//! let ended = Process::new(services).admin(admin, telemetry).start().until(shutdown).await;
//! std::process::exit(ended.exit_code());
//! # }
//! ```

use std::fmt::{Display, Formatter};
use std::io;
use std::time::Duration;

use axum::Router;
use futures_util::future::BoxFuture;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use crate::listen::Listener;
use crate::ready::Readiness;
use crate::serve::{Limits, Serving};
use crate::service::Service;
use crate::{admin, telemetry::Telemetry};

/// The wish to stop, and the wish to stop at once. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    asked: CancellationToken,
    insisted: CancellationToken,
}

impl Shutdown {
    /// Nobody wishes it yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asked for by the first SIGTERM or SIGINT (Ctrl-C), insisted on by the second.
    ///
    /// # Errors
    /// When the system refuses to deliver signals to us.
    pub fn on_signals() -> io::Result<Self> {
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let shutdown = Self::new();
        let heard = shutdown.clone();
        tokio::spawn(async move {
            for wish in [&heard.asked, &heard.insisted] {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                wish.cancel();
            }
        });
        Ok(shutdown)
    }

    /// Asks for it.
    pub fn ask(&self) {
        self.asked.cancel();
    }

    /// Asks for it without grace.
    pub fn insist(&self) {
        self.asked.cancel();
        self.insisted.cancel();
    }

    /// Waits until it is asked for.
    pub async fn asked(&self) {
        self.asked.cancelled().await;
    }

    /// Waits until somebody insists.
    pub async fn insisted(&self) {
        self.insisted.cancelled().await;
    }
}

/// Services with bound sockets, about to be served.
#[derive(Debug)]
pub struct Process {
    services: Vec<Service>,
    admin: Option<(Listener, Telemetry)>,
    grace: Duration,
    limits: Limits,
}

impl Process {
    /// Services in the order in which they will be drained: whoever calls another comes before it.
    #[must_use]
    pub fn new(services: Vec<Service>) -> Self {
        Self { services, admin: None, grace: Duration::from_secs(20), limits: Limits::default() }
    }

    /// Health, readiness, metrics and log filter at `listener`; served first and drained last.
    #[must_use]
    pub fn admin(self, listener: Listener, telemetry: Telemetry) -> Self {
        Self { admin: Some((listener, telemetry)), ..self }
    }

    /// How long draining may take altogether.
    #[must_use]
    pub fn grace(self, grace: Duration) -> Self {
        Self { grace, ..self }
    }

    /// What each service grants its peers.
    #[must_use]
    pub fn limits(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Serves everything, on the current runtime.
    #[must_use]
    pub fn start(self) -> Running {
        let checks = self.services.iter().flat_map(|service| service.ready.iter().map(|check| (service.name, check.clone())));
        let readiness = Readiness::new(checks.collect());
        let stopped = CancellationToken::new();
        let admin = self.admin.map(|(listener, telemetry)| {
            tokio::spawn(upkeep(telemetry.clone(), stopped.clone()));
            Part::start("admin", listener, admin::router(readiness.clone(), telemetry), Box::pin(async {}), self.limits)
        });
        let parts = self
            .services
            .into_iter()
            .map(|service| Part::start(service.name, service.listener, service.router, service.finish, self.limits));
        let parts = parts.collect::<Vec<_>>().into_iter().chain(admin).collect();
        Running { parts, readiness, grace: self.grace, stopped }
    }
}

/// A process that is being served.
#[derive(Debug)]
pub struct Running {
    /// In the order of draining.
    parts: Vec<Part>,
    readiness: Readiness,
    grace: Duration,
    stopped: CancellationToken,
}

impl Running {
    /// Its checks: await `readiness().ready()` before saying that it is up.
    #[must_use]
    pub fn readiness(&self) -> &Readiness {
        &self.readiness
    }

    /// Serves until `shutdown` is asked for, then drains; at once when it is insisted on.
    pub async fn until(self, shutdown: Shutdown) -> Ended {
        shutdown.asked().await;
        tracing::info!(grace_s = self.grace.as_secs_f64(), "shutting down");
        let ended = tokio::select! {
            ended = self.drain() => ended,
            () = shutdown.insisted() => Ended::AtOnce,
        };
        match ended {
            Ended::Drained => tracing::info!("{ended}"),
            Ended::Cut { .. } | Ended::AtOnce => tracing::warn!("{ended}"),
        }
        ended
    }

    /// One after the other, each first without requests and then without unfinished work, so that whoever is still being
    /// drained can call those after it.
    ///
    /// A part may use half of the time that is left, the last all of it: one slow download must not take the time of those
    /// that hold a log's last batch. What is cut is safe: nobody was answered before it was durable.
    async fn drain(self) -> Ended {
        self.readiness.drain();
        let deadline = Instant::now() + self.grace;
        let (mut cut, mut unfinished) = (0, Vec::new());
        let mut left = self.parts.len();
        for part in self.parts {
            left -= 1;
            let remaining = deadline.saturating_duration_since(Instant::now());
            let until = if left == 0 { deadline } else { Instant::now() + remaining / 2 };
            cut += part.serving.drain(until).await;
            if timeout_at(deadline, part.finish).await.is_err() {
                unfinished.push(part.name);
            }
            tracing::debug!(service = part.name, "drained");
        }
        self.stopped.cancel();
        if cut == 0 && unfinished.is_empty() { Ended::Drained } else { Ended::Cut { connections: cut, unfinished } }
    }
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// Every request was answered, every batch finished.
    Drained,
    /// The grace time was over.
    Cut {
        /// Connections closed in the middle of a request.
        connections: usize,
        /// Services whose last work was not waited for.
        unfinished: Vec<&'static str>,
    },
    /// Somebody insisted.
    AtOnce,
}

impl Ended {
    /// 0 when drained, else 1.
    #[must_use]
    pub fn exit_code(&self) -> i32 {
        match self {
            Self::Drained => 0,
            Self::Cut { .. } | Self::AtOnce => 1,
        }
    }
}

impl Display for Ended {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Drained => f.write_str("stopped: every request answered"),
            Self::Cut { connections, unfinished } if unfinished.is_empty() => {
                write!(f, "stopped: the grace time was over, {connections} connections were cut")
            }
            Self::Cut { connections, unfinished } => {
                write!(
                    f,
                    "stopped: the grace time was over, {connections} connections were cut, not finished: {}",
                    unfinished.join(", ")
                )
            }
            Self::AtOnce => f.write_str("stopped at once, as asked twice"),
        }
    }
}

/// One service while it is served.
struct Part {
    name: &'static str,
    serving: Serving,
    finish: BoxFuture<'static, ()>,
}

impl Part {
    fn start(name: &'static str, listener: Listener, router: Router, finish: BoxFuture<'static, ()>, limits: Limits) -> Self {
        tracing::info!(service = name, url = listener.url(), "serving");
        Self { name, serving: Serving::start(listener, router, limits), finish }
    }
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Part").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Keeps the metrics' memory bounded when nobody scrapes them.
async fn upkeep(telemetry: Telemetry, stopped: CancellationToken) {
    const EVERY: Duration = Duration::from_secs(5);
    while stopped.run_until_cancelled(tokio::time::sleep(EVERY)).await.is_some() {
        telemetry.metrics.upkeep();
    }
}

#[cfg(test)]
mod tests;
