//! What is measured of witnesses, all of it labelled with the log's origin.

use std::time::Duration;

use metrics::{Counter, Gauge, counter, gauge, histogram};

const REQUESTS: &str = "chancery_log_witness_requests_total";
const SECONDS: &str = "chancery_log_witness_seconds";
const ALARMS: &str = "chancery_log_witness_fork_alarms_total";

pub(super) struct Metrics {
    log: String,
    met: Counter,
    missed: Counter,
    cosignatures: Gauge,
    size: Gauge,
}

impl Metrics {
    /// Makes every series visible from the start: an alarm on the first failure needs the zero before it.
    pub(super) fn new<'a>(log: &str, witnesses: impl Iterator<Item = &'a str>) -> Self {
        let log = log.to_owned();
        for witness in witnesses {
            counter!(ALARMS, "log" => log.clone(), "witness" => witness.to_owned()).increment(0);
        }
        // Checkpoints that were brought to the witnesses, by whether the quorum cosigned them in time.
        let rounds = |quorum| counter!("chancery_log_witnessed_checkpoints_total", "log" => log.clone(), "quorum" => quorum);
        let (met, missed) = (rounds("met"), rounds("missed"));
        met.increment(0);
        missed.increment(0);
        Self {
            met,
            missed,
            // On the newest checkpoint that was brought to them.
            cosignatures: gauge!("chancery_log_cosignatures", "log" => log.clone()),
            // Of the newest checkpoint with a quorum; beside `chancery_log_size` it says how far the witnesses are behind.
            size: gauge!("chancery_log_witnessed_size", "log" => log.clone()),
            log,
        }
    }

    pub(super) fn round(&self, met: bool, cosignatures: usize, size: u64) {
        self.cosignatures.set(cosignatures as f64);
        if met {
            self.met.increment(1);
            self.size.set(size as f64);
        } else {
            self.missed.increment(1);
        }
    }

    pub(super) fn asked(&self, witness: &str, outcome: &'static str, took: Duration) {
        let (log, witness) = (self.log.clone(), witness.to_owned());
        counter!(REQUESTS, "log" => log.clone(), "witness" => witness.clone(), "outcome" => outcome).increment(1);
        histogram!(SECONDS, "log" => log, "witness" => witness).record(took.as_secs_f64());
    }

    pub(super) fn alarm(&self, witness: &str) {
        counter!(ALARMS, "log" => self.log.clone(), "witness" => witness.to_owned()).increment(1);
    }
}
