//! Readiness: what a process waits for before it says 200 at `/readyz`.

use std::fmt::{Debug, Formatter};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::join_all;
use serde::Serialize;

/// Something a service needs before it can do its work.
///
/// Contract: cheap, without side effects, safe to call concurrently and every second; slower than five seconds counts as
/// not ready.
#[async_trait]
pub trait ReadyCheck: Send + Sync {
    /// What is checked, in a few words: `storage writable`.
    fn name(&self) -> &str;

    /// `Ok` when it is there, else the reason in one line.
    async fn check(&self) -> Result<(), String>;
}

/// A check that is opened once, by hand: for steps that are done at start-up.
#[derive(Debug)]
pub struct Gate {
    name: &'static str,
    open: AtomicBool,
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new(name: &'static str) -> Arc<Self> {
        Arc::new(Self { name, open: AtomicBool::new(false) })
    }

    /// From here on the check passes.
    pub fn open(&self) {
        self.open.store(true, Ordering::Release);
    }
}

#[async_trait]
impl ReadyCheck for Gate {
    fn name(&self) -> &str {
        self.name
    }

    async fn check(&self) -> Result<(), String> {
        if self.open.load(Ordering::Acquire) { Ok(()) } else { Err("not done yet".into()) }
    }
}

/// All checks of a process, and whether it is draining.
#[derive(Clone)]
pub struct Readiness {
    checks: Arc<[(&'static str, Arc<dyn ReadyCheck>)]>,
    draining: Arc<AtomicBool>,
}

impl Readiness {
    /// The checks, each with the service it belongs to.
    #[must_use]
    pub fn new(checks: Vec<(&'static str, Arc<dyn ReadyCheck>)>) -> Self {
        Self { checks: checks.into(), draining: Arc::default() }
    }

    /// Never ready again: load balancers look elsewhere while the last requests finish.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Runs every check, all at once.
    pub async fn report(&self) -> ReadyReport {
        const LIMIT: Duration = Duration::from_secs(5);
        let mut checks = join_all(self.checks.iter().map(|(service, check)| outcome(service, check.as_ref(), LIMIT))).await;
        if self.draining.load(Ordering::Acquire) {
            checks.push(CheckOutcome { service: "process", check: "running".into(), reason: Some("shutting down".into()) });
        }
        ReadyReport { ready: checks.iter().all(|check| check.reason.is_none()), checks }
    }

    /// Waits until every check passes, however long that takes.
    pub async fn ready(&self) {
        const BETWEEN: Duration = Duration::from_millis(20);
        while !self.report().await.ready {
            tokio::time::sleep(BETWEEN).await;
        }
    }
}

impl Debug for Readiness {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Readiness").field("checks", &self.checks.len()).field("draining", &self.draining).finish()
    }
}

/// The answer of `/readyz?verbose`.
#[derive(Debug, Clone, Serialize)]
pub struct ReadyReport {
    /// Whether every check passed.
    pub ready: bool,
    /// Each check, in the order of the services.
    pub checks: Vec<CheckOutcome>,
}

/// One check of a [`ReadyReport`].
#[derive(Debug, Clone, Serialize)]
pub struct CheckOutcome {
    /// The service it belongs to.
    pub service: &'static str,
    /// What was checked.
    pub check: String,
    /// Why it failed; absent when it passed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

async fn outcome(service: &'static str, check: &dyn ReadyCheck, limit: Duration) -> CheckOutcome {
    let reason = match tokio::time::timeout(limit, check.check()).await {
        Ok(result) => result.err(),
        Err(_) => Some(format!("no answer within {} s", limit.as_secs_f64())),
    };
    CheckOutcome { service, check: check.name().to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Never;

    #[async_trait]
    impl ReadyCheck for Never {
        fn name(&self) -> &str {
            "storage"
        }

        async fn check(&self) -> Result<(), String> {
            std::future::pending().await
        }
    }

    #[tokio::test]
    async fn ready_when_all_are_and_never_while_draining() {
        let gate = Gate::new("proof");
        let readiness = Readiness::new(vec![("lab", gate.clone())]);
        let report = readiness.report().await;
        assert!(!report.ready);
        assert_eq!(report.checks[0].reason.as_deref(), Some("not done yet"));
        gate.open();
        readiness.ready().await;
        readiness.drain();
        let report = readiness.report().await;
        assert!(!report.ready);
        assert_eq!(report.checks[1].reason.as_deref(), Some("shutting down"));
    }

    #[tokio::test]
    async fn a_check_that_hangs_is_not_ready() {
        let outcome = outcome("rekor", &Never, Duration::from_millis(20)).await;
        assert_eq!(outcome.reason.as_deref(), Some("no answer within 0.02 s"));
    }
}
