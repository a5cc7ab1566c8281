//! Logs and metrics of a process.
//!
//! Logs go to stderr: one line per event that a person on call would want, as text or JSON. The filter can be changed while
//! the process runs (`PUT /log` on the admin listener).

use std::fmt::{Debug, Formatter};
use std::str::FromStr;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt, reload};

use crate::report::Explain;

/// What is logged unless somebody asks for more: our events from `info`, other people's from `warn`, and the `audit` lines, which
/// have a target of their own.
pub const DEFAULT_FILTER: &str = "warn,audit=info,chancery=info,chassis=info,fulcio=info,ctlog=info,rekor=info,tsa=info,tuf=info,gateway=info,tlog=info,keys=info";

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object per line: `timestamp`, `level`, `message`, `target`, fields, `span`.
    Json,
}

impl FromStr for LogFormat {
    type Err = TelemetryError;

    fn from_str(text: &str) -> Result<Self, TelemetryError> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(TelemetryError::Format { found: text.to_owned() }),
        }
    }
}

/// The process's logs and metrics, once started.
#[derive(Debug, Clone)]
pub struct Telemetry {
    /// What is logged.
    pub log: LogFilter,
    /// What is counted.
    pub metrics: Metrics,
}

/// Starts logs and metrics for the whole process: once, in `main`.
///
/// # Errors
/// [`TelemetryError`]: the filter is not one, or something was started before.
pub fn start(format: LogFormat, filter: &str) -> Result<Telemetry, TelemetryError> {
    let (filter, log) = LogFilter::new(filter)?;
    let lines = fmt::layer().with_writer(std::io::stderr);
    let lines = match format {
        LogFormat::Text => lines.with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr())).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).with_current_span(true).with_span_list(false).boxed(),
    };
    let started = tracing_subscriber::registry().with(filter).with(lines).try_init();
    started.map_err(|_| TelemetryError::Twice)?;
    let recorder = builder().build_recorder();
    let metrics = Metrics(recorder.handle());
    metrics::set_global_recorder(recorder).map_err(|_| TelemetryError::Twice)?;
    describe();
    Ok(Telemetry { log, metrics })
}

/// The log filter, changeable while the process runs.
#[derive(Clone)]
pub struct LogFilter(reload::Handle<EnvFilter, Registry>);

impl LogFilter {
    /// A filter from directives such as `info,rekor=debug`, and the layer that applies it.
    ///
    /// # Errors
    /// [`TelemetryError::Filter`] when they are none.
    pub fn new(directives: &str) -> Result<(reload::Layer<EnvFilter, Registry>, Self), TelemetryError> {
        let (layer, handle) = reload::Layer::new(parse(directives)?);
        Ok((layer, Self(handle)))
    }

    /// The directives in force.
    #[must_use]
    pub fn current(&self) -> String {
        self.0.with_current(ToString::to_string).unwrap_or_default()
    }

    /// Puts other directives in force.
    ///
    /// # Errors
    /// [`TelemetryError::Filter`] when they are none; the old ones stay.
    pub fn set(&self, directives: &str) -> Result<(), TelemetryError> {
        self.0.reload(parse(directives)?).map_err(|_| TelemetryError::Twice)
    }
}

impl Debug for LogFilter {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("LogFilter").field(&self.current()).finish()
    }
}

/// The process's metrics.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Metrics that no recorder feeds, for tests and for processes without [`start`].
    #[must_use]
    pub fn detached() -> Self {
        Self(builder().build_recorder().handle())
    }

    /// The Prometheus text format, version 0.0.4.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Drains what histograms have collected, so that memory stays bounded when nobody scrapes. To be called every few seconds.
    pub fn upkeep(&self) {
        self.0.run_upkeep();
    }
}

impl Debug for Metrics {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

/// Logs or metrics cannot be started or changed.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// Not a log format.
    #[error("{found} is no log format")]
    Format {
        /// What was given.
        found: String,
    },
    /// Not a filter.
    #[error("{found} is no log filter")]
    Filter {
        /// What was given, in one line.
        found: String,
        /// What the library said.
        source: tracing_subscriber::filter::ParseError,
    },
    /// Started before, or gone already.
    #[error("logs and metrics of this process belong to somebody else")]
    Twice,
}

impl Explain for TelemetryError {
    fn code(&self) -> &'static str {
        match self {
            Self::Format { .. } => "log_format",
            Self::Filter { .. } => "log_filter",
            Self::Twice => "internal",
        }
    }

    fn advice(&self) -> Option<String> {
        match self {
            Self::Format { .. } => Some("Use text or json.".into()),
            Self::Filter { .. } => Some("Use LEVEL or TARGET=LEVEL, separated by commas: info,rekor=debug.".into()),
            Self::Twice => None,
        }
    }
}

fn parse(directives: &str) -> Result<EnvFilter, TelemetryError> {
    let directives = directives.trim();
    let found = || crate::reason::one_line(directives);
    EnvFilter::builder().parse(directives).map_err(|source| TelemetryError::Filter { found: found(), source })
}

/// Histograms are seconds unless their name says otherwise; from half a millisecond to a minute.
fn builder() -> PrometheusBuilder {
    const SECONDS: [f64; 16] = [0.000_5, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0];
    // Rekor's dashboards know this one, in nanoseconds.
    let in_nanoseconds = Matcher::Suffix("_latency_by_api".to_owned());
    PrometheusBuilder::new()
        .set_buckets(&SECONDS)
        .and_then(|builder| builder.set_buckets_for_metric(in_nanoseconds, &SECONDS.map(|seconds| seconds * 1e9)))
        .expect("there are buckets")
}

fn describe() {
    metrics::describe_counter!("http_requests_total", "Answers by service, status code and method.");
    metrics::describe_histogram!("http_request_duration_seconds", "From the head of a request to the head of its answer.");
    metrics::describe_counter!("refused_requests_total", "Requests not done as asked, by service and stable reason code.");
    metrics::describe_counter!("panics_total", "Request handlers that panicked; each is a bug.");
    metrics::describe_counter!("tls_reloads_total", "Changed TLS files, by service: taken, or refused because they do not fit.");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_filter_changes_and_keeps_what_was_when_refused() {
        let (layer, filter) = LogFilter::new(DEFAULT_FILTER).unwrap();
        let _subscriber = tracing_subscriber::registry().with(layer);
        filter.set("debug,rekor=trace\n").unwrap();
        assert_eq!(filter.current(), "rekor=trace,debug");
        let error = filter.set("rekor=loud").unwrap_err();
        assert_eq!((error.code(), error.to_string().as_str()), ("log_filter", "rekor=loud is no log filter"));
        assert_eq!(filter.current(), "rekor=trace,debug");
    }

    /// A certificate that was issued without an audit line cannot be asked about later.
    #[test]
    fn audit_lines_are_logged_by_default() {
        let (layer, _filter) = LogFilter::new(DEFAULT_FILTER).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), || {
            assert!(tracing::enabled!(target: "audit", tracing::Level::INFO));
            assert!(!tracing::enabled!(target: "audit", tracing::Level::DEBUG));
            assert!(!tracing::enabled!(target: "hyper", tracing::Level::INFO));
        });
    }

    #[test]
    fn formats_are_two() {
        assert_eq!("json".parse::<LogFormat>().unwrap(), LogFormat::Json);
        assert_eq!("xml".parse::<LogFormat>().unwrap_err().code(), "log_format");
    }
}
