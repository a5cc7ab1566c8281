//! How often and how long a call is tried.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::RegistryError;

/// The longest that a registry's `Retry-After` is waited for while somebody waits for us.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// What one caller is ready to wait for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    attempts: u32,
    /// Of one attempt at a document, its body included; of a blob, until its first byte.
    pub(crate) deadline: Duration,
    /// Before the second attempt.
    pause: Duration,
    /// Whether a registry that is known not to answer is asked all the same.
    insists: bool,
}

impl Patience {
    pub(crate) fn patient(pause: Duration) -> Self {
        Self { attempts: 5, deadline: Duration::from_secs(30), pause, insists: true }
    }

    pub(crate) fn hasty(self) -> Self {
        Self { attempts: 1, deadline: Duration::from_secs(5), insists: false, ..self }
    }

    /// One attempt of a series that the caller counts.
    pub(crate) fn once(self) -> Self {
        Self { attempts: 1, ..self }
    }

    /// How long to wait after so many failures, the last of which is `error`; nothing when it is final.
    pub(crate) fn pause(&self, failures: u32, error: &RegistryError) -> Option<Duration> {
        if failures >= self.attempts || !error.is_transient() {
            return None;
        }
        let doubled = self.pause.saturating_mul(1 << (failures - 1).min(10)).min(self.pause.saturating_mul(15));
        match error {
            RegistryError::Limited { retry_after: Some(wanted), .. } => {
                (*wanted <= LONGEST_WAIT).then_some((*wanted).max(doubled))
            }
            _ => Some(doubled),
        }
    }
}

/// Remembers that a registry did not answer, so that callers who can do without it are not kept waiting each in turn.
#[derive(Debug, Default)]
pub(crate) struct Breaker(Mutex<Option<Instant>>);

impl Breaker {
    /// For callers that do not insist: refuses while the registry is known not to answer. Who passes after that time is the one who
    /// finds out for all: until it has, the others are refused on.
    pub(crate) fn check(&self, registry: &str, patience: &Patience) -> Result<(), RegistryError> {
        let mut down_until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *down_until {
            Some(until) if !patience.insists && Instant::now() < until => {
                Err(RegistryError::Unreachable { registry: registry.to_owned(), reason: "it did not answer just now".to_owned() })
            }
            Some(_) if !patience.insists => {
                *down_until = Some(Instant::now() + patience.deadline);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// What one attempt that took so long came to. The registry is left alone for as long as it kept a caller waiting, and at least a
    /// second.
    pub(crate) fn record<T>(&self, outcome: &Result<T, RegistryError>, took: Duration) {
        let least = Duration::from_secs(1);
        let down = matches!(outcome, Err(RegistryError::Unreachable { .. }));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = down.then(|| Instant::now() + took.max(least));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limited(seconds: u64) -> RegistryError {
        RegistryError::Limited { registry: "r".into(), retry_after: Some(Duration::from_secs(seconds)) }
    }

    fn down() -> RegistryError {
        RegistryError::Unreachable { registry: "r".into(), reason: "refused".into() }
    }

    fn refused(status: u16) -> RegistryError {
        RegistryError::Refused { registry: "r".into(), status, code: None, message: String::new() }
    }

    #[test]
    fn pauses_double_and_end() {
        let patience = Patience::patient(Duration::from_millis(200));
        let pauses: Vec<_> = (1..=5).map(|failures| patience.pause(failures, &down()).map(|pause| pause.as_millis())).collect();
        assert_eq!(pauses, [Some(200), Some(400), Some(800), Some(1600), None]);
        assert_eq!(patience.hasty().pause(1, &down()), None);
    }

    #[test]
    fn what_is_tried_again() {
        let patience = Patience::patient(Duration::from_millis(200));
        for status in [408, 500, 502, 503, 504] {
            assert!(patience.pause(1, &refused(status)).is_some(), "{status}");
        }
        for status in [400, 403, 405, 409, 412, 416, 501, 505] {
            assert!(patience.pause(1, &refused(status)).is_none(), "{status}");
        }
        let not_found = RegistryError::NotFound { registry: "r".into(), what: "x".into() };
        assert!(patience.pause(1, &not_found).is_none());
    }

    #[test]
    fn a_wanted_pause_is_kept_or_the_call_ends() {
        let patience = Patience::patient(Duration::from_millis(200));
        assert_eq!(patience.pause(1, &limited(7)), Some(Duration::from_secs(7)));
        assert_eq!(patience.pause(1, &limited(0)), Some(Duration::from_millis(200)), "never at once");
        assert_eq!(patience.pause(1, &limited(61)), None, "longer than anyone waits");
    }

    #[tokio::test]
    async fn a_registry_that_is_down_is_left_alone_by_who_can_do_without() {
        let (patient, breaker) = (Patience::patient(Duration::ZERO), Breaker::default());
        let hasty = patient.hasty();
        assert!(breaker.check("r", &hasty).is_ok());
        breaker.record::<()>(&Err(down()), Duration::from_secs(100));
        assert!(breaker.check("r", &hasty).is_err() && breaker.check("r", &patient).is_ok());
        breaker.record(&Ok(()), Duration::ZERO);
        assert!(breaker.check("r", &hasty).is_ok(), "an answer ends it");
        breaker.record::<()>(&Err(refused(503)), Duration::from_secs(100));
        assert!(breaker.check("r", &hasty).is_ok(), "a refusal is an answer");
    }

    #[tokio::test]
    async fn one_finds_out_for_all() {
        let (hasty, breaker) = (Patience::patient(Duration::ZERO).hasty(), Breaker::default());
        breaker.record::<()>(&Err(down()), Duration::ZERO);
        *breaker.0.lock().unwrap() = Some(Instant::now());
        assert!(breaker.check("r", &hasty).is_ok(), "the time has come");
        assert!(breaker.check("r", &hasty).is_err(), "the others wait for the first");
    }
}
