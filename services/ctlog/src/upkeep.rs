//! What a log does while nobody asks: pick up new roots, and sign a young tree head when nothing was logged for long.

use std::sync::Arc;
use std::time::Duration;

use chassis::reason::chain;
use clock::Clock;
use jiff::SignedDuration;
use tokio::time::{MissedTickBehavior, interval};

use crate::App;

/// Between two looks. Roots are added hours before they are used, heads are an hour old: neither is in a hurry.
const PERIOD: Duration = Duration::from_secs(10);

/// Runs until it is dropped.
pub(crate) async fn run(app: Arc<App>, clock: Arc<dyn Clock>, republish_every: Duration) {
    let mut ticks = interval(PERIOD.min(republish_every.max(Duration::from_millis(100))));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut roots_failed = false;
    loop {
        ticks.tick().await;
        roots_failed = reload_roots(&app, roots_failed).await;
        republish(&app, clock.as_ref(), republish_every).await;
    }
}

/// Returns whether it failed; said once, not every ten seconds.
async fn reload_roots(app: &App, failed_before: bool) -> bool {
    match app.roots.reload().await {
        Ok(true) => tracing::info!(roots = app.roots.current().certificates().len(), "took new accepted roots"),
        Ok(false) => {}
        Err(error) => {
            if !failed_before {
                tracing::error!(error = chain(&error), "kept the accepted roots as they were: their file cannot be used");
            }
            return true;
        }
    }
    false
}

async fn republish(app: &App, clock: &dyn Clock, every: Duration) {
    // A frozen log has signed its last head.
    if app.log.checkpoint().last {
        return;
    }
    let every = SignedDuration::try_from(every).unwrap_or(SignedDuration::MAX);
    if clock.now().duration_since(app.log.checkpoint().time) < every {
        return;
    }
    if let Err(error) = app.log.refresh().await {
        tracing::warn!(error = chain(&error), "could not sign a new tree head; the last one stays");
    }
}
