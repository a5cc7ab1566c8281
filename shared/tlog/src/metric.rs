//! What is measured, all of it labelled with the log's origin.

use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};

use crate::{AppendError, SignedTreeHead};

#[derive(Clone)]
pub(crate) struct Metrics {
    origin: String,
    batch: Histogram,
    commit: Histogram,
    queue: Gauge,
    size: Gauge,
    head: Gauge,
    duplicates: Counter,
    moved: Gauge,
    move_failures: Counter,
}

impl Metrics {
    pub(crate) fn new(origin: &str) -> Self {
        let origin = origin.to_owned();
        Self {
            // Entries in a batch, duplicates not counted.
            batch: histogram!("chancery_log_batch_entries", "log" => origin.clone()),
            // From the lock of the state row to the end of the commit.
            commit: histogram!("chancery_log_commit_seconds", "log" => origin.clone()),
            // Entries that wait for the next batch.
            queue: gauge!("chancery_log_queue_entries", "log" => origin.clone()),
            size: gauge!("chancery_log_size", "log" => origin.clone()),
            // The age of the head is the scraper's time minus this.
            head: gauge!("chancery_log_head_timestamp_seconds", "log" => origin.clone()),
            duplicates: counter!("chancery_log_duplicates_total", "log" => origin.clone()),
            // How far complete bundles have left the database.
            moved: gauge!("chancery_log_moved_size", "log" => origin.clone()),
            move_failures: counter!("chancery_log_move_failures_total", "log" => origin.clone()),
            origin,
        }
    }

    pub(crate) fn queued(&self, entries: usize) {
        self.queue.set(entries as f64);
    }

    pub(crate) fn published(&self, head: &SignedTreeHead) {
        self.size.set(head.size as f64);
        self.head.set(head.time.as_millisecond() as f64 / 1_000.0);
    }

    pub(crate) fn committed(&self, entries: usize, took: Duration) {
        self.batch.record(entries as f64);
        self.commit.record(took.as_secs_f64());
    }

    pub(crate) fn duplicates(&self, entries: usize) {
        self.duplicates.increment(entries as u64);
    }

    pub(crate) fn moved(&self, to: u64) {
        self.moved.set(to as f64);
    }

    pub(crate) fn move_failed(&self) {
        self.move_failures.increment(1);
    }

    /// A head was published and could not be kept outside the database.
    pub(crate) fn record_failed(&self) {
        counter!("chancery_log_record_failures_total", "log" => self.origin.clone()).increment(1);
    }

    pub(crate) fn failed(&self, error: &AppendError) {
        counter!("chancery_log_failed_batches_total", "log" => self.origin.clone(), "reason" => error.code()).increment(1);
    }
}
