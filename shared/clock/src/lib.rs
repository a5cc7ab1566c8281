//! What time it is, a manual clock for tests, and the rule for clocks that step back.
//!
//! Everything that needs the time takes an `Arc<dyn Clock>`; nothing else in the workspace may read the system clock
//! (enforced by `clippy.toml`).

use std::fmt::Debug;
use std::sync::Mutex;

use jiff::{SignedDuration, Timestamp};

/// A source of wall-clock time.
pub trait Clock: Send + Sync + Debug {
    /// The current time, UTC.
    fn now(&self) -> Timestamp;
}

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the system clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

/// A clock that a test sets by hand.
#[derive(Debug)]
pub struct ManualClock(Mutex<Timestamp>);

impl ManualClock {
    /// A clock that shows `start` until told otherwise.
    #[must_use]
    pub fn new(start: Timestamp) -> Self {
        Self(Mutex::new(start))
    }

    /// Shows `now` from here on; it may lie in the past.
    pub fn set(&self, now: Timestamp) {
        *self.0.lock().expect("no panic while the lock is held") = now;
    }

    /// Moves forward (or, by a negative duration, back).
    pub fn advance(&self, by: SignedDuration) {
        let mut now = self.0.lock().expect("no panic while the lock is held");
        *now = now.checked_add(by).expect("test times stay in range");
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().expect("no panic while the lock is held")
    }
}

/// The clock shows a time well before one that was already signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the clock shows {now}, {} ms before the last time that was signed ({last}); signing resumes when it has caught up", behind_ms(*.last, *.now))]
pub struct ClockStepped {
    /// The last time that was signed.
    pub last: Timestamp,
    /// What the clock shows.
    pub now: Timestamp,
}

/// How far a clock may step back and the last signed time is simply used again.
pub const TOLERATED_STEP: SignedDuration = SignedDuration::from_secs(1);

/// The time to sign next, given the last one signed: never below `last`.
///
/// A clock may step back by less than [`TOLERATED_STEP`]; then `last` is used again.
///
/// # Errors
/// [`ClockStepped`] when it stepped back further: sign nothing until time has caught up.
pub fn next_time(last: Option<Timestamp>, now: Timestamp) -> Result<Timestamp, ClockStepped> {
    match last {
        Some(last) if now < last => {
            if last.duration_since(now) < TOLERATED_STEP {
                Ok(last)
            } else {
                Err(ClockStepped { last, now })
            }
        }
        _ => Ok(now),
    }
}

fn behind_ms(last: Timestamp, now: Timestamp) -> i128 {
    last.duration_since(now).as_millis()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(milliseconds).unwrap()
    }

    #[test]
    fn time_never_goes_back() {
        assert_eq!(next_time(None, at(5)), Ok(at(5)));
        assert_eq!(next_time(Some(at(5)), at(5)), Ok(at(5)));
        assert_eq!(next_time(Some(at(5)), at(6)), Ok(at(6)));
        assert_eq!(next_time(Some(at(2_000)), at(1_001)), Ok(at(2_000)));
        let stepped = next_time(Some(at(2_000)), at(1_000)).unwrap_err();
        assert!(stepped.to_string().contains("1000 ms before"), "{stepped}");
    }

    #[test]
    fn manual_clock_is_set_and_advanced() {
        let clock = ManualClock::new(at(0));
        clock.advance(SignedDuration::from_millis(7));
        assert_eq!(clock.now(), at(7));
        clock.set(at(3));
        assert_eq!(clock.now(), at(3));
    }
}
