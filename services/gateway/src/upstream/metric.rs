//! What is counted of the registries behind this one.

use metrics::{counter, gauge};
use registry::{Kind, Observer, Source};

use crate::contents::Freshness;

/// Counts what one upstream is asked.
#[derive(Debug)]
pub(super) struct Counting {
    /// First components of its repositories here.
    pub(super) upstream: String,
}

impl Observer for Counting {
    fn answered(&self, kind: Kind, status: Option<u16>) {
        let status = status.map_or_else(|| "none".to_owned(), |status| status.to_string());
        let (upstream, kind) = (self.upstream.clone(), kind.label());
        counter!("registry_upstream_requests_total", "upstream" => upstream, "kind" => kind, "status" => status).increment(1);
    }

    fn received(&self, bytes: u64) {
        counter!("registry_upstream_bytes_total", "upstream" => self.upstream.clone()).increment(bytes);
    }

    fn rate_limit_remaining(&self, requests: u64) {
        gauge!("registry_upstream_ratelimit_remaining", "upstream" => self.upstream.clone()).set(requests as f64);
    }
}

/// Someone reads along while somebody else's download arrives.
pub(super) fn followed(upstream: &str) {
    counter!("registry_upstream_followers_total", "upstream" => upstream.to_owned()).increment(1);
}

/// Something was given out.
pub(super) fn answered(upstream: &str, freshness: Freshness) {
    let outcome = match freshness {
        Freshness::Hit { .. } => "hit",
        Freshness::Miss => "miss",
        Freshness::Stale { .. } => "stale",
        Freshness::Offline { .. } => "offline",
    };
    counter!("registry_upstream_cache_total", "upstream" => upstream.to_owned(), "outcome" => outcome).increment(1);
}

/// Referrers were listed.
pub(super) fn listed(upstream: &str, source: Source) {
    let source = match source {
        Source::Api => "api",
        Source::FallbackTag => "fallback",
    };
    counter!("registry_upstream_referrers_total", "upstream" => upstream.to_owned(), "source" => source).increment(1);
}
