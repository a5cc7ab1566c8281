//! The metrics of requests and answers, each looked up once: a look-up builds and hashes a name with its labels, which for a request that
//! is answered in microseconds is no small part of the work.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use http::StatusCode;
use metrics::{Counter, Histogram};

use super::MetricNames;

/// What one stack has counted so far. There are as many values as the service has statuses and methods, which no peer can add to.
#[derive(Default)]
pub(super) struct Counted {
    answers: Known<(StatusCode, &'static str), Answers>,
    sizes: Known<&'static str, Histogram>,
}

/// Metrics of answers with one status to one method.
struct Answers {
    counters: Vec<Counter>,
    seconds: Vec<Histogram>,
}

impl Counted {
    /// Counts an answer.
    pub(super) fn answer(
        &self,
        service: &'static str,
        names: MetricNames,
        status: StatusCode,
        method: &'static str,
        took: Duration,
    ) {
        let count = |answers: &Answers| {
            answers.counters.iter().for_each(|counter| counter.increment(1));
            answers.seconds.iter().for_each(|seconds| seconds.record(took.as_secs_f64()));
        };
        self.answers.with((status, method), || Answers::of(service, names, status, method), count);
    }

    /// Counts the bytes of a request's body.
    pub(super) fn size(&self, name: &'static str, method: &'static str, bytes: u64) {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.sizes.with(method, || metrics::histogram!(name, "method" => method), |sizes| sizes.record(bytes));
    }
}

impl Answers {
    fn of(service: &'static str, names: MetricNames, status: StatusCode, method: &'static str) -> Self {
        let code = || status.as_u16().to_string();
        let ours = metrics::counter!("http_requests_total", "service" => service, "code" => code(), "method" => method);
        let theirs = names.requests.map(|name| metrics::counter!(name, "code" => code(), "method" => method));
        let our_seconds =
            metrics::histogram!("http_request_duration_seconds", "service" => service, "code" => code(), "method" => method);
        let their_seconds = names.latency.map(|name| metrics::histogram!(name, "code" => code(), "method" => method));
        Self {
            counters: std::iter::once(ours).chain(theirs).collect(),
            seconds: std::iter::once(our_seconds).chain(their_seconds).collect(),
        }
    }
}

/// A handful of values, searched from the beginning.
struct Known<K, V>(RwLock<Vec<(K, V)>>);

impl<K, V> Default for Known<K, V> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<K: Copy + PartialEq, V> Known<K, V> {
    /// Uses the value of a key, which is made when there is none. Two that make it at once make the same.
    fn with(&self, key: K, make: impl FnOnce() -> V, used: impl FnOnce(&V)) {
        let find = |values: &[(K, V)]| values.iter().position(|(known, _)| *known == key);
        {
            let values = self.0.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(at) = find(&values) {
                return used(&values[at].1);
            }
        }
        let value = make();
        used(&value);
        let mut values = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if find(&values).is_none() {
            values.push((key, value));
        }
    }
}
